"""Learning a profile: which system calls a command makes.

The command runs under a filter that has each call reported and then made
(SCMP_ACT_NOTIFY).  What was reported is allowed by the profile that comes out of it,
with what the start of a container needs itself; all else fails.  A run shows the calls
that it has made, and no other: try what the command is there for.
"""

from __future__ import annotations

from ..config.rules_seccomp import BEFORE_LISTENER
from ..config.seccomp import Seccomp, SeccompRule
from .architectures import ARCHITECTURES, OTHERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .architectures import Architecture
    from .notifications import Notification


class Learner:
    """What has been seen.  answer is for Process.notify, beside the profile watched."""

    __slots__ = ("_native", "seen")

    def __init__(self, machine: Architecture) -> None:
        self._native = machine
        self.seen: dict[str, set[str]] = {self._native.name: set()}

    @property
    def watched(self) -> Seccomp:
        """The profile that reports every call that we have a name for.

        But for those by which the listener itself is handed over: these are always allowed.
        """
        names: dict[str, None] = {}
        for architecture in self._architectures():
            names.update(dict.fromkeys(architecture.numbers()))
        rule = SeccompRule([one for one in names if one not in BEFORE_LISTENER], "SCMP_ACT_NOTIFY")
        besides = [one.spec_name for one in self._architectures()[1:]]
        return Seccomp("SCMP_ACT_ALLOW", architectures=besides, syscalls=[rule])

    def answer(self, call: Notification) -> None:
        name = call.name
        if name:
            self.seen.setdefault(call.architecture, set()).add(name)

    def profile(self, needed: Iterable[str]) -> dict[str, Any]:
        """What has been learned, as linux.seccomp of the runtime-spec.

        needed: the calls that a start makes under its filter.
        """
        names = {*BEFORE_LISTENER, *needed}.union(*self.seen.values())
        return {
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": 1,
            "architectures": [ARCHITECTURES[name].spec_name for name in self.seen],
            "syscalls": [{"names": sorted(names), "action": "SCMP_ACT_ALLOW"}],
        }

    def _architectures(self) -> list[Architecture]:
        besides = (ARCHITECTURES[name] for name in OTHERS.get(self._native.name, ()))
        return [self._native, *besides]
