"""Being told of what happens: eventfd(2), inotify(7).  os.eventfd is there from Python 3.10 on."""

from __future__ import annotations

from .c import (
    c_char_p,
    c_int,
    c_uint,
    c_uint32,
)
from .constants import (
    EFD_CLOEXEC as EFD_CLOEXEC,
    EFD_NONBLOCK as EFD_NONBLOCK,
    IN_CLOEXEC as IN_CLOEXEC,
    IN_MODIFY as IN_MODIFY,
    IN_NONBLOCK as IN_NONBLOCK,
)
from .core import bind, cstring, fail, retried
from .flags import quote

_eventfd = bind("eventfd", c_int, c_uint, c_int)
_inotify_init1 = bind("inotify_init1", c_int, c_int)
_inotify_add_watch = bind(
    "inotify_add_watch",
    c_int,
    c_int,  # fd
    c_char_p,  # pathname
    c_uint32,  # mask
)


def eventfd(initval: int = 0, flags: int = EFD_CLOEXEC) -> int:
    """Make a counter that the kernel adds to, and return its descriptor, the caller's.

    It polls readable when it is not 0; read(2) gives 8 bytes, the count in the
    machine's order, and makes it 0.
    flags: EFD_CLOEXEC; EFD_NONBLOCK lets a read fail with EAGAIN while it is 0.

    Raises OSError with errno
        EINVAL        an unknown flag;
        EMFILE, ENFILE  too many open files;
        ENOMEM        no memory.

    Source: eventfd(2).
    """
    fd: int = _eventfd(initval, flags)
    if fd == -1:
        fail(f"eventfd({initval}, {flags:#x})")
    return fd


def inotify_init(flags: int = IN_CLOEXEC) -> int:
    """Make a queue of events about files, inotify_init1(2); the descriptor is the caller's.

    flags: IN_CLOEXEC; IN_NONBLOCK lets a read fail with EAGAIN while it is empty.

    Raises OSError with errno
        EINVAL  an unknown flag;
        EMFILE  too many open files, or this user has too many of these
                (/proc/sys/fs/inotify/max_user_instances);
        ENFILE  too many open files on the machine;
        ENOMEM  no memory.

    Source: inotify_init(2).
    """
    fd: int = _inotify_init1(flags)
    if fd == -1:
        fail(f"inotify_init1({flags:#x})")
    return fd


def inotify_add_watch(fd: int, path: str, mask: int) -> int:
    """Have events of the kinds in mask (IN_*) about path put into the queue fd.

    Returns a number that the events about path carry.

    Raises OSError with errno
        EACCES  path may not be read;
        ENOENT  there is no such file;
        ENOSPC  this user watches too many files (/proc/sys/fs/inotify/max_user_watches).

    Source: inotify_add_watch(2).
    """
    watch: int = retried(_inotify_add_watch, fd, cstring(path), mask)
    if watch == -1:
        fail(f"inotify_add_watch({fd}, {quote(path)}, {mask:#x})", path)
    return watch
