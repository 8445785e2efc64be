"""Paths inside a root file system: resolved once, to a descriptor.

The container's image decides what its paths lead to, so no path inside the
rootfs is ever handed to the kernel from the host's root.  Every one is resolved
by openat2(2) with RESOLVE_IN_ROOT below a descriptor of the rootfs, and then
used by the descriptor it gave (docs/architecture.md, invariant 4).
"""

from __future__ import annotations

import _stat as stat
import errno
import posix

from ..syscalls.constants import PROC_SUPER_MAGIC
from ..syscalls.files import (
    RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    RESOLVE_NO_XDEV,
    openat2,
)
from ..syscalls.filesystems import fstatfs
from ..syscalls.flags import quote

MAX_LINKS = 40  # as many as the kernel follows; path_resolution(7)


def open_in_root(
    root: int,
    path: str,
    flags: int = posix.O_PATH,
    *,
    symlinks: bool = True,
    mounts: bool = True,
    missing_ok: bool = False,
) -> int:
    """Open path as if root (a descriptor) were the root directory; close-on-exec.

    symlinks: False refuses any symbolic link on the way, with ELOOP.
    mounts: False refuses to enter any mount but that of root, with EXDEV.
    missing_ok: True gives -1 where there is nothing.
    """
    resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
    if not symlinks:
        resolve |= RESOLVE_NO_SYMLINKS
    if not mounts:
        resolve |= RESOLVE_NO_XDEV
    return openat2(path, flags, dirfd=root, resolve=resolve, missing_ok=missing_ok)


def walk_in_root(root: int, path: str) -> tuple[int, set[tuple[int, int]]]:
    """Open path with O_PATH as open_in_root does, following links; and which way it was found.

    That is device and inode of each directory that was looked into: who may change one may
    choose what is found.  A link in a procfs is refused with ELOOP: it leads each process to
    its own, or is a magic one.
    """
    way = [posix.dup(root)]
    seen: set[tuple[int, int]] = set()
    todo, links = _components(path), 0
    try:
        while todo:
            name = todo.pop()
            if name == "..":
                if len(way) > 1:
                    posix.close(way.pop())
                continue
            seen.add(mark(way[-1]))
            way.append(open_in_root(way[-1], name, posix.O_PATH | posix.O_NOFOLLOW))
            if not stat.S_ISLNK(posix.fstat(way[-1]).st_mode):
                continue
            links += 1
            own = fstatfs(way[-1]).type == PROC_SUPER_MAGIC
            if own or links > MAX_LINKS:
                error = OSError(errno.ELOOP, posix.strerror(errno.ELOOP), path)
                if own:
                    error.hint = "a link of /proc leads each process to its own"  # type: ignore[attr-defined]
                raise error
            target = posix.readlink("", dir_fd=way[-1])
            first = 1 if target.startswith("/") else len(way) - 1
            while len(way) > first:
                posix.close(way.pop())
            todo += _components(target)
        return way.pop(), seen
    finally:
        for fd in way:
            posix.close(fd)


def mark(fd: int) -> tuple[int, int]:
    """Device and inode: what tells a file from all others."""
    found = posix.fstat(fd)
    return found.st_dev, found.st_ino


def find_in_root(root: int, path: str, flags: int = posix.O_PATH) -> int:
    """A descriptor of path in root, or -1 where there is nothing."""
    try:
        return open_in_root(root, path, flags, missing_ok=True)
    except NotADirectoryError:
        return -1


def make_in_root(
    root: int,
    path: str,
    *,
    directory: bool,
    mode: int = 0o755,
    symlinks: bool = True,
    mounts: bool = True,
) -> int:
    """Open path in root with O_PATH, making what is missing of it.

    Missing parents become directories of mode 0755; the last component a
    directory or an empty file.  A link that points nowhere is followed, inside
    the root, and its target made, as container images with an /etc/resolv.conf
    into an empty /run expect it.  symlinks, mounts: as of open_in_root.
    """
    allowed = {"symlinks": symlinks, "mounts": mounts}
    fd = open_in_root(root, path, **allowed, missing_ok=True)
    if fd < 0:
        fd = _make_last(root, path, mode, allowed, directory=directory)
    return fd if fd >= 0 else _make_all(root, path, mode, allowed, directory=directory)


def _make_last(
    root: int, path: str, mode: int, allowed: dict[str, bool], *, directory: bool
) -> int:
    """make_in_root where the last component alone is missing, as it mostly is; -1 where not."""
    above, _, name = path.rstrip("/").rpartition("/")
    if name in ("", ".", ".."):
        return -1
    try:
        flags = posix.O_PATH | posix.O_DIRECTORY
        parent = open_in_root(root, above or "/", flags, **allowed)
    except FileNotFoundError:
        return -1
    try:
        _make(parent, name, mode, directory=directory)
        return open_in_root(parent, name, posix.O_PATH | posix.O_NOFOLLOW, **allowed)
    except FileExistsError:
        return -1  # a link to nowhere
    finally:
        posix.close(parent)


def _make_all(root: int, path: str, mode: int, allowed: dict[str, bool], *, directory: bool) -> int:
    """make_in_root one component at a time, following links by hand."""
    done: list[str] = []
    todo = _components(path)
    links = 0
    while todo:
        name = todo.pop()
        if name == "..":
            del done[-1:]
            continue
        flags = posix.O_PATH | posix.O_DIRECTORY
        parent = open_in_root(root, "/".join(done) or ".", flags, mounts=allowed["mounts"])
        try:
            target = _link_or_make(parent, name, mode, directory=directory or bool(todo))
        finally:
            posix.close(parent)
        if target is None:
            done.append(name)
            continue
        links += 1
        if links > MAX_LINKS or not allowed["symlinks"]:
            raise OSError(errno.ELOOP, posix.strerror(errno.ELOOP), path)
        if target.startswith("/"):
            done = []
        todo += _components(target)
    return open_in_root(root, "/".join(done) or ".", **allowed)


def _components(path: str) -> list[str]:
    """The components of path, last one first."""
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]


def _link_or_make(parent: int, name: str, mode: int, *, directory: bool) -> str | None:
    """The target of the link name, or None once name is something else and exists."""
    while True:
        try:
            found = posix.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            try:
                _make(parent, name, mode, directory=directory)
            except FileExistsError:
                continue  # another container on this rootfs has just made it
            return None
        return posix.readlink(name, dir_fd=parent) if stat.S_ISLNK(found.st_mode) else None


def _make(parent: int, name: str, mode: int, *, directory: bool) -> None:
    try:
        if directory:
            posix.mkdir(name, mode, dir_fd=parent)
        else:
            flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW
            posix.close(posix.open(name, flags | posix.O_CLOEXEC, 0o644, dir_fd=parent))
    except FileExistsError:
        raise
    except OSError as error:
        call = f"{'mkdirat' if directory else 'openat'}({quote(name)})"
        error.strerror = f"{call}: {error.strerror}"
        error.hint = "it is not in the rootfs, and cannot be made there"  # type: ignore[attr-defined]
        raise


def same_file(first: int, second: int) -> bool:
    """Whether two descriptors are of one file."""
    return mark(first) == mark(second)
