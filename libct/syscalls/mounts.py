"""Mounts: mount(2) and umount2(2), pivot_root(2), the calls by descriptor
(open_tree, move_mount, mount_setattr, fsopen and what goes with it), statfs(2).

Every descriptor made here is the caller's, and close-on-exec.
"""

from __future__ import annotations

import ctypes
import errno
import os

from .constants import (
    ANON_INODE_FS_MAGIC as ANON_INODE_FS_MAGIC,
    AT_EMPTY_PATH as AT_EMPTY_PATH,
    AT_FDCWD as AT_FDCWD,
    AT_NO_AUTOMOUNT as AT_NO_AUTOMOUNT,
    AT_RECURSIVE as AT_RECURSIVE,
    AT_REMOVEDIR as AT_REMOVEDIR,
    AT_SYMLINK_FOLLOW as AT_SYMLINK_FOLLOW,
    AT_SYMLINK_NOFOLLOW as AT_SYMLINK_NOFOLLOW,
    BPF_FS_MAGIC as BPF_FS_MAGIC,
    BTRFS_SUPER_MAGIC as BTRFS_SUPER_MAGIC,
    CGROUP2_SUPER_MAGIC as CGROUP2_SUPER_MAGIC,
    CGROUP_SUPER_MAGIC as CGROUP_SUPER_MAGIC,
    DEVPTS_SUPER_MAGIC as DEVPTS_SUPER_MAGIC,
    EXT4_SUPER_MAGIC as EXT4_SUPER_MAGIC,
    FSCONFIG_CMD_CREATE as FSCONFIG_CMD_CREATE,
    FSCONFIG_CMD_RECONFIGURE as FSCONFIG_CMD_RECONFIGURE,
    FSCONFIG_SET_BINARY as FSCONFIG_SET_BINARY,
    FSCONFIG_SET_FD as FSCONFIG_SET_FD,
    FSCONFIG_SET_FLAG as FSCONFIG_SET_FLAG,
    FSCONFIG_SET_PATH as FSCONFIG_SET_PATH,
    FSCONFIG_SET_PATH_EMPTY as FSCONFIG_SET_PATH_EMPTY,
    FSCONFIG_SET_STRING as FSCONFIG_SET_STRING,
    FSMOUNT_CLOEXEC as FSMOUNT_CLOEXEC,
    FSOPEN_CLOEXEC as FSOPEN_CLOEXEC,
    FSPICK_CLOEXEC as FSPICK_CLOEXEC,
    FSPICK_EMPTY_PATH as FSPICK_EMPTY_PATH,
    FSPICK_NO_AUTOMOUNT as FSPICK_NO_AUTOMOUNT,
    FSPICK_SYMLINK_NOFOLLOW as FSPICK_SYMLINK_NOFOLLOW,
    FUSE_SUPER_MAGIC as FUSE_SUPER_MAGIC,
    MNT_DETACH as MNT_DETACH,
    MNT_EXPIRE as MNT_EXPIRE,
    MNT_FORCE as MNT_FORCE,
    MOUNT_ATTR__ATIME as MOUNT_ATTR__ATIME,
    MOUNT_ATTR_IDMAP as MOUNT_ATTR_IDMAP,
    MOUNT_ATTR_NOATIME as MOUNT_ATTR_NOATIME,
    MOUNT_ATTR_NODEV as MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NODIRATIME as MOUNT_ATTR_NODIRATIME,
    MOUNT_ATTR_NOEXEC as MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID as MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_NOSYMFOLLOW as MOUNT_ATTR_NOSYMFOLLOW,
    MOUNT_ATTR_RDONLY as MOUNT_ATTR_RDONLY,
    MOUNT_ATTR_RELATIME as MOUNT_ATTR_RELATIME,
    MOUNT_ATTR_STRICTATIME as MOUNT_ATTR_STRICTATIME,
    MOVE_MOUNT_BENEATH as MOVE_MOUNT_BENEATH,
    MOVE_MOUNT_F_AUTOMOUNTS as MOVE_MOUNT_F_AUTOMOUNTS,
    MOVE_MOUNT_F_EMPTY_PATH as MOVE_MOUNT_F_EMPTY_PATH,
    MOVE_MOUNT_F_SYMLINKS as MOVE_MOUNT_F_SYMLINKS,
    MOVE_MOUNT_SET_GROUP as MOVE_MOUNT_SET_GROUP,
    MOVE_MOUNT_T_AUTOMOUNTS as MOVE_MOUNT_T_AUTOMOUNTS,
    MOVE_MOUNT_T_EMPTY_PATH as MOVE_MOUNT_T_EMPTY_PATH,
    MOVE_MOUNT_T_SYMLINKS as MOVE_MOUNT_T_SYMLINKS,
    MQUEUE_MAGIC as MQUEUE_MAGIC,
    MS_BIND as MS_BIND,
    MS_DIRSYNC as MS_DIRSYNC,
    MS_I_VERSION as MS_I_VERSION,
    MS_LAZYTIME as MS_LAZYTIME,
    MS_MANDLOCK as MS_MANDLOCK,
    MS_MOVE as MS_MOVE,
    MS_NOATIME as MS_NOATIME,
    MS_NODEV as MS_NODEV,
    MS_NODIRATIME as MS_NODIRATIME,
    MS_NOEXEC as MS_NOEXEC,
    MS_NOSUID as MS_NOSUID,
    MS_NOSYMFOLLOW as MS_NOSYMFOLLOW,
    MS_POSIXACL as MS_POSIXACL,
    MS_PRIVATE as MS_PRIVATE,
    MS_RDONLY as MS_RDONLY,
    MS_REC as MS_REC,
    MS_RELATIME as MS_RELATIME,
    MS_REMOUNT as MS_REMOUNT,
    MS_SHARED as MS_SHARED,
    MS_SILENT as MS_SILENT,
    MS_SLAVE as MS_SLAVE,
    MS_STRICTATIME as MS_STRICTATIME,
    MS_SYNCHRONOUS as MS_SYNCHRONOUS,
    MS_UNBINDABLE as MS_UNBINDABLE,
    NFS_SUPER_MAGIC as NFS_SUPER_MAGIC,
    NSFS_MAGIC as NSFS_MAGIC,
    OPEN_TREE_CLOEXEC as OPEN_TREE_CLOEXEC,
    OPEN_TREE_CLONE as OPEN_TREE_CLONE,
    OVERLAYFS_SUPER_MAGIC as OVERLAYFS_SUPER_MAGIC,
    PID_FS_MAGIC as PID_FS_MAGIC,
    PROC_SUPER_MAGIC as PROC_SUPER_MAGIC,
    RAMFS_MAGIC as RAMFS_MAGIC,
    RDTGROUP_SUPER_MAGIC as RDTGROUP_SUPER_MAGIC,
    SECURITYFS_MAGIC as SECURITYFS_MAGIC,
    SELINUX_MAGIC as SELINUX_MAGIC,
    ST_MANDLOCK as ST_MANDLOCK,
    ST_NOATIME as ST_NOATIME,
    ST_NODEV as ST_NODEV,
    ST_NODIRATIME as ST_NODIRATIME,
    ST_NOEXEC as ST_NOEXEC,
    ST_NOSUID as ST_NOSUID,
    ST_NOSYMFOLLOW as ST_NOSYMFOLLOW,
    ST_RDONLY as ST_RDONLY,
    ST_RELATIME as ST_RELATIME,
    ST_SYNCHRONOUS as ST_SYNCHRONOUS,
    SYSFS_MAGIC as SYSFS_MAGIC,
    TMPFS_MAGIC as TMPFS_MAGIC,
    UMOUNT_NOFOLLOW as UMOUNT_NOFOLLOW,
    XFS_SUPER_MAGIC as XFS_SUPER_MAGIC,
)
from .core import WIDE, bind, bind_syscall, cstring, fail, machine, number
from .flags import (
    AT_NAMES,
    FSPICK_NAMES,
    MOUNT_ATTR_NAMES,
    MOUNT_NAMES,
    MOVE_MOUNT_NAMES,
    OPEN_TREE_NAMES,
    UMOUNT_NAMES,
    dirfd_name,
    fsconfig_name,
    names,
    quote,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _optional(text: str | bytes | None) -> bytes | None:
    return None if text is None else cstring(text)


_mount = bind(
    "mount",
    ctypes.c_int,  # returns
    ctypes.c_char_p,  # source
    ctypes.c_char_p,  # target
    ctypes.c_char_p,  # file system type
    ctypes.c_ulong,  # flags
    ctypes.c_char_p,  # data
)


def mount(
    source: str | bytes | None,
    target: str | bytes,
    fstype: str | None = None,
    flags: int = 0,
    data: str | bytes | None = None,
) -> None:
    """Attach a file system, or a bind of source, at target; or change what is there.

    flags: MS_*.  MS_REMOUNT, MS_BIND, a propagation (MS_SHARED, MS_PRIVATE,
        MS_SLAVE, MS_UNBINDABLE) and MS_MOVE choose, in this order of precedence,
        what the call does; source, fstype and data matter to some of them only.
        MS_BIND without MS_REMOUNT ignores all attributes.
    data: options separated by commas, less than a page; the kernel would cut
        off the rest, so longer ones fail here with E2BIG.

    Raises OSError with errno
        EACCES  a component of a path cannot be searched; the device is
                read-only or, by MS_NODEV, out of use;
        EBUSY   source is mounted already, or files are open for writing;
        EINVAL  a bad superblock or option; target is not a mount point (remount,
                propagation); source is in an unbindable mount, or of another
                mount namespace;
        ELOOP   too many links, or a move below itself;
        ENODEV  the kernel does not know fstype;
        ENOSPC  /proc/sys/fs/mount-max, for this mount namespace;
        EPERM   no CAP_SYS_ADMIN; or a flag is locked (mount_namespaces(7)); or
                fstype cannot be mounted from this user namespace.

    Source: mount(2).
    """
    if data is not None and len(os.fsencode(data)) >= os.sysconf("SC_PAGE_SIZE"):
        ctypes.set_errno(errno.E2BIG)
        status = -1
    else:
        status = _mount(
            _optional(source), cstring(target), _optional(fstype), flags, _optional(data)
        )
    if status == -1:
        text = f"{quote(source)}, {quote(target)}, {quote(fstype)}, {names(flags, MOUNT_NAMES)}"
        fail(f"mount({text}, {quote(data)})", target)


_umount2 = bind("umount2", ctypes.c_int, ctypes.c_char_p, ctypes.c_int)


def umount2(target: str | bytes, flags: int = 0) -> None:
    """Detach the topmost mount at target.

    flags: MNT_DETACH does so at once, and the rest when nobody uses it any
        more; UMOUNT_NOFOLLOW does not follow target if it is a link; MNT_FORCE;
        MNT_EXPIRE.

    Raises OSError with errno
        EBUSY   in use: open files, working directories, or mounts below;
        EINVAL  not a mount point, or locked: it came, with others, from a more
                privileged mount namespace;
        EPERM   no CAP_SYS_ADMIN.

    Source: umount(2).
    """
    if _umount2(cstring(target), flags) == -1:
        fail(f"umount2({quote(target)}, {names(flags, UMOUNT_NAMES)})", target)


# glibc has no wrapper; musl neither.
_NR_PIVOT_ROOT = number("pivot_root")
_pivot_root = bind_syscall(ctypes.c_char_p, ctypes.c_char_p)


def pivot_root(new_root: str | bytes, put_old: str | bytes) -> None:
    """Make new_root the root mount of this mount namespace; the old one moves to put_old.

    With both "." and the working directory the new root, the old root ends up
    mounted over the new one, from where umount2(".", MNT_DETACH) takes it.

    Raises OSError with errno
        EBUSY   new_root or put_old is on the current root mount;
        EINVAL  new_root is no mount point; put_old is not at or below it; one of
                new_root's parent mount, the root mount and its parent has the
                propagation MS_SHARED; or the current root is no mount point (a
                chroot), or the initial ramfs;
        ENOTDIR one of them is no directory;
        EPERM   no CAP_SYS_ADMIN.

    Source: pivot_root(2), NOTES.
    """
    if _pivot_root(_NR_PIVOT_ROOT, cstring(new_root), cstring(put_old)) == -1:
        fail(f"pivot_root({quote(new_root)}, {quote(put_old)})", new_root)


# The calls of Linux 5.2: glibc wraps them since 2.36 and musl does not.
_NR_OPEN_TREE = number("open_tree")
_open_tree = bind_syscall(ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)


def open_tree(dirfd: int, path: str | bytes, flags: int = 0) -> int:
    """Return a descriptor of the mount at path, or of a detached copy of it.

    path: relative to dirfd, links followed; "" with AT_EMPTY_PATH is dirfd itself.
    flags: OPEN_TREE_CLONE makes the copy, a bind mount that is nowhere attached
        and goes with the last descriptor; AT_RECURSIVE takes the mounts below
        too; AT_SYMLINK_NOFOLLOW; AT_NO_AUTOMOUNT.

    Raises OSError with errno
        EINVAL  an unknown flag; AT_RECURSIVE without OPEN_TREE_CLONE; or the
                mount is unbindable, or not of this mount namespace;
        EPERM   OPEN_TREE_CLONE without CAP_SYS_ADMIN;
        ENOSYS  hidden by a seccomp filter, or Linux before 5.2.

    Source: open_tree(2); fs/namespace.c.
    """
    flags |= OPEN_TREE_CLOEXEC
    fd: int = _open_tree(_NR_OPEN_TREE, dirfd, cstring(path), flags)
    if fd == -1:
        text = f"{dirfd_name(dirfd)}, {quote(path)}, {names(flags, OPEN_TREE_NAMES)}"
        fail(f"open_tree({text})", path, since="5.2")
    return fd


_NR_MOVE_MOUNT = number("move_mount")
_move_mount = bind_syscall(
    ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint
)


def move_mount(
    from_dirfd: int,
    from_path: str | bytes,
    to_dirfd: int,
    to_path: str | bytes,
    flags: int = 0,
) -> None:
    """Attach a detached mount, or move an attached one, to another place.

    Paths are relative to their descriptor; "" needs MOVE_MOUNT_F_EMPTY_PATH
    or MOVE_MOUNT_T_EMPTY_PATH and is the descriptor itself.  Links are followed
    only with MOVE_MOUNT_F_SYMLINKS or MOVE_MOUNT_T_SYMLINKS.

    Raises OSError with errno
        EINVAL  an unknown flag; from is no mount point, or of another mount
                namespace, or its parent is shared; to is a directory and from
                is not, or conversely ENOTDIR;
        ELOOP   to is below from;
        EPERM   no CAP_SYS_ADMIN;
        ENOSYS  hidden by a seccomp filter, or Linux before 5.2.

    Source: move_mount(2); fs/namespace.c.
    """
    status = _move_mount(
        _NR_MOVE_MOUNT, from_dirfd, cstring(from_path), to_dirfd, cstring(to_path), flags
    )
    if status == -1:
        text = (
            f"{dirfd_name(from_dirfd)}, {quote(from_path)}, "
            f"{dirfd_name(to_dirfd)}, {quote(to_path)}, {names(flags, MOVE_MOUNT_NAMES)}"
        )
        fail(f"move_mount({text})", to_path or None, since="5.2")


class MountAttr(ctypes.Structure):
    """struct mount_attr, include/uapi/linux/mount.h."""

    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


_NR_MOUNT_SETATTR = number("mount_setattr")
_mount_setattr = bind_syscall(
    ctypes.c_int,  # dirfd
    ctypes.c_char_p,  # path
    ctypes.c_uint,  # flags
    ctypes.POINTER(MountAttr),
    ctypes.c_size_t,  # size of the structure, in bytes
)


def mount_setattr(
    path: str | bytes,
    *,
    dirfd: int = AT_FDCWD,
    flags: int = 0,
    attr_set: int = 0,
    attr_clr: int = 0,
    propagation: int = 0,
    userns_fd: int = 0,
) -> None:
    """Change the attributes of one mount, or of a whole tree of mounts.

    path: a mount point, relative to dirfd; "" with AT_EMPTY_PATH is dirfd itself.
    flags: AT_* bits.  With AT_RECURSIVE every mount below path changes too;
        if one of them cannot, none does.
    attr_set, attr_clr: MOUNT_ATTR_* bits to turn on and to turn off.  Access
        time is a value and not a bit: clear MOUNT_ATTR__ATIME to set another.
    propagation: one of MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE; 0 keeps it.
    userns_fd: with MOUNT_ATTR_IDMAP, a descriptor of the user namespace whose
        mappings the mount is to have; borrowed.

    Raises OSError with errno
        EBUSY   read-only was asked for while a file is open for writing;
        EINVAL  path is not a mount point, or a bit is unknown; for an id mapping
                also: the mount is attached, or its file system cannot;
        EPERM   no CAP_SYS_ADMIN, or attr_clr names a locked flag; for an id
                mapping also: the mount has one, or the user namespace is the
                initial one;
        ENOSYS  the kernel is older than 5.12.

    Source: mount_setattr(2).
    """
    attr = MountAttr(attr_set, attr_clr, propagation, userns_fd)
    status = _mount_setattr(
        _NR_MOUNT_SETATTR, dirfd, cstring(path), flags, ctypes.byref(attr), ctypes.sizeof(attr)
    )
    if status == -1:
        text = (
            f"{dirfd_name(dirfd)}, {quote(path)}, {names(flags, AT_NAMES)}, "
            f"{{attr_set={names(attr_set, MOUNT_ATTR_NAMES)}, "
            f"attr_clr={names(attr_clr, MOUNT_ATTR_NAMES)}, "
            f"propagation={names(propagation, MOUNT_NAMES)}, userns_fd={userns_fd}}}"
        )
        fail(f"mount_setattr({text})", path or None, since="5.12")


_NR_FSOPEN = number("fsopen")
_fsopen = bind_syscall(ctypes.c_char_p, ctypes.c_uint)


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
_fspick = bind_syscall(ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)


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
    fd: int = _fspick(_NR_FSPICK, dirfd, cstring(path), flags)
    if fd == -1:
        text = f"{dirfd_name(dirfd)}, {quote(path)}, {names(flags, FSPICK_NAMES)}"
        fail(f"fspick({text})", path, since="5.2")
    return fd


_NR_FSCONFIG = number("fsconfig")
_fsconfig = bind_syscall(
    ctypes.c_int,  # context
    ctypes.c_uint,  # command
    ctypes.c_char_p,  # key
    ctypes.c_char_p,  # value
    ctypes.c_int,  # auxiliary number
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
    status = _fsconfig(_NR_FSCONFIG, fd, command, _optional(key), _optional(value), auxiliary)
    if status == -1:
        code = ctypes.get_errno()
        text = f"{fd}, {fsconfig_name(command)}, {quote(key)}, {quote(value)}, {auxiliary}"
        fail(f"fsconfig({text})", code=code, since="5.2", detail="; ".join(fs_messages(fd)))


_NR_FSMOUNT = number("fsmount")
_fsmount = bind_syscall(ctypes.c_int, ctypes.c_uint, ctypes.c_uint)


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
    mounted: int = _fsmount(_NR_FSMOUNT, fd, FSMOUNT_CLOEXEC, attrs)
    if mounted == -1:
        code = ctypes.get_errno()
        text = f"fsmount({fd}, FSMOUNT_CLOEXEC, {names(attrs, MOUNT_ATTR_NAMES)})"
        fail(text, code=code, since="5.2", detail="; ".join(fs_messages(fd)))
    return mounted


def fs_messages(fd: int) -> list[str]:
    """Take the messages that a file system context has: errors, warnings, information.

    Each has a letter and a space before it (e, w, i), which are left out.
    """
    found: list[str] = []
    while True:
        try:
            message = os.read(fd, 4096)
        except OSError:
            return found  # ENODATA after the last; whatever it is, it is not the caller's error
        if not message:
            return found
        text = message.decode("utf-8", "backslashreplace").strip()
        found.append(text[2:] if text[1:2] == " " else text)


# Narrow on s390x too, and in statfs64(2) of the 32-bit machines.
_word: Any = ctypes.c_long if WIDE and machine() != "s390x" else ctypes.c_uint


class StatFS(ctypes.Structure):
    """struct statfs (of 32-bit machines: statfs64), include/uapi/asm-generic/statfs.h.

    type: one of the *_MAGIC numbers.  flags: ST_* bits.  Sizes are in blocks of
    frsize bytes; files and ffree count inodes.
    """

    if not WIDE:
        _pack_ = 4
    _fields_ = (
        ("_type", _word),
        ("bsize", _word),
        ("blocks", ctypes.c_uint64),
        ("bfree", ctypes.c_uint64),
        ("bavail", ctypes.c_uint64),
        ("files", ctypes.c_uint64),
        ("ffree", ctypes.c_uint64),
        ("fsid", ctypes.c_int * 2),
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
_size = () if WIDE else (ctypes.c_size_t,)
_size_value = () if WIDE else (ctypes.sizeof(StatFS),)
_statfs = bind_syscall(ctypes.c_char_p, *_size, ctypes.POINTER(StatFS))
_fstatfs = bind_syscall(ctypes.c_int, *_size, ctypes.POINTER(StatFS))


def statfs(path: str | bytes) -> StatFS:
    """Describe the file system that path is on.

    Raises OSError with errno EACCES, ELOOP, ENOENT, ENOTDIR of the path.

    Source: statfs(2).
    """
    record = StatFS()
    if _statfs(_NR_STATFS, cstring(path), *_size_value, ctypes.byref(record)) == -1:
        fail(f"statfs({quote(path)})", path)
    return record


def fstatfs(fd: int) -> StatFS:
    """Describe the file system that the open file fd, O_PATH will do, is on.

    Raises OSError with errno EBADF.  Source: statfs(2).
    """
    record = StatFS()
    if _fstatfs(_NR_FSTATFS, fd, *_size_value, ctypes.byref(record)) == -1:
        fail(f"fstatfs({fd})")
    return record
