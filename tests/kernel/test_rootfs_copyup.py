"""tmpcopyup, and id-mapped mounts: what files look like inside."""

from __future__ import annotations

import errno
import os
import resource
import signal
import socket
import stat
from typing import TYPE_CHECKING, Any

import pytest

import libct
from libct.config import MountIDMapping
from libct.errors import StepError, StepProblem
from libct.rootfs import copyup
from libct.rootfs.copyup import copy_tree
from tests.support import (
    CLONE_NEWNS,
    CLONE_NEWUSER,
    forked,
    in_namespaces,
    mount as kernel_mount,
    requires,
)

from .rootfs_box import (
    bind,
    make_config,
    mount,
    mounted,
    mounts_of,
    run_box,
    running,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = requires("root", "busybox")


def fill(directory: Path) -> None:
    """Files of all kinds."""
    (directory / "empty").mkdir(mode=0o700)
    (directory / "deep/er").mkdir(parents=True)
    (directory / "deep/er/file").write_text("deep\n")
    (directory / "deep").chmod(0o1775)
    (directory / "program").write_bytes(b"#!/bin/sh\n")
    os.chown(directory / "program", 1000, 2000)
    (directory / "program").chmod(0o6751)
    (directory / "big").write_bytes(os.urandom(5 << 20))
    os.link(directory / "big", directory / "hard")
    os.link(directory / "big", directory / "deep/hard")
    with open(directory / "sparse", "wb") as file:
        file.seek(300 << 20)
        file.write(b"middle")
        file.truncate(600 << 20)
    (directory / "link").symlink_to("/etc/../nowhere")
    os.chown(directory / "link", 7, 8, follow_symlinks=False)
    os.mkfifo(directory / "fifo", 0o640)
    os.mknod(directory / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(directory / "socket"))
    (directory / "odd \udcff\nname").touch()
    for path in sorted(directory.rglob("*"), reverse=True):
        os.utime(path, ns=(10**18 + 7, 10**18 + len(path.name)), follow_symlinks=False)
    os.utime(directory, ns=(5 * 10**17, 6 * 10**17))


def described(directory: Path) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    for path in [directory, *directory.rglob("*")]:
        at = path.lstat()
        if stat.S_ISSOCK(at.st_mode):
            continue
        content: object = None
        if stat.S_ISLNK(at.st_mode):
            content = os.readlink(path)
        elif stat.S_ISREG(at.st_mode) and at.st_size < 10 << 20:
            content = path.read_bytes()
        size = at.st_size if stat.S_ISREG(at.st_mode) else 0
        links = at.st_nlink if not stat.S_ISDIR(at.st_mode) else 0
        found[str(path.relative_to(directory))] = (
            *(at.st_mode, at.st_uid, at.st_gid, at.st_rdev, at.st_mtime_ns, size, links, content),
        )
    return found


def copied(source: Path, place: Path) -> dict[str, tuple[object, ...]]:
    fds = [os.open(path, os.O_PATH | os.O_DIRECTORY) for path in (source, place, "/proc")]
    try:
        copy_tree(*fds)
    finally:
        for fd in fds:
            os.close(fd)
    return described(place)


def test_a_copy_is_like_the_original(tmp_path: Path) -> None:
    def body() -> None:
        for name in ("source", "copy"):
            (tmp_path / name).mkdir()
        fill(tmp_path / "source")
        (tmp_path / "source/mounted").mkdir()
        kernel_mount("tmpfs", str(tmp_path / "source/mounted"), "tmpfs")
        kernel_mount("tmpfs", str(tmp_path / "copy"), "tmpfs", 0, "mode=755,size=32m")
        original = described(tmp_path / "source")
        copy = copied(tmp_path / "source", tmp_path / "copy")
        # Another file system is not entered.
        assert original.pop("mounted")
        assert copy == original
        assert (tmp_path / "copy/big").samefile(tmp_path / "copy/deep/hard")
        assert (tmp_path / "copy/sparse").stat().st_blocks <= 16
        with open(tmp_path / "copy/sparse", "rb") as file:
            file.seek(300 << 20)
            assert file.read(10) == b"middle\0\0\0\0"

    in_namespaces(CLONE_NEWNS, body)


def test_what_links_lead_to_is_not_touched(tmp_path: Path) -> None:
    """The links of an image lead to the host's files, while they are copied."""
    for name in ("source", "copy"):
        (tmp_path / name).mkdir()
    outside = tmp_path / "outside"
    outside.write_text("the host's")
    outside.chmod(0o600)
    (tmp_path / "source/link").symlink_to(outside)
    os.chown(tmp_path / "source/link", 7, 8, follow_symlinks=False)
    os.utime(tmp_path / "source/link", ns=(0, 0), follow_symlinks=False)
    before = outside.stat()
    copy = copied(tmp_path / "source", tmp_path / "copy")
    assert copy["link"][1:3] == (7, 8)
    assert copy["link"][-1] == str(outside)
    after = outside.stat()
    for field in ("st_mode", "st_uid", "st_gid", "st_mtime_ns"):
        assert getattr(after, field) == getattr(before, field), field


def test_a_copy_of_an_overlay_has_its_files(tmp_path: Path) -> None:
    """Their device numbers differ from that of the directory."""

    def body() -> None:
        for name in ("lower", "over", "copy", "other"):
            (tmp_path / name).mkdir()
        kernel_mount("tmpfs", str(tmp_path / "other"), "tmpfs")
        for name in ("upper", "work"):
            (tmp_path / "other" / name).mkdir()
        (tmp_path / "lower/file").write_text("lower\n")
        (tmp_path / "lower/sub").mkdir()
        (tmp_path / "lower/sub/file").write_text("lower\n")
        layers = f"upperdir={tmp_path}/other/upper,workdir={tmp_path}/other/work"
        data = f"lowerdir={tmp_path}/lower,{layers}"
        kernel_mount("overlay", str(tmp_path / "over"), "overlay", 0, data)
        (tmp_path / "over/new").write_text("upper\n")
        assert set(copied(tmp_path / "over", tmp_path / "copy")) == {
            *(".", "file", "new", "sub", "sub/file"),
        }

    in_namespaces(CLONE_NEWNS, body)


def test_a_copy_in_a_user_namespace(tmp_path: Path) -> None:
    """What is of nobody's becomes ours, and device nodes are left out."""
    (tmp_path / "source").mkdir()
    fill(tmp_path / "source")
    tmp_path.chmod(0o777)
    (tmp_path / "source").chmod(0o755)

    def body() -> None:
        (tmp_path / "copy").mkdir()
        kernel_mount("tmpfs", str(tmp_path / "copy"), "tmpfs")
        copy = copied(tmp_path / "source", tmp_path / "copy")
        assert "null" not in copy
        assert copy["program"][1:3] == (1000, 2000)
        assert copy["link"][1:3] == (0, 0)

    maps = "0 0 1\n1000 1000 1001\n"
    in_namespaces(CLONE_NEWNS | CLONE_NEWUSER, body, uid_map=maps, gid_map=maps)


def test_too_deep_a_tree(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "copy").mkdir()
    fd = os.open(tmp_path / "source", os.O_PATH | os.O_DIRECTORY)
    for _ in range(300):
        os.mkdir("d", dir_fd=fd)
        inner = os.open("d", os.O_PATH | os.O_DIRECTORY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    with pytest.raises(StepProblem, match="nested deeper than"):
        copied(tmp_path / "source", tmp_path / "copy")


def test_a_file_that_changes_while_it_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has become since it was looked at decides: a device would never end."""
    places = [tmp_path / name for name in ("source", "copy")]
    for place in places:
        place.mkdir()
    for name in ("zero", "fifo", "directory", "grows", "new"):
        (places[0] / name).write_text("a file\n")

    def change(name: str) -> None:
        path = places[0] / name
        if name == "grows":
            path.write_text("a file\nand more\n")
            return
        path.unlink()
        if name == "zero":
            os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 5))
        elif name == "fifo":
            os.mkfifo(path)
        elif name == "directory":
            path.mkdir()
        else:
            path.write_text("another\n")

    # Between the look and the copy, where somebody's rename has to hit.
    copy_entry = copyup.copy_entry

    def exchange(*args: Any) -> bool:
        change(args[-2])
        return copy_entry(*args)

    def body() -> list[str]:
        signal.alarm(20)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        monkeypatch.setattr(copyup, "copy_entry", exchange)
        return sorted(copied(*places))

    assert forked(body) == [".", "grows", "new"]
    assert (places[1] / "grows").read_text() == "a file\nand more\n"
    assert (places[1] / "new").read_text() == "another\n"


def test_a_file_that_grows_without_end_is_copied_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 1000)
    with open(tmp_path / "file", "rb") as read, open(tmp_path / "copy", "wb") as write:
        with open(tmp_path / "file", "ab") as more:
            more.write(b"y" * 1000)
        copyup._copy_data(read.fileno(), write.fileno(), 1000)
    assert (tmp_path / "copy").read_bytes() == b"x" * 1000


@pytest.mark.parametrize("user", [False, True])
def test_tmpcopyup(rootfs: Path, user: bool) -> None:
    mounts = [mount("/etc", "tmpfs", "tmpfs", "tmpcopyup", "nosuid", "noexec", "ro")]
    script = """
        cat /etc/group | head -1; ls -A /etc | sort | tr '\\n' ' '; echo
        (echo > /etc/x) 2>&1 | sed 's/.*: //'; cat /proc/self/mountinfo
    """
    run = run_box(rootfs, script, mounts, user=user)
    names = " ".join(sorted(os.listdir(rootfs / "etc"))) + " "
    assert run.lines[:3] == ["root:x:0:", names, "Read-only file system"]
    found = mounted(run.text)["/etc"]
    assert found.fstype == "tmpfs"
    assert {"nosuid", "noexec", "ro"} <= found.options
    # Empty, and new, where there is nothing below.
    empty = [mount("/new/place", "tmpfs", "tmpfs", "tmpcopyup", "mode=700")]
    (rootfs / "new/place").mkdir(parents=True, exist_ok=True)
    assert run_box(rootfs, "ls -A /new/place", empty, user=user).lines == []


def test_tmpcopyup_of_more_than_there_is_room_for(rootfs: Path) -> None:
    mounts = [mount("/bin", "tmpfs", "tmpfs", "tmpcopyup", "size=64k")]
    with pytest.raises(StepError) as caught:
        run_box(rootfs, "true", mounts)
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.place == "mounts[3]"


# --- id-mapped mounts ---


@pytest.fixture
def owned(tmp_path: Path) -> Path:
    """A directory with files of users 0, 1000 and 5000, and one on another file system."""
    tmp_path.chmod(0o755)
    for path in (tmp_path.parent, tmp_path.parent.parent):
        path.chmod(path.stat().st_mode | 0o055)
    for uid in (0, 1000, 5000):
        (tmp_path / f"of-{uid}").touch()
        os.chown(tmp_path / f"of-{uid}", uid, uid)
    (tmp_path / "sub").mkdir()
    return tmp_path


def mapping(*ranges: tuple[int, int, int], **fields: object) -> MountIDMapping:
    maps = [libct.IDMap(*one) for one in ranges]
    return MountIDMapping(uid_mappings=maps, gid_mappings=maps, **fields)  # type: ignore[arg-type]


OWNERS = "stat -c '%n %u %g' /mnt/of-*"


def test_an_own_mapping_without_a_user_namespace(rootfs: Path, owned: Path) -> None:
    mounts = [bind("/mnt", owned, id_mapping=mapping((0, 3000, 1), (1000, 4000, 1)))]
    script = f"{OWNERS}; touch /mnt/of-new; chown 4000:3000 /mnt/of-new"
    run = run_box(rootfs, script, mounts, full=True)
    assert run.lines[:3] == [
        "/mnt/of-0 3000 3000",
        "/mnt/of-1000 4000 4000",
        "/mnt/of-5000 65534 65534",
    ]
    # Root has no number there, so it cannot make files.
    assert not (owned / "of-new").exists()


def test_the_mapping_of_the_container(rootfs: Path, owned: Path) -> None:
    whole = mapping((0, 100_000, 65_536))
    mounts = [bind("/mnt", owned, "nosuid", id_mapping=whole)]
    script = f"{OWNERS}; touch /mnt/new; chown 1000 /mnt/new; stat -c %u /mnt/new"
    run = run_box(rootfs, script, mounts, user=True, full=True)
    assert run.lines == [
        *("/mnt/of-0 0 0", "/mnt/of-1000 1000 1000", "/mnt/of-5000 5000 5000", "1000"),
    ]
    assert (owned / "new").stat().st_uid == 1000


@pytest.mark.parametrize("recursive", [False, True])
def test_recursive_mappings(rootfs: Path, owned: Path, recursive: bool) -> None:
    def body() -> None:
        kernel_mount("none", "/", flags=0x100000 | 0x4000)  # MS_SHARED, MS_REC
        kernel_mount("tmpfs", str(owned / "sub"), "tmpfs")
        (owned / "sub/of-0").touch()
        before = mounts_of(os.getpid())
        maps = mapping((0, 100_000, 65_536), recursive=recursive)
        mounts = [mount("/mnt", "bind", str(owned), "rbind", id_mapping=maps)]
        script = "stat -c %u /mnt/of-0 /mnt/sub/of-0; mount -t tmpfs x /mnt/sub && echo on"
        run = run_box(rootfs, script, mounts, user=True, full=True)
        assert run.lines == ["0", "0" if recursive else "65534", "on"]
        # The source was opened in the host's mount namespace: no mount reaches that.
        assert mounts_of(os.getpid()) == before
        with running(make_config(rootfs, mounts, user=True)) as pid:
            assert mounts_of(pid)["/mnt"].propagation == {"master"}

    in_namespaces(CLONE_NEWNS, body)


def test_a_mapped_mount_is_no_peer_of_the_host_s(rootfs: Path, owned: Path) -> None:
    """Nothing that is mounted there appears on the host, in whose namespace it was made."""

    def body() -> None:
        kernel_mount("none", "/", flags=0x100000 | 0x4000)  # MS_SHARED, MS_REC
        before = mounts_of(os.getpid())
        mounts = [bind("/mnt", owned, id_mapping=mapping((0, 3000, 1)))]
        run = run_box(rootfs, "mount -t tmpfs x /mnt/sub && echo on", mounts, full=True)
        assert run.lines == ["on"]
        assert mounts_of(os.getpid()) == before

    in_namespaces(CLONE_NEWNS, body)


def test_the_mapping_of_another_user_namespace(rootfs: Path, owned: Path) -> None:
    with running(make_config(rootfs, user=True)) as pid:
        path = f"/proc/{pid}/ns/user"
        mounts = [bind("/mnt", owned, id_mapping=MountIDMapping(userns_path=path))]
        assert run_box(rootfs, OWNERS, mounts).lines[:2] == [
            *("/mnt/of-0 100000 100000", "/mnt/of-1000 101000 101000"),
        ]


def test_a_file_system_that_cannot_map(rootfs: Path) -> None:
    mounts = [bind("/mnt", "/proc/sys", id_mapping=mapping((0, 3000, 1)))]
    with pytest.raises(StepError, match=r"mount_setattr|proc file system") as caught:
        run_box(rootfs, "true", mounts)
    assert caught.value.errno == errno.EINVAL
