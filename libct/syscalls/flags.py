"""Flag words and strings as strace(1) prints them, for plans and messages.

No ctypes: the planning side imports this.
"""

from __future__ import annotations

import posix

from ..loading.paths import fsencode
from . import constants

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    # What a flag word is made of, (value, name), in the order of printing.
    Table = tuple[tuple[int, str], ...]


class Flags:
    """The constants with a prefix that are bits, as a table (value, name) made at the first use.

    Messages and plans print flags; most processes never do.
    first: those of several bits, which have to come first.
    values: by their names, of a module; None for those of constants.py.
    """

    __slots__ = ("_first", "_prefixes", "_table", "_values", "_without")

    def __init__(
        self,
        *prefixes: str,
        first: tuple[str, ...] = (),
        without: tuple[str, ...] = (),
        values: dict[str, Any] | None = None,
    ) -> None:
        self._prefixes, self._first, self._without = prefixes, first, without
        self._values = values
        self._table: Table | None = None

    def __iter__(self) -> Iterator[tuple[int, str]]:
        if self._table is None:
            values = self._values or vars(constants)
            found = [(values[name], name) for name in self._first]
            for prefix in self._prefixes:
                found += [
                    (value, name)
                    for name, value in values.items()
                    if name.startswith(prefix)
                    and value
                    and isinstance(value, int)
                    and name not in self._first + self._without
                ]
            self._table = tuple(found)
        return iter(self._table)


def value_name(
    value: int, prefix: str, *, without: str = " ", values: dict[str, Any] | None = None
) -> str | None:
    """The name of the constant with this prefix that has this value, where they are no bits."""
    for name, known in (values or vars(constants)).items():
        if name.startswith(prefix) and not name.startswith(without) and known == value:
            return name
    return None


def _of_os(*suffixes: str) -> Table:
    found = ((getattr(posix, f"O_{name}", 0), f"O_{name}") for name in suffixes)
    return tuple(item for item in found if item[0])


_NOT_FLAGS = ("AT_FDCWD", "AT_REMOVEDIR")
MOUNT_NAMES = Flags("MS_")
UMOUNT_NAMES = Flags("MNT_", "UMOUNT_")
MOUNT_ATTR_NAMES = Flags("MOUNT_ATTR_", first=("MOUNT_ATTR__ATIME",))
MOVE_MOUNT_NAMES = Flags("MOVE_MOUNT_")
FSPICK_NAMES = Flags("FSPICK_")
CLONE_NAMES = Flags("CLONE_")
RESOLVE_NAMES = Flags("RESOLVE_")
CLOSE_RANGE_NAMES = Flags("CLOSE_RANGE_")
AT_NAMES = Flags("AT_", without=_NOT_FLAGS)
OPEN_TREE_NAMES = Flags("OPEN_TREE_", "AT_", without=_NOT_FLAGS)
PIDFD_NAMES = Flags("PIDFD_")
SECBIT_NAMES = Flags("SECBIT_")
STATFS_NAMES = Flags("ST_")
# O_SYNC holds O_DSYNC, O_TMPFILE holds O_DIRECTORY: the larger ones come first.
OPEN_NAMES = _of_os(
    "SYNC", "TMPFILE", "CREAT", "EXCL", "NOCTTY", "TRUNC", "APPEND", "NONBLOCK", "DSYNC",
    "DIRECT", "DIRECTORY", "NOFOLLOW", "NOATIME", "CLOEXEC", "PATH",
)  # fmt: skip

_ACCESS_NAMES = {posix.O_RDONLY: "O_RDONLY", posix.O_WRONLY: "O_WRONLY", posix.O_RDWR: "O_RDWR"}


def names(value: int, table: Iterable[tuple[int, str]]) -> str:
    """value as names joined with '|'; '0' for none; bits without a name in hexadecimal."""
    return "|".join(parts(value, table)) or "0"


def parts(value: int, table: Iterable[tuple[int, str]]) -> Iterator[str]:
    for bits, name in table:
        if value & bits == bits:
            yield name
            value &= ~bits
    if value:
        yield hex(value)


def open_names(flags: int) -> str:
    """The flags of open(2); the access mode is a value, O_RDONLY among them."""
    access = flags & (posix.O_WRONLY | posix.O_RDWR)  # musl's O_ACCMODE has O_PATH as well
    rest = flags & ~access & ~getattr(posix, "O_LARGEFILE", 0)
    return "|".join([_ACCESS_NAMES.get(access, hex(access)), *parts(rest, OPEN_NAMES)])


def clone_names(flags: int) -> str:
    """The flags of clone(2), unshare(2) and setns(2)."""
    return names(flags, CLONE_NAMES)


def fsconfig_name(command: int) -> str:
    """The command of fsconfig(2)."""
    return value_name(command, "FSCONFIG_") or hex(command)


def _name_of(value: int, table: Mapping[str, int]) -> str:
    return next((name for name, known in table.items() if known == value), str(value))


def capability_name(number: int) -> str:
    """The name of a capability, or its number where the table has none."""
    return _name_of(number, constants.CAPABILITIES)


def rlimit_name(resource: int) -> str:
    """The name of a resource limit, or its number."""
    return _name_of(resource, constants.RLIMITS)


def capability_names(mask: int) -> str:
    """The names of a mask's capabilities, joined with '|', as strace prints capset(2)."""
    return names(mask, ((1 << number, name) for name, number in constants.CAPABILITIES.items()))


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
    raw = fsencode(text)
    if (
        raw.isascii()
        and (plain := raw.decode("ascii")).isprintable()
        and '"' not in plain
        and "\\" not in plain
    ):
        return f'"{plain}"'
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
