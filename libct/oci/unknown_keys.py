"""Keys of a configuration that are in no version of the runtime-spec: most often misspelled.

Runtimes ignore them, as the spec wants it (config.md, Extensibility), so that what they ask for
is not done.  `libct check` tells of them.
"""

from __future__ import annotations

from ..errors import Finding
from .spec_keys import KEYS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


def unknown_keys(spec: dict[str, Any]) -> list[Finding]:
    """A warning for each, in the order of the configuration."""
    return [Finding(place, message, "warning") for place, message in _unknown(spec, "", "")]


def _unknown(value: Any, kind: str, place: str) -> Iterator[tuple[str, str]]:
    """Places and messages below a value; kind: its place as the table has it."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unknown(item, kind, f"{place}[{index}]")
    elif isinstance(value, dict) and kind in KEYS:
        known = {key.lower(): key for key in KEYS[kind]}  # the case does not matter (reader.py)
        for name, item in value.items():
            at = f"{place}.{name}" if place else name
            key = known.get(name.lower(), "" if known else "*")
            if not key:
                yield at, f"unknown key: no version of the runtime-spec has it{_meant(name, known)}"
            else:
                yield from _unknown(item, f"{kind}.{key}" if kind else key, at)


def _meant(name: str, known: dict[str, str]) -> str:
    from ..config.nearest import nearest

    found = nearest(name.lower(), known)
    return f" (did you mean {known[found]}?)" if found else ""
