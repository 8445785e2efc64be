"""Descriptors and programs: openat2(2), close_range(2), execve(2), execveat(2)."""

from __future__ import annotations

import errno
import posix

from ..loading.paths import fsdecode
from .c import (
    POINTER,
    Structure,
    addressof,
    byref,
    c_char_p,
    c_int,
    c_size_t,
    c_uint,
    c_uint64,
    c_void_p,
    get_errno,
    sizeof,
)
from .constants import (
    AT_EMPTY_PATH as AT_EMPTY_PATH,
    AT_FDCWD as AT_FDCWD,
    AT_SYMLINK_NOFOLLOW as AT_SYMLINK_NOFOLLOW,
    CLOSE_RANGE_CLOEXEC as CLOSE_RANGE_CLOEXEC,
    CLOSE_RANGE_UNSHARE as CLOSE_RANGE_UNSHARE,
    RESOLVE_BENEATH as RESOLVE_BENEATH,
    RESOLVE_CACHED as RESOLVE_CACHED,
    RESOLVE_IN_ROOT as RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS as RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS as RESOLVE_NO_SYMLINKS,
    RESOLVE_NO_XDEV as RESOLVE_NO_XDEV,
)
from .core import bind, bind_syscall, cstring, fail, number, retried
from .flags import (
    AT_NAMES,
    CLOSE_RANGE_NAMES,
    RESOLVE_NAMES,
    dirfd_name,
    names,
    octal,
    open_names,
    quote,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

LAST_FD = 0xFFFFFFFF  # to the end of the table, for close_range

# 32-bit machines keep large files from programs that do not ask.  openat2(2)
# refuses flags that mean nothing together, this one with O_PATH among them.
_LARGE_FILE = getattr(posix, "O_LARGEFILE", 0)


class OpenHow(Structure):
    """struct open_how, include/uapi/linux/openat2.h."""

    _fields_ = (
        ("flags", c_uint64),
        ("mode", c_uint64),
        ("resolve", c_uint64),
    )


_NR_OPENAT2 = number("openat2")
_openat2 = bind_syscall(
    c_int,  # dirfd
    c_char_p,  # path
    POINTER(OpenHow),
    c_size_t,  # size of the structure, in bytes
)


def openat2(
    path: str | bytes,
    flags: int = posix.O_RDONLY,
    *,
    dirfd: int = AT_FDCWD,
    mode: int = 0,
    resolve: int = 0,
    missing_ok: bool = False,
) -> int:
    """Open path and return its descriptor, the caller's; O_CLOEXEC is added.

    path: relative to dirfd, which RESOLVE_IN_ROOT makes the root directory for
        this one resolution, of absolute paths, ".." and links.
    mode: the permissions of a file made by O_CREAT or O_TMPFILE; otherwise 0.
    resolve: RESOLVE_* bits.
    missing_ok: return -1 where there is nothing (ENOENT), which costs no
        exception and no text.

    Raises OSError with errno as open(2), and
        EAGAIN  with RESOLVE_IN_ROOT or RESOLVE_BENEATH, renames or mounts
                anywhere made it uncertain for some seconds where ".." leads;
        EINVAL  unknown flags, or some that exclude each other;
        ELOOP   a link, with RESOLVE_NO_SYMLINKS, or a magic one of /proc, with
                RESOLVE_NO_MAGICLINKS;
        EXDEV   the path leaves dirfd (RESOLVE_BENEATH) or crosses a mount point
                (RESOLVE_NO_XDEV); or a magic link leaves dirfd (RESOLVE_IN_ROOT);
        ENOSYS  hidden by a seccomp filter, or Linux before 5.6.

    Source: openat2(2).
    """
    flags |= posix.O_CLOEXEC
    how = OpenHow(flags if flags & posix.O_PATH else flags | _LARGE_FILE, mode, resolve)
    uncertain = bool(resolve & (RESOLVE_IN_ROOT | RESOLVE_BENEATH))
    fd: int = retried(
        _openat2,
        _NR_OPENAT2,
        dirfd,
        cstring(path),
        byref(how),
        sizeof(how),
        transient=uncertain,
    )
    if fd == -1:
        if missing_ok and get_errno() == errno.ENOENT:
            return -1
        how_text = f"flags={open_names(flags)}"
        if mode:
            how_text += f", mode={octal(mode)}"
        how_text += f", resolve={names(resolve, RESOLVE_NAMES)}"
        fail(f"openat2({dirfd_name(dirfd)}, {quote(path)}, {{{how_text}}})", path, since="5.6")
    return fd


_NR_CLOSE_RANGE = number("close_range")
_close_range = bind_syscall(c_uint, c_uint, c_uint)


def close_range(first: int, last: int = LAST_FD, flags: int = 0) -> None:
    """Close all descriptors from first to last, both included.

    flags: CLOSE_RANGE_CLOEXEC (Linux 5.11) makes them close-on-exec instead;
        CLOSE_RANGE_UNSHARE stops sharing the table with other threads before.

    Raises OSError with errno
        EINVAL  first is greater than last, or a flag is unknown;
        EMFILE  the copy of CLOSE_RANGE_UNSHARE exceeds RLIMIT_NOFILE;
        ENOSYS  hidden by a seccomp filter, or Linux before 5.9.

    Source: close_range(2).
    """
    if _close_range(_NR_CLOSE_RANGE, first, last, flags) == -1:
        to = "~0U" if last == LAST_FD else str(last)
        fail(f"close_range({first}, {to}, {names(flags, CLOSE_RANGE_NAMES)})", since="5.9")


def close_all_but(first: int, kept: Iterable[int]) -> None:
    """Close all descriptors from first on that are not to be kept."""
    for fd in sorted({fd for fd in kept if fd >= first}):
        if fd > first:
            close_range(first, fd - 1)
        first = fd + 1
    close_range(first)


_execve = bind("execve", c_int, c_char_p, c_void_p, c_void_p, locked=True)

# glibc wraps execveat since 2.34.
_NR_EXECVEAT = number("execveat")
_execveat = bind_syscall(
    c_int,  # dirfd
    c_char_p,  # path
    c_void_p,  # argv
    c_void_p,  # envp
    c_int,  # flags
    locked=True,
)


def _array(strings: Iterable[str | bytes]) -> Any:
    """A C array of strings with NULL after them; it keeps them alive."""
    encoded = [cstring(text) for text in strings]
    # Making a type costs more than all the rest; most arrays fit this one.
    kind = _SMALL_ARRAY if len(encoded) < _SMALL else c_char_p * (len(encoded) + 1)
    return kind(*encoded)


_SMALL = 64
_SMALL_ARRAY = c_char_p * _SMALL


class ExecArguments:
    """What execve(2) takes, laid out in memory beforehand.

    Made before the seccomp filter is loaded, so that the call itself needs no
    memory from the kernel: the filter may forbid brk(2) and mmap(2).

    path: passed on as it is; there is no search in PATH.
    args: args[0] is the program's name.  env: "NAME=value", in order.

    Raises ValueError on a NUL in one of the strings.
    """

    __slots__ = ("_argv", "_envp", "argv", "envp", "path")

    def __init__(
        self, path: str | bytes, args: Iterable[str | bytes], env: Iterable[str | bytes]
    ) -> None:
        self.path = cstring(path)
        self._argv, self._envp = _array(args), _array(env)
        self.argv = c_void_p(addressof(self._argv))
        self.envp = c_void_p(addressof(self._envp))


def execve(program: ExecArguments) -> None:
    """Become the program; return only by an exception.

    Raises OSError with errno
        E2BIG    arguments and environment together, or one string, are too long;
        EACCES   no right to execute, no regular file, or a noexec mount;
        EINVAL, ENOEXEC  no format that the kernel knows;
        ENOENT   no such file, or its interpreter is missing;
        ETXTBSY  open for writing.

    Source: execve(2).
    """
    _execve(program.path, program.argv, program.envp)
    fail(f"execve({quote(program.path)}, ...)", fsdecode(program.path))


def execveat(program: ExecArguments, dirfd: int, flags: int = 0) -> None:
    """Become the program at its path below dirfd; "" with AT_EMPTY_PATH is dirfd itself.

    A script cannot be run by a close-on-exec descriptor: its interpreter
    would find it closed, hence ENOENT.

    Raises OSError as execve, and ELOOP for a link with AT_SYMLINK_NOFOLLOW.

    Source: execveat(2).
    """
    _execveat(_NR_EXECVEAT, dirfd, program.path, program.argv, program.envp, flags)
    text = f"{dirfd_name(dirfd)}, {quote(program.path)}, ..., {names(flags, AT_NAMES)}"
    fail(f"execveat({text})", fsdecode(program.path) or None)
