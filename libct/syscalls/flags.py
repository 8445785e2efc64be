"""Flag words and strings as strace(1) prints them, for plans and messages.

No ctypes: the planning side imports this.
"""

from __future__ import annotations

import os

from . import constants

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    # What a flag word is made of, (value, name), in the order of printing.
    Table = tuple[tuple[int, str], ...]


def _families() -> dict[str, list[tuple[int, str]]]:
    """The constants by the first word of their names, in the order of the headers."""
    families: dict[str, list[tuple[int, str]]] = {}
    for name, value in vars(constants).items():
        families.setdefault(name.partition("_")[0], []).append((value, name))
    return families


_FAMILIES = _families()


def _bits(prefix: str, *, first: tuple[str, ...] = (), without: tuple[str, ...] = ()) -> Table:
    """The constants with this prefix that are bits; those of several bits have to come first."""
    family = _FAMILIES[prefix.partition("_")[0]]
    found = [
        item
        for item in family
        if item[0] and item[1].startswith(prefix) and item[1] not in (*first, *without)
    ]
    return (*((vars(constants)[name], name) for name in first), *found)


def _values(prefix: str, *, without: str = " ") -> dict[int, str]:
    """The names of the constants with this prefix that are values and not bits."""
    return {
        value: name
        for value, name in _FAMILIES[prefix.partition("_")[0]]
        if name.startswith(prefix) and not name.startswith(without)
    }


def _of_os(*suffixes: str) -> Table:
    found = ((getattr(os, f"O_{name}", 0), f"O_{name}") for name in suffixes)
    return tuple(item for item in found if item[0])


MOUNT_NAMES = _bits("MS_")
UMOUNT_NAMES = (*_bits("MNT_"), *_bits("UMOUNT_"))
MOUNT_ATTR_NAMES = _bits("MOUNT_ATTR_", first=("MOUNT_ATTR__ATIME",))
MOVE_MOUNT_NAMES = _bits("MOVE_MOUNT_")
FSPICK_NAMES = _bits("FSPICK_")
CLONE_NAMES = _bits("CLONE_")
RESOLVE_NAMES = _bits("RESOLVE_")
CLOSE_RANGE_NAMES = _bits("CLOSE_RANGE_")
AT_NAMES = _bits("AT_", without=("AT_FDCWD", "AT_REMOVEDIR"))
OPEN_TREE_NAMES = (*_bits("OPEN_TREE_"), *AT_NAMES)
PIDFD_NAMES = _bits("PIDFD_")
SECBIT_NAMES = _bits("SECBIT_")
SCHED_FLAG_NAMES = _bits("SCHED_FLAG_")
MPOL_FLAG_NAMES = _bits("MPOL_F_")
SECCOMP_FILTER_FLAG_NAMES = _bits("SECCOMP_FILTER_FLAG_")
STATFS_NAMES = _bits("ST_")
CAPABILITY_NAMES: Table = tuple(
    (1 << number, name) for name, number in constants.CAPABILITIES.items()
)
# O_SYNC holds O_DSYNC, O_TMPFILE holds O_DIRECTORY: the larger ones come first.
OPEN_NAMES = _of_os(
    "SYNC", "TMPFILE", "CREAT", "EXCL", "NOCTTY", "TRUNC", "APPEND", "NONBLOCK", "DSYNC",
    "DIRECT", "DIRECTORY", "NOFOLLOW", "NOATIME", "CLOEXEC", "PATH",
)  # fmt: skip

_ACCESS_NAMES = {os.O_RDONLY: "O_RDONLY", os.O_WRONLY: "O_WRONLY", os.O_RDWR: "O_RDWR"}
_FSCONFIG_NAMES = _values("FSCONFIG_")
_POLICIES = _values("SCHED_", without="SCHED_FLAG_")
_IOPRIO_CLASSES = _values("IOPRIO_CLASS_", without="IOPRIO_CLASS_SHIFT")
_IOPRIO_WHO = _values("IOPRIO_WHO_")
_MPOL_MODES = _values("MPOL_", without="MPOL_F_")
_CAPABILITIES = {number: name for name, number in constants.CAPABILITIES.items()}
_RLIMITS = {number: name for name, number in constants.RLIMITS.items()}


def names(value: int, table: Table) -> str:
    """value as names joined with '|'; '0' for none; bits without a name in hexadecimal."""
    return "|".join(_parts(value, table)) or "0"


def _parts(value: int, table: Table) -> Iterator[str]:
    for bits, name in table:
        if value & bits == bits:
            yield name
            value &= ~bits
    if value:
        yield hex(value)


def open_names(flags: int) -> str:
    """The flags of open(2); the access mode is a value, O_RDONLY among them."""
    access = flags & (os.O_WRONLY | os.O_RDWR)  # musl's O_ACCMODE has O_PATH as well
    rest = flags & ~access & ~getattr(os, "O_LARGEFILE", 0)
    return "|".join([_ACCESS_NAMES.get(access, hex(access)), *_parts(rest, OPEN_NAMES)])


def clone_names(flags: int) -> str:
    """The flags of clone(2), unshare(2) and setns(2)."""
    return names(flags, CLONE_NAMES)


def fsconfig_name(command: int) -> str:
    """The command of fsconfig(2)."""
    return _FSCONFIG_NAMES.get(command, hex(command))


def capability_name(number: int) -> str:
    """The name of a capability, or its number where the table has none."""
    return _CAPABILITIES.get(number, str(number))


def rlimit_name(resource: int) -> str:
    """The name of a resource limit, or its number."""
    return _RLIMITS.get(resource, str(resource))


def capability_names(mask: int) -> str:
    """The names of a mask's capabilities, joined with '|', as strace prints capset(2)."""
    return names(mask, CAPABILITY_NAMES)


def policy_name(policy: int) -> str:
    """The scheduling policy of sched_setattr(2)."""
    return _POLICIES.get(policy, str(policy))


def ioprio_class_name(class_: int) -> str:
    """The class of ioprio_set(2)."""
    return _IOPRIO_CLASSES.get(class_, str(class_))


def ioprio_who_name(which: int) -> str:
    """The first argument of ioprio_set(2)."""
    return _IOPRIO_WHO.get(which, str(which))


def mempolicy_name(mode: int) -> str:
    """The mode of set_mempolicy(2) with its flags; the mode is a value, not bits."""
    flags = mode & sum(bits for bits, _ in MPOL_FLAG_NAMES)
    return "|".join(
        [_MPOL_MODES.get(mode - flags, str(mode - flags)), *_parts(flags, MPOL_FLAG_NAMES)]
    )


def dirfd_name(fd: int) -> str:
    """A descriptor that may stand for the working directory."""
    return "AT_FDCWD" if fd == constants.AT_FDCWD else str(fd)


def octal(mode: int) -> str:
    """A file mode, '0755'."""
    return f"0{mode:o}".zfill(3)


def quote(text: str | bytes | None) -> str:
    """A C string in double quotes, escaped as strace escapes; 'NULL' for None."""
    if text is None:
        return "NULL"
    raw = os.fsencode(text)
    return '"' + "".join(_escape(raw, index) for index in range(len(raw))) + '"'


_ESCAPES = {
    0x09: "\\t",
    0x0A: "\\n",
    0x0B: "\\v",
    0x0C: "\\f",
    0x0D: "\\r",
    0x22: '\\"',
    0x5C: "\\\\",
}


def _escape(raw: bytes, index: int) -> str:
    byte = raw[index]
    if byte in _ESCAPES:
        return _ESCAPES[byte]
    if 0x20 <= byte < 0x7F:
        return chr(byte)
    # Short octal, unless a digit follows that would be read as part of it.
    digit = raw[index + 1 : index + 2]
    return f"\\{byte:03o}" if b"0" <= digit <= b"7" and digit else f"\\{byte:o}"
