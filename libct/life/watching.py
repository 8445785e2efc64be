"""Which events a container has, by the version of its control groups."""

from __future__ import annotations

from ..errors import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..cgroups.manager import Manager
    from .events import Events

LEVELS = ("low", "medium", "critical")


def oom_events(manager: Manager, open_init: Callable[[], int], *, optional: bool = False) -> Events:
    """What Container.oom_events() gives.  open_init: opens a pidfd of the first process."""
    if manager.version == 2:
        from .events_v2 import KilledEvents

        return KilledEvents(manager.directories()[0], optional=optional)
    from .events_v1 import MemoryEvents

    return MemoryEvents(manager, open_init, "memory.oom_control", optional=optional)


def memory_pressure_events(manager: Manager, open_init: Callable[[], int], level: str) -> Events:
    """What Container.memory_pressure_events() gives."""
    if level not in LEVELS:
        raise Error(f"no such level of memory pressure: {level!r}: {', '.join(LEVELS)}")
    if manager.version == 2:
        from .events_v2 import PressureEvents

        return PressureEvents(manager.directories()[0], level)
    from .events_v1 import MemoryEvents

    return MemoryEvents(manager, open_init, "memory.pressure_level", level)
