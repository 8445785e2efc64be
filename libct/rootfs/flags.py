"""What mount(2)'s flags mean to the mount calls of Linux 5.2: attributes, and options.

No system calls: planning needs it, and performing does too.
"""

from __future__ import annotations

from ..config.mount_flags import (
    ATTRIBUTES,
    MOUNT_ATTR__ATIME,
    MOUNT_ATTR_NOATIME,
    MOUNT_ATTR_NODIRATIME,
    MOUNT_ATTR_STRICTATIME,
    MS_BIND,
    MS_DIRSYNC,
    MS_I_VERSION,
    MS_LAZYTIME,
    MS_MANDLOCK,
    MS_NOATIME,
    MS_NODIRATIME,
    MS_POSIXACL,
    MS_RDONLY,
    MS_REC,
    MS_RELATIME,
    MS_REMOUNT,
    MS_STRICTATIME,
    MS_SYNCHRONOUS,
)
from ..loading.paths import fsencode

TYPE_CHECKING = False
if TYPE_CHECKING:
    Options = tuple[tuple[str, "str | None"], ...]

_ATIME = MS_NOATIME | MS_STRICTATIME | MS_RELATIME
# What is one to a lock (mount_namespaces(7)).
ATIME = MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME

# Flags that say what a mount(2) is for, and nothing of the mount.
_KIND = MS_BIND | MS_REC | MS_REMOUNT

# Those that belong to the file system, as fsconfig(2) names them.
_SUPERBLOCK = (
    (MS_RDONLY, "ro"),
    (MS_SYNCHRONOUS, "sync"),
    (MS_DIRSYNC, "dirsync"),
    (MS_MANDLOCK, "mand"),
    (MS_LAZYTIME, "lazytime"),
)
_LONGEST_VALUE = 255  # bytes; fsconfig(2), FSCONFIG_SET_STRING


def attributes(flags: int, cleared: int = 0) -> tuple[int, int]:
    """(attr_set, attr_clr) of mount_setattr(2) for MS_* bits to set and to clear.

    Access time is a value and not a bit: whatever names it clears the field.
    """
    attr_set = attr_clr = 0
    for _, _, flag, attribute, _ in ATTRIBUTES:
        if flags & flag:
            attr_set |= attribute
        elif cleared & flag:
            attr_clr |= attribute
    if (flags | cleared) & _ATIME:
        attr_clr |= MOUNT_ATTR__ATIME
    if flags & MS_STRICTATIME:  # which wins over noatime with mount(2)
        attr_set |= MOUNT_ATTR_STRICTATIME
    elif flags & MS_NOATIME:
        attr_set |= MOUNT_ATTR_NOATIME
    return attr_set, attr_clr


def named_attributes(flags: int, cleared: int) -> tuple[int, int, int]:
    """(attr_set, attr_clr, asked) for a mount that has its attributes from elsewhere: a bind.

    With MS_REMOUNT, as runc has it, a mount has those that are named and no others;
    and keeps what it has where nothing is named.  Access times stay unless named.
    asked: of what changes, that which is named, be it to be off.
    """
    attr_set, attr_clr = attributes(flags, cleared)
    asked = attr_clr | attr_set & MOUNT_ATTR_NODIRATIME
    if flags & ~_KIND or cleared:
        for _, _, _, attribute, _ in ATTRIBUTES:
            if not attribute & (attr_set | ATIME):
                attr_clr |= attribute
        if flags & (_ATIME | MS_NODIRATIME):
            attr_clr |= ATIME & ~(attr_set & MOUNT_ATTR_NODIRATIME)
    return attr_set, attr_clr, asked


def superblock_options(flags: int) -> Options:
    """The options for those of the MS_* flags that belong to a file system."""
    return tuple((key, None) for flag, key in _SUPERBLOCK if flags & flag)


def takes_mount(options: Options, flags: int) -> bool:
    """Does it take mount(2), as fsconfig(2) has no iversion and acl, and a limit of 255 bytes?

    The many layers of an overlay exceed that easily.  And before Linux 6.5 fsconfig(2) refuses
    a comma in its paths, which mount(2) takes with a backslash before it
    (legacy_parse_param() in fs/fs_context.c).
    """
    values = [value for _, value in options if value]
    longest = max(map(len, map(fsencode, values)), default=0)
    escaped = any("\\," in value for value in values)
    return escaped or longest > _LONGEST_VALUE or bool(flags & (MS_I_VERSION | MS_POSIXACL))
