"""The descriptors of the container's command: stdio, those passed on, and no others."""

from __future__ import annotations

from .step import Performers, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap import descriptors
else:
    descriptors = Performers("bootstrap.descriptors")


@operation(
    descriptors.install_descriptors,
    "put the command's descriptors in place",
)
def install_descriptors(extra: int) -> list[str]:
    return []


@operation(descriptors.reopen_null, "open the container's own /dev/null in place of the host's")
def reopen_null() -> list[str]:
    return []


@operation(descriptors.close_descriptors, "close all other descriptors")
def close_descriptors(kept: int, hooks: bool) -> list[str]:
    return ["close_range(4294967295)"]
