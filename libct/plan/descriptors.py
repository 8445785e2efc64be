"""The descriptors of the container's command: stdio, those passed on, and no others."""

from __future__ import annotations

from .step import operation


@operation(
    "bootstrap.descriptors",
    "put the command's descriptors in place",
)
def install_descriptors(extra: int) -> list[str]:
    return []


@operation("bootstrap.descriptors", "open the container's own /dev/null in place of the host's")
def reopen_null() -> list[str]:
    return []


@operation("bootstrap.descriptors", "close all other descriptors")
def close_descriptors(kept: int, hooks: bool) -> list[str]:
    return ["close_range(4294967295)"]
