"""Paths inside a rootfs, whatever its links say and however it changes meanwhile."""

from __future__ import annotations

import errno
import os
import signal
import stat
from typing import TYPE_CHECKING

import pytest

from libct.bootstrap.context import Context
from libct.rootfs.held import parent_below
from libct.rootfs.paths import find_in_root, make_in_root, open_in_root
from tests.races import exchange
from tests.support import CLONE_NEWNS, in_namespaces, mount as kernel_mount, requires

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "root").mkdir()
    (tmp_path / "outside").mkdir()
    fd = os.open(tmp_path / "root", os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def place_of(fd: int) -> str:
    path = os.readlink(f"/proc/self/fd/{fd}")
    os.close(fd)
    return path


def made(root: int, path: str, *, directory: bool = True, symlinks: bool = True) -> str:
    return place_of(make_in_root(root, path, directory=directory, symlinks=symlinks))


def test_what_is_missing_is_made(root: int, tmp_path: Path) -> None:
    base = tmp_path / "root"
    os.umask(0o022)
    assert made(root, "/a/b/c") == f"{base}/a/b/c"
    assert made(root, "a/file", directory=False) == f"{base}/a/file"
    assert made(root, "/a/b/../.././a//b") == f"{base}/a/b"
    assert made(root, "/") == made(root, "..") == str(base)
    assert (base / "a/b/c").is_dir()
    assert (base / "a/file").read_bytes() == b""
    assert stat.S_IMODE((base / "a/b").stat().st_mode) == 0o755
    assert stat.S_IMODE((base / "a/file").stat().st_mode) == 0o644
    # What is there stays, of whatever kind it is.
    assert made(root, "/a/file", directory=True) == f"{base}/a/file"
    with pytest.raises(NotADirectoryError):
        make_in_root(root, "/a/file/below", directory=True)


@pytest.mark.parametrize(
    ("link", "leads"),
    [
        ("/etc/target", "/etc/target"),
        ("../run/target", "/run/target"),
        ("../../../../../../outside/target", "/outside/target"),
        ("/../../outside/target", "/outside/target"),
        ("./././target", "/dir/target"),
        ("deeper/../../other/target", "/other/target"),
        ("/proc/self/root/../target", "/proc/self/target"),
        ("//double//target", "/double/target"),
    ],
)
def test_links_that_lead_nowhere_are_followed_inside(
    root: int, tmp_path: Path, link: str, leads: str
) -> None:
    base = tmp_path / "root"
    (base / "dir").mkdir()
    (base / "dir/link").symlink_to(link)
    assert made(root, "/dir/link", directory=False) == f"{base}{leads}"
    assert (base / leads[1:]).is_file()
    assert os.readlink(base / "dir/link") == link
    assert list((tmp_path / "outside").iterdir()) == []
    # Also in the middle of a path.
    (base / "dir/middle").symlink_to(link + "-directory")
    assert made(root, "/dir/middle/below/file", directory=False).startswith(f"{base}{leads}-dir")


def test_nothing_leads_outside(root: int, tmp_path: Path) -> None:
    (tmp_path / "outside/file").touch()
    for number, link in enumerate((str(tmp_path), "../..", "../../../../" + str(tmp_path)[1:])):
        (tmp_path / f"root/link{number}").symlink_to(link)
        for path in (f"/link{number}/outside/file", f"../link{number}/../outside"):
            assert find_in_root(root, path) == -1
            with pytest.raises(FileNotFoundError):
                open_in_root(root, path)
    for path in ("../outside", "/../outside/file", str(tmp_path / "outside")):
        assert find_in_root(root, path) == -1
    assert made(root, str(tmp_path / "outside")).startswith(f"{tmp_path}/root/")
    (tmp_path / "root/new").symlink_to(tmp_path / "outside/new")
    assert made(root, "/new", directory=False) == f"{tmp_path}/root{tmp_path}/outside/new"
    assert os.listdir(tmp_path / "outside") == ["file"]


def test_loops_and_forbidden_links(root: int, tmp_path: Path) -> None:
    base = tmp_path / "root"
    (base / "loop").symlink_to("loop")
    (base / "first").symlink_to("second/x")
    (base / "second").symlink_to("first/y")
    for path in ("/loop", "/first", "/loop/below"):
        with pytest.raises(OSError, match="ymbolic link") as caught:
            make_in_root(root, path, directory=True)
        assert caught.value.errno == errno.ELOOP
    (base / "real").mkdir()
    (base / "link").symlink_to("real")
    (base / "dangling").symlink_to("made")
    for path in ("/link", "/link/below", "/dangling", "/dangling/below"):
        with pytest.raises(OSError, match="ymbolic link"):
            make_in_root(root, path, directory=True, symlinks=False)
    assert sorted(os.listdir(base / "real")) == []
    assert not (base / "made").exists()
    # A chain as long as the kernel follows, and one link more.
    for number in range(41):
        (base / f"chain{number}").symlink_to(f"chain{number + 1}")
    assert made(root, "/chain1") == f"{base}/chain41"
    (base / "chain41").rmdir()
    with pytest.raises(OSError, match="ymbolic link"):
        make_in_root(root, "/chain0", directory=True)


@requires("root")
def test_magic_links_are_not_followed(root: int, tmp_path: Path) -> None:
    def body() -> None:
        base = tmp_path / "root"
        (base / "proc").mkdir()
        kernel_mount("proc", str(base / "proc"), "proc")
        inside = os.open(base, os.O_PATH | os.O_DIRECTORY)
        for path in ("/proc/self/root/etc", "/proc/self/cwd", "/proc/self/fd/0", "/proc/self/exe"):
            with pytest.raises(OSError, match="ymbolic link") as caught:
                make_in_root(inside, path, directory=True)
            assert caught.value.errno == errno.ELOOP

    in_namespaces(CLONE_NEWNS, body)


def test_nothing_is_made_on_another_mount(root: int, tmp_path: Path) -> None:
    """mounts=False: neither by a name, nor by a link to where there is nothing yet."""
    base = tmp_path / "root"
    (base / "host").mkdir()
    (base / "link").symlink_to("host/deep/er")
    (base / "own").symlink_to("mine/deep/er")

    def body() -> None:
        kernel_mount("tmpfs", str(base / "host"), "tmpfs")
        inner = os.open(base, os.O_PATH)
        for path in ("/host", "/host/x", "/host/x/y", "/link", "/link/x", "/own/../../../host/x"):
            for directory in (True, False):
                with pytest.raises(OSError, match="ross-device") as caught:
                    make_in_root(inner, path, directory=directory, mounts=False)
                assert caught.value.errno == errno.EXDEV
        assert list((base / "host").iterdir()) == []
        os.close(make_in_root(inner, "/own/x", directory=True, mounts=False))
        assert (base / "mine/deep/er/x").is_dir()

    in_namespaces(CLONE_NEWNS, body)


def test_find_and_parent(root: int, tmp_path: Path) -> None:
    base = tmp_path / "root"
    (base / "file").touch()
    assert find_in_root(root, "/missing") == -1
    assert find_in_root(root, "/file/below") == -1
    assert place_of(find_in_root(root, "/file")) == f"{base}/file"
    context = Context({"root": root})
    for path, directory in (("/dev/deep/node", "/dev/deep"), ("/dev/x", "/dev"), ("/top", "")):
        parent, name = parent_below(context, path, "")
        assert name == os.path.basename(path)
        assert os.readlink(f"/proc/self/fd/{parent}") == f"{base}{directory}"
    context.release("parent")


def test_the_reason_is_in_the_error(root: int, tmp_path: Path) -> None:
    def body() -> None:
        kernel_mount("tmpfs", str(tmp_path / "root"), "tmpfs", 1)
        inside = os.open(tmp_path / "root", os.O_PATH | os.O_DIRECTORY)
        with pytest.raises(OSError, match="mkdirat") as caught:
            make_in_root(inside, "/a/b", directory=True)
        assert caught.value.errno == errno.EROFS
        assert "cannot be made" in getattr(caught.value, "hint", "")

    if os.geteuid() == 0:
        in_namespaces(CLONE_NEWNS, body)


def beside(work: object) -> int:
    """Do work, a function, again and again in a child until it is killed."""
    pid = os.fork()
    if pid == 0:
        try:
            while True:
                work()  # type: ignore[operator]
        finally:
            os._exit(1)
    return pid


def end(pid: int) -> None:
    """End such a child, which has worked up to now."""
    os.kill(pid, signal.SIGKILL)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL


def test_renames_elsewhere_do_not_disturb(root: int, tmp_path: Path) -> None:
    """openat2(2) answers EAGAIN to ".." while anything on the machine is renamed."""
    base = tmp_path / "root"
    (base / "a/b").mkdir(parents=True)
    (base / "link").symlink_to("a/b/../../" * 12 + "a/b")
    for name in ("x", "y"):
        (tmp_path / name).mkdir()

    def rename() -> None:
        os.rename(tmp_path / "x", tmp_path / "outside/x")
        os.rename(tmp_path / "outside/x", tmp_path / "x")

    pid = beside(rename)
    try:
        for _ in range(5000):
            os.close(open_in_root(root, "/link"))
    finally:
        end(pid)


def test_a_directory_that_becomes_a_link_leads_nowhere_else(root: int, tmp_path: Path) -> None:
    """CVE-2021-30465: an exchange at the worst moment is as harmless as a link from the start."""
    base, outside = tmp_path / "root", tmp_path / "outside"
    (base / "victim").mkdir()
    (base / "link").symlink_to("../" * 20 + str(outside)[1:])
    pid = beside(lambda: exchange(base / "victim", base / "link"))
    placed = 0
    try:
        for number in range(1500):
            try:
                place = made(root, f"/victim/{number}/x")
            except OSError:
                continue
            assert place.startswith(f"{base}/")
            placed += 1
    finally:
        end(pid)
    assert placed > 10
    assert list(outside.iterdir()) == []


def test_two_that_make_the_same(root: int, tmp_path: Path) -> None:
    def make() -> None:
        for number in range(300):
            os.close(make_in_root(root, f"/same/{number}/file", directory=False))
        os._exit(0)

    pids = [beside(make) for _ in range(3)]
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0, 0]
    assert len(os.listdir(tmp_path / "root/same")) == 300
