"""Extended attributes of files: xattr(7).

Python has these functions too, but not everywhere: versions of CPython that are compiled
with another C library than glibc leave them out (musl, CPython 3.11 for one).
"""

from __future__ import annotations

import errno

from .c import (
    c_char_p,
    c_int,
    c_long,
    c_size_t,
    c_void_p,
    create_string_buffer,
    get_errno,
)
from .core import bind, cstring, fail, retried
from .flags import quote

XATTR_CREATE = 1  # linux/xattr.h
_SIZE_MAX = 65536  # bytes of a value, linux/limits.h

_fgetxattr = bind("fgetxattr", c_long, c_int, c_char_p, c_void_p, c_size_t)
_lgetxattr = bind("lgetxattr", c_long, c_char_p, c_char_p, c_void_p, c_size_t)
_fsetxattr = bind("fsetxattr", c_int, c_int, c_char_p, c_char_p, c_size_t, c_int)
_fremovexattr = bind("fremovexattr", c_int, c_int, c_char_p)


def getxattr(file: str | int, name: str, *, most: int = _SIZE_MAX) -> bytes | None:
    """The value of an attribute of a file: by descriptor, or by path and of a link itself.

    None where there is no such attribute, or it is hidden from us (ENODATA).
    most: bytes that it has, as far as we know.

    Raises OSError with errno
        ERANGE  it has more;
        EOPNOTSUPP  the file system has none of that kind.

    Source: getxattr(2).
    """
    value = create_string_buffer(most)
    if isinstance(file, int):
        size = retried(_fgetxattr, file, cstring(name), value, most)
    else:
        size = retried(_lgetxattr, cstring(file), cstring(name), value, most)
    if size == -1:
        if get_errno() == errno.ENODATA:
            return None
        if isinstance(file, int):
            fail(f"fgetxattr({file}, {quote(name)})")
        fail(f"lgetxattr({quote(file)}, {quote(name)})", file)
    return bytes(value.raw[:size])


def fsetxattr(fd: int, name: str, value: bytes, flags: int = 0) -> None:
    """Set an attribute of an open file; flags: XATTR_CREATE, only where there is none yet.

    Raises OSError with errno
        EEXIST  there is one already, with XATTR_CREATE;
        ENOSPC, EDQUOT  no room for it;
        EOPNOTSUPP  the file system has none of that kind;
        EPERM   no right to set one of that kind.

    Source: setxattr(2).
    """
    if retried(_fsetxattr, fd, cstring(name), value, len(value), flags) == -1:
        words = "XATTR_CREATE" if flags == XATTR_CREATE else f"{flags:#x}"
        fail(f"fsetxattr({fd}, {quote(name)}, {quote(value)}, {len(value)}, {words})")


def fremovexattr(fd: int, name: str) -> None:
    """Remove an attribute of an open file, if there is one.

    Raises OSError as fsetxattr() does.
    Source: removexattr(2).
    """
    if retried(_fremovexattr, fd, cstring(name)) == -1 and get_errno() != errno.ENODATA:
        fail(f"fremovexattr({fd}, {quote(name)})")
