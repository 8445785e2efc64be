"""tmpcopyup: a tmpfs that starts with a copy of the directory it covers."""

from __future__ import annotations

import os
import stat

from ..errors import StepProblem

_CHUNK = 1 << 20  # bytes asked of one copy
_DEEPEST = 256  # levels: a descriptor is open for each


def copy_tree(source: int, tree: int) -> None:
    """Copy what is in the directory source (descriptor) into the directory tree.

    Modes, owners, times, links and device nodes are kept, extended attributes
    are not.  Nothing is followed, and no other file system entered: the image
    decides what is there.
    """
    # O_PATH descriptors can be neither listed nor read: open "." of them.
    readable = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    below = os.open(".", readable, dir_fd=source)
    try:
        copy = os.open(".", readable, dir_fd=tree)
        try:
            _copy_directory(below, copy, os.fstat(below).st_dev, 0)
        finally:
            os.close(copy)
    finally:
        os.close(below)


def _copy_directory(source: int, copy: int, device: int, depth: int) -> None:
    if depth > _DEEPEST:
        raise StepProblem(f"directories nested deeper than {_DEEPEST}")
    for name in os.listdir(source):
        found = os.stat(name, dir_fd=source, follow_symlinks=False)
        if found.st_dev != device:
            continue
        kind = stat.S_IFMT(found.st_mode)
        if kind == stat.S_IFLNK:
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=copy)
        elif kind == stat.S_IFDIR:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            os.mkdir(name, 0o700, dir_fd=copy)
            inner = os.open(name, flags, dir_fd=source)
            try:
                made = os.open(name, flags, dir_fd=copy)
                try:
                    _copy_directory(inner, made, device, depth + 1)
                finally:
                    os.close(made)
            finally:
                os.close(inner)
        elif kind == stat.S_IFREG:
            _copy_file(source, copy, name)
        elif kind != stat.S_IFSOCK:  # a socket means nothing without its server
            os.mknod(name, found.st_mode, found.st_rdev, dir_fd=copy)
        _keep_attributes(copy, name, found)
    _keep_own_attributes(source, copy)


def _copy_file(source: int, copy: int, name: str) -> None:
    flags = os.O_NOFOLLOW | os.O_CLOEXEC
    # O_NONBLOCK: should the file have been replaced by a fifo meanwhile.
    read = os.open(name, os.O_RDONLY | os.O_NONBLOCK | flags, dir_fd=source)
    try:
        write = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | flags, 0o600, dir_fd=copy)
        try:
            while os.sendfile(write, read, None, _CHUNK):  # type: ignore[arg-type]  # None: go on
                pass
        finally:
            os.close(write)
    finally:
        os.close(read)


def _keep_attributes(copy: int, name: str, found: os.stat_result) -> None:
    if stat.S_ISSOCK(found.st_mode):
        return
    os.chown(name, found.st_uid, found.st_gid, dir_fd=copy, follow_symlinks=False)
    if not stat.S_ISLNK(found.st_mode):
        os.chmod(name, stat.S_IMODE(found.st_mode), dir_fd=copy)
    times = (found.st_atime_ns, found.st_mtime_ns)
    os.utime(name, ns=times, dir_fd=copy, follow_symlinks=False)


def _keep_own_attributes(source: int, copy: int) -> None:
    found = os.fstat(source)
    os.utime(copy, ns=(found.st_atime_ns, found.st_mtime_ns))
