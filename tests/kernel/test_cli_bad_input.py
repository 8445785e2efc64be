"""Bad input and accidents: one line for each finding, exit status 1, and nothing left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support import (
    busybox_rootfs,
    change_config,
    forked,
    libct,
    libct_command,
    libct_environment,
    make_bundle,
    mount,
    requires,
    run,
    session_directory,
    state_root,
    unique,
    wait_until,
)

pytestmark = [requires("root", "busybox"), pytest.mark.usefixtures("nothing_left")]


@pytest.fixture(scope="module")
def rootfs() -> Path:
    return busybox_rootfs(Path(tempfile.mkdtemp(dir=session_directory())))


def refused(*args: str | os.PathLike[str], status: int = 1, **options: Any) -> str:
    """Run libct, which must fail with nothing but one line, and return the line."""
    done = libct(*args, **options)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.startswith("libct: ")
    assert done.stderr.endswith("\n")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.mark.parametrize("command", ["run", "create"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "JSON specification file config.json not found"),
        ("", "config.json:1:1: "),
        ("{", "config.json:1:2: "),
        ('{"ociVersion": "1.2.0",\n "root": }', "config.json:2:10: "),
        ("[]", "config.json: not an object"),
    ],
)
def test_config_that_cannot_be_read(
    tmp_path: Path, command: str, text: str | None, message: str
) -> None:
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    assert message in refused(command, "-b", tmp_path, unique())


def test_no_bundle(tmp_path: Path) -> None:
    assert "no/config.json: " in refused("run", "-b", tmp_path / "no", unique())


@pytest.mark.parametrize("command", ["run", "create"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"process": {"args": "sh"}}, "process.args: not a list"),
        ({"process": {"args": []}}, "process.args: "),
        ({"process": None}, "process: missing"),
        ({"process": {"cwd": "relative"}}, "process.cwd: "),
        ({"hostname": 5}, "hostname: not a string: 5"),
        ({"linux": {"namespaces": [{"type": "mnt"}]}}, "linux.namespaces[0].type: unknown"),
        ({"root": {"path": "/no/such/place"}}, "root.path"),
        ({"root": {"path": "relative"}}, "root.path"),
        (
            {"mounts": [{"destination": "/mnt", "source": "/no/such", "options": ["bind"]}]},
            "mounts[0]",
        ),
        ({"process": {"args": ["no-such-command"]}}, "executable file not found in $PATH"),
        ({"process": {"args": ["/no/such"]}}, "no such file or directory"),
        ({"process": {"args": ["/etc/passwd"]}}, "permission denied"),
        (
            {
                "linux": {"seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 5000}},
                "process": {"noNewPrivileges": True},
            },
            "linux.seccomp: defaultAction: SCMP_ACT_ERRNO takes numbers from 0 to 4095: 5000",
        ),
    ],
)
def test_configurations_that_cannot_be_run(
    tmp_path: Path, rootfs: Path, command: str, changes: dict[str, Any], message: str
) -> None:
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["true"])
    change_config(bundle, **changes)
    assert message in refused(command, "-b", bundle, unique())


def test_a_user_that_is_unknown(tmp_path: Path, rootfs: Path) -> None:
    name = unique()
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["sleep", "1000"])
    libct("run", "-d", "-b", bundle, name, check=True)
    line = refused("exec", "-u", "stranger", name, "true", status=255)
    assert "no user 'stranger' in the container's /etc/passwd" in line
    libct("delete", "--force", name, check=True)


def test_every_finding_has_its_line(tmp_path: Path, rootfs: Path) -> None:
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["true"], hostname="a\nb")
    change_config(bundle, process={"args": [], "cwd": "x"}, linux={"maskedPaths": ["y"]})
    done = libct("run", "-b", bundle, unique())
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert len(lines) >= 2
    assert all(line.startswith("libct: ") for line in lines)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "é", "x" * 256])
@pytest.mark.parametrize("command", ["run", "state", "delete"])
def test_ids_that_are_invalid(tmp_path: Path, rootfs: Path, command: str, name: str) -> None:
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["true"])
    options = ["-b", str(bundle)] if command == "run" else []
    assert "container ID" in refused(command, *options, name)


def test_what_is_ignored_is_warned_about(tmp_path: Path, rootfs: Path) -> None:
    sets = {name: ["CAP_KILL", "CAP_NO_SUCH"] for name in ("bounding", "effective", "permitted")}
    script = "grep CapBnd /proc/self/status"
    bundle = make_bundle(
        tmp_path, rootfs=rootfs, args=["sh", "-c", script], process={"capabilities": sets}
    )
    name, log = unique(), tmp_path / "log"
    done = libct("--log", log, "--log-format", "json", "run", "-b", bundle, name, check=True)
    assert int(done.stdout.split()[1], 16) == 1 << 5
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    ignored = "unknown capability, ignored: 'CAP_NO_SUCH'"
    assert [(line["level"], line["msg"]) for line in lines] == [
        ("warning", f"process.capabilities.{field}[1]: {ignored}") for field in sorted(sets)
    ]

    # Also of a further process, while that still runs; without a log on standard error.
    change_config(bundle, process={"args": ["sleep", "1000"], "capabilities": None})
    libct("run", "-d", "-b", bundle, name, check=True)
    try:
        done = libct("exec", "--cap", "CAP_OTHER", name, "sh", "-c", "echo its own >&2", check=True)
        first, *_, last = done.stderr.splitlines()
        assert "level=warning" in first
        assert "unknown capability, ignored: 'CAP_OTHER'" in first
        assert last == "its own"
    finally:
        libct("delete", "--force", name, check=True)


def _without_chown(*words: str | os.PathLike[str]) -> subprocess.CompletedProcess[str]:
    """libct, run where CAP_CHOWN is not in the bounding set, as in another container."""
    limits = ["setpriv", "--bounding-set", "-chown"]
    return run([*limits, *libct_command(*words)], env=libct_environment())


def test_capabilities_that_libct_lacks_are_left_out(tmp_path: Path, rootfs: Path) -> None:
    both, kill, chown = ["CAP_KILL", "CAP_CHOWN"], 1 << 5, 1 << 0
    sets = dict.fromkeys(("bounding", "effective", "permitted", "inheritable", "ambient"), both)
    shown = ["sh", "-c", "grep -E 'Cap(Inh|Prm|Eff|Bnd|Amb)' /proc/self/status"]
    bundle = make_bundle(
        tmp_path, rootfs=rootfs, args=shown, process={"capabilities": sets, "user": {"uid": 9}}
    )
    name, place = unique(), "process.capabilities.bounding[1]"
    warning = f"{place}: CAP_CHOWN cannot be granted, left out: libct itself does not have it"

    def masks(done: subprocess.CompletedProcess[str]) -> set[int]:
        return {int(line.split()[1], 16) for line in done.stdout.splitlines()}

    done = _without_chown("run", "-b", bundle, name)
    assert (done.returncode, masks(done)) == (0, {kill})
    assert done.stderr.count("\n") == done.stderr.count(warning) == 1
    # The plan shows it, and check tells it.
    done = _without_chown("plan", "--json", "-b", bundle)
    steps = {step["op"]: step["args"] for step in json.loads(done.stdout)}
    assert steps["set_capabilities"] == [kill] * 3
    done = _without_chown("check", "-b", bundle, "--json")
    assert warning.partition(": ")[2] in done.stdout
    # A user namespace has all of them.
    kinds = ("mount", "pid", "network", "ipc", "uts", "user")
    change_config(
        bundle,
        linux={
            "namespaces": [{"type": kind} for kind in kinds],
            "uidMappings": [{"containerID": 0, "hostID": 0, "size": 65536}],
            "gidMappings": [{"containerID": 0, "hostID": 0, "size": 65536}],
        },
    )
    done = _without_chown("run", "-b", bundle, name)
    assert (done.returncode, done.stderr) == (0, "")
    assert masks(done) == {kill | chown}


def test_capabilities_that_libct_lacks_are_left_out_of_a_further_process(
    tmp_path: Path, rootfs: Path
) -> None:
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["sleep", "1000"])
    name = unique()
    libct("run", "-d", "-b", bundle, name, check=True)
    try:
        words = ["--cap", "CAP_CHOWN", name, "grep", "CapBnd", "/proc/self/status"]
        done = _without_chown("exec", *words)
        full = libct("exec", *words, check=True)
    finally:
        libct("delete", "--force", name, check=True)
    assert "CAP_CHOWN cannot be granted, left out: libct itself does not have it" in done.stderr
    assert full.stderr == ""
    left = int(full.stdout.split()[1], 16) & ~1
    assert int(done.stdout.split()[1], 16) == left != 0


def test_capabilities_that_no_host_grants_are_left_out(tmp_path: Path, rootfs: Path) -> None:
    sets = {
        "bounding": ["CAP_KILL"],
        "permitted": ["CAP_KILL"],
        "effective": ["CAP_KILL", "CAP_CHOWN"],
        "ambient": ["CAP_KILL"],
    }
    script = "grep -E 'Cap(Prm|Eff|Amb)' /proc/self/status"
    bundle = make_bundle(
        tmp_path,
        rootfs=rootfs,
        args=["sh", "-c", script],
        process={"capabilities": sets, "user": {"uid": 9}},
    )
    done = libct("run", "-b", bundle, unique(), check=True)
    assert {int(line.split()[1], 16) for line in done.stdout.splitlines()} == {0}  # by execve
    ambient = "ambient[0]: CAP_KILL is not in process.capabilities.inheritable, left out"
    effective = "effective[1]: CAP_CHOWN is not in process.capabilities.permitted, left out"
    for line, text in zip(done.stderr.splitlines(), (effective, ambient)):
        assert f"process.capabilities.{text}" in line
    assert done.stderr.count("\n") == 2


def test_plan_refuses_the_ids_that_a_start_would(tmp_path: Path, rootfs: Path) -> None:
    bundle = make_bundle(tmp_path, rootfs=rootfs)
    assert "invalid container ID format: 'a/b'" in refused("plan", "-b", bundle, "a/b")


def test_an_id_in_use(tmp_path: Path, rootfs: Path) -> None:
    name = unique()
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["sleep", "1000"])
    libct("create", "-b", bundle, name, check=True)
    assert "container with given ID already exists" in refused("run", "-b", bundle, name)
    assert '"created"' in libct("state", name, check=True).stdout  # and is as it was
    libct("delete", name, check=True)


@requires("user")
def test_no_permission(user_path: Path) -> None:
    bundle = make_bundle(user_path, rootless=True, args=["true"])
    closed = session_directory() / unique("closed")
    closed.mkdir(mode=0o700)
    line = refused("run", "-b", bundle, unique(), root=closed / "state", user=True)
    assert "permission denied" in line
    assert "choose another place with --root" in line
    # Ids of somebody else's.
    maps = [{"containerID": 0, "hostID": 7, "size": 1}]
    change_config(bundle, linux={"uidMappings": maps, "gidMappings": maps})
    assert "newuidmap" in refused("run", "-b", bundle, unique(), user=True)


@pytest.mark.parametrize("kib", [4, 8, 16])
def test_a_full_state_directory(tmp_path: Path, rootfs: Path, kib: int) -> None:
    """Of a file system of one, two and four pages; whatever does not fit says so."""
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["true"])
    root = tmp_path / "root"
    root.mkdir()

    def body() -> str:
        from tests.support import CLONE_NEWNS, unshare

        unshare(CLONE_NEWNS)
        mount("none", "/", flags=0x44000)  # MS_REC | MS_PRIVATE
        mount("tmpfs", str(root), "tmpfs", data=f"size={kib}k")
        done = libct("run", "-b", bundle, unique(), root=root)
        left = os.listdir(root)
        if done.returncode == 0:
            return f"fits {left}"
        assert done.stderr.count("\n") == 1, done.stderr
        assert "no space left on device" in done.stderr
        assert "the file system is full" in done.stderr
        return f"full {left}"

    assert forked(body) in ("full []", "fits []")
    if kib == 4:
        assert forked(body) == "full []"


def test_a_pid_file_that_cannot_be_written(tmp_path: Path, rootfs: Path) -> None:
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["sleep", "1000"])
    for command in (["run"], ["run", "-d"], ["create"]):
        line = refused(*command, "--pid-file", tmp_path / "no" / "pid", "-b", bundle, unique())
        assert "cannot write the pid file" in line
    os.mkfifo(tmp_path / "fifo")
    line = refused("run", "--pid-file", tmp_path / "fifo", "-b", bundle, unique())
    assert "something is there that is not a file" in line
    assert (tmp_path / "fifo").is_fifo()


def test_an_exec_whose_pid_file_cannot_be_written(tmp_path: Path, rootfs: Path) -> None:
    bundle, name = make_bundle(tmp_path, rootfs=rootfs, args=["sleep", "1000"]), unique()
    libct("run", "-d", "-b", bundle, name, check=True)
    for command in (["exec"], ["exec", "-d"]):
        line = refused(
            *command, "--pid-file", tmp_path / "no" / "pid", name, "sleep", "1001", status=255
        )
        assert "cannot write the pid file" in line
    assert len(json.loads(libct("ps", "-f", "json", name, check=True).stdout)) == 1
    libct("delete", "--force", name, check=True)


def test_a_trace_that_cannot_be_written(tmp_path: Path, rootfs: Path) -> None:
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["true"])
    line = refused("run", "--trace", tmp_path / "no" / "trace", "-b", bundle, unique())
    assert "cannot open the trace" in line


# --- killed ---

_QUIET: dict[str, Any] = {
    "env": {**os.environ, **libct_environment()},
    "stdin": subprocess.DEVNULL,
    "stdout": subprocess.DEVNULL,
    "stderr": subprocess.DEVNULL,
}

# The caller is killed at a call of its own, the nth of this name ...
_OWN = {
    "as the state directory is made": ("mkdir(at)?", 1),
    "as the state is first published": ("rename(at2?)?", 1),
    "as the first control group is made": ("mkdir(at)?", 2),
    "as a later control group is made": ("mkdir(at)?", 4),
    "as it asks for the start": ("sendmsg", 1),
    "as it lets the process be created": ("rt_sigpending", 1),
}
# ... or while a call of the server or of the container's process takes very long.
_OTHERS = {
    "while the server closes its door": "close_range",
    "while the process is cloned": "clone3",
    "while the rootfs is mounted": "mount",
    "while the root is changed": "pivot_root",
    "while the hostname is set": "sethostname",
    "while capabilities are set": "capset",
}


@requires("strace")
@pytest.mark.parametrize(("call", "count"), _OWN.values(), ids=list(_OWN))
def test_killed_at_a_call_of_its_own(tmp_path: Path, rootfs: Path, call: str, count: int) -> None:
    name = unique()
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["sleep", "1000"])
    inject = f"inject=/^{call}$:signal=KILL:when={count}"
    # Of this process alone: strace does not follow its children.
    command = ["strace", "-o", "/dev/null", "-e", inject]
    done = subprocess.run(
        [*command, *libct_command("create", "-b", bundle, name)], check=False, **_QUIET
    )
    assert done.returncode == -9
    libct("delete", "--force", name, check=True)


@requires("strace")
@pytest.mark.parametrize("call", _OTHERS.values(), ids=list(_OTHERS))
def test_killed_while_another_process_works(tmp_path: Path, rootfs: Path, call: str) -> None:
    name = unique()
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["sleep", "1000"])
    delay = f"inject={call}:delay_enter=1s:when=1"
    command = ["strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e", delay]
    strace = subprocess.Popen([*command, *libct_command("create", "-b", bundle, name)], **_QUIET)
    try:
        # strace tries itself out on children of its own first.
        assert wait_until(lambda: any(map(_is_python, _children(strace.pid))))
        (runtime,) = _children(strace.pid)
        assert wait_until(lambda: any(_is_held_up(child) for child in _children(runtime)))
        os.kill(runtime, 9)
        assert strace.wait(20) == -9  # it ends as the runtime did, after all of them
    finally:
        strace.kill()
        strace.wait()
        libct("delete", "--force", name, check=True)


def _children(pid: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def _is_python(pid: int) -> bool:
    try:
        return "python" in os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return False


def _is_held_up(pid: int) -> bool:
    """Whether the tracer keeps the process stopped, and not only for a moment."""
    for _ in range(5):
        try:
            status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return False
        if status != "t":
            return False
        time.sleep(0.02)
    return True


def test_killed_at_any_time(tmp_path: Path, rootfs: Path) -> None:
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["sleep", "1000"])
    start = time.monotonic()
    libct("create", "-b", bundle, name := unique(), check=True)
    duration = time.monotonic() - start
    libct("delete", name, check=True)
    for tenth in range(1, 11):
        name = unique()
        with subprocess.Popen(libct_command("create", "-b", bundle, name), **_QUIET) as create:
            time.sleep(duration * tenth / 10)
            create.kill()
            create.wait()
        libct("delete", "--force", name, check=True)


def test_interrupted_at_any_time(tmp_path: Path, rootfs: Path) -> None:
    """An interrupt undoes what has been done, without a delete."""
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["sleep", "1000"])
    start = time.monotonic()
    libct("create", "-b", bundle, name := unique(), check=True)
    duration = time.monotonic() - start
    libct("delete", name, check=True)
    interrupted = 0
    for tenth in range(1, 11):
        name = unique()
        with subprocess.Popen(libct_command("create", "-b", bundle, name), **_QUIET) as create:
            time.sleep(duration * tenth / 10)
            create.send_signal(signal.SIGINT)
            status = create.wait()
        if status == 0:  # it was too late
            libct("delete", name, check=True)
        else:
            assert status in (130, -signal.SIGINT, 1)  # 1: in the interpreter's own start
            assert not (state_root() / name).exists()
            interrupted += 1
    assert interrupted


def test_leftovers_have_a_state_that_can_be_shown(tmp_path: Path, rootfs: Path) -> None:
    """One that was killed between its registration and its start has stopped."""
    from libct.life.creating import create
    from libct.oci.bundle import from_bundle

    name = unique()
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["true"])
    create(str(state_root()), name, from_bundle(str(bundle), name)[0])
    assert json.loads(libct("state", name, check=True).stdout)["status"] == "stopped"
    shutil.rmtree(bundle / "config.json", ignore_errors=True)
    libct("delete", name, check=True)
