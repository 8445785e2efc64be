"""Steps on groups that exist, performed by the caller itself: no server takes part."""

from __future__ import annotations

from ..bootstrap.context import Context
from ..bootstrap.performer import find
from ..errors import CgroupError, StepProblem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..plan.step import Step


def perform(planned: Iterable[Step]) -> None:
    """Perform steps on existing groups at once; CgroupError names the step that failed."""
    context = Context()
    for step in planned:
        try:
            find(step.performer)(context, *step.args)
        except (StepProblem, OSError) as error:
            text = str(error.strerror if isinstance(error, OSError) else error)
            hint = getattr(error, "hint", "")
            hint = f" ({hint})" if hint else ""
            origin = f" [from {step.why}]" if step.why else ""
            raise CgroupError(f"cannot {step.title}: {text}{hint}{origin}") from error
