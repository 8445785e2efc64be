"""What callers of an OCI runtime look at: texts of errors, the log, files, sockets, states.

The texts are those that containerd, conmon, podman and CRI-O match.
"""

from __future__ import annotations

import json
import os
import posix
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

from libct.cli.launch import write_pid_file
from libct.errors import Error, printable
from tests.support import (
    busybox_rootfs,
    change_config,
    libct,
    libct_command,
    libct_environment,
    make_bundle,
    missing,
    read_config,
    requires,
    session_directory,
    unique,
    wait_until,
)
from tests.unit.test_oci_schema import FOLDER, Schema

pytestmark = [requires("root", "busybox"), pytest.mark.usefixtures("nothing_left")]

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$")


@pytest.fixture(scope="module")
def rootfs() -> Path:
    return busybox_rootfs(Path(tempfile.mkdtemp(dir=session_directory())))


@pytest.fixture
def sleeper(tmp_path: Path, rootfs: Path) -> Any:
    """The id of a running container that sleeps; removed at the end."""
    name = unique()
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["sleep", "1000"])
    libct("run", "-d", "-b", bundle, name, check=True)
    yield name
    libct("delete", "--force", name, check=True)


def fails(*words: str | os.PathLike[str], status: int = 1, **options: Any) -> str:
    """The one line of a command that fails, which its log has as well."""
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "log.json"
        done = libct("--log", log, "--log-format=json", *words, **options)
        assert (done.returncode, done.stdout) == (status, "")
        assert done.stderr.startswith("libct: ")
        assert done.stderr.count("\n") == 1
        last = json.loads(log.read_text().splitlines()[-1])
    assert list(last) == ["level", "msg", "time"]
    assert last["level"] == "error"
    assert RFC3339.match(last["time"])
    assert done.stderr == f"libct: {last['msg']}\n"
    message: str = last["msg"]
    return message


# --- texts ---

EVIL = "\x1b]0;evil\x07\r\u202e\x9b"
WRITTEN_OUT = "\\x1b]0;evil\\x07\\r\\u202e\\x9b"


def test_no_name_tells_a_terminal_what_to_do(tmp_path: Path, rootfs: Path) -> None:
    """Bundles, commands, paths of groups and mounts, what a hook prints, texts from inside."""
    name, place = unique(), tmp_path / f"b{EVIL}\udcff"
    place.mkdir()
    make_bundle(place, rootfs=rootfs, args=["sleep", "1000"], annotations={"a": EVIL})
    shown = f"b{WRITTEN_OUT}\\udcff"
    libct("run", "-d", "-b", place, name, check=True)
    try:
        assert shown in libct("list", check=True).stdout
        assert json.loads(libct("state", name, check=True).stdout)["bundle"] == str(place)
        assert WRITTEN_OUT in fails("exec", name, f"/{EVIL}", status=255).replace("\\\\", "\\")
        libct("exec", "-d", name, "sh", "-c", "sleep 1000; :", EVIL, check=True)
        listed = libct("ps", name, check=True).stdout
        assert printable(listed, "\n") == listed
    finally:
        libct("delete", "--force", name, check=True)
    changes: list[dict[str, Any]] = [
        {"linux": {"cgroupsPath": f"/{EVIL}/../.."}},
        {"mounts": [{"destination": "/x", "type": "bind", "source": EVIL}]},
        {"process": {"cwd": EVIL}},
        {"process": {"args": [f"/{EVIL}"]}},
        {"hooks": {"createRuntime": [{"path": f"/{EVIL}"}]}},
        {"hostname": EVIL * 20},
        {"root": {"path": f"/{EVIL}"}},
    ]
    for each in changes:
        make_bundle(tmp_path, rootfs=rootfs, **each)
        for command in ("run", "check", "plan"):
            done = libct(command, "-b", tmp_path, *([name] if command == "run" else []))
            assert done.stderr or done.stdout
            assert printable(done.stdout, "\n") == done.stdout
            assert printable(done.stderr, "\n") == done.stderr
    assert WRITTEN_OUT in fails("run", "-b", f"/{EVIL}", name).replace("\\\\", "\\")


def test_what_a_hook_says_in_several_lines_is_told_in_one(tmp_path: Path, rootfs: Path) -> None:
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "echo one >&2; echo two >&2; exit 1"]}
    make_bundle(tmp_path, rootfs=rootfs, hooks={"createRuntime": [hook]})
    assert "one\\ntwo" in fails("run", "-b", tmp_path, unique())


def test_a_traceback_tells_a_terminal_nothing(tmp_path: Path) -> None:
    done = libct("--debug", "run", "-b", f"{tmp_path}/{EVIL}", unique())
    assert "Traceback" in done.stderr
    assert printable(done.stderr, "\n") == done.stderr


@pytest.mark.parametrize(
    "words",
    [
        *(["state"], ["start"], ["kill"], ["delete"], ["pause"], ["resume"], ["ps"]),
        *(["update", "--memory", "1G"], ["checkpoint"]),
    ],
    ids=lambda words: words[0],
)
def test_a_container_that_does_not_exist(words: list[str]) -> None:
    assert "container does not exist" in fails(*words, unique())


def test_exec_fails_with_a_status_of_its_own() -> None:
    assert "container does not exist" in fails("exec", unique(), "true", status=255)


def test_texts_of_errno_have_no_capitals(sleeper: str, tmp_path: Path) -> None:
    """As with runc, and wherever the error was found."""
    none = "no such file or directory"
    assert none in fails("exec", "--process", tmp_path / "none", sleeper, status=255)
    assert none in fails("exec", "--cwd", "/none", sleeper, "true", status=255)
    assert none in fails("update", "--resources", tmp_path / "none", sleeper)
    (tmp_path / "file").mkdir()
    where = tmp_path / "file"
    assert "is a directory" in fails("exec", "--process", where, sleeper, status=255)


def test_a_container_that_has_stopped(sleeper: str) -> None:
    libct("kill", sleeper, "KILL", check=True)
    assert wait_until(lambda: '"stopped"' in libct("state", sleeper).stdout)
    assert "container not running" in fails("kill", sleeper, "TERM")
    assert "container not running" in fails("pause", sleeper)
    assert "container not running" in fails("exec", sleeper, "true", status=255)
    assert "container not running" in fails("update", "--pids-limit", "9", sleeper)
    libct("kill", "--all", sleeper, "TERM", check=True)


@requires("strace")
def test_a_process_that_ends_as_it_is_signalled(sleeper: str) -> None:
    inject = ["strace", "-o", "/dev/null", "-e", "inject=pidfd_send_signal:error=ESRCH"]
    done = subprocess.run(
        [*inject, *libct_command("kill", sleeper, "TERM")],
        env={**os.environ, **libct_environment()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "os: process already finished" in done.stderr


def test_an_id_in_use(sleeper: str, tmp_path: Path) -> None:
    for command in ("create", "run"):
        line = fails(command, "-b", tmp_path, sleeper)
        assert "container with given ID already exists" in line


@pytest.mark.parametrize("command", ["create", "run"])
@pytest.mark.parametrize(
    ("program", "text"),
    [
        ("no-such", 'exec: "no-such": executable file not found in $PATH'),
        ("/no/such", "no such file or directory"),
        ("/etc/passwd", "permission denied"),
    ],
)
def test_a_command_that_cannot_be_executed(
    tmp_path: Path, rootfs: Path, command: str, program: str, text: str
) -> None:
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=[program])
    line = fails(command, "-b", bundle, unique())
    assert "unable to start container process" in line
    assert text in line


@pytest.mark.parametrize(
    ("program", "text"),
    [
        ("no-such", 'exec: "no-such": executable file not found in $PATH'),
        ("/no/such", "no such file or directory"),
        ("/etc/passwd", "permission denied"),
    ],
)
def test_a_command_that_exec_cannot_execute(sleeper: str, program: str, text: str) -> None:
    line = fails("exec", sleeper, program, status=255)
    assert "unable to start container process" in line
    assert text in line


@pytest.mark.skipif(shutil.which("criu") is not None, reason="CRIU is installed: tests/vm")
def test_without_criu_nothing_is_written_or_ended(sleeper: str, bundle: Path) -> None:
    images = ["--image-path", str(bundle / "images"), "--work-path", str(bundle / "work")]
    line = fails("checkpoint", *images, "--leave-running", "--empty-ns", "network", sleeper)
    assert line.startswith("CRIU is not installed")
    assert '"running"' in libct("state", sleeper).stdout
    line = fails("restore", *images, "-d", "-b", bundle, unique())
    assert line.startswith("CRIU is not installed")
    assert not (bundle / "images").exists()


# --- who makes the control groups ---


def test_without_systemd_its_flag_is_refused_where_groups_are_made(
    sleeper: str, tmp_path: Path
) -> None:
    if not missing("systemd"):
        pytest.skip("systemd is there: tests/vm")
    for option in (["--systemd-cgroup"], ["--cgroup-manager", "systemd"]):
        line = fails(*option, "create", "-b", tmp_path, unique())
        assert line.startswith(
            "linux.cgroupsPath: systemd cgroup flag passed, but systemd support for managing"
            " cgroups is not available"
        )
        assert "--systemd-cgroup" in line
        # Engines give the flag to every command; only making groups depends on it.
        libct(*option, "state", sleeper, check=True)
        libct(*option, "list", check=True)


def test_systemd_wants_three_words(bundle: Path) -> None:
    change_config(bundle, linux={"cgroupsPath": "/a/b"})
    line = fails("--systemd-cgroup", "create", "-b", bundle, unique())
    assert line == (
        'linux.cgroupsPath: expected cgroupsPath to be of format "slice:prefix:name" for systemd'
        " cgroups, got '/a/b' instead"
    )


def test_only_one_makes_them(bundle: Path) -> None:
    for other in ("cgroupfs", "disabled"):
        options = ["--systemd-cgroup", "--cgroup-manager", other]
        line = fails(*options, "create", "-b", bundle, unique())
        assert line == f"either --systemd-cgroup or --cgroup-manager {other}, not both"


def test_a_container_without_control_groups(bundle: Path) -> None:
    name = unique()
    change_config(bundle, process={"args": ["cat", "/proc/self/cgroup"]})
    done = libct("--cgroup-manager", "disabled", "run", "-b", bundle, name, check=True)
    assert name not in done.stdout
    assert done.stderr.count("\n") == 1
    assert "level=warning" in done.stderr
    assert "linux.resources.devices: access to devices is not controlled" in done.stderr
    limits = {"pids": {"limit": 5}, "memory": {"limit": 1 << 20}}
    change_config(bundle, linux={"resources": limits})
    done = libct("--cgroup-manager", "disabled", "run", "-b", bundle, name)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == len(limits)
    for one in limits:
        text = f"libct: linux.resources.{one}: cannot set limits without a control group"
        assert text in done.stderr


@pytest.fixture
def bundle(tmp_path: Path, rootfs: Path) -> Path:
    return make_bundle(tmp_path, rootfs=rootfs, args=["true"])


# --- the log ---


def test_the_log_as_text(tmp_path: Path) -> None:
    log = tmp_path / "log"
    libct("--log", log, "state", "none")
    libct("--log", log, "state", "none")
    lines = log.read_text().splitlines()
    assert len(lines) == 2  # added to, not replaced
    assert re.match(r'time="[^"]+" level=error msg="container does not exist: ', lines[0])


@pytest.mark.parametrize(
    "words",
    [["crate", "x"], ["create", "--no-such", "x"], ["create", "a", "b"], ["--no-such", "list"]],
    ids=" ".join,
)
def test_a_mistake_in_the_command_line_is_logged(tmp_path: Path, words: list[str]) -> None:
    log = tmp_path / "log"
    done = libct("--log", log, "--log-format=json", *words)
    assert done.returncode == 1
    line = json.loads(log.read_text())
    assert (line["level"], f"libct: {line['msg']}\n") == ("error", done.stderr)

    # A log that cannot be opened does not hide it.
    assert libct("--log", tmp_path / "no/log", *words).stderr == done.stderr


def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    done = libct("--log", tmp_path / "no" / "log", "list")
    assert done.returncode == 1
    assert done.stderr.startswith("libct: cannot open the log")


def test_debug_logs_the_steps(tmp_path: Path, rootfs: Path) -> None:
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["true"])
    log = tmp_path / "log"
    libct(
        "--debug", "--log", log, "--log-format", "json", "run", "-b", bundle, unique(), check=True
    )
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {line["level"] for line in lines} == {"debug"}
    assert any(re.search(r"step \d+ of \d+, init: .*: ok", line["msg"]) for line in lines)
    # Without a file, to standard error; nothing of it without --debug.
    done = libct("--debug", "run", "-b", bundle, unique(), check=True)
    assert re.search(r'^time="[^"]+" level=debug msg="step 1 of ', done.stderr, re.MULTILINE)
    assert libct("run", "-b", bundle, unique(), check=True).stderr == ""


def test_the_last_line_is_the_error_also_with_debug(tmp_path: Path, rootfs: Path) -> None:
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["no-such"])
    log = tmp_path / "log"
    done = libct("--debug", "--log", log, "--log-format", "json", "run", "-b", bundle, unique())
    assert done.returncode == 1
    *before, last = [json.loads(line) for line in log.read_text().splitlines()]
    assert last["level"] == "error"
    assert "executable file not found in $PATH" in last["msg"]
    assert any("executable file not found" in line["msg"] for line in before)  # of the step


def test_debug_logs_what_has_been_done_to_a_container(tmp_path: Path, rootfs: Path) -> None:
    name, log = unique(), tmp_path / "log"
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["sleep", "1000"])
    libct("create", "-b", bundle, name, check=True)
    state = json.loads(libct("state", name, check=True).stdout)
    pid = state["pid"]

    def logged(*words: str, status: int = 0) -> str:
        """The last line that a command logs, after one about what it has found."""
        log.unlink(missing_ok=True)
        done = libct("--debug", "--log", log, "--log-format", "json", *words)
        assert done.returncode == status
        found, last = [json.loads(line) for line in log.read_text().splitlines()]
        assert found["level"] == "debug"
        assert f"its first process {pid}, its processes {pid}" in found["msg"]
        message: str = last["msg"]
        assert last["level"] == ("debug" if status == 0 else "error")
        return message.partition(f"container {name!r}: ")[2] if status == 0 else message

    assert logged("start", name) == f"the process {pid} has executed its command"
    frozen = logged("pause", name)
    assert re.match(f"froze the processes {pid} in the control groups /sys/fs/cgroup/", frozen)
    assert logged("resume", name).startswith(f"thawed the processes {pid} in")
    assert logged("kill", name, "WINCH") == f"sent signal 28 to {pid}"
    assert logged("kill", "-a", name, "WINCH") == f"sent signal 28 to all of {pid}"
    assert "stop it first" in logged("delete", name, status=1)
    done = logged("delete", "--force", name)
    assert re.match("removed, with its control groups /sys/fs/cgroup/.*; it was running$", done)
    done_again = libct("--debug", "delete", "--force", name, check=True)
    assert "removed what there was of it" in done_again.stderr
    assert libct("delete", "--force", name, check=True).stderr == ""


# --- files and sockets ---


def test_a_pid_file_is_there_with_its_number_or_not_at_all(sleeper: str, tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text("an older one, and longer")
    before = path.stat().st_ino
    libct("exec", "-d", "--pid-file", path, sleeper, "sleep", "5", check=True)
    assert int(path.read_text()) in json.loads(libct("ps", "-f", "json", sleeper).stdout)
    assert path.stat().st_ino != before  # replaced, and not written to
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_pid_file_leads_to_no_file_of_somebody_else(sleeper: str, tmp_path: Path) -> None:
    """Who else may write in its directory has put something there, under the names in question."""
    victim, place = tmp_path / "victim", tmp_path / "place"
    place.mkdir()
    victim.write_text("as it was")
    path = place / "pid"
    path.symlink_to(victim)
    os.link(victim, place / ".pid")  # as good as a link where those are not followed
    for _ in range(2):
        libct("exec", "-d", "--pid-file", path, sleeper, "sleep", "5", check=True)
        assert int(path.read_text()) in json.loads(libct("ps", "-f", "json", sleeper).stdout)
        assert not path.is_symlink()
    assert victim.read_text() == "as it was"
    assert sorted(os.listdir(place)) == [".pid", "pid"]


def test_the_new_pid_file_is_nobody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even with its name guessed: what is there by that name is not written to."""
    victim = tmp_path / "victim"
    victim.write_text("as it was")
    monkeypatch.setattr(posix, "urandom", bytes)  # zeros
    os.link(victim, tmp_path / f".libct-{bytes(8).hex()}")
    with pytest.raises(Error, match=r"cannot write the pid file .*: File exists"):
        write_pid_file(str(tmp_path / "pid"), 7)
    assert victim.read_text() == "as it was"
    assert len(os.listdir(tmp_path)) == 2


def test_nobody_can_guess_the_name_of_a_new_pid_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = set()
    rename = posix.rename

    def noted(old: str, new: str, **places: int) -> None:
        names.add(old)
        rename(old, new, **places)

    monkeypatch.setattr(posix, "rename", noted)
    for pid in range(10):
        write_pid_file(str(tmp_path / "pid"), pid)
    assert len(names) == 10
    assert all(len(name) >= 16 for name in names)
    assert os.listdir(tmp_path) == ["pid"]
    assert (tmp_path / "pid").read_text() == "9"


@pytest.mark.parametrize("command", ["create", "run", "exec"])
def test_a_pidfd_is_sent(tmp_path: Path, rootfs: Path, command: str) -> None:
    name = unique()
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["sleep", "1000"])
    path = str(tmp_path / "socket")
    got: list[Any] = []

    def receive(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            got.append(socket.recv_fds(connection, 64, 1))

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        thread = threading.Thread(target=receive, args=(server,))
        thread.start()
        if command == "exec":
            libct("run", "-d", "-b", bundle, name, check=True)
            libct("exec", "--pidfd-socket", path, name, "true", check=True)
        elif command == "run":
            libct("run", "-d", "--pidfd-socket", path, "-b", bundle, name, check=True)
        else:
            libct("create", "--pidfd-socket", path, "-b", bundle, name, check=True)
        thread.join(20)
    ((message, (pidfd,), _, _),) = got
    try:
        assert message == (b"setns" if command == "exec" else b"standard")
        if command != "exec":
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        assert select.select([pidfd], [], [], 20)[0]
    finally:
        os.close(pidfd)
        libct("delete", "--force", name, check=True)


def test_a_pidfd_socket_that_nobody_listens_at(tmp_path: Path, rootfs: Path) -> None:
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["sleep", "1000"])
    for command in (["run"], ["run", "-d"], ["create"]):
        line = fails(*command, "--pidfd-socket", tmp_path / "no", "-b", bundle, unique())
        assert "cannot connect to the pidfd socket" in line


# --- states and processes ---


def test_states_are_as_the_schema_has_them(tmp_path: Path, rootfs: Path) -> None:
    if not (FOLDER / "state-schema.json").is_file():
        pytest.skip(f"no schemas of the runtime-spec in {FOLDER}")
    schema, name_of_it = Schema(FOLDER), "state-schema.json"
    name = unique()
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["sleep", "1000"], annotations={"a": "b"})
    libct("create", "-b", bundle, name, check=True)
    try:
        for wanted, command in (
            ("created", ["start", name]),
            ("running", ["pause", name]),
            ("paused", ["resume", name]),
            ("running", ["kill", name, "KILL"]),
        ):
            state = json.loads(libct("state", name, check=True).stdout)
            assert state["status"] == wanted
            assert state["pid"] > 0
            assert state["annotations"] == {"a": "b"}
            if wanted != "paused":  # a status of runc's, which the schema does not name
                assert schema.problems(state, schema.file(name_of_it), name_of_it, "") == []
            libct(*command, check=True)
        assert wait_until(lambda: '"stopped"' in libct("state", name).stdout)
        (state,) = [
            each for each in json.loads(libct("list", "-f", "json").stdout) if each["id"] == name
        ]
        assert state["pid"] == 0
        assert (
            schema.problems(state, schema.file("state-schema.json"), "state-schema.json", "") == []
        )
    finally:
        libct("delete", "--force", name, check=True)


def test_ps_passes_options_on(sleeper: str) -> None:
    if shutil.which("ps") is None:
        pytest.skip("this machine lacks: ps")
    heading, line = libct("ps", sleeper, "-o", "pid,comm", "-e", check=True).stdout.splitlines()
    assert heading.split() == ["PID", "COMMAND"]
    pid, command = line.split()
    assert command == "sleep"
    assert json.loads(libct("ps", "--format", "json", sleeper).stdout) == [int(pid)]
    assert "ps failed" in libct("ps", sleeper, "--no-such-option").stderr


def test_a_container_id_is_completed(sleeper: str, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "libct"
    program.parent.mkdir()
    words = " ".join(f"'{word}'" for word in libct_command())
    program.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    program.chmod(0o755)
    environment = {
        **os.environ,
        **libct_environment(),
        "PATH": f"{program.parent}:{os.environ['PATH']}",
    }
    code = 'eval "$(libct completion bash)"; COMP_WORDS=(libct kill libct-); COMP_CWORD=2; _libct'
    done = subprocess.run(
        ["bash", "-c", f'{code}; echo "${{COMPREPLY[@]}}"'],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert sleeper in done.stdout.split()


@requires("user", "cgroup1")
def test_an_ordinary_user_is_warned_of_processes_that_cannot_be_found(user_path: Path) -> None:
    """As runc warns: without a control group and a pid namespace of its own."""
    bundle = make_bundle(user_path, rootless=True, args=["true"])
    spec = read_config(bundle)
    for detach in ([], ["-d"]):
        done = libct("run", *detach, "-b", bundle, name := unique(), user=True, check=True)
        assert done.stderr == ""  # its pid namespace takes all with it
        libct("delete", "--force", name, user=True, check=True)
    spec["linux"]["namespaces"].remove({"type": "pid"})
    mounts = [mount for mount in spec["mounts"] if mount["type"] != "proc"]
    change_config(bundle, linux={"namespaces": spec["linux"]["namespaces"]}, mounts=mounts)
    for detach in ([], ["-d"]):
        done = libct("run", *detach, "-b", bundle, name := unique(), user=True, check=True)
        assert done.stderr.count("no cgroup and no private pid namespace") == 1
        assert "level=warning" in done.stderr
        libct("delete", "--force", name, user=True, check=True)
