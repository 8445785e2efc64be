"""The end of a container's unit, as its ledger says: of its own, and of no other of its name."""

from __future__ import annotations

from ...errors import SystemdError
from ...loading.paths import is_directory
from . import units
from .description import has_mark
from .facts import refused
from .names import unit_of


def stop(directory: str, mark: str, *, user: bool) -> None:
    """Stop a unit and have systemd forget it; nothing happens to one that has another mark.

    directory: the group of the unit.  Raises CgroupError where systemd refuses, or cannot be
    reached while the group is there.
    """
    unit = unit_of(directory)
    try:
        if has_mark(str(units.unit_property(unit, "Description", user=user)), mark):
            units.stop_unit(unit, user=user)
    except SystemdError as error:
        if error.name or is_directory(directory):
            raise refused(f"stop the unit {unit!r}", error) from error
