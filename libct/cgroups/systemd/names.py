"""What the unit of a container is called, and where its control group is.

A configuration's cgroupsPath is slice:prefix:name for this driver.  The unit is the scope
<prefix>-<name>.scope in that slice, or a slice itself where the name ends in .slice.

Sources: systemd.unit(5), systemd.slice(5); unit_name_is_valid() and
cg_escape() in systemd's src/basic/.
"""

from __future__ import annotations

SYSTEM_SLICE, USER_SLICE = "system.slice", "user.slice"

_SLICE, _SCOPE = ".slice", ".scope"
_LONGEST = 255  # letters of a unit's name
_MARKS = ":-_.\\"  # what a unit's name may have besides letters and digits

# A directory of one of these names, or that begins with one of the latter and a dot, could be
# a file of the kernel's.
_FILES = ("notify_on_release", "release_agent", "tasks")
_CONTROLLERS = (
    *("cgroup", "cpu", "cpuacct", "cpuset", "io", "blkio", "memory", "devices", "pids"),
    *("bpf-firewall", "bpf-devices", "bpf-foreign", "bpf-socket-bind"),
    "bpf-restrict-network-interfaces",
)


def unit_name(prefix: str, name: str) -> str:
    """The name of the unit; ValueError where there can be none."""
    made = escape(name) if is_slice(name) else escape(f"{prefix}-{name}") + _SCOPE
    if is_slice(name):
        levels_of(made)
    if len(made) > _LONGEST:
        raise ValueError(f"the unit's name is longer than {_LONGEST} letters: {made!r}")
    return made


def is_slice(name: str) -> bool:
    return name.endswith(_SLICE)


def escape(text: str) -> str:
    r"""What cannot be in a unit's name as \xNN, as systemd-escape(1) writes it.

    Not the dash and the backslash: who calls us may have escaped the name already.
    """
    return "".join(
        letter
        if letter.isascii() and (letter.isalnum() or letter in _MARKS)
        else "".join(f"\\x{byte:02x}" for byte in letter.encode("utf-8", "surrogateescape"))
        for letter in text
    )


def levels_of(name: str) -> list[str]:
    """The slices that one is in, and itself: a.slice, a-b.slice for a-b.slice; [] for -.slice.

    ValueError for what is no name of a slice, in runc's words.
    """
    if name == f"-{_SLICE}":
        return []
    parts = name[: -len(_SLICE)].split("-")
    if not is_slice(name) or "/" in name or "" in parts:
        raise ValueError(f"invalid slice name: {name}")
    return ["-".join(parts[: count + 1]) + _SLICE for count in range(len(parts))]


def group_of(unit: str, slice_name: str) -> str:
    """The control group of a unit, below that of the service manager: a.slice/x.scope."""
    levels = levels_of(unit) if is_slice(unit) else [*levels_of(slice_name), unit]
    return "/".join(map(directory, levels))


def directory(name: str) -> str:
    """The directory of a unit: with an underscore before what the kernel could name a file."""
    first, dot, _ = name.partition(".")
    clashes = name in _FILES or (dot and first in _CONTROLLERS)
    return f"_{name}" if clashes or name.startswith(("_", ".")) else name


def unit_of(path: str) -> str:
    """The name of the unit whose directory this is."""
    return path.rpartition("/")[2].removeprefix("_")
