"""A procfs of another pid namespace before Linux 6.17, where those inside do what they can."""

from __future__ import annotations

import errno
import os
import socket
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from libct.errors import StepProblem
from libct.rootfs import pidfs
from libct.syscalls import filesystems, sockets
from libct.syscalls.constants import FSCONFIG_SET_FLAG, MNT_DETACH
from libct.syscalls.filesystems import fsconfig_create, fsconfig_set_flag, fsmount, fsopen
from libct.syscalls.mounts import umount2
from libct.syscalls.namespaces import CLONE_NEWNS, setns
from libct.syscalls.process import pidfd_open

from ..support import requires

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = requires("root")


@pytest.fixture
def pids() -> Iterator[int]:
    fd = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    yield fd
    os.close(fd)


def make(fs: int) -> int:
    fsconfig_create(fs)
    return fsmount(fs)


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def test_it_is_made(pids: int) -> None:
    before = descriptors()
    tree = pidfs.made_inside(pids, make)
    try:
        assert str(os.getpid()) in os.listdir(f"/proc/self/fd/{tree}")
    finally:
        os.close(tree)
    assert descriptors() == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_by_who_is_in_a_chroot_that_is_no_mount_point(pids: int, tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        try:
            os.chroot(tmp_path)
            os.close(pidfs.made_inside(pids, make))
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


def test_what_fails_is_told(pids: int) -> None:
    before = descriptors()
    network = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    with pytest.raises(OSError, match=r"setns\(\d+, CLONE_NEWPID\): Invalid argument"):
        pidfs.made_inside(network, make)
    os.close(network)

    def wrong(fs: int) -> int:
        fsconfig_set_flag(fs, "bogus")
        return fs

    with pytest.raises(OSError, match=r"fsconfig\(\d+, FSCONFIG_SET_FLAG, \"bogus\""):
        pidfs.made_inside(pids, wrong)
    assert descriptors() == before


# --- what the maker may be made to do by who traces it ---


def played(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    """Have the maker play another part, as it is called here."""

    def play(channel: socket.socket) -> NoReturn:
        try:
            if part == "sends a tmpfs":
                pidfs._send(channel, 0, b"", fsopen("tmpfs"))
            elif part == "sends what it calls proc":
                fs = fsopen("tmpfs")
                key = b"x'; proc: Unknown parameter 'x"
                # Its message is left in there.
                filesystems._fsconfig(filesystems._NR_FSCONFIG, fs, FSCONFIG_SET_FLAG, key, None, 0)
                pidfs._send(channel, 0, b"", fs)
            elif part == "sends a file":
                pidfs._send(channel, 0, b"", os.open("/", os.O_RDONLY))
            elif part in ("has another one send", "has another one speak for the keeper"):
                if os.fork() == 0:
                    pidfs._send(channel, 0, b"", fsopen("proc"))
                    if part.endswith("keeper"):
                        pidfs._send(channel, 0, os.getpid().to_bytes(4, "little"))
                    os._exit(0)
                os.wait()
            elif part == "sends two":
                rights = b"".join(fsopen("proc").to_bytes(4, sys.byteorder) for _ in range(2))
                channel.sendmsg([b"\0" * 4], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
            elif part == "fills the socket":
                while True:
                    channel.send(b"\0" * 1000, socket.MSG_DONTWAIT)
        finally:
            os._exit(0)

    monkeypatch.setattr(pidfs, "_open_context", play)


@pytest.mark.parametrize(
    ("part", "answer"),
    [
        ("sends a tmpfs", "is no procfs"),
        ("sends what it calls proc", "is no procfs"),
        ("sends a file", "is no procfs"),
        ("has another one send", "has been killed"),
        ("has another one speak for the keeper", "has been killed"),
        ("sends two", "has been killed"),
        ("fills the socket", "has been killed"),
        ("ends", "has been killed"),
    ],
)
def test_what_else_comes_is_refused(
    pids: int, monkeypatch: pytest.MonkeyPatch, part: str, answer: str
) -> None:
    played(monkeypatch, part)
    before = descriptors()

    def create(_: int) -> int:
        raise AssertionError("with our rights, a file system of whatever type it is")

    with pytest.raises(StepProblem, match=answer):
        pidfs.made_inside(pids, create)
    assert descriptors() == before


def test_the_file_system_itself_is_looked_at(pids: int) -> None:
    before = descriptors()

    def other(_: int) -> int:
        fs = fsopen("tmpfs")
        try:
            return make(fs)
        finally:
            os.close(fs)

    with pytest.raises(StepProblem, match="is no procfs"):
        pidfs.made_inside(pids, other)
    assert descriptors() == before


def test_a_maker_finds_an_empty_root_and_no_way_out(
    pids: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by a descriptor of its mount namespace, which others could open for it."""

    def attempt(what: str, call: Callable[[], object]) -> str:
        try:
            return f"{what}: {call()}"
        except OSError as error:
            return f"{what}: {errno.errorcode[error.errno or 0]}"

    def look(channel: socket.socket) -> NoReturn:
        try:
            own = pidfd_open(os.getpid())
            found = [
                attempt("root", lambda: os.listdir("/")),
                attempt("write", lambda: os.mkdir("/x")),
                attempt("again", lambda: setns(own, CLONE_NEWNS)),
                attempt("root", lambda: os.listdir("/")),
                attempt("above", lambda: os.listdir("..")),
                attempt("uncover", lambda: umount2("/", MNT_DETACH)),
                attempt("host", lambda: os.setpriority(os.PRIO_PROCESS, 0, -5)),
            ]
            channel.send("; ".join(found).encode(), socket.MSG_DONTWAIT)
        finally:
            os._exit(0)

    said = []
    receive = sockets.receive

    def hear(*args: Any) -> tuple[bytes, list[int], int, bool]:
        said.append(receive(*args))
        return said[-1]

    monkeypatch.setattr(pidfs, "_open_context", look)
    monkeypatch.setattr(pidfs, "receive", hear)
    with pytest.raises(OSError):
        pidfs.made_inside(pids, make)
    assert said[0][0].decode().split("; ") == [
        *("root: []", "write: EROFS", "again: None", "root: []", "above: []"),
        *("uncover: EINVAL", "host: EACCES"),
    ]
