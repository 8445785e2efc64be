"""Whose a control group is: its mark, and the lock of who makes, takes over or removes it.

The mark is an extended attribute of the group's directory, random, and of one container.
It also says whether libct has made the group, or has taken one that was there.
Root of the host writes `trusted.libct`, which nobody else can see.  Others write `user.libct`
(Linux 5.7), as can who may write to the group, those in a group that has been delegated
among them: they can have it taken for nobody's, but not make another group theirs.

The lock is flock(2) on the directory.  Whoever may read that can hold it, so a new group
cannot be read by others before it is locked, and at an end the lock is not insisted on.

Sources: xattr(7); flock(2).
"""

from __future__ import annotations

import errno
import fcntl
import posix

from ..syscalls.flags import quote
from ..syscalls.xattrs import XATTR_CREATE, fremovexattr, fsetxattr, getxattr
from . import files

_TRUSTED, _USER = "trusted.libct", "user.libct"
_BYTES = 8  # of a mark
_LONGEST = 256  # bytes that are read: no mark of ours has as many
_TAKEN = "taken-"  # how the mark of a group begins that libct has not made
# A group while it is nobody's yet, and after that.  Nobody else makes one that is sticky.
_SHUT, _OPEN = 0o1700, 0o755
ABOVE = b"above"  # the mark of a level: whoever leaves it last removes it


def new(*, taken: bool = False) -> str:
    return (_TAKEN if taken else "") + posix.urandom(_BYTES).hex()


def is_mark(text: str) -> bool:
    """Whether it is one of a container.  "" is that of every group that nobody has marked."""
    digits = text.removeprefix(_TAKEN)
    return len(digits) == 2 * _BYTES and not digits.strip("0123456789abcdef")


def is_made(group: int) -> bool:
    """Whether libct has made a group: its mark says so, or its mode until it is marked."""
    mark = read(group).decode("ascii", "replace")
    if mark:
        return is_mark(mark) and not mark.startswith(_TAKEN)
    return posix.fstat(group).st_mode & 0o7777 == _SHUT


def read(group: str | int) -> bytes:
    """The mark of a group, by its path or a descriptor; b"" where it has none, or is not there."""
    for name in (_TRUSTED, _USER):
        try:
            mark = getxattr(group, name, most=_LONGEST)
        except OSError:
            continue  # there is no such group, or the mark is none of ours
        if mark is not None:  # else it has none, or only root of the host sees it
            return mark
    return b""


def write(group: int, mark: bytes, *, first: bool = False) -> None:
    """Mark a group, or unmark it with b"".

    first: only where it has no mark yet, and else FileExistsError.
    """
    if not mark:
        for name in (_TRUSTED, _USER):
            _remove(group, name)
        return
    flags = XATTR_CREATE if first else 0
    try:
        fsetxattr(group, _TRUSTED, mark, flags)
        _remove(group, _USER)  # of an ordinary user, who would take it for his still
    except PermissionError:
        fsetxattr(group, _USER, mark, flags)


def noted(group: int) -> str:
    """The mark of a group as a word, for put_back(); "" where libct has not written it."""
    for name in (_TRUSTED, _USER):
        try:
            mark = getxattr(group, name, most=_LONGEST)
        except OSError:
            continue
        word = f"{name}={(mark or b'').decode('ascii', 'replace')}"
        if is_noted(word):
            return word
    return ""


def is_noted(word: str) -> bool:
    name, _, mark = word.partition("=")
    return name in (_TRUSTED, _USER) and (mark == ABOVE.decode() or is_mark(mark))


def put_back(group: int, word: str) -> None:
    """Have a group marked as it was: by root, by an ordinary user, or not at all."""
    write(group, b"")
    if word:
        name, _, mark = word.partition("=")
        fsetxattr(group, name, mark.encode())


def _remove(group: int, name: str) -> None:
    try:
        fremovexattr(group, name)
    except OSError:
        pass  # a file system that has none of that kind


def make(path: str, *, above: bool = False) -> None:
    """mkdir(2) of a group that others cannot lock until claim() has, or of a level above it."""
    try:
        posix.mkdir(path, _OPEN if above else _SHUT)
    except OSError as error:
        raise files.explained(error, f"mkdir({quote(path)})", path) from None


def mark_above(path: str) -> bool:
    """Mark a level that make() has made; False where it cannot be."""
    try:
        fd = files.open_file(path, posix.O_RDONLY | posix.O_DIRECTORY)
        try:
            write(fd, ABOVE)
        finally:
            posix.close(fd)
    except OSError:
        return False
    return True


def lock(path: str) -> int:
    """The descriptor of a group that nobody else has locked, and is at this path still; or -1."""
    fd = files.open_file(path, posix.O_RDONLY | posix.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        ours, found = posix.fstat(fd), posix.lstat(path)
        if (ours.st_dev, ours.st_ino) == (found.st_dev, found.st_ino):
            return fd
        unlock(fd)
    except BlockingIOError:
        posix.close(fd)
    except BaseException:
        unlock(fd)
        raise
    return -1


def unlock(fd: int) -> None:
    """Let go of the lock, also where a fork has copied the descriptor, and close it."""
    fcntl.flock(fd, fcntl.LOCK_UN)
    posix.close(fd)


def claim(path: str, mark: str) -> int:
    """Lock and mark a group that make() has just made; -1 where another one was faster.

    Raises OSError where it cannot be marked.
    """
    try:
        fd = lock(path)
        if fd < 0:
            return -1
        try:
            write(fd, mark.encode(), first=True)
            posix.fchmod(fd, _OPEN)
        except BaseException:
            unlock(fd)
            raise
    except (FileExistsError, FileNotFoundError):
        return -1
    except OSError as error:
        raise unmarkable(error, path) from None
    return fd


def unmarkable(error: OSError, path: str) -> OSError:
    """The error of write(), with what to do."""
    failed = files.explained(error, f'setxattr("{_USER}")', path)
    if error.errno == errno.ENOSPC:
        return files.hinted(failed, "somebody has filled it with attributes: remove that group")
    return failed
