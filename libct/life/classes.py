"""Other schemata for a container that is there: those of its class of resctrl, or of a new one.

Sources: the kernel's filesystems/resctrl; runc's update.
"""

from __future__ import annotations

from ..bootstrap.context import Context
from ..errors import ConfigError, Error, Finding, StepProblem, note
from ..loading.paths import is_directory
from ..plan.resctrl import resctrl_directories
from ..resctrl import groups
from .host import host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..config.attributes import IntelRdt
    from .holdings import Holdings


class ClassChange:
    """A change of schemata, which can be taken back; within the container's lock.

    rdt: what is to be.  processes: those in the container.

    Raises ConfigError for what cannot be.
    """

    def __init__(
        self,
        holdings: Holdings,
        paper: groups.Paper,
        rdt: IntelRdt,
        processes: Callable[[], Iterable[int]],
    ) -> None:
        before = holdings.record.config.intel_rdt
        _check(rdt, before or type(rdt)())
        self._is_new = before is None
        self._id, self._rdt, self._processes = holdings.id, rdt, processes
        self._group = resctrl_directories(rdt, holdings.id, host().resctrl)[0]
        self._notes = groups.Notes(paper)
        self._before: list[str] | None = None  # the schemata of a class that was there

    def make(self) -> None:
        """Raises Error, with what the kernel says."""
        lines = tuple(line for line in (self._rdt.l3_cache_schema, self._rdt.mem_bw_schema) if line)
        try:
            if is_directory(self._group):
                self._before = groups.schemata(self._group)
            context = Context()
            context.values["resctrl"] = self._notes
            if self._is_new:
                groups.resctrl_group(context, self._group, 1, 1)
            groups.resctrl_schemata(context, self._group, (*lines, *self._rdt.schemata))
            if self._is_new:
                groups.move(self._group, self._processes)
        except (OSError, StepProblem) as error:
            text = error.strerror if isinstance(error, OSError) else str(error)
            hint = getattr(error, "hint", "")
            what = f"cannot change the schemata of container {self._id!r}: {text}"
            raise Error(what + (f" ({hint})" if hint else "")) from error

    def take_back(self, error: BaseException) -> None:
        """All as before; what cannot be is noted in the error."""
        try:
            if self._before is not None:
                groups.resctrl_schemata(Context(), self._group, tuple(self._before))
                if self._is_new:
                    groups.move(host().resctrl, self._processes)
            elif is_directory(self._group):
                groups.unmake(self._notes, self._group)
        except (OSError, StepProblem) as problem:
            note(error, f"the schemata of {self._group!r} cannot be set back: {problem}")


def _check(rdt: IntelRdt, before: IntelRdt) -> None:
    from ..config.facts import facts_of_host
    from ..config.field_types import wrong_types
    from ..config.rules_cgroup import rdt_rules

    findings = wrong_types(rdt, "intel_rdt")
    if not findings:
        rdt_rules(rdt, facts_of_host(), findings)
    for name, field in (("closID", "clos_id"), ("enableMonitoring", "enable_monitoring")):
        if getattr(rdt, field) != getattr(before, field):
            text = "cannot be changed once the container is there"
            findings.append(Finding(f"linux.intelRdt.{name}", text))
    errors = [one for one in findings if one.level == "error"]
    if errors:
        raise ConfigError(errors)
