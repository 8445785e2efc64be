"""Mounts: mount(2) and umount2(2), pivot_root(2), the calls by descriptor
(open_tree, move_mount, mount_setattr).  File systems are in filesystems.py.

Every descriptor made here is the caller's, and close-on-exec.
"""

from __future__ import annotations

import errno
import posix

from ..loading.paths import fsencode
from .c import (
    POINTER,
    Structure,
    byref,
    c_char_p,
    c_int,
    c_size_t,
    c_uint,
    c_uint64,
    c_ulong,
    set_errno,
    sizeof,
)
from .constants import (
    AT_FDCWD,
    OPEN_TREE_CLOEXEC,
)
from .core import bind, bind_syscall, cstring, fail, number, retried
from .flags import (
    AT_NAMES,
    MOUNT_ATTR_NAMES,
    MOUNT_NAMES,
    MOVE_MOUNT_NAMES,
    OPEN_TREE_NAMES,
    UMOUNT_NAMES,
    dirfd_name,
    names,
    quote,
)


def _optional(text: str | bytes | None) -> bytes | None:
    return None if text is None else cstring(text)


_mount = bind(
    "mount",
    c_int,  # returns
    c_char_p,  # source
    c_char_p,  # target
    c_char_p,  # file system type
    c_ulong,  # flags
    c_char_p,  # data
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
    if data is not None and len(fsencode(data)) >= posix.sysconf("SC_PAGE_SIZE"):
        set_errno(errno.E2BIG)
        status = -1
    else:
        status = retried(
            _mount, _optional(source), cstring(target), _optional(fstype), flags, _optional(data)
        )
    if status == -1:
        text = f"{quote(source)}, {quote(target)}, {quote(fstype)}, {names(flags, MOUNT_NAMES)}"
        fail(f"mount({text}, {quote(data)})", target)


_umount2 = bind("umount2", c_int, c_char_p, c_int)


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
    if retried(_umount2, cstring(target), flags) == -1:
        fail(f"umount2({quote(target)}, {names(flags, UMOUNT_NAMES)})", target)


# glibc has no wrapper; musl neither.
_NR_PIVOT_ROOT = number("pivot_root")
_pivot_root = bind_syscall(c_char_p, c_char_p)


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
    if retried(_pivot_root, _NR_PIVOT_ROOT, cstring(new_root), cstring(put_old)) == -1:
        fail(f"pivot_root({quote(new_root)}, {quote(put_old)})", new_root)


# The calls of Linux 5.2: glibc wraps them since 2.36 and musl does not.
_NR_OPEN_TREE = number("open_tree")
_open_tree = bind_syscall(c_int, c_char_p, c_uint)


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
    fd: int = retried(_open_tree, _NR_OPEN_TREE, dirfd, cstring(path), flags)
    if fd == -1:
        text = f"{dirfd_name(dirfd)}, {quote(path)}, {names(flags, OPEN_TREE_NAMES)}"
        fail(f"open_tree({text})", path, since="5.2")
    return fd


_NR_MOVE_MOUNT = number("move_mount")
_move_mount = bind_syscall(c_int, c_char_p, c_int, c_char_p, c_uint)


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
    status = retried(
        _move_mount,
        _NR_MOVE_MOUNT,
        from_dirfd,
        cstring(from_path),
        to_dirfd,
        cstring(to_path),
        flags,
    )
    if status == -1:
        text = (
            f"{dirfd_name(from_dirfd)}, {quote(from_path)}, "
            f"{dirfd_name(to_dirfd)}, {quote(to_path)}, {names(flags, MOVE_MOUNT_NAMES)}"
        )
        fail(f"move_mount({text})", to_path or None, since="5.2")


class MountAttr(Structure):
    """struct mount_attr, include/uapi/linux/mount.h."""

    _fields_ = (
        ("attr_set", c_uint64),
        ("attr_clr", c_uint64),
        ("propagation", c_uint64),
        ("userns_fd", c_uint64),
    )


_NR_MOUNT_SETATTR = number("mount_setattr")
_mount_setattr = bind_syscall(
    c_int,  # dirfd
    c_char_p,  # path
    c_uint,  # flags
    POINTER(MountAttr),
    c_size_t,  # size of the structure, in bytes
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
    status = retried(
        _mount_setattr, _NR_MOUNT_SETATTR, dirfd, cstring(path), flags, byref(attr), sizeof(attr)
    )
    if status == -1:
        text = (
            f"{dirfd_name(dirfd)}, {quote(path)}, {names(flags, AT_NAMES)}, "
            f"{{attr_set={names(attr_set, MOUNT_ATTR_NAMES)}, "
            f"attr_clr={names(attr_clr, MOUNT_ATTR_NAMES)}, "
            f"propagation={names(propagation, MOUNT_NAMES)}, userns_fd={userns_fd}}}"
        )
        fail(f"mount_setattr({text})", path or None, since="5.12")
