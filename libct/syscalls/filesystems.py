"""File systems: fsopen(2), fsconfig(2), fsmount(2) and fspick(2), which make and change
them; statfs(2).

Every descriptor made here is the caller's, and close-on-exec.
"""

from __future__ import annotations

import posix

from .c import (
    POINTER,
    Structure,
    byref,
    c_char_p,
    c_int,
    c_long,
    c_size_t,
    c_uint,
    c_uint64,
    get_errno,
    sizeof,
)
from .constants import (
    FSCONFIG_CMD_CREATE,
    FSCONFIG_CMD_RECONFIGURE,
    FSCONFIG_SET_FD,
    FSCONFIG_SET_FLAG,
    FSCONFIG_SET_STRING,
    FSMOUNT_CLOEXEC,
    FSOPEN_CLOEXEC,
    FSPICK_CLOEXEC,
)
from .core import WIDE, bind_syscall, cstring, fail, machine, number, retried
from .flags import FSPICK_NAMES, MOUNT_ATTR_NAMES, dirfd_name, fsconfig_name, names, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _optional(text: str | bytes | None) -> bytes | None:
    return None if text is None else cstring(text)


_NR_FSOPEN = number("fsopen")
_fsopen = bind_syscall(c_char_p, c_uint)


def fsopen(fstype: str) -> int:
    """Return a descriptor of a context to configure a new file system with.

    Raises OSError with errno
        ENODEV  the kernel does not know fstype;
        EPERM   no CAP_SYS_ADMIN;
        ENOSYS  hidden by a seccomp filter, or Linux before 5.2.

    Source: fsopen(2); fs/fsopen.c.
    """
    fd: int = _fsopen(_NR_FSOPEN, cstring(fstype), FSOPEN_CLOEXEC)
    if fd == -1:
        fail(f"fsopen({quote(fstype)}, FSOPEN_CLOEXEC)", since="5.2")
    return fd


_NR_FSPICK = number("fspick")
_fspick = bind_syscall(c_int, c_char_p, c_uint)


def fspick(dirfd: int, path: str | bytes, flags: int = 0) -> int:
    """Return a context to reconfigure (remount) the file system mounted at path.

    flags: FSPICK_SYMLINK_NOFOLLOW, FSPICK_NO_AUTOMOUNT, FSPICK_EMPTY_PATH.

    Raises OSError with errno
        EINVAL  path is not a mount point;
        EPERM   no CAP_SYS_ADMIN;
        ENOSYS  hidden by a seccomp filter, or Linux before 5.2.

    Source: fspick(2); fs/fsopen.c.
    """
    flags |= FSPICK_CLOEXEC
    fd: int = retried(_fspick, _NR_FSPICK, dirfd, cstring(path), flags)
    if fd == -1:
        text = f"{dirfd_name(dirfd)}, {quote(path)}, {names(flags, FSPICK_NAMES)}"
        fail(f"fspick({text})", path, since="5.2")
    return fd


_NR_FSCONFIG = number("fsconfig")
_fsconfig = bind_syscall(
    c_int,  # context
    c_uint,  # command
    c_char_p,  # key
    c_char_p,  # value
    c_int,  # auxiliary number
)


def fsconfig_set_flag(fd: int, key: str) -> None:
    """Set an option that has no value ("ro").  Errors: see fsconfig_create."""
    _configure(fd, FSCONFIG_SET_FLAG, key, None, 0)


def fsconfig_set_string(fd: int, key: str, value: str | bytes) -> None:
    """Set an option, at most 255 bytes ("source", "size").  Errors: see fsconfig_create."""
    _configure(fd, FSCONFIG_SET_STRING, key, value, 0)


def fsconfig_set_fd(fd: int, key: str, value: int) -> None:
    """Set an option that is a descriptor, borrowed.  Errors: see fsconfig_create."""
    _configure(fd, FSCONFIG_SET_FD, key, None, value)


def fsconfig_create(fd: int) -> None:
    """Make the file system that was configured, or find one that is the same.

    Raises OSError, its text with the messages that the kernel has for it, with errno
        EBUSY   it exists with other options, or the context has been used;
        EINVAL  an unknown option, or a bad value, or, for fsconfig_set_*, one
                that is too long;
        EOPNOTSUPP  this kind of value is none of this file system's;
        EINTR   a signal; to be tried again with another context;
        EPERM   fstype cannot be mounted from this user namespace, or an option
                needs more rights;
        and those of the file system's own.

    Source: fsconfig(2); fs/fsopen.c.
    """
    _configure(fd, FSCONFIG_CMD_CREATE, None, None, 0)


def fsconfig_reconfigure(fd: int) -> None:
    """Apply the options to the file system that fspick chose.  Errors: see fsconfig_create."""
    _configure(fd, FSCONFIG_CMD_RECONFIGURE, None, None, 0)


def _configure(
    fd: int, command: int, key: str | None, value: str | bytes | None, auxiliary: int
) -> None:
    values = _NR_FSCONFIG, fd, command, _optional(key), _optional(value), auxiliary
    if command in (FSCONFIG_CMD_CREATE, FSCONFIG_CMD_RECONFIGURE):
        # Not again after EINTR: a context that has failed once stays so, and says EBUSY.
        status = _fsconfig(*values)
    else:
        status = retried(_fsconfig, *values)
    if status == -1:
        code = get_errno()
        text = f"{fd}, {fsconfig_name(command)}, {quote(key)}, {quote(value)}, {auxiliary}"
        fail(f"fsconfig({text})", code=code, since="5.2", detail="; ".join(fs_messages(fd)))


_NR_FSMOUNT = number("fsmount")
_fsmount = bind_syscall(c_int, c_uint, c_uint)


def fsmount(fd: int, attrs: int = 0) -> int:
    """Return a detached mount of the file system that the context fd has made.

    fd: the context, still the caller's; it can give one mount only.
    attrs: MOUNT_ATTR_* of the mount.

    Raises OSError, its text with the messages that the kernel has for it, with errno
        EBUSY   the context has not made a file system yet, or a mount of it already;
        EINVAL  an unknown attribute;
        EPERM   no CAP_SYS_ADMIN; or, for proc and sysfs in a user namespace, no
                other instance is entirely visible (mount_namespaces(7)).

    Source: fsmount(2); fs/namespace.c, mount_too_revealing().
    """
    mounted: int = retried(_fsmount, _NR_FSMOUNT, fd, FSMOUNT_CLOEXEC, attrs)
    if mounted == -1:
        code = get_errno()
        text = f"fsmount({fd}, FSMOUNT_CLOEXEC, {names(attrs, MOUNT_ATTR_NAMES)})"
        fail(text, code=code, since="5.2", detail="; ".join(fs_messages(fd)))
    return mounted


_MESSAGES = 8  # that a context keeps; include/linux/fs_context.h, struct fc_log


def fs_messages(fd: int) -> list[str]:
    """Take the messages that a file system context has: errors, warnings, information.

    Each has a letter and a space before it (e, w, i), which are left out.
    """
    found: list[str] = []
    for _ in range(_MESSAGES):  # or fd may be another file, that has no end
        try:
            message = posix.read(fd, 4096)
        except OSError:
            break  # ENODATA after the last; whatever it is, it is not the caller's error
        if not message:
            break
        text = message.decode("utf-8", "backslashreplace").strip()
        found.append(text[2:] if text[1:2] == " " else text)
    return found


# Narrow on s390x too, and in statfs64(2) of the 32-bit machines.
_word: Any = c_long if WIDE and machine() != "s390x" else c_uint


class StatFS(Structure):
    """struct statfs (of 32-bit machines: statfs64), include/uapi/asm-generic/statfs.h.

    type: one of the *_MAGIC numbers.  flags: ST_* bits.  Sizes are in blocks of
    frsize bytes; files and ffree count inodes.
    """

    if not WIDE:
        _pack_ = 4
    _fields_ = (
        ("_type", _word),
        ("bsize", _word),
        ("blocks", c_uint64),
        ("bfree", c_uint64),
        ("bavail", c_uint64),
        ("files", c_uint64),
        ("ffree", c_uint64),
        ("fsid", c_int * 2),
        ("namelen", _word),
        ("frsize", _word),
        ("flags", _word),
        ("_spare", _word * 4),
    )

    @property
    def type(self) -> int:
        # The kernel sign-extends magic numbers on some machines.
        return int(self._type) & 0xFFFFFFFF


_NR_STATFS = number("statfs" if WIDE else "statfs64")
_NR_FSTATFS = number("fstatfs" if WIDE else "fstatfs64")
# The 64-bit calls of 32-bit machines take the structure's size in between.
_size = () if WIDE else (c_size_t,)
_size_value = () if WIDE else (sizeof(StatFS),)
_statfs = bind_syscall(c_char_p, *_size, POINTER(StatFS))
_fstatfs = bind_syscall(c_int, *_size, POINTER(StatFS))


def statfs(path: str | bytes) -> StatFS:
    """Describe the file system that path is on.

    Raises OSError with errno EACCES, ELOOP, ENOENT, ENOTDIR of the path.

    Source: statfs(2).
    """
    record = StatFS()
    if retried(_statfs, _NR_STATFS, cstring(path), *_size_value, byref(record)) == -1:
        fail(f"statfs({quote(path)})", path)
    return record


def fstatfs(fd: int) -> StatFS:
    """Describe the file system that the open file fd, O_PATH will do, is on.

    Raises OSError with errno EBADF.  Source: statfs(2).
    """
    record = StatFS()
    if retried(_fstatfs, _NR_FSTATFS, fd, *_size_value, byref(record)) == -1:
        fail(f"fstatfs({fd})")
    return record
