"""What a test does with control groups, without a container whose directory they are noted in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from libct.bootstrap.context import Context
from libct.cgroups import files
from libct.cgroups.ledger import Ledger

if TYPE_CHECKING:
    from libct.cgroups.manager import Manager


class Paper:
    """Where a ledger is written: what a container has a file for."""

    def __init__(self, text: str = "") -> None:
        self.written = text

    def append(self, name: str, text: str) -> None:
        assert name == "groups"
        self.written += text

    def text(self, name: str) -> str:
        assert name == "groups"
        return self.written


def ledger_of(context: Context) -> Ledger:
    """The ledger of a context that steps were performed in."""
    found: Ledger = context.values["ledger"]
    return found


def with_ledger() -> Context:
    context = Context()
    context.values["ledger"] = Ledger(Paper())
    return context


def remove_groups(manager: Manager) -> None:
    """Remove the groups of a manager, empty as they are to be; OSError if they are not."""
    files.remove(manager.directories())
