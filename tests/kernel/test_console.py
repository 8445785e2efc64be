"""The terminal of a container."""

from __future__ import annotations

import array
import fcntl
import os
import select
import socket
import stat
import time
from typing import TYPE_CHECKING, Any

import pytest

import libct
from libct.errors import StepError
from libct.syscalls.terminals import get_window_size, set_window_size
from tests.support import (
    CLONE_NEWNS,
    in_namespaces,
    mount as kernel_mount,
    requires,
    state_root,
    unique,
)

from .rootfs_box import (
    PATH,
    base_mounts,
    bind,
    make_config,
    mount,
    mounted,
    mounts_of,
    new_rootfs,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = requires("root", "busybox")


class Terminal:
    """What a container says on its terminal; the master and the name that was sent with it."""

    def __init__(self, config: libct.Config, *args: str, **process: Any) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with ours, theirs:
            self.process = libct.Process(
                args, env=[PATH], init=True, terminal=True, console_socket=theirs, **process
            )
            self.container = libct.create(str(state_root()), unique("console"), config)
            try:
                self.container.run(self.process)
            except BaseException:
                self.container.destroy(force=True)
                raise
            ours.settimeout(10)
            self.name, rights, _, _ = ours.recvmsg(4096, socket.CMSG_SPACE(8))
        fds = array.array("i")
        assert len(rights) == 1
        fds.frombytes(rights[0][2])
        assert len(fds) == 1
        self.master = fds[0]

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.master)
        self.container.destroy(force=True)

    def read(self, until: str = "", patience: float = 10) -> str:
        """All that comes up to the text until, or the end."""
        said, deadline = "", time.monotonic() + patience
        while not (until and until in said):
            if not select.select([self.master], [], [], max(0, deadline - time.monotonic()))[0]:
                pytest.fail(f"no {until!r} in {said!r}")
            try:
                part = os.read(self.master, 4096)
            except OSError:  # EIO: nobody has the other side any more
                break
            if not part:
                break
            said = (said + part.decode()).replace("\r\n", "\n")
        return said

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())


@pytest.mark.parametrize("user", [False, True])
def test_a_terminal_of_the_container_s_own(rootfs: Path, user: bool) -> None:
    script = """
        tty; ls -l /dev/pts; stat -c '%F %t:%T' /dev/console; cat /proc/self/mountinfo
        for at in 0 1 2; do readlink /proc/self/fd/$at; done; echo to-console > /dev/console
        cut -d' ' -f6,7 /proc/1/stat; echo to-tty > /dev/tty
    """
    config = make_config(rootfs, user=user)
    with Terminal(config, "/bin/sh", "-c", script, console_width=97, console_height=31) as box:
        assert b"ptmx" in box.name
        assert get_window_size(box.master) == (31, 97)
        assert fcntl.ioctl(box.master, 0x80045430, bytes(4)) == bytes(4)  # TIOCGPTN
        said = box.read()
        lines = said.splitlines()
        assert lines[0] == "/dev/pts/0"
        assert "character special file 88:0" in lines
        assert mounted(said)["/dev/console"].fstype == "devpts"
        assert lines[-6:-3] == ["/dev/pts/0"] * 3
        assert lines[-3] == "to-console"
        # A session of its own, whose terminal is 136:0.
        assert lines[-2:] == ["1 34816", "to-tty"]
        assert box.process.wait().status == 0
        # The host's terminals are others.
        mine = os.fstat(box.master)
        assert stat.S_ISCHR(mine.st_mode)
        assert mine.st_dev != os.stat("/dev/pts").st_dev


def test_job_control_and_the_window_size(rootfs: Path) -> None:
    with Terminal(make_config(rootfs), "/bin/sh") as box:
        box.read(until="# ")
        box.type("stty -echo; trap 'echo size: $(stty size)' WINCH; echo rea''dy\n")
        box.read(until="ready\n")
        set_window_size(box.master, 40, 132)
        box.type("\n")
        box.read(until="size: 40 132\n")
        box.type("sleep 50\n")
        time.sleep(0.1)
        box.type("\x03")  # ^C goes to the command in the foreground, and not to the shell
        box.read(until="# ")
        box.type("echo status $?\n")
        box.read(until="status 130\n")
        box.type("sleep 50\n")
        time.sleep(0.1)
        box.type("\x1a")  # ^Z
        box.read(until="Stopped")


def test_the_owner_of_the_terminal_is_the_user(rootfs: Path) -> None:
    config = make_config(rootfs)
    script = "stat -c '%u %a' /dev/pts/0; echo > /dev/tty && echo may"
    with Terminal(config, "/bin/sh", "-c", script, user="1000") as box:
        said = box.read().split()
        assert said[0] == "1000"
        assert said[-1] == "may"


def test_a_further_process_with_a_terminal(rootfs: Path) -> None:
    config = make_config(rootfs)
    null = os.open(os.devnull, os.O_RDWR)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    first = libct.Process(
        ["/bin/sleep", "60"], env=[PATH], init=True, stdin=null, stdout=null, stderr=null
    )
    with ours, theirs, libct.create(str(state_root()), unique("further"), config) as container:
        container.run(first)
        script = "tty; stat -c %t:%T /dev/console 2>&1 | sed 's/.*: //'"
        second = libct.Process(
            ["/bin/sh", "-c", script],
            env=[PATH],
            terminal=True,
            console_socket=theirs,
            console_width=80,
            console_height=25,
        )
        container.start(second)
        _, rights, _, _ = ours.recvmsg(4096, socket.CMSG_SPACE(4))
        master = int.from_bytes(rights[0][2], "little")
        assert second.wait().status == 0
        assert get_window_size(master) == (25, 80)
        # /dev/console is that of the first process, which has none.
        assert os.read(master, 4096).decode().split("\r\n")[:2] == [
            *("/dev/pts/0", "No such file or directory"),
        ]
        os.close(master)
    os.close(null)


def test_no_devpts_no_terminal(rootfs: Path) -> None:
    config = make_config(rootfs, base=False)
    config.mounts = base_mounts()[:2]
    with pytest.raises(StepError, match="type devpts") as caught:
        Terminal(config, "/bin/sh")
    assert caught.value.place == "process.terminal"


@pytest.mark.parametrize("what", ["file", "link", "host", "tmpfs", "fifo", "null", "terminal"])
def test_a_false_multiplexer(what: str, tmp_path: Path) -> None:
    """CVE-2025-52565: whatever the image, or a volume, has in its place."""
    terminal = os.openpty()
    with new_rootfs() as rootfs:
        (rootfs / "dev/pts").mkdir()
        ptmx = rootfs / "dev/pts/ptmx"
        mounts, devices = [mount("/proc", "proc")], []
        if what == "file":
            ptmx.write_text("")
        elif what == "link":
            # To a true one, of another devpts.
            (rootfs / "other").mkdir()
            ptmx.symlink_to("/other/ptmx")
            mounts.append(mount("/other", "devpts", "devpts", "newinstance", "ptmxmode=666"))
        elif what == "host":
            ptmx.touch()
            os.mknod(tmp_path / "ptmx", 0o666 | stat.S_IFCHR, os.makedev(5, 2))
            mounts.append(bind("/dev/pts/ptmx", tmp_path / "ptmx"))
        elif what == "tmpfs":
            # Its first file has the number that the multiplexer of a devpts has.
            mounts.append(mount("/dev/pts", "tmpfs"))
            devices = [libct.Device("/dev/pts/ptmx", "c", 5, 2)]
        elif what == "fifo":
            os.mkfifo(ptmx)
        elif what == "null":
            os.mknod(ptmx, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        else:
            # Of a devpts, and not its multiplexer.
            ptmx.touch()
            mounts.append(bind("/dev/pts/ptmx", os.ttyname(terminal[1])))
        config = make_config(rootfs, mounts, base=False, devices=devices)
        with pytest.raises(StepError, match="is not the multiplexer"):
            Terminal(config, "/bin/sh")
    for fd in terminal:
        os.close(fd)


def test_what_the_image_has_in_the_place_of_the_terminal(tmp_path: Path) -> None:
    """The terminal is got from its master: no path leads to it that the image could have made."""
    (tmp_path / "pts").mkdir()

    def body() -> None:
        kernel_mount("devpts", str(tmp_path / "pts"), "devpts", 0, "newinstance,ptmxmode=666")
        with new_rootfs() as rootfs:
            (rootfs / "dev/pts").mkdir()
            (rootfs / "dev/pts/0").write_text("the image's\n")
            mounts = [
                mount("/proc", "proc"),
                bind("/dev/pts/ptmx", tmp_path / "pts/ptmx"),
                bind("/dev/pts/pts", tmp_path / "pts"),  # where the kernel finds what is behind it
            ]
            config = make_config(rootfs, mounts, base=False)
            with Terminal(config, "/bin/sh", "-c", "echo here") as box:
                assert box.read() == "here\n"
            assert (rootfs / "dev/pts/0").read_text() == "the image's\n"

    in_namespaces(CLONE_NEWNS, body)


def test_a_terminal_where_all_is_read_only(rootfs: Path) -> None:
    script = "stat -c %t:%T /dev/console; (echo > /dev/x) 2>&1 | sed 's/.*: //'"
    in_dev = make_config(rootfs)
    in_dev.mounts[1].flags |= 1  # MS_RDONLY
    in_root = make_config(
        rootfs, [mount("/proc", "proc"), *base_mounts()[2:]], base=False, readonlyfs=True
    )
    (rootfs / "dev/console").unlink(missing_ok=True)
    for config in (in_dev, in_root):
        with Terminal(config, "/bin/sh", "-c", script) as box:
            assert box.read().splitlines() == ["88:0", "Read-only file system"]
    (rootfs / "dev/console").unlink()


def test_dev_console_of_the_image_may_be_a_link(tmp_path: Path) -> None:
    with new_rootfs() as rootfs:
        outside = tmp_path / "console"
        outside.write_text("the host's\n")
        (rootfs / "dev/console").symlink_to(f"/../../..{outside}")
        mounts = [mount("/proc", "proc"), mount("/dev/pts", "devpts", "devpts", "newinstance")]
        config = make_config(rootfs, mounts, base=False)
        with Terminal(config, "/bin/sh", "-c", "echo here > /dev/console") as box:
            assert box.read() == "here\n"
        assert outside.read_text() == "the host's\n"
        (rootfs / "dev/console").unlink()
        (rootfs / "dev/console").mkdir()
        with pytest.raises(StepError, match="/dev/console is a directory"):
            Terminal(config, "/bin/sh")


def test_without_a_mount_namespace_no_console_is_bound(rootfs: Path) -> None:
    console = rootfs / "dev/console"
    console.touch()
    config = make_config(rootfs, base=False, kinds=["NEWPID"])

    def body() -> None:
        before = mounts_of(os.getpid())
        with pytest.raises(StepError, match="devpts"):
            Terminal(config, "/bin/sh")
        assert mounts_of(os.getpid()) == before
        # Where the host has made a devpts there, it is used, and nothing else is done.
        (rootfs / "dev/pts").mkdir(exist_ok=True)
        kernel_mount("devpts", str(rootfs / "dev/pts"), "devpts", 0, "newinstance,ptmxmode=666")
        before = mounts_of(os.getpid())
        with Terminal(config, "/bin/sh", "-c", "echo here") as box:
            assert box.read() == "here\n"
        assert mounts_of(os.getpid()) == before

    try:
        in_namespaces(CLONE_NEWNS, body)  # where nobody else mounts anything
    finally:
        console.unlink()


def test_nobody_takes_the_terminal(rootfs: Path) -> None:
    """The receiver has gone: an error, and nothing is left."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    ours.close()
    process = libct.Process(
        ["/bin/sh"], env=[PATH], init=True, terminal=True, console_socket=theirs
    )
    config = make_config(rootfs)
    with theirs, libct.create(str(state_root()), unique("gone"), config) as container:
        with pytest.raises(StepError, match="Broken pipe") as caught:
            container.run(process)
        assert caught.value.place == "process.terminal"
        assert container.status() == "stopped"
