"""What is meant by a name that is not known: one that differs in a letter or two."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_ALIKE = 2  # edits between two names at most, for one to be meant for the other


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint at the known name that is most like name, or "" where none is like it."""
    found = nearest(name, known)
    return f" (did you mean {found}?)" if found else ""


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that is most like name, or ""."""
    at = {one: _edits(name, one) for one in known if abs(len(one) - len(name)) <= _ALIKE}
    best = min(at, key=lambda one: (at[one], one), default="")
    return best if best and at[best] <= _ALIKE else ""


def _edits(one: str, other: str) -> int:
    """How many letters have to be put in, left out, replaced or exchanged with the next."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        above, row = row, [i]
        for j, found in enumerate(other, 1):
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (letter != found)))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == found:
                row[j] = min(row[j], before[j - 2] + 1)
        before = above
    return row[-1]
