"""What performs the operations of plan/systemd.py, on the runtime's side."""

from __future__ import annotations

import errno
import posix

from ...errors import StepProblem, SystemdError
from ...loading.paths import is_directory
from .. import files
from ..entry import cgroup_join
from ..files import REFUSALS
from ..steps import cgroup_chown, cgroup_mkdir
from . import units
from .description import described

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...bootstrap.context import Context
    from ..ledger import Ledger
    from .properties import Properties

_EXISTS = "org.freedesktop.systemd1.UnitExists"
_GONE = ("inactive", "failed")  # a unit that has failed is forgotten when it is started anew


def systemd_check(context: Context, unit: str, user: int) -> None:
    """Reach systemd, and find no such unit, while nothing has been made yet.

    That of an earlier start of the container may be there still: it goes away some time after
    the last process in it.
    """
    ledger: Ledger = context.values["ledger"]
    if _is_there(unit, user):
        ledger.stop_former_units()
        if _is_there(unit, user):
            raise _exists(unit, user)


def _is_there(unit: str, user: int) -> bool:
    return units.unit_property(unit, "ActiveState", user=bool(user)) not in _GONE


def systemd_start_unit(
    context: Context,
    unit: str,
    user: int,
    directory: str,
    scope: int,
    properties: Properties,
) -> None:
    """Start the unit, with the process context.pid in it where it is a scope.

    directory: the group that it is to have, in the hierarchy that systemd knows it by.
    """
    ledger: Ledger = context.values["ledger"]
    mark = ledger.start_unit(directory, user=bool(user))
    pid, pidfd = (context.pid, context.own_pidfd()) if scope else (0, -1)
    given = described(properties, mark)
    try:
        units.start_transient_unit(unit, given, user=bool(user), pid=pid, pidfd=pidfd)
    except SystemdError as error:
        raise (_exists(unit, user) if error.name == _EXISTS else error) from None
    if not is_directory(directory):
        found = units.unit_property(unit, "ControlGroup", user=bool(user))
        raise StepProblem(
            f"systemd has given the unit {unit!r} the control group {found!r}, and not"
            f" {directory!r}",
            "choose another slice in linux.cgroupsPath",
        )


def _exists(unit: str, user: int) -> StepProblem:
    manager = "systemctl --user" if user else "systemctl"
    return StepProblem(
        f"a unit {unit!r} is there already",
        f"choose another linux.cgroupsPath, or end it: {manager} stop {unit}",
    )


def systemd_group(context: Context, mount: str, below: str, optional: int) -> None:
    """Take the group that systemd has made for the unit, or make it where it has made none.

    The former has our process in it: it is not one that was there before.
    """
    directory = f"{mount}/{below}"
    ledger: Ledger = context.values["ledger"]
    if is_directory(directory) and files.pids(directory) == [context.pid]:
        try:
            ledger.adopt(directory)
        except OSError as error:
            if not optional or error.errno not in REFUSALS:
                raise
    else:
        cgroup_mkdir(context, mount, below, optional)


def systemd_join(context: Context, required: tuple[str, ...], optional: tuple[str, ...]) -> None:
    """Put the process into those groups that systemd has not put it into."""
    cgroup_join(
        context,
        tuple(path for path in required if not _has(path, context.pid)),
        tuple(path for path in optional if not _has(path, context.pid)),
    )


def _has(directory: str, pid: int) -> bool:
    try:
        return pid in files.pids(directory)
    except OSError as error:
        if error.errno in (*REFUSALS, errno.ENOENT):
            return False
        raise


def systemd_delegate(context: Context, directory: str, below: str, uid: int | None) -> None:
    """Move the process to a group below the container's, which has no limits of ours.

    It has unshared its cgroup namespace in the upper one, which it sees as the root.
    """
    path = directory
    for name in below.split("/"):
        path += f"/{name}"
        try:
            posix.mkdir(path, 0o755)
        except FileExistsError:
            pass
        if uid is not None:
            cgroup_chown(context, path, uid, 1)
    files.write_pid(f"{path}/cgroup.procs", context.pid)


def systemd_attach(context: Context, unit: str, user: int, below: str) -> None:
    """Have systemd put the process into the unit, below its group."""
    units.attach_processes_to_unit(unit, below, [context.pid], user=bool(user))


def systemd_set_properties(context: Context, unit: str, user: int, properties: Properties) -> None:
    """Change the unit; systemd has written its files when this returns."""
    units.set_unit_properties(unit, properties, user=bool(user))
    # It writes them when it has answered, and before it answers the next one.
    units.unit_property(unit, "ActiveState", user=bool(user))
