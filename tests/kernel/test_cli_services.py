"""run, create and start under a service manager: sd_listen_fds(3) and sd_notify(3)."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.support import (
    busybox_rootfs,
    change_config,
    libct,
    libct_command,
    libct_environment,
    make_bundle,
    read_config,
    requires,
    session_directory,
    state_root,
    unique,
    wait_until,
)

pytestmark = [requires("root", "busybox"), pytest.mark.usefixtures("nothing_left")]


@pytest.fixture(scope="module")
def rootfs() -> Path:
    return busybox_rootfs(Path(tempfile.mkdtemp(dir=session_directory())))


# --- sockets ---


def activated(
    count: str, *command: str, files: list[str], pid: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command that a manager hands count descriptors to; files are opened from 3 on."""
    redirections = " ".join(f"{3 + n}<'{name}'" for n, name in enumerate(files))
    closed = f"{3 + len(files)}<&-"
    script = (
        f"export LISTEN_FDS={count} LISTEN_FDNAMES=a:b LISTEN_PID={pid or '$$'};"
        f' exec "$@" {redirections} {closed}'
    )
    return subprocess.run(
        ["sh", "-c", script, "sh", *command],
        env={**os.environ, **libct_environment()},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


SHOW = "env | grep LISTEN; for fd in 3 4 5; do [ -e /proc/$$/fd/$fd ] && cat <&$fd; done; true"


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    names = []
    for name in ("first", "second", "third"):
        path = tmp_path / name
        path.write_text(f"{name}\n")
        names.append(str(path))
    return names


def test_sockets_come_before_the_descriptors_to_be_preserved(
    tmp_path: Path, rootfs: Path, files: list[str]
) -> None:
    env = ["PATH=/bin", "LISTEN_FDS=7", "LISTEN_PID=7"]  # those of the configuration do not count
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["sh", "-c", SHOW], process={"env": env})
    run = libct_command("run", "--preserve-fds", "1", "-b", bundle, unique())
    done = activated("2", *run, files=files)
    assert (done.returncode, done.stderr) == (0, "")
    # No names: runc does not pass them on either.
    assert sorted(done.stdout.splitlines()[:2]) == ["LISTEN_FDS=2", "LISTEN_PID=1"]
    assert done.stdout.splitlines()[2:] == ["first", "second", "third"]


HAND_OVER = """if True:
    import os, sys
    os.dup2(int(sys.argv[1]), 3)
    os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
    os.execv(sys.argv[2], sys.argv[2:])
"""


def test_a_created_container_gets_its_socket(tmp_path: Path, rootfs: Path) -> None:
    name = unique()
    script = "echo $LISTEN_FDS $LISTEN_PID $$; ls -l /proc/self/fd/3 | grep -c socket:"
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["sh", "-c", script])
    output = tmp_path / "output"
    with socket.socket(socket.AF_UNIX) as server, output.open("w") as file:
        server.bind(str(tmp_path / "socket"))
        server.listen()
        command = libct_command("create", "-b", bundle, name)
        subprocess.run(
            [sys.executable, "-c", HAND_OVER, str(server.fileno()), *command],
            env={**os.environ, **libct_environment()},
            stdin=subprocess.DEVNULL,
            stdout=file,
            pass_fds=[server.fileno()],
            timeout=60,
            check=True,
        )
    try:
        libct("start", name, check=True)
        assert wait_until(lambda: '"stopped"' in libct("state", name).stdout)
    finally:
        libct("delete", "--force", name, check=True)
    assert output.read_text() == "1 1 1\n1\n"


@pytest.mark.parametrize(
    ("count", "pid"), [("1", "1"), ("1", "none"), ("0", ""), ("x", ""), ("-1", ""), ("''", "")]
)
def test_what_is_not_meant_for_us_is_not_passed_on(
    tmp_path: Path, rootfs: Path, files: list[str], count: str, pid: str
) -> None:
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["sh", "-c", SHOW])
    run = libct_command("run", "--preserve-fds", "1", "-b", bundle, unique())
    done = activated(count, *run, files=files, pid=pid)
    assert (done.returncode, done.stdout, done.stderr) == (0, "first\n", "")


@pytest.mark.parametrize("command", ["run", "create"])
def test_a_socket_that_is_not_there(
    tmp_path: Path, rootfs: Path, files: list[str], command: str
) -> None:
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["true"])
    done = activated("2", *libct_command(command, "-b", bundle, unique()), files=files[:1])
    assert done.returncode == 1
    assert done.stderr == "libct: LISTEN_FDS=2: descriptor 4 is not open\n"
    options = ["--preserve-fds", "1", "-b", str(bundle)]
    done = activated("1", *libct_command(command, *options, unique()), files=files[:1])
    assert done.stderr == "libct: --preserve-fds 1: descriptor 4 is not open\n"


def test_exec_is_not_handed_sockets(tmp_path: Path, rootfs: Path, files: list[str]) -> None:
    name = unique()
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["sleep", "1000"])
    libct("run", "-d", "-b", bundle, name, check=True)
    try:
        done = activated("1", *libct_command("exec", name, "sh", "-c", SHOW), files=files)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    finally:
        libct("delete", "--force", name, check=True)


# --- notifications ---

SEND = """
import array, os, socket, sys, time
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.connect(os.environ["NOTIFY_SOCKET"])
def barrier():
    reader, writer = os.pipe()
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [writer]))
    manager.sendmsg([b"BARRIER=1"], [rights])
    os.close(writer)
    return os.read(reader, 1) == b""
"""
READY = f"{SEND}\nmanager.send(b'READY=1')\n"
PYTHON = "/usr/bin/python3"
needs_python = pytest.mark.skipif(not os.path.exists(PYTHON), reason=f"no {PYTHON}")


def python_bundle(directory: Path, rootfs: Path, code: str, **changes: Any) -> Path:
    """A bundle whose process is the host's Python, with what that needs of the host."""
    bundle = make_bundle(directory, rootfs=rootfs, args=[PYTHON, "-I", "-S", "-c", code])
    places = [name for name in ("/usr", "/lib", "/lib64") if os.path.exists(name)]
    binds = [
        {"destination": name, "source": name, "type": "bind", "options": ["bind", "ro"]}
        for name in places
    ]
    change_config(bundle, mounts=[*read_config(bundle)["mounts"], *binds])
    change_config(bundle, **changes)
    return bundle


class Manager:
    """A service manager's socket, read by the test as it pleases."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(20)
        self.barriers = 0

    def read(self) -> list[str]:
        """The lines of the next message; barriers are passed, and counted."""
        while True:
            data, fds, _, _ = socket.recv_fds(self.socket, 4096, 8)
            for fd in fds:
                os.close(fd)
            if data != b"BARRIER=1":
                assert fds == []
                return data.decode().splitlines()
            assert len(fds) == 1
            self.barriers += 1

    def rest(self) -> list[list[str]]:
        """All that is there now."""
        self.socket.settimeout(0.1)
        found = []
        try:
            while True:
                found.append(self.read())
        except TimeoutError:
            return found


@pytest.fixture
def manager() -> Any:
    with tempfile.TemporaryDirectory() as directory:
        made = Manager(f"{directory}/manager")
        yield made
        made.socket.close()


def popen(*words: str | Path, notify: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        libct_command(*words),
        env={**os.environ, **libct_environment(), "NOTIFY_SOCKET": notify},
        stdin=subprocess.DEVNULL,
        text=True,
        **options,
    )


def pid_of(name: str) -> int:
    return int(json.loads(libct("state", name, check=True).stdout)["pid"])


@needs_python
def test_run_tells_that_it_is_ready_itself(tmp_path: Path, rootfs: Path, manager: Manager) -> None:
    code = f"""{SEND}
manager.send(b"STATUS=starting")
assert barrier()
manager.send(b"READY=0")
manager.send(b"STOPPING=1\\nMAINPID=1\\nREADY=1\\nFDSTORE=1")
assert barrier()
for _ in range(3000):  # more than any queue holds: somebody reads them
    manager.send(b"WATCHDOG=1\\nREADY=1")
sys.exit(3)
"""
    bundle = python_bundle(tmp_path, rootfs, code)
    with popen("run", "-b", bundle, unique(), notify=manager.address) as run:
        assert manager.read() == ["READY=1", f"MAINPID={run.pid}"]
        assert manager.rest() == []
        assert manager.barriers == 1
        assert run.wait(20) == 3


@needs_python
def test_run_ends_when_the_manager_has_read_all(
    tmp_path: Path, rootfs: Path, manager: Manager
) -> None:
    bundle = python_bundle(tmp_path, rootfs, READY)
    with popen("run", "-b", bundle, unique(), notify=manager.address) as run:
        with pytest.raises(subprocess.TimeoutExpired):
            run.wait(1)
        assert manager.rest() == [["READY=1", f"MAINPID={run.pid}"]]
        assert run.wait(20) == 0


@needs_python
@pytest.mark.parametrize("detached", [True, False], ids=["run -d", "start"])
def test_who_does_not_wait_for_the_end_waits_until_it_is_ready(
    tmp_path: Path, rootfs: Path, manager: Manager, detached: bool
) -> None:
    name, pid_file = unique(), tmp_path / "pid"
    gate = tmp_path / "gate"
    code = f"{SEND}\nwhile not os.path.exists('/mnt/gate'): time.sleep(0.01)\n{READY}time.sleep(99)"
    bind = {"destination": "/mnt", "source": str(tmp_path), "options": ["bind"]}
    bundle = python_bundle(tmp_path, rootfs, code)
    change_config(bundle, mounts=[*read_config(bundle)["mounts"], bind])
    options: list[str | Path] = ["-b", bundle, "--pid-file", pid_file, name]
    if detached:
        starting = popen("run", "-d", *options, notify=manager.address)
    else:
        assert popen("create", *options, notify=manager.address).wait(20) == 0
        starting = popen("start", name, notify=manager.address)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            starting.wait(1)
        assert manager.rest() == []
        gate.touch()
        manager.socket.settimeout(20)
        assert manager.read() == ["READY=1", f"MAINPID={pid_file.read_text()}"]
        with pytest.raises(subprocess.TimeoutExpired):
            starting.wait(0.3)  # the barrier
        assert manager.rest() == []
        assert manager.barriers == 1
        assert starting.wait(20) == 0
        assert pid_of(name) == int(pid_file.read_text())
        # exec has no part in it.
        done = libct("exec", name, "env", env={"NOTIFY_SOCKET": manager.address}, check=True)
        assert "NOTIFY" not in done.stdout
    finally:
        libct("delete", "--force", name, check=True)
    assert not (state_root() / name).exists()


@pytest.mark.parametrize("detached", [True, False], ids=["run -d", "start"])
def test_an_end_before_it_is_ready(
    tmp_path: Path, rootfs: Path, manager: Manager, detached: bool
) -> None:
    name = unique()
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["sh", "-c", "sleep 0.3; exit 4"])
    env = {"NOTIFY_SOCKET": manager.address}
    if not detached:
        libct("create", "-b", bundle, name, env=env, check=True)
    words = ["run", "-d", "-b", str(bundle), name] if detached else ["start", name]
    assert libct(*words, env=env, timeout=20).returncode == 0
    assert '"stopped"' in libct("state", name).stdout
    libct("delete", name, check=True)
    assert manager.rest() == []


def test_signals_reach_what_is_not_ready_yet(
    tmp_path: Path, rootfs: Path, manager: Manager
) -> None:
    script = "trap 'exit 42' TERM; echo up; while :; do sleep 0.05; done"
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["sh", "-c", script])
    with popen(
        "run", "-b", bundle, unique(), notify=manager.address, stdout=subprocess.PIPE
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "up\n"
        run.send_signal(signal.SIGTERM)
        assert run.wait(20) == 42


@needs_python
@pytest.mark.parametrize(
    "changes",
    [
        {"process": {"user": {"uid": 1000, "gid": 1000}}},
        {"root": {"readonly": True}},
        {
            "linux": {
                "namespaces": [
                    {"type": kind} for kind in ("mount", "pid", "ipc", "uts", "network", "user")
                ],
                "uidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],
                "gidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],
            },
        },
    ],
    ids=["a user", "a read-only root", "a user namespace"],
)
def test_any_container_can_notify(
    tmp_path: Path, manager: Manager, changes: dict[str, Any]
) -> None:
    directory = Path(tempfile.mkdtemp(dir=session_directory()))
    directory.chmod(0o755)
    rootfs = busybox_rootfs(directory)
    if "linux" in changes:
        for path in (rootfs, *rootfs.rglob("*")):
            os.chown(path, 100000, 100000, follow_symlinks=False)
    bundle = python_bundle(directory, rootfs, f"{READY}assert barrier()", **changes)
    command = libct_command("run", "-b", bundle, unique())
    with subprocess.Popen(
        ["sh", "-c", 'umask 077; exec "$@"', "sh", *command],
        env={**os.environ, **libct_environment(), "NOTIFY_SOCKET": manager.address},
        stdin=subprocess.DEVNULL,
    ) as run:
        assert manager.read() == ["READY=1", f"MAINPID={run.pid}"]
        assert manager.rest() == []
        assert run.wait(20) == 0
    shutil.rmtree(directory)


def test_what_a_container_sees_of_it(tmp_path: Path, rootfs: Path, manager: Manager) -> None:
    look = "ls /run/notify; grep ' /run/notify ' /proc/mounts"
    script = f"echo $NOTIFY_SOCKET; {look}; echo >/run/notify/file"
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["sh", "-c", script])
    done = libct("run", "-b", bundle, unique(), env={"NOTIFY_SOCKET": manager.address})
    path, name, mount = done.stdout.splitlines()
    assert (path, name) == ("/run/notify/notify.sock", "notify.sock")
    assert {"ro", "nosuid", "nodev", "noexec"} <= set(mount.split()[3].split(","))
    assert "Read-only file system" in done.stderr
    # None without the variable, nor with an empty one.
    for env in ({}, {"NOTIFY_SOCKET": ""}):
        done = libct("run", "-b", bundle, unique(), env=env)
        assert done.stdout == "\n"
        (rootfs / "run" / "notify" / "file").unlink()


@needs_python
def test_an_abstract_address_and_a_state_far_away(tmp_path: Path, rootfs: Path) -> None:
    manager = Manager(f"@{unique()}")
    bundle = python_bundle(tmp_path, rootfs, READY)
    root = tmp_path / ("long" * 30)  # longer than the address of a socket may be
    command = libct_command("run", "-b", bundle, unique(), root=root)
    with (
        manager.socket,
        subprocess.Popen(
            command,
            env={**os.environ, **libct_environment(), "NOTIFY_SOCKET": manager.address},
            stdin=subprocess.DEVNULL,
        ) as run,
    ):
        assert manager.read() == ["READY=1", f"MAINPID={run.pid}"]
        assert manager.rest() == []
        assert run.wait(20) == 0


def test_a_manager_that_is_not_there(tmp_path: Path, rootfs: Path) -> None:
    name = unique()
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["sleep", "0.5"])
    env = {"NOTIFY_SOCKET": str(tmp_path / "none")}
    warning = f"NOTIFY_SOCKET={tmp_path}/none: No such file or directory"
    done = libct("run", "-b", bundle, unique(), env=env, check=True)
    assert warning in done.stderr
    assert "level=warning" in done.stderr
    libct("create", "-b", bundle, name, env=env, check=True)
    assert warning in libct("start", name, env=env, check=True).stderr
    libct("delete", "--force", name, check=True)


def test_a_container_that_was_not_created_as_a_service(
    tmp_path: Path, rootfs: Path, manager: Manager
) -> None:
    name = unique()
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["sleep", "1000"])
    libct("create", "-b", bundle, name, check=True)
    try:
        env = {"NOTIFY_SOCKET": manager.address}
        done = libct("start", name, env=env, timeout=20, check=True)
        assert (done.stdout, done.stderr) == ("", "")
        assert "not created" in libct("start", name, env=env).stderr
    finally:
        libct("delete", "--force", name, check=True)


def test_whatever_a_container_leaves_in_the_directory_is_removed(
    tmp_path: Path, rootfs: Path, manager: Manager
) -> None:
    name, kept = unique(), tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["sleep", "1000"])
    libct("create", "-b", bundle, name, env={"NOTIFY_SOCKET": manager.address}, check=True)
    notify = state_root() / name / "notify"
    (notify / "a" / "b").mkdir(parents=True)
    (notify / "a" / "b" / "c").touch()
    (notify / "a" / "link").symlink_to(kept)
    libct("delete", "--force", name, check=True)
    assert not (state_root() / name).exists()
    assert (kept / "file").exists()
