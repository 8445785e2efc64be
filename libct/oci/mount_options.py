"""Options of mounts, to the fields of a Mount and back (config.md, Linux mount options)."""

from __future__ import annotations

from ..config.mount import Mount, MountIDMapping, RecAttr
from ..config.mount_flags import (
    ATTRIBUTES,
    EXT_COPY_SYMLINK,
    EXT_COPYUP,
    EXT_DEST_NOFOLLOW,
    EXT_SRC_NOFOLLOW,
    MOUNT_ATTR__ATIME,
    MOUNT_ATTR_NOATIME,
    MOUNT_ATTR_RELATIME,
    MOUNT_ATTR_STRICTATIME,
    MS_BIND,
    MS_DIRSYNC,
    MS_I_VERSION,
    MS_LAZYTIME,
    MS_MANDLOCK,
    MS_NOATIME,
    MS_POSIXACL,
    MS_PRIVATE,
    MS_REC,
    MS_RELATIME,
    MS_REMOUNT,
    MS_SHARED,
    MS_SILENT,
    MS_SLAVE,
    MS_STRICTATIME,
    MS_SYNCHRONOUS,
    MS_UNBINDABLE,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

SET_FLAGS = {
    **{option: flag for option, _, flag, _, _ in ATTRIBUTES},
    "acl": MS_POSIXACL,
    "bind": MS_BIND,
    "defaults": 0,
    "dirsync": MS_DIRSYNC,
    "iversion": MS_I_VERSION,
    "lazytime": MS_LAZYTIME,
    "mand": MS_MANDLOCK,
    "noatime": MS_NOATIME,
    "rbind": MS_BIND | MS_REC,
    "relatime": MS_RELATIME,
    "remount": MS_REMOUNT,
    "silent": MS_SILENT,
    "strictatime": MS_STRICTATIME,
    "sync": MS_SYNCHRONOUS,
}

CLEARED_FLAGS = {
    **{option: flag for _, option, flag, _, _ in ATTRIBUTES},
    "async": MS_SYNCHRONOUS,
    "atime": MS_NOATIME,
    "loud": MS_SILENT,
    "noacl": MS_POSIXACL,
    "noiversion": MS_I_VERSION,
    "nolazytime": MS_LAZYTIME,
    "nomand": MS_MANDLOCK,
    "norelatime": MS_RELATIME,
    "nostrictatime": MS_STRICTATIME,
}

PROPAGATION = {
    "private": MS_PRIVATE,
    "rprivate": MS_PRIVATE | MS_REC,
    "shared": MS_SHARED,
    "rshared": MS_SHARED | MS_REC,
    "slave": MS_SLAVE,
    "rslave": MS_SLAVE | MS_REC,
    "unbindable": MS_UNBINDABLE,
    "runbindable": MS_UNBINDABLE | MS_REC,
}

# For the whole tree, with mount_setattr(2): option -> (MOUNT_ATTR_*, is it set).
RECURSIVE_ATTRIBUTES = {
    f"r{option}": (attribute, option == on)
    for on, off, _, attribute, _ in ATTRIBUTES
    for option in (on, off)
}

# Access time is one field of several bits: each option clears it, and sets a value.
RECURSIVE_ATIME = {
    "rrelatime": MOUNT_ATTR_RELATIME,
    "rnoatime": MOUNT_ATTR_NOATIME,
    "rstrictatime": MOUNT_ATTR_STRICTATIME,
    "ratime": MOUNT_ATTR_RELATIME,  # to turn another value off is to have the default
    "rnorelatime": MOUNT_ATTR_RELATIME,
    "rnostrictatime": MOUNT_ATTR_RELATIME,
}

EXTENSIONS = {
    "copy-symlink": EXT_COPY_SYMLINK,
    "dest-nofollow": EXT_DEST_NOFOLLOW,
    "src-nofollow": EXT_SRC_NOFOLLOW,
    "tmpcopyup": EXT_COPYUP,
}

ID_MAPPING = {"idmap": False, "ridmap": True}  # option -> is it recursive


def apply_options(mount: Mount, options: Iterable[str]) -> None:
    """Put options into the fields of a mount; of those that contradict the last one wins.

    Of those for the whole tree what sets one wins, in whatever order, as with runc;
    and strictatime over noatime, as with mount(2).
    Whatever is no option of ours goes to the file system, by mount.data.
    "idmap" gives an id mapping that is empty still.
    """
    data = [mount.data] if mount.data else []
    attr_set = attr_clr = 0
    for option in options:
        if option in SET_FLAGS:
            mount.flags |= SET_FLAGS[option]
            mount.cleared_flags &= ~SET_FLAGS[option]
        elif option in CLEARED_FLAGS:
            mount.flags &= ~CLEARED_FLAGS[option]
            mount.cleared_flags |= CLEARED_FLAGS[option]
        elif option in PROPAGATION:
            mount.propagation_flags.append(PROPAGATION[option])
        elif option in RECURSIVE_ATTRIBUTES:
            bit, on = RECURSIVE_ATTRIBUTES[option]
            attr_set |= bit if on else 0
            attr_clr |= 0 if on else bit
        elif option in RECURSIVE_ATIME:
            attr_set |= RECURSIVE_ATIME[option]
            attr_clr |= MOUNT_ATTR__ATIME
        elif option in EXTENSIONS:
            mount.extensions |= EXTENSIONS[option]
        elif option in ID_MAPPING:
            mount.id_mapping = mount.id_mapping or MountIDMapping()
            mount.id_mapping.recursive |= ID_MAPPING[option]
        else:
            data.append(option)
    mount.data = ",".join(data)
    if attr_set & MOUNT_ATTR_STRICTATIME:
        attr_set &= ~MOUNT_ATTR_NOATIME
    attr_clr &= ~attr_set | MOUNT_ATTR__ATIME
    if attr_set or attr_clr:
        mount.rec_attr = RecAttr(attr_set, attr_clr)


def options_of(mount: Mount) -> list[str]:
    """The options that apply_options() makes the fields of the mount from."""
    bind = ["rbind" if mount.flags & MS_REC else "bind"] if mount.flags & MS_BIND else []
    found = bind + [
        option for option, flag in SET_FLAGS.items() if flag & mount.flags and not flag & MS_BIND
    ]
    found += [option for option, flag in CLEARED_FLAGS.items() if flag & mount.cleared_flags]
    if mount.rec_attr:
        found += _recursive_options(mount.rec_attr)
    named = {flags: option for option, flags in PROPAGATION.items()}
    found += [named[flags] for flags in mount.propagation_flags if flags in named]
    found += [option for option, bit in EXTENSIONS.items() if bit & mount.extensions]
    if mount.id_mapping:
        found.append("ridmap" if mount.id_mapping.recursive else "idmap")
    return found + (mount.data.split(",") if mount.data else [])


def _recursive_options(attributes: RecAttr) -> list[str]:
    found = [
        option
        for option, (bit, on) in RECURSIVE_ATTRIBUTES.items()
        if bit & (attributes.attr_set if on else attributes.attr_clr)
    ]
    if attributes.attr_clr & MOUNT_ATTR__ATIME:
        value = attributes.attr_set & MOUNT_ATTR__ATIME
        found += [option for option, atime in RECURSIVE_ATIME.items() if atime == value][:1]
    return found
