"""Units of systemd: started, stopped, changed, looked at.

A function returns when systemd has done it: where that is a job, it waits for the signal that
the job is over, and takes nothing but the result "done" for success.  What is left of a unit that
failed is reset, so that its name can be used again.

user: ask the user's manager, not the system's.  timeout: seconds, for all of it.
All raise SystemdError.

Source: org.freedesktop.systemd1(5); runc's cgroup manager for the order of things.
"""

from __future__ import annotations

from ...errors import SystemdError
from .bus import MANAGER, SECONDS, SYSTEMD, Limit
from .connections import turn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .bus import Bus

    # Name, D-Bus signature, value (syscalls/sd_bus.py): ("TasksMax", "t", 100).
    Property = tuple[str, str, Any]

_UNIT_EXISTS = f"{SYSTEMD}.UnitExists"
_NO_SUCH_UNIT = f"{SYSTEMD}.NoSuchUnit"
_PROPERTIES = "org.freedesktop.DBus.Properties"
_ERROR = "org.freedesktop.DBus.Error"
# What the versions of systemd say to a property that they do not know.
_UNKNOWN_PROPERTY = (
    f"{_ERROR}.UnknownProperty",
    f"{_ERROR}.PropertyReadOnly",
    f"{_ERROR}.UnknownInterface",
)

# Results of jobs, job_result_to_string() in systemd's src/core/job.c
_RESULTS = {
    "canceled": "another job for the unit took its place",
    "timeout": "it took longer than the unit may take",
    "failed": "it failed",
    "dependency": "a unit that it needs failed",
    "skipped": "it cannot be done in the unit's present state",
    "invalid": "it cannot be done in the unit's present state",
    "assert": "an assertion of the unit does not hold",
    "unsupported": "systemd cannot do it on this machine",
    "collected": "the unit was removed before",
    "once": "the unit can be started only once",
    "frozen": "the unit, or its slice, is frozen",
    "concurrency": "too many units of its slice are active",
}


# --- jobs ---


def start_transient_unit(
    name: str,
    properties: Iterable[Property],
    *,
    user: bool,
    pid: int = 0,
    pidfd: int = -1,
    exist_ok: bool = False,
    timeout: float = SECONDS,
) -> None:
    """Make a unit, and start it.

    pid, pidfd: the first process of a scope, which cannot be without one; both name the same.  By
        the descriptor it cannot be mistaken for another; systemd knows that since 255.
    exist_ok: a unit that runs under this name already is fine, and stays as it is.

    After a time-out the unit may still be started: stop_unit() puts an end to that.
    """
    what = f"start the unit {name!r}"
    given = list(properties)
    with_pid = [("PIDs", "au", (pid,))] if pid else []
    limit = Limit(timeout)
    with turn(user=user, limit=limit) as bus:
        process = with_pid
        if pidfd >= 0 and bus.can_send_descriptors():
            process = [("PIDFDs", "ah", (pidfd,))]
        reset = False
        while True:
            try:
                result = _start(bus, name, [*given, *process], what, limit)
                break
            except SystemdError as error:
                if error.name in _UNKNOWN_PROPERTY and process is not with_pid and with_pid:
                    process = with_pid
                elif error.name != _UNIT_EXISTS:
                    raise
                elif exist_ok:
                    return
                elif reset:
                    error.hint = f"it is another container's, or was left: systemctl stop {name}"
                    raise
                else:
                    # It may be there only because it failed.
                    reset = True
                    _reset(bus, name, limit)
        _check(bus, name, result, what, user=user, limit=limit)


def _start(bus: Bus, name: str, properties: list[Property], what: str, limit: Limit) -> str:
    return _job_result(
        bus,
        name,
        "StartTransientUnit",
        "ssa(sv)a(sa(sv))",
        name,
        "replace",
        _variants(properties),
        (),
        what=what,
        limit=limit,
    )


def stop_unit(name: str, *, user: bool, timeout: float = SECONDS) -> None:
    """Stop a unit: what is left of it is killed.  One that is not there is fine."""
    what = f"stop the unit {name!r}"
    limit = Limit(timeout)
    with turn(user=user, limit=limit) as bus:
        try:
            result = _job_result(
                bus, name, "StopUnit", "ss", name, "replace", what=what, limit=limit
            )
        except SystemdError as error:
            if error.name != _NO_SUCH_UNIT:
                raise
            result = "done"
        if result == "done":
            _reset(bus, name, limit)  # a unit that had failed before stays failed
        _check(bus, name, result, what, user=user, limit=limit)


def _job_result(
    bus: Bus, unit: str, method: str, signature: str, *values: Any, what: str, limit: Limit
) -> str:
    """Call a method that makes a job, and wait until that is over; its result."""
    bus.watch_jobs(unit, what=what, limit=limit)
    try:
        (job,) = bus.call(method, signature, *values, what=what, limit=limit)
    except SystemdError as error:
        if error.name:  # else the connection is not used again
            bus.forget_jobs(unit)
        raise
    result = bus.job_result(job, what=what, limit=limit)
    bus.forget_jobs(unit)
    return result


def _check(bus: Bus, name: str, result: str, what: str, *, user: bool, limit: Limit) -> None:
    if result == "done":
        return
    _reset(bus, name, limit)
    why = _RESULTS.get(result, "it was not done")
    journal = "journalctl --user" if user else "journalctl"
    raise SystemdError(
        f"cannot {what}: {why} (job result {result!r})", f"see {journal} -u {name}", result=result
    )


# --- the rest ---


def _reset(bus: Bus, name: str, limit: Limit) -> None:
    try:
        bus.call("ResetFailedUnit", "s", name, what=f"reset the unit {name!r}", limit=limit)
    except SystemdError as error:
        if error.name != _NO_SUCH_UNIT:
            raise


def set_unit_properties(
    name: str,
    properties: Iterable[Property],
    *,
    user: bool,
    runtime: bool = True,
    timeout: float = SECONDS,
) -> None:
    """Change a unit.  runtime: until the next boot only."""
    limit = Limit(timeout)
    with turn(user=user, limit=limit) as bus:
        bus.call(
            "SetUnitProperties",
            "sba(sv)",
            name,
            runtime,
            _variants(properties),
            what=f"change the unit {name!r}",
            limit=limit,
        )


def attach_processes_to_unit(
    name: str, subcgroup: str, pids: Iterable[int], *, user: bool, timeout: float = SECONDS
) -> None:
    """Move processes into the control group of a unit.

    subcgroup: "", or a group below that one, "/below", which somebody has made.
    """
    limit = Limit(timeout)
    with turn(user=user, limit=limit) as bus:
        what = f"move processes to the unit {name!r}"
        values = (name, subcgroup, list(pids))
        bus.call("AttachProcessesToUnit", "ssau", *values, what=what, limit=limit)


def unit_property(name: str, property: str, *, user: bool, timeout: float = SECONDS) -> Any:  # noqa: A002  # the word
    """A property of a unit, of those that its kind has or of those that all have.

    A unit that is not there has LoadState "not-found", ActiveState "inactive" and ControlGroup "".
    """
    limit = Limit(timeout)
    with turn(user=user, limit=limit) as bus:
        kind = f"{SYSTEMD}.{name.rpartition('.')[2].capitalize()}"
        try:
            return _property(bus, unit_path(name), kind, property, limit)
        except SystemdError as error:
            if error.name not in _UNKNOWN_PROPERTY:
                raise
        return _property(bus, unit_path(name), f"{SYSTEMD}.Unit", property, limit)


def unit_path(name: str) -> str:
    """The D-Bus object that a unit is."""
    escaped = "".join(
        one if one.isascii() and (one.isalpha() or (one.isdigit() and at)) else f"_{ord(one):02x}"
        for at, one in enumerate(name.encode().decode("latin-1"))
    )
    return f"/org/freedesktop/systemd1/unit/{escaped}"


def manager_version(*, user: bool, timeout: float = SECONDS) -> int:
    return version_number(str(_manager_property("Version", user=user, timeout=timeout)))


def version_number(text: str) -> int:
    """Of "252.39-1~deb12u1", or "v252"."""
    text = text.lstrip("v")
    return int(text[: len(text) - len(text.lstrip("0123456789"))] or 0)


def manager_cgroup(*, user: bool, timeout: float = SECONDS) -> str:
    """The group that the manager's units are below, from the root: "" if that is the root."""
    return str(_manager_property("ControlGroup", user=user, timeout=timeout))


def available(*, user: bool, timeout: float = SECONDS) -> str:
    """ "" where systemd can be asked; else why not."""
    try:
        manager_version(user=user, timeout=timeout)
    except SystemdError as error:
        return f"{error.message} ({error.hint})" if error.hint else error.message
    return ""


def _manager_property(name: str, *, user: bool, timeout: float) -> Any:
    limit = Limit(timeout)
    with turn(user=user, limit=limit) as bus:
        return _property(bus, "/org/freedesktop/systemd1", MANAGER, name, limit)


def _property(bus: Bus, path: str, interface: str, name: str, limit: Limit) -> Any:
    what = f"read systemd's property {name}"
    (value,) = bus.call(
        "Get", "ss", interface, name, what=what, limit=limit, interface=_PROPERTIES, path=path
    )
    return value


def _variants(properties: Iterable[Property]) -> list[tuple[str, tuple[str, Any]]]:
    return [(name, (signature, value)) for name, signature, value in properties]
