"""Which fields of a record hold values of a wrong type, by the annotations of its class.

Configurations read from JSON have the right types; one made in Python may not,
and a rule stumbles over it then.
"""

from __future__ import annotations

from ..errors import Finding
from .record import Record, record_type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PLAIN = {"str": str, "int": int, "bool": bool}


def wrong_types(record: Record, place: str = "") -> list[Finding]:
    """A finding for each; places are field names: "mounts[2].flags"."""
    findings: list[Finding] = []
    for name, annotation in type(record).__annotations__.items():
        _check(getattr(record, name), annotation, f"{place}.{name}" if place else name, findings)
    return findings


def _check(value: Any, annotation: str, place: str, findings: list[Finding]) -> None:
    if annotation.startswith("list[") and annotation.endswith("]"):
        wanted, none = annotation, ""
    else:
        wanted, _, none = annotation.partition(" | ")
    if (none == "None" and value is None) or (none == "Function" and callable(value)):
        return
    if wanted.startswith("list[") and isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _check(item, wanted[5:-1], f"{place}[{index}]", findings)
    elif wanted.startswith("dict[str, ") and isinstance(value, dict):
        for key, item in value.items():
            _check(key, "str", place, findings)
            _check(item, wanted[10:-1], f"{place}[{key!r}]", findings)
    elif not _fits(value, wanted):
        findings.append(Finding(place, f"not {annotation}: {value!r}"))
    elif isinstance(value, Record):
        findings += wrong_types(value, place)


def _fits(value: Any, wanted: str) -> bool:
    if wanted in _PLAIN:
        # bool is an int to Python, and a mistake where a number is wanted.
        return isinstance(value, _PLAIN[wanted]) and (
            wanted == "bool" or not isinstance(value, bool)
        )
    kind = record_type(wanted)
    return kind is not None and isinstance(value, kind)
