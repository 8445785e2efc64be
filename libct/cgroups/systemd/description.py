"""Whose a unit is: a mark in its description, which systemd keeps as long as the unit."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .properties import Property


def described(properties: Iterable[Property], mark: str) -> list[Property]:
    """The properties of a new unit, with the mark of the container."""
    return [
        (name, kind, f"{value} [{mark}]" if name == "Description" else value)
        for name, kind, value in properties
    ]


def has_mark(description: str, mark: str) -> bool:
    return description.endswith(f" [{mark}]")
