"""Steps on groups that exist, performed by the caller itself: no server takes part."""

from __future__ import annotations

from ..bootstrap.context import Context
from ..bootstrap.performer import find
from ..errors import CgroupError, StepProblem
from . import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..plan.step import Step


class Change:
    """Steps that can be taken back: what the files of limits said before is remembered.

    begun: the steps, up to the one that failed.
    """

    __slots__ = ("_context", "_written", "begun")

    def __init__(self, context: Context | None = None) -> None:
        self._context = context or Context()
        # Files in the order in which they were written, with what takes them back (limiting.py).
        self._written: list[tuple[str, list[str]]] = []
        self._context.values["written"] = self._written
        self.begun: list[Step] = []

    def make(self, planned: Iterable[Step]) -> None:
        """Perform steps; CgroupError names the one that failed."""
        for step in planned:
            self.begun.append(step)
            try:
                find(step.performer)(self._context, *step.args)
            except (StepProblem, OSError) as error:
                text = str(error.strerror if isinstance(error, OSError) else error)
                hint = getattr(error, "hint", "")
                hint = f" ({hint})" if hint else ""
                origin = f" [from {step.why}]" if step.why else ""
                raise CgroupError(f"cannot {step.title}: {text}{hint}{origin}") from error

    def take_back(self) -> list[str]:
        """Write back what was written over, the last first: so each value fits the others again.

        Gives what could not be.
        """
        failed = []
        while self._written:
            path, lines = self._written.pop()
            try:
                files.write(path, *(line or "\n" for line in lines))
            except OSError as error:
                failed.append(f"{path!r} cannot be set back: {error.strerror}")
        return failed


def perform(planned: Iterable[Step], context: Context | None = None) -> None:
    """Perform steps at once; CgroupError names the step that failed.

    context: with a ledger and a process, for those that make groups.
    """
    Change(context).make(planned)
