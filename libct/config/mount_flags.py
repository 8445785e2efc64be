"""The numbers that mounts are described with: MS_* and MOUNT_ATTR_*, and one of ours."""

from __future__ import annotations

from ..syscalls.constants import (
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
    ST_NODEV,
    ST_NODIRATIME,
    ST_NOEXEC,
    ST_NOSUID,
    ST_NOSYMFOLLOW,
    ST_RDONLY,
)

# What belongs to one mount: the option and its contrary, and the bits of it in mount(2), in
# mount_setattr(2) and in statfs(2).
ATTRIBUTES = (
    ("ro", "rw", MS_RDONLY, MOUNT_ATTR_RDONLY, ST_RDONLY),
    ("nosuid", "suid", MS_NOSUID, MOUNT_ATTR_NOSUID, ST_NOSUID),
    ("nodev", "dev", MS_NODEV, MOUNT_ATTR_NODEV, ST_NODEV),
    ("noexec", "exec", MS_NOEXEC, MOUNT_ATTR_NOEXEC, ST_NOEXEC),
    ("nodiratime", "diratime", MS_NODIRATIME, MOUNT_ATTR_NODIRATIME, ST_NODIRATIME),
    ("nosymfollow", "symfollow", MS_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW, ST_NOSYMFOLLOW),
)

# What no flag of the kernel says (Mount.extensions): fill a tmpfs with what was below; and of
# bind mounts: make a link like the one that is the source, mount the source itself
# though it is a link, mount on the destination itself though it is one.
EXT_COPYUP = 1
EXT_COPY_SYMLINK = 2
EXT_SRC_NOFOLLOW = 4
EXT_DEST_NOFOLLOW = 8
EXT_LINKS = EXT_COPY_SYMLINK | EXT_SRC_NOFOLLOW | EXT_DEST_NOFOLLOW

MS_PROPAGATION = MS_UNBINDABLE | MS_PRIVATE | MS_SLAVE | MS_SHARED
