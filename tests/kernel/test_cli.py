"""The commands, each on real containers: what they print, their exit status, what they leave."""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import zipapp
from pathlib import Path
from typing import Any

import pytest

from libct.life.proc import start_time
from tests.containers import with_v2
from tests.support import (
    CHECKOUT,
    as_user,
    busybox_rootfs,
    change_config,
    libct,
    libct_command,
    libct_environment,
    make_bundle,
    read_config,
    requires,
    run,
    session_directory,
    state_root,
    unique,
    user_python,
    wait_until,
)

pytestmark = [requires("root", "busybox"), pytest.mark.usefixtures("nothing_left")]


# Without a pid namespace.
SHARED_PIDS = {"namespaces": [{"type": kind} for kind in ("mount", "uts", "ipc", "cgroup")]}


@pytest.fixture(scope="module")
def rootfs() -> Path:
    return busybox_rootfs(Path(tempfile.mkdtemp(dir=session_directory())))


def bundle_of(directory: Path, rootfs: Path, *args: str, **changes: Any) -> Path:
    return make_bundle(directory, rootfs=rootfs, args=args, **changes)


@pytest.fixture
def sleeper(tmp_path: Path, rootfs: Path) -> Any:
    """The id of a running container that sleeps; removed at the end."""
    name = unique()
    libct("run", "-d", "-b", bundle_of(tmp_path, rootfs, "sleep", "1000"), name, check=True)
    yield name
    libct("delete", "--force", name, check=True)


def begin(*words: str | Path, **options: Any) -> subprocess.Popen[Any]:
    """A command that goes on, with what it writes in a pipe."""
    values = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, **options}
    return subprocess.Popen(
        libct_command(*words), env={**os.environ, **libct_environment()}, **values
    )


def state(name: str) -> Any:
    return json.loads(libct("state", name, check=True).stdout)


# --- run ---


def test_run_gives_the_exit_status_and_leaves_nothing(tmp_path: Path, rootfs: Path) -> None:
    bundle = bundle_of(tmp_path, rootfs, "sh", "-c", "cat; echo to stderr >&2; exit 7")
    done = libct("run", "-b", bundle, unique(), input="typed\n")
    assert (done.returncode, done.stdout, done.stderr) == (7, "typed\n", "to stderr\n")


@requires("user")
def test_an_ordinary_user_runs_a_container(user_path: Path) -> None:
    bundle = make_bundle(user_path, rootless=True, args=["sh", "-c", "id -u; hostname; exit 4"])
    done = libct("run", "-b", bundle, unique(), user=True)
    assert (done.returncode, done.stdout, done.stderr) == (4, "0\nlibct\n", "")


@requires("user")
def test_root_of_a_user_namespace_runs_a_container(user_path: Path) -> None:
    """As rootless Podman does: the user namespace is there, and the container shares it."""
    script = "id -u; cat /sys/class/net/lo/operstate; ls -d /sys/fs/cgroup; cat /proc/self/cgroup"
    bundle = make_bundle(user_path, rootless=True, args=["sh", "-c", script])
    cgroup = {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"}
    mounts = [one for one in read_config(bundle)["mounts"] if "cgroup" not in one["destination"]]
    kinds = ("mount", "uts", "ipc", "pid", "network")
    change_config(
        bundle,
        mounts=[*mounts, cgroup],
        linux={
            "namespaces": [{"type": kind} for kind in kinds],
            "uidMappings": None,
            "gidMappings": None,
            "cgroupsPath": None,  # one that he may not use would be an error
        },
    )
    # Without --root: the default one is the user's, not the machine's.
    command = [user_python(), "-m", "libct", "run", "-b", str(bundle), unique()]
    done = as_user(
        *["unshare", "--user", "--map-root-user", "--mount"],
        *command,
        env=libct_environment(user=True),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("0\nunknown\n/sys/fs/cgroup\n")


def test_run_gives_128_and_the_signal(tmp_path: Path, rootfs: Path) -> None:
    # Process 1 of a pid namespace cannot be killed from inside.
    bundle = bundle_of(tmp_path, rootfs, "sh", "-c", "kill -KILL $$")
    change_config(bundle, linux=SHARED_PIDS)
    assert libct("run", "-b", bundle, unique()).returncode == 128 + signal.SIGKILL


def test_run_takes_the_working_directory_for_the_bundle(tmp_path: Path, rootfs: Path) -> None:
    bundle = bundle_of(tmp_path, rootfs, "echo", "here")
    assert libct("run", unique(), cwd=bundle, check=True).stdout == "here\n"


def test_run_keeps_the_state_if_asked_to(tmp_path: Path, rootfs: Path) -> None:
    name = unique()
    bundle = bundle_of(tmp_path, rootfs, "sh", "-c", "exit 3", annotations={"color": "blue"})
    assert libct("run", "--keep", "-b", bundle, name).returncode == 3
    found = state(name)
    assert (found["status"], found["pid"]) == ("stopped", 0)
    assert found["annotations"] == {"color": "blue", "libct.exit-status": "3"}
    libct("delete", name, check=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGRTMIN + 3])
def test_run_forwards_signals(tmp_path: Path, rootfs: Path, number: int) -> None:
    script = f"trap 'exit 42' {int(number)}; echo ready; while :; do sleep 0.05; done"
    bundle = bundle_of(tmp_path, rootfs, "sh", "-c", script)
    with begin("run", "-b", bundle, unique(), stdin=subprocess.DEVNULL) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"ready\n"
        run.send_signal(number)
        assert run.wait(30) == 42


def test_a_signal_that_is_ignored_stays_ignored(tmp_path: Path, rootfs: Path) -> None:
    """As nohup(1) has it: the terminal's end is not passed on."""
    bundle = bundle_of(tmp_path, rootfs, "sh", "-c", "echo ready; read line; exit 5")
    command = libct_command("run", "-b", bundle, unique())
    with subprocess.Popen(
        ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *command],
        env={**os.environ, **libct_environment()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        assert run.stdout.readline() == b"ready\n"
        status = Path(f"/proc/{run.pid}/status").read_text().splitlines()
        masks = dict(line.split(":", 1) for line in status)
        ours = [bool(int(masks[name], 16) & 1) for name in ("SigIgn", "SigCgt")]  # 1: SIGHUP
        run.send_signal(signal.SIGHUP)
        run.stdin.close()
        assert run.wait(30) == 5
    assert ours == [True, False]


@pytest.mark.parametrize(
    ("number", "script", "status"),
    [
        (signal.SIGTERM, "", 128 + signal.SIGTERM),
        (signal.SIGINT, "", 128 + signal.SIGINT),
        (signal.SIGTERM, "trap '' TERM", 5),
        (signal.SIGTERM, "trap 'exit 7' TERM", 7),
        (signal.SIGUSR1, "", 128 + signal.SIGUSR1),
    ],
)
@pytest.mark.parametrize("options", [(), ("--as-pid-1",)])
def test_a_signal_ends_what_runs_in_a_sandbox(
    number: int, script: str, status: int, options: tuple[str, ...]
) -> None:
    """Process 1 of a pid namespace would not even notice it; only what ends libct, ends that."""
    if options and number == signal.SIGUSR1:
        status = 5
    script = f"{script}\necho ready; for n in 1 2 3 4 5 6 7 8 9 10; do sleep 0.1; done; exit 5"
    words = ("sandbox", *options, "--", "sh", "-c", script)
    with begin(*words, stdin=subprocess.DEVNULL) as sandbox:
        assert sandbox.stdout is not None
        assert sandbox.stdout.readline() == b"ready\n"
        sandbox.send_signal(number)
        assert sandbox.wait(30) == status


def test_run_waits_for_what_it_has_taken(tmp_path: Path, rootfs: Path) -> None:
    """And leaves no zombies of a container that runs for long."""
    script = "sh -c 'sleep 0.1 & echo $!; exit 0'; read line; exit 3"
    bundle = bundle_of(tmp_path, rootfs, "sh", "-c", script, linux=SHARED_PIDS)
    with begin("run", "-b", bundle, unique()) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        orphan = int(run.stdout.readline())
        assert wait_until(lambda: not os.path.exists(f"/proc/{orphan}"), patience=3)
        run.stdin.close()
        assert run.wait(30) == 3


def test_run_takes_orphans_of_the_container(tmp_path: Path, rootfs: Path) -> None:
    # The orphan waits until its parent has ended, and tells who is its parent then.
    orphan = "while [ -d /proc/$1 ]; do sleep 0.02; done; grep PPid /proc/$$/status; sleep 1000"
    script = "sh -c 'sh -c \"$ORPHAN\" orphan $$ & exit 0'; read line"
    bundle = bundle_of(
        tmp_path,
        rootfs,
        "sh",
        "-c",
        script,
        linux=SHARED_PIDS,
        process={"env": ["PATH=/bin", f"ORPHAN={orphan}"]},
    )
    with begin("run", "-b", bundle, unique(), text=True) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        assert run.stdout.readline().split() == ["PPid:", str(run.pid)]
        run.stdin.write("\n")
        run.stdin.close()
        assert run.wait(30) == 0  # and the orphan ends with the container


def test_standard_streams_that_are_closed_become_the_null_device(
    tmp_path: Path, rootfs: Path
) -> None:
    bundle = bundle_of(tmp_path, rootfs, "sh", "-c", "ls -l /proc/self/fd/0 /proc/self/fd/2")
    command = 'exec "$@" <&- 2>&-'
    done = subprocess.run(
        ["sh", "-c", command, "sh", *libct_command("run", "-b", bundle, unique())],
        env={**os.environ, **libct_environment()},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.count("-> /dev/null") == 2


def test_preserved_descriptors(tmp_path: Path, rootfs: Path) -> None:
    bundle = bundle_of(tmp_path, rootfs, "sh", "-c", "cat <&4; ls /proc/self/fd | wc -l")
    (tmp_path / "file").write_text("four\n")

    def run(redirections: str) -> subprocess.CompletedProcess[str]:
        command = libct_command("run", "--preserve-fds", "2", "-b", bundle, unique())
        return subprocess.run(
            ["sh", "-c", f'exec "$@" {redirections} </dev/null', "sh", *command],
            env={**os.environ, **libct_environment()},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    assert run("3</dev/null 4<file 5</dev/null").stdout == "four\n6\n"  # ls has one more
    refused = run("3</dev/null")
    assert refused.returncode == 1
    assert refused.stderr == "libct: --preserve-fds 2: descriptor 4 is not open\n"


# --- create, start, and what can be asked meanwhile ---


def test_the_environment_chooses_no_interpreter(tmp_path: Path, rootfs: Path) -> None:
    """Python takes PYTHONEXECUTABLE for its own name, also with -I."""
    marker = tmp_path / "ran"
    chosen = tmp_path / "python"
    chosen.write_text(f'#!/bin/sh\ntouch {marker}\nexec {sys.executable} "$@"\n')
    chosen.chmod(0o755)
    bundle = bundle_of(tmp_path, rootfs, "echo", "here")
    done = subprocess.run(
        libct_command("run", "-b", bundle, unique()),
        env={**libct_environment(), "PYTHONEXECUTABLE": str(chosen)},
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "here\n"
    assert not marker.exists()


def test_the_life_of_a_container(tmp_path: Path, rootfs: Path) -> None:
    name, pid_file = unique(), tmp_path / "pid"
    bundle = bundle_of(tmp_path, rootfs, "sleep", "1000")
    libct("create", "-b", bundle, "--pid-file", pid_file, name, check=True)
    try:
        found = state(name)
        assert found["status"] == "created"
        assert found["id"] == name
        assert found["bundle"] == str(bundle)
        assert found["rootfs"] == str(rootfs)
        assert pid_file.read_text() == str(found["pid"])
        assert not (tmp_path / ".pid").exists()
        assert Path(f"/proc/{found['pid']}/root").stat().st_ino == rootfs.stat().st_ino
        libct("start", name, check=True)
        assert state(name)["status"] == "running"
        assert libct("start", name).returncode == 1
        assert libct("exec", name, "sh", "-c", "exit 5").returncode == 5
        refused = libct("delete", name)
        assert refused.returncode == 1
        assert "not stopped: running" in refused.stderr
        libct("kill", name, "KILL", check=True)
        assert wait_until(lambda: state(name)["status"] == "stopped")
        assert "container not running" in libct("kill", name).stderr
        assert "container not running" in libct("exec", name, "true").stderr
    finally:
        libct("delete", name, check=True)
    assert "container does not exist" in libct("state", name).stderr


def test_a_created_container_can_be_deleted(tmp_path: Path, rootfs: Path) -> None:
    name = unique()
    libct("create", "-b", bundle_of(tmp_path, rootfs, "sleep", "1000"), name, check=True)
    libct("delete", name, check=True)


def test_create_reports_a_command_that_is_missing(tmp_path: Path, rootfs: Path) -> None:
    done = libct("create", "-b", bundle_of(tmp_path, rootfs, "no-such-command"), unique())
    assert done.returncode == 1
    assert "unable to start container process" in done.stderr
    assert 'exec: "no-such-command": executable file not found in $PATH' in done.stderr


def test_list(sleeper: str, tmp_path: Path) -> None:
    text = libct("list", "-f", "json").stdout
    assert text.count("\n") == 1  # scripts read it by lines, as they do runc's
    assert '": ' not in text
    found = {each["id"]: each for each in json.loads(text)}
    assert found[sleeper]["status"] == "running"
    assert found[sleeper] == state(sleeper)
    assert sleeper in libct("list", "--quiet", check=True).stdout.splitlines()
    heading, *lines = libct("list", check=True).stdout.splitlines()
    assert heading.split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    (line,) = [line for line in lines if line.split()[0] == sleeper]
    assert line.split()[1:4] == [str(found[sleeper]["pid"]), "running", str(tmp_path)]


def test_list_tells_of_what_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one/state.json").write_text("{")
    done = libct("list", root=tmp_path, check=True)
    assert done.stdout.count("\n") == 1
    assert f"{tmp_path}/one/state.json is damaged: state.json:1:2: " in done.stderr
    assert "delete it by force" in done.stderr


def _damage(file: Path, kind: str, whole: str) -> None:
    """Put something of that kind where the state was, which was this."""
    if kind == "fifo":
        os.mkfifo(file)
    elif kind == "directory":
        file.mkdir()
    elif kind == "device":
        os.mknod(file, stat.S_IFCHR | 0o600, os.makedev(1, 5))  # zero
    elif kind == "link":
        file.symlink_to("/dev/zero")
    elif kind == "huge":
        file.touch()
        os.truncate(file, 1 << 40)
    elif kind == "type":
        file.write_text(json.dumps({**json.loads(whole), "pid": "1"}))
    elif kind == "deep":
        file.write_text("[" * 1_000_000)
    elif kind == "no UTF-8":
        file.write_bytes(b"\xff" * 20)
    else:
        file.write_text(whole[:-90])


@pytest.mark.parametrize(
    "kind",
    ["fifo", "directory", "device", "link", "huge", "type", "deep", "no UTF-8", "cut"],
)
def test_a_damaged_container_hides_no_other(
    tmp_path: Path, rootfs: Path, sleeper: str, kind: str
) -> None:
    bad = unique()
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["sleep", "1000"])
    libct("run", "-d", "-b", bundle, bad, check=True)
    pid = state(bad)["pid"]
    file = state_root() / bad / "state.json"
    whole = file.read_text()
    file.unlink()
    _damage(file, kind, whole)
    (state_root() / "no id!").mkdir()
    try:
        done = libct("list", timeout=20, check=True)
        assert any(line.split()[0] == sleeper for line in done.stdout.splitlines())
        assert f"/{bad}/state.json is damaged: " in done.stderr
        assert done.stderr.count("\n") == 1
        assert sleeper in libct("list", "-q", timeout=20, check=True).stdout.split()
        for command in (["state"], ["kill"], ["delete"], ["ps"], ["start"], ["exec"]):
            words = [*command, bad, *(["true"] if command == ["exec"] else [])]
            refused = libct(*words, timeout=20)
            assert refused.returncode != 0
            assert refused.stderr.startswith("libct: ")
            assert refused.stderr.count("\n") == 1
            assert "delete it by force" in refused.stderr
    finally:
        (state_root() / "no id!").rmdir()
        assert libct("delete", "--force", bad, timeout=20, check=True).stderr == ""
    assert not file.parent.exists()
    assert start_time(pid) == 0


def _is_empty(group: str) -> bool:
    return not Path(group, "cgroup.procs").read_text()


@pytest.mark.parametrize("name", ["groups", "hook", ".state.json"])
def test_a_damaged_file_beside_the_state_keeps_nothing_from_being_removed(
    tmp_path: Path, rootfs: Path, name: str
) -> None:
    container = unique()
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["sleep", "1000"])
    libct("run", "-d", "-b", bundle, container, check=True)
    pid, file = state(container)["pid"], state_root() / container / name
    groups = [
        line.split(" ", 2)[2]
        for line in (state_root() / container / "groups").read_text().splitlines()
        if line.startswith("made ")
    ]
    assert groups
    file.unlink(missing_ok=True)
    os.mkfifo(file)
    try:
        assert state(container)["status"] == "running"
        if name == "groups":  # no process is put beside its groups
            done = libct("exec", container, "true", timeout=20)
            assert "groups is damaged: it is not a regular file" in done.stderr
    finally:
        libct("delete", "--force", container, timeout=20, check=True)
        for path in groups if name == "groups" else ():
            wait_until(functools.partial(_is_empty, path))
            os.rmdir(path)
    assert not file.parent.exists()
    assert start_time(pid) == 0
    assert not any(map(os.path.exists, groups))


@pytest.mark.parametrize("boot", ["this", "another"])
def test_a_container_of_another_boot_has_stopped(tmp_path: Path, rootfs: Path, boot: str) -> None:
    """Whoever has its process's number now, and has started as long after the boot."""
    now = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    name = unique()
    libct("create", "-b", bundle_of(tmp_path, rootfs, "sleep", "1000"), name, check=True)
    libct("kill", name, "KILL", check=True)
    assert wait_until(lambda: state(name)["status"] == "stopped")
    file = state_root() / name / "state.json"
    record = json.loads(file.read_text())
    assert record["boot"] == now
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as other:
        try:
            record.update(pid=other.pid, start=start_time(other.pid), status="created")
            hook = f"0 0 {other.pid} {start_time(other.pid)} {now}"
            if boot == "another":
                record["boot"] = record["boot"][::-1]
                hook = hook.replace(now, record["boot"])
            file.write_text(json.dumps(record))
            (file.parent / "hook").write_text(hook)
            listed = json.loads(libct("list", "-f", "json", check=True).stdout)
            (found,) = (one for one in listed if one["id"] == name)
            if boot == "this":
                assert found["pid"] == other.pid
                return
            assert (found["status"], found["pid"]) == ("stopped", 0)
            for words in (["kill", name, "KILL"], ["exec", name, "true"]):
                assert libct(*words).returncode != 0
            libct("kill", "--all", name, "KILL", check=True)  # of which there is nobody
            libct("delete", name, check=True)
            assert not file.parent.exists()
            assert start_time(other.pid) > 0
        finally:
            libct("delete", "--force", name, check=True)  # which ends it, where that is this boot's
            other.kill()


def test_list_of_nothing(tmp_path: Path) -> None:
    assert libct("list", "-q", root=tmp_path, check=True).stdout == ""
    assert libct("list", "-f", "json", root=tmp_path).stdout == "[]\n"
    assert len(libct("list", root=tmp_path).stdout.splitlines()) == 1


@pytest.mark.parametrize("options", [[], ["-q"], ["-f", "json"]])
def test_list_of_a_directory_that_is_not_there(tmp_path: Path, options: list[str]) -> None:
    """Like runc since 1.2: it may be mistyped.  The default one need not be there."""
    done = libct("list", *options, root=tmp_path / "none")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"open {tmp_path}/none: no such file or directory" in done.stderr
    assert not (tmp_path / "none").exists()
    for variables in ({"XDG_RUNTIME_DIR": str(tmp_path / "none")}, {}):
        words = [sys.executable, "-m", "libct", "list", "-q"]
        assert run(words, env={**libct_environment(), **variables}).returncode == 0


def test_ps(sleeper: str) -> None:
    libct("exec", "-d", sleeper, "sleep", "2000", check=True)
    pids = json.loads(libct("ps", "-f", "json", sleeper, check=True).stdout)
    assert len(pids) == 2
    assert state(sleeper)["pid"] in pids
    if shutil.which("ps") is None:
        return
    heading, *lines = libct("ps", sleeper, check=True).stdout.splitlines()
    assert "PID" in heading.split()
    assert len(lines) == 2
    lines = libct("ps", sleeper, "-eo", "pid,args", check=True).stdout.splitlines()
    assert sorted(line.split(None, 1)[1] for line in lines[1:]) == ["sleep 1000", "sleep 2000"]
    refused = libct("ps", sleeper, "-o", "args")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "no column PID" in refused.stderr


@pytest.mark.parametrize("text", ["9", "KILL", "SIGKILL", "kill"])
def test_kill(tmp_path: Path, rootfs: Path, text: str) -> None:
    name = unique()
    libct("run", "-d", "-b", bundle_of(tmp_path, rootfs, "sleep", "1000"), name, check=True)
    libct("kill", name, text, check=True)
    assert wait_until(lambda: state(name)["status"] == "stopped")
    libct("delete", name, check=True)


def test_kill_sends_sigterm_unless_told_otherwise(tmp_path: Path, rootfs: Path) -> None:
    name = unique()
    script = "trap 'exit 0' TERM; while :; do sleep 0.05; done"
    libct("run", "-d", "-b", bundle_of(tmp_path, rootfs, "sh", "-c", script), name, check=True)
    libct("kill", name, check=True)
    assert wait_until(lambda: state(name)["status"] == "stopped")
    libct("delete", name, check=True)


def test_kill_all_reaches_what_the_first_process_has_left(tmp_path: Path, rootfs: Path) -> None:
    name = unique()
    bundle = bundle_of(tmp_path, rootfs, "sh", "-c", "sleep 1000 & sleep 1001 & exit 0")
    change_config(bundle, linux=SHARED_PIDS)
    libct("run", "-d", "-b", bundle, name, check=True)
    assert wait_until(lambda: state(name)["status"] == "stopped")
    assert len(json.loads(libct("ps", "-f", "json", name).stdout)) == 2
    assert libct("kill", name, "TERM").returncode == 1
    libct("kill", "--all", name, "TERM", check=True)
    assert wait_until(lambda: json.loads(libct("ps", "-f", "json", name).stdout) == [])
    libct("kill", "--all", name, "9", check=True)  # nobody is left, which is what was wanted
    libct("delete", name, check=True)


def test_pause_and_resume(sleeper: str) -> None:
    libct("pause", sleeper, check=True)
    try:
        assert state(sleeper)["status"] == "paused"
        assert "paused" in libct("exec", sleeper, "true").stderr
        # It gets into the control group, and no further.
        waiting = begin("exec", "--ignore-paused", sleeper, "true", stdin=None, stdout=None)
        assert wait_until(
            lambda: len(json.loads(libct("ps", "-f", "json", sleeper, check=True).stdout)) == 2
        )
        assert waiting.poll() is None
    finally:
        libct("resume", sleeper, check=True)
    assert waiting.wait(20) == 0
    assert state(sleeper)["status"] == "running"
    assert "container not paused" in libct("resume", sleeper).stderr


# --- delete ---


def test_delete_force_ends_it_first(tmp_path: Path, rootfs: Path) -> None:
    name = unique()
    libct("run", "-d", "-b", bundle_of(tmp_path, rootfs, "sleep", "1000"), name, check=True)
    libct("delete", "--force", name, check=True)


def several(directory: Path, rootfs: Path, *names: str) -> None:
    bundle = bundle_of(directory, rootfs, "sleep", "1000")
    for name in names:
        libct("run", "-d", "-b", bundle, name, check=True)


def test_kill_and_delete_by_a_regular_expression(tmp_path: Path, rootfs: Path) -> None:
    mark = unique()
    first, second, other = (f"{name}-{mark}" for name in ("web1", "web2", "db"))
    several(tmp_path, rootfs, first, second, other)
    try:
        libct("kill", "--regex", f"^web[0-9]+-{mark}", "KILL", check=True)
        wait_until(lambda: {state(name)["status"] for name in (first, second)} == {"stopped"})
        assert state(other)["status"] == "running"
        # It is looked for anywhere in the id.  One that cannot be removed is a warning.
        done = libct("delete", "-r", mark)
        assert done.returncode == 0
        assert f"level=warning msg=\"cannot delete container '{other}'" in done.stderr
        assert done.stderr.count("\n") == 1
        left = libct("list", "-q", check=True).stdout.split()
        assert [name for name in (first, second, other) if name in left] == [other]
    finally:
        libct("delete", "--force", "--regex", mark, check=True)
    assert libct("state", other).returncode == 1


def test_a_regular_expression_that_is_none() -> None:
    done = libct("delete", "--regex", "(")
    assert done.returncode == 1
    assert "--regex: not a regular expression: '('" in done.stderr
    for text in ("a{99999999999}", "(" * 5000 + ")" * 5000):
        done = libct("kill", "--regex", text, "KILL")
        assert (done.returncode, "not a regular expression" in done.stderr) == (1, True)
    done = libct("delete", "--force", "--regex", "")
    assert done.returncode == 1
    assert "an empty pattern is found in all ids" in done.stderr
    assert libct("kill", "--regex", "nobody is called so", "NOSIGNAL").returncode == 1


def test_delete_by_a_regular_expression_touches_nothing_of_others(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    libct("delete", "--force", "--regex", ".", root=tmp_path, check=True)
    assert (tmp_path / "mine").is_dir()


def test_delete_of_what_is_not_there() -> None:
    refused = libct("delete", unique())
    assert refused.returncode == 1
    assert "container does not exist" in refused.stderr
    libct("delete", "--force", unique(), check=True)


@pytest.mark.parametrize("text", [None, "{", "[]", '{"id": "x"}'])
def test_delete_force_removes_the_leftovers_of_a_killed_create(text: str | None) -> None:
    name = unique()
    directory = state_root() / name
    directory.mkdir()
    if text is not None:
        (directory / "state.json").write_text(text)
    assert libct("delete", name).returncode == 1
    assert directory.exists()
    libct("delete", "--force", name, check=True)
    assert not directory.exists()


def test_delete_force_removes_nothing_of_others(tmp_path: Path) -> None:
    """Any directory is below some root, and looks like what a killed create has left."""
    place = tmp_path / "root/place"
    (place / "deep").mkdir(parents=True)
    (place / "state.json").write_text("{")
    (place / "deep/file").touch()
    (tmp_path / "root/link").symlink_to(place)
    (tmp_path / "root/bare").symlink_to(tmp_path / "empty")
    (tmp_path / "empty").mkdir()
    for name, reason in (
        ("place", "no container's, it has 'deep' in it"),
        ("link", "not a directory"),
        ("bare", "not a directory"),
    ):
        done = libct("delete", "--force", name, root=tmp_path / "root")
        assert done.returncode == 1, name
        assert reason in done.stderr
        assert (place / "state.json").exists()
        assert (place / "deep/file").exists()
        assert (tmp_path / "empty").exists()


# --- exec ---


def test_exec_options(sleeper: str) -> None:
    script = "id -u; id -g; id -G; pwd; echo $A $B; grep NoNewPrivs /proc/self/status"
    options = ["-u", "1000:29", "-g", "2000", "-g", "7", "--cwd", "/tmp", "-e", "A=1", "-e", "B=2"]
    done = libct("exec", *options, "--no-new-privs", sleeper, "sh", "-c", script, check=True)
    assert done.stdout.split() == [
        *("1000", "29", "29", "7", "2000"),
        *("/tmp", "1", "2", "NoNewPrivs:", "1"),
    ]


def test_exec_as_a_named_user(sleeper: str) -> None:
    done = libct("exec", "-u", "user", sleeper, "sh", "-c", "id -un; echo $HOME", check=True)
    assert done.stdout == "user\n/home/user\n"
    refused = libct("exec", "-u", "stranger", sleeper, "true")
    assert refused.returncode == 255
    assert "stranger" in refused.stderr


def test_exec_with_one_more_capability(sleeper: str) -> None:
    command = ("grep", "CapEff", "/proc/self/status")
    before = int(libct("exec", sleeper, *command, check=True).stdout.split()[1], 16)
    after = libct("exec", "-c", "CAP_NET_RAW", sleeper, *command, check=True).stdout.split()[1]
    cap_net_raw = 13
    assert int(after, 16) == before | 1 << cap_net_raw != before
    # As in config.json, and as with runc.
    for name in ("net_raw", "cap_net_raw", "NET_RAW"):
        done = libct("exec", "-c", name, sleeper, *command, check=True)
        assert int(done.stdout.split()[1], 16) == before
        assert f"unknown capability, ignored: '{name}'" in done.stderr


def test_exec_of_a_process_file(sleeper: str, tmp_path: Path) -> None:
    process = {
        "args": ["sh", "-c", "id -u; pwd; echo $A $B"],
        "cwd": "/usr",
        "env": ["PATH=/bin", "A=1"],
        "user": {"uid": 1, "gid": 1},
    }
    path = tmp_path / "process.json"
    path.write_text(json.dumps(process))
    done = libct("exec", "--process", path, "--tty", sleeper, check=True)
    assert done.stdout == "1\n/usr\n1\n"  # and no terminal
    assert libct("exec", "--process", path, sleeper, "true").returncode == 255
    for options in (
        ["-e", "B=2"],
        ["--user", "0"],
        ["--cwd", "/"],
        ["--additional-gids", "7"],
        ["--cap", "CAP_KILL"],
        ["--no-new-privs"],
        ["--process-label", "x"],
        ["--apparmor", "x"],
    ):
        done = libct("exec", "--process", path, *options, sleeper)
        assert (done.returncode, done.stdout) == (255, ""), options
        assert "libct: either --process or --" in done.stderr
    path.write_text(json.dumps({**process, "args": "sh"}))
    assert "process.json.args: not a list" in libct("exec", "--process", path, sleeper).stderr


def test_exec_detached(sleeper: str, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = "trap 'exit 0' TERM; echo $$ > /tmp/inside; while :; do sleep 0.05; done"
    options = ["--detach", "--pid-file", str(pid_file)]
    libct("exec", *options, sleeper, "sh", "-c", script, check=True)
    pid = int(pid_file.read_text())
    assert pid in json.loads(libct("ps", "-f", "json", sleeper).stdout)
    os.kill(pid, signal.SIGTERM)
    assert wait_until(lambda: len(json.loads(libct("ps", "-f", "json", sleeper).stdout)) == 1)


@pytest.mark.parametrize(
    ("words", "status"),
    [(["sh", "-c", "exit 9"], 9), (["sh", "-c", "kill -9 $$"], 137), (["no-such"], 255)],
)
def test_the_exit_status_of_exec(sleeper: str, words: list[str], status: int) -> None:
    assert libct("exec", sleeper, *words).returncode == status


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--cgroup", "a:b:c", "ID", "true"], "--cgroup: not [CONTROLLER:]PATH: 'a:b:c'"),
        (
            ["--cgroup", "a", "--cgroup", "b", "ID", "true"],
            "several needs its CONTROLLER: 'a'",
        ),
        (["--cgroup", "../x", "ID", "true"], " bad sub cgroup path: ../x is not a sub cgroup path"),
        (["--cgroup", "nothing:x", "ID", "true"], "unknown controller nothing"),
        (["--cgroup", "no-such", "ID", "true"], "no such file or directory"),
        (["--pidfd-socket", "/x", "ID", "true"], "cannot connect to the pidfd socket '/x'"),
        (["--apparmor", "x", "ID", "true"], "process.apparmorProfile: AppArmor is not enabled"),
        (["--env", "A", "ID", "true"], "--env: not NAME=VALUE: 'A'"),
        (["ID"], "process args cannot be empty"),
        (["-t", "-d", "ID", "true"], "cannot allocate tty"),
        (["--preserve-fds", "-1", "ID", "true"], "--preserve-fds -1: not a number of descriptors"),
        (["--console-socket", "/x", "ID", "true"], "cannot use console socket"),
        (["--process", "/no/such/file", "ID"], "cannot read the process file"),
    ],
)
def test_what_exec_refuses(sleeper: str, words: list[str], message: str) -> None:
    done = libct("exec", *(sleeper if word == "ID" else word for word in words))
    assert done.returncode == 255
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


# --- spec, plan, trace, log ---


def test_spec(tmp_path: Path) -> None:
    libct("spec", "-b", tmp_path, check=True)
    spec = json.loads((tmp_path / "config.json").read_text())
    assert spec["process"]["args"] == ["sh"]
    assert spec["ociVersion"] == "1.0.2"
    v2 = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    assert ({"type": "cgroup"} in spec["linux"]["namespaces"]) == v2
    (tmp_path / "v2").mkdir()
    with_v2(lambda: libct("spec", "-b", tmp_path / "v2", check=True))
    spec = json.loads((tmp_path / "v2/config.json").read_text())
    assert {"type": "cgroup"} in spec["linux"]["namespaces"]
    again = libct("spec", "-b", tmp_path)
    assert again.returncode == 1
    assert again.stderr == f"libct: '{tmp_path}/config.json' exists: remove it first\n"
    (tmp_path / "config.json").unlink()
    libct("spec", "--rootless", cwd=tmp_path, check=True)
    spec = json.loads((tmp_path / "config.json").read_text())
    assert {"type": "user"} in spec["linux"]["namespaces"]


def test_plan_is_what_the_trace_says_was_done(tmp_path: Path, rootfs: Path) -> None:
    name, trace = unique(), tmp_path / "trace"
    bundle = bundle_of(tmp_path, rootfs, "true")
    planned = json.loads(libct("plan", "--json", "-b", bundle, name, check=True).stdout)
    text = libct("plan", "-b", bundle, name, check=True).stdout
    libct("create", "--trace", trace, "-b", bundle, name, check=True)
    try:
        traced = [json.loads(line) for line in trace.read_text().splitlines()]
        # What comes after the start, create does not live to see.
        assert planned[len(traced)]["op"] == "await_start"
        for step, line in zip(planned, traced):
            for key in ("number", "process", "phase", "op", "title", "place"):
                assert line[key] == step[key]
            assert line["result"] == "ok"
            assert line["start"] >= 0
            assert line["duration_us"] > 0
            assert step["title"] in text
            assert all(call in text for call in step["calls"])
    finally:
        libct("delete", name, check=True)
    # run does not wait for a start.
    libct("run", "--trace", trace, "-b", bundle, name, check=True)
    traced = [json.loads(line) for line in trace.read_text().splitlines()]
    held = ("clone_messenger", "prepare_wait", "await_start")
    wanted = [step["title"] for step in planned if step["op"] not in held]
    assert [line["title"] for line in traced] == wanted


def test_the_trace_of_a_failure_ends_with_it(tmp_path: Path, rootfs: Path) -> None:
    trace = tmp_path / "trace"
    bundle = bundle_of(tmp_path, rootfs, "no-such-command")
    assert libct("run", "--trace", trace, "-b", bundle, unique()).returncode == 1
    *before, last = [json.loads(line) for line in trace.read_text().splitlines()]
    assert {line["result"] for line in before} == {"ok"}
    assert last["op"] == "find_command"
    assert "executable file not found" in last["result"]


def test_create_and_exec_write_traces_too(tmp_path: Path, rootfs: Path) -> None:
    name, trace = unique(), tmp_path / "trace"
    bundle = bundle_of(tmp_path, rootfs, "sleep", "1000")
    libct("create", "--trace", trace, "-b", bundle, name, check=True)
    try:
        assert json.loads(trace.read_text().splitlines()[0])["number"] == 1
        libct("start", name, check=True)
        libct("exec", "--trace", trace, name, "true", check=True)
        assert '"join"' in trace.read_text()
    finally:
        libct("delete", "--force", name, check=True)


def test_errors_go_to_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    (tmp_path / "config.json").write_text('{"ociVersion": 5, "hostname": 5}')
    done = libct("--log", log, "--log-format", "json", "run", "-b", tmp_path, unique())
    (line,) = log.read_text().splitlines()  # which has all findings
    findings = [line.partition(": ")[2] for line in done.stderr.splitlines()]
    assert len(findings) > 1
    assert json.loads(line)["msg"] == "; ".join(findings)
    log.unlink()
    for _ in range(2):
        libct("--log", log, "--log-format", "json", "state", 'no"such')
    first, last = [json.loads(line) for line in log.read_text().splitlines()]
    assert last["level"] == "error"
    assert "invalid container ID format: " in last["msg"]
    assert sorted(first) == ["level", "msg", "time"]
    log.unlink()
    libct("--log", log, "state", "none")
    assert log.read_text().startswith('time="20')
    assert 'level=error msg="container does not exist' in log.read_text()
    refused = libct("--log", tmp_path / "no" / "log", "state", "none")
    assert refused.stderr.startswith("libct: cannot open the log")


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = " ".join(["python3", "-I", "-S", f"{CHECKOUT}/libct/__main__.py", "run", "--help"])
    command = command.replace("python3", sys.executable)
    done = subprocess.run(
        ["sh", "-c", f"({command}; echo $? >&2) | true"], capture_output=True, text=True, check=True
    )
    assert done.stderr in ("0\n", "141\n")  # true may take longer to end than we to write


# --- three ways to be called ---


def test_as_a_script_whatever_its_directory_is_called(tmp_path: Path, rootfs: Path) -> None:
    copy = tmp_path / "vendored" / "other_name"
    shutil.copytree(CHECKOUT / "libct", copy, ignore=shutil.ignore_patterns("__pycache__"))
    # What lies beside it must not be imported.
    (tmp_path / "vendored" / "os.py").write_text("raise SystemExit('wrong os')")
    bundle = bundle_of(tmp_path, rootfs, "echo", "done")
    for command in (["-I", "-S", str(copy / "__main__.py")], ["-B", str(copy)]):
        done = subprocess.run(
            [sys.executable, *command, "--root", state_root(), "run", "-b", bundle, unique()],
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_from_a_zip_archive(tmp_path: Path, rootfs: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(
        CHECKOUT / "libct", source / "libct", ignore=shutil.ignore_patterns("__pycache__")
    )
    archive = tmp_path / "libct.pyz"
    main = "import sys\nfrom libct.cli import main\nsys.exit(main())\n"
    (source / "__main__.py").write_text(main)
    zipapp.create_archive(source, archive)
    bundle = bundle_of(tmp_path, rootfs, "echo", "done")
    done = subprocess.run(
        [sys.executable, archive, "--root", state_root(), "run", "-b", bundle, unique()],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
