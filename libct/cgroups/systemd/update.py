"""New limits for a unit that is there, and its old ones again where they cannot be set."""

from __future__ import annotations

from ...errors import CgroupError, SystemdError, note
from ...plan import systemd as steps
from ..perform import perform
from ..resources import device_access, refuse
from . import units
from .facts import gather, refused
from .properties import for_files, limit_properties

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ...config.cgroup import Resources
    from ...plan.step import Step
    from .manager import SystemdManager
    from .properties import Property

# What a unit is told first, before it is told a list anew.
_EMPTIED = {"a(st)", "a(ss)", "as"}
# Not to be asked for: what is read says less than what has been set.
_CHECKS = ("cgroup_check_memory",)


def update(
    manager: SystemdManager,
    resources: Resources,
    before: Resources | None,
    done: Callable[[], object] | None,
) -> None:
    """Manager.set(): first the unit, then the files, which have what it has no property for."""
    planned = manager.limit_steps(resources)
    # What would kill at once is not told to systemd either.
    perform(step for step in planned if step.op in _CHECKS)
    properties = changed_properties(manager, resources)
    present = _present(manager, properties)
    _set(manager, properties, resources)
    try:
        manager.files.set(for_files(resources), before and for_files(before), done)
    except BaseException as error:
        try:
            _set(manager, present, resources)
            if before is not None:
                # Told anything, systemd sets files that it has not been told of, too.
                again = for_files(before).copy(skip_devices=True, freezer="")
                manager.files.set(again)
        except CgroupError as problem:
            note(error, f"the unit has the new limits still: {problem}")
        raise


def changed_properties(manager: SystemdManager, resources: Resources) -> list[Property]:
    """The properties that say these limits; CgroupError for bad ones."""
    access, problems = device_access(resources)
    refuse(problems)
    systemd = gather(manager.cgroup)
    found, problems = limit_properties(
        resources, access, manager.version, systemd.version, bfq=systemd.bfq
    )
    refuse(problems)
    return found


def _present(manager: SystemdManager, properties: list[Property]) -> list[Property]:
    """What the unit has now of these."""
    kinds = {name: kind for name, kind, _ in properties}
    found: list[Property] = []
    try:
        for name, kind in kinds.items():
            value = units.unit_property(manager.unit, name, user=manager.user)
            if kind in _EMPTIED:
                found.append((name, kind, ()))
            found.append((name, kind, value))
    except SystemdError as error:
        raise refused(f"read the limits of the unit {manager.unit!r}", error) from error
    return found


def _set(manager: SystemdManager, properties: list[Property], resources: Resources) -> None:
    if not properties:
        return
    # systemd denies all devices of v1 for a moment, before it allows those of the list.
    frozen = (
        manager.version == 1
        and any(name == "DeviceAllow" for name, _, _ in properties)
        and not resources.skip_freeze_on_set
        and not manager.frozen()
    )
    if frozen:
        manager.freeze()
    try:
        perform([set_step(manager, properties)])
    finally:
        if frozen:
            manager.thaw()


def set_step(manager: SystemdManager, properties: list[Property]) -> Step:
    told = tuple(in_order(properties))
    return steps.systemd_set_properties(manager.unit, int(manager.user), told)


def in_order(properties: list[Property]) -> list[Property]:
    """By name, and so that a list is emptied before it is told.

    systemd makes a file of each, and holds the list of them, in the order in which it was
    told, against the sorted one: where they differ the unit wants a daemon-reload.
    """
    return sorted(properties, key=lambda one: one[0])
