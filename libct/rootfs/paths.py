"""Paths inside a root file system: resolved once, to a descriptor.

The container's image decides what its paths lead to, so no path inside the
rootfs is ever handed to the kernel from the host's root.  Every one is resolved
by openat2(2) with RESOLVE_IN_ROOT below a descriptor of the rootfs, and then
used by the descriptor it gave (DESIGN.md 3.4; CVE-2021-30465).
"""

from __future__ import annotations

import errno
import os
import stat

from ..errors import StepProblem
from ..syscalls.files import (
    RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    openat2,
)

MAX_LINKS = 40  # as many as the kernel follows; path_resolution(7)


def open_in_root(root: int, path: str, flags: int = os.O_PATH, *, symlinks: bool = True) -> int:
    """Open path as if root (a descriptor) were the root directory; close-on-exec.

    symlinks=False refuses any symbolic link on the way, with ELOOP.
    """
    resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
    if not symlinks:
        resolve |= RESOLVE_NO_SYMLINKS
    return openat2(path, dirfd=root, flags=flags | os.O_CLOEXEC, resolve=resolve)


def make_in_root(
    root: int, path: str, *, directory: bool, mode: int = 0o755, symlinks: bool = True
) -> int:
    """Open path in root with O_PATH, making what is missing of it.

    Missing parents become directories of mode 0755; the last component a
    directory or an empty file.  A link that points nowhere is followed, inside
    the root, and its target made, as container images with an /etc/resolv.conf
    into an empty /run expect it.
    """
    try:
        return open_in_root(root, path, symlinks=symlinks)
    except FileNotFoundError:
        pass
    done: list[str] = []
    todo = _components(path)
    links = 0
    while todo:
        name = todo.pop()
        if name == "..":
            del done[-1:]
            continue
        parent = open_in_root(root, "/".join(done) or ".", os.O_PATH | os.O_DIRECTORY)
        try:
            target = _link_or_make(parent, name, mode, directory=directory or bool(todo))
        finally:
            os.close(parent)
        if target is None:
            done.append(name)
            continue
        links += 1
        if links > MAX_LINKS or not symlinks:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        if target.startswith("/"):
            done = []
        todo += _components(target)
    return open_in_root(root, "/".join(done) or ".", symlinks=symlinks)


def _components(path: str) -> list[str]:
    """The components of path, last one first."""
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]


def _link_or_make(parent: int, name: str, mode: int, *, directory: bool) -> str | None:
    """The target of the link name, or None once name is something else and exists."""
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        if directory:
            os.mkdir(name, mode, dir_fd=parent)
        else:
            flags = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_WRONLY
            os.close(os.open(name, flags, 0o644, dir_fd=parent))
        return None
    return os.readlink(name, dir_fd=parent) if stat.S_ISLNK(found.st_mode) else None


def parent_in_root(root: int, path: str) -> tuple[int, str]:
    """(descriptor of the directory that holds path, made when missing; last name)."""
    parent, _, name = path.rstrip("/").rpartition("/")
    if not name or name in (".", ".."):
        raise StepProblem(f"{path!r} names no file")
    return make_in_root(root, parent or "/", directory=True), name


def inside(path: str) -> str:
    """path, cleaned lexically, as an absolute path of the container.

    ".." cannot lead above the root, as in a chroot.
    """
    clean = os.path.normpath("/" + path)
    return clean[1:] if clean.startswith("//") else clean
