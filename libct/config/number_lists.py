"""Lists of numbers as the kernel writes them: "0-3,8" (cpuset(7), FORMATS, List format)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

HIGHEST_ID = (1 << 32) - 2  # the one above means "unchanged" to the kernel


def whole_number(text: str, most: int) -> int | None:
    """The number that ASCII digits are, up to the largest that may be meant; else None.

    int() alone takes other digits, too, and refuses more than 4300 of them.
    """
    if not (text.isascii() and text.isdigit()):
        return None
    digits = text.lstrip("0") or "0"
    found = int(digits) if len(digits) <= len(str(most)) else most + 1
    return found if found <= most else None


def parse_numbers(text: str, limit: int = 1024) -> list[int]:
    """The numbers of a list, in order, each once.

    limit: all must be below; CPUs are, by default, as cpu_set_t ends there.
    Spaces around numbers and empty elements are allowed.
    Raises ValueError with a message about text, also for a list without numbers.
    """
    found: set[int] = set()
    for element in text.split(","):
        first, dash, last = (part.strip() for part in element.partition("-"))
        if not first and not dash:
            continue
        if not dash:
            last = first
        if not (first.isascii() and first.isdigit() and last.isascii() and last.isdigit()):
            raise ValueError(f"not a list of numbers like '0-3,8': {text!r}")
        if len(last) > 9 or len(first) > 9 or int(last) >= limit:
            raise ValueError(f"{last} is too large, the highest is {limit - 1}: {text!r}")
        if int(first) > int(last):
            raise ValueError(f"a range that ends before it starts: {text!r}")
        found.update(range(int(first), int(last) + 1))
    if not found:
        raise ValueError(f"no number in it: {text!r}")
    return sorted(found)


def parse_grouped(text: str, limit: int) -> list[int]:
    """The same, and ranges in groups: of "0-10:2/4" the first two of each four (cpuset(7))."""
    found: set[int] = set()
    for part in text.split(","):
        numbers, _, groups = part.partition(":")
        if not numbers.strip():
            continue
        first = count = 1
        if groups:
            counts = [int(one) for one in groups.split("/") if one.isascii() and one.isdigit()]
            if len(counts) != 2 or groups.count("/") != 1 or not 0 < counts[0] <= counts[1]:
                raise ValueError(f"not groups like 0-10:2/4: {part!r}")
            first, count = counts
        ranged = parse_numbers(numbers, limit)
        found.update(number for number in ranged if (number - ranged[0]) % count < first)
    return sorted(found)


def format_numbers(numbers: Iterable[int]) -> str:
    """The list of the numbers, with ranges."""
    ranges: list[list[int]] = []
    for number in sorted(set(numbers)):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges)
