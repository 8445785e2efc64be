"""The formats of the files of control groups: text in, values out.

The text of a file that is not there is "".  A line that is not as it should
be is left out: kernels add lines, and statistics are no reason to fail.

Source: the kernel's admin-guide/cgroup-v2, Interface Files, Format.
"""

from __future__ import annotations

from ...config.number_lists import parse_numbers
from .records import UNLIMITED, BlkioStatEntry, PSIData, PSIStats

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# Memory nodes and CPUs may have any numbers: whoever wrote them had a reason.
_ANY = 1 << 20


def number(text: str) -> int | None:
    """The one number of a file; "max" is UNLIMITED, and None what is no number."""
    word = text.strip()
    if word == "max":
        return UNLIMITED
    try:
        return int(word)
    except ValueError:
        return None


def numbers(text: str) -> list[int]:
    """All numbers of a file, as they come."""
    return [found for word in text.split() if (found := number(word)) is not None]


def listed(text: str) -> list[int]:
    """ "0-3,8": 0, 1, 2, 3, 8."""
    try:
        return parse_numbers(text, _ANY)
    except ValueError:  # none, as in a cpuset that is not set up
        return []


def keyed(text: str) -> dict[str, int]:
    """Lines of a name and a number."""
    found = {}
    for line in text.splitlines():
        name, _, rest = line.partition(" ")
        value = number(rest)
        if value is not None:
            found[name] = value
    return found


def nested(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Lines of a name and words NAME=VALUE.

    A word without "=" is a name also within a line: some kernels end no line
    in io.stat for a device that they have nothing to say about.
    """
    name, values = "", dict[str, str]()
    for line in text.splitlines():
        for word in line.split():
            key, equals, value = word.partition("=")
            if equals:
                values[key] = value
                continue
            if name and values:
                yield name, values
            name, values = word, {}
    if name and values:
        yield name, values


def pressure(text: str) -> PSIStats | None:
    """A file of pressure stall information."""
    found = {}
    for name, values in nested(text):
        try:
            found[name] = PSIData(
                avg10=float(values["avg10"]),
                avg60=float(values["avg60"]),
                avg300=float(values["avg300"]),
                total=int(values["total"]),
            )
        except (KeyError, ValueError):
            continue
    if not found:
        return None
    # Linux before 5.13 has no "full" for CPUs.
    return PSIStats(some=found.get("some", PSIData()), full=found.get("full", PSIData()))


def device_number(text: str) -> tuple[int, int] | None:
    """ "8:16": 8, 16."""
    major, _, minor = text.partition(":")
    if major.isdigit() and minor.isdigit():
        return int(major), int(minor)
    return None


def device_values(text: str) -> list[BlkioStatEntry]:
    """Lines of cgroup v1: "8:0 Read 4096", or "8:0 4096"; the sum at the end is left out."""
    found = []
    for line in text.splitlines():
        device, *rest = line.split() or [""]
        where, value = device_number(device), number(rest[-1] if rest else "")
        if where is not None and value is not None and len(rest) <= 2:
            found.append(BlkioStatEntry(*where, rest[0] if len(rest) == 2 else "", value))
    return found
