"""The runtime's own steps once a process is all that it is to be."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .context import Context


def record_created(context: Context) -> None:
    """Its state file says so from here on."""
    context.values["created"]()


def let_go(context: Context) -> None:
    """The runtime is there to do it; without it the process ends here (DESIGN.md 3.6)."""
