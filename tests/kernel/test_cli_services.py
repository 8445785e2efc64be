"""run, create and start as a service manager's: sockets handed to us (sd_listen_fds(3))."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.support import (
    busybox_rootfs,
    libct,
    libct_command,
    libct_environment,
    make_bundle,
    requires,
    session_directory,
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
