"""Mounts that a running container gets, and loses again."""

from __future__ import annotations

from ..bootstrap import client
from ..bootstrap.context import Context
from ..bootstrap.servers import reap
from ..bootstrap.spawning import fill_standard_streams
from ..config.mount import destination_inside
from ..errors import ConfigError, Error, Finding
from ..plan.mounting import plan_add, plan_remove, refused
from ..syscalls import procfs
from ..syscalls.constants import CLONE_NEWNS
from .host import host
from .links import unique_name
from .starting import close_own, namespaces_to_join

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config import Mount
    from ..plan.step import Plan
    from .directory import Held
    from .holdings import Holdings


def add(holdings: Holdings, held: Held, mount: Mount) -> None:
    """Container.add_mount(), with the container's lock held."""
    record = holdings.record
    joined = _joined(holdings, "add a mount to")
    _check(holdings, mount)
    found = _carry_out(holdings, plan_add(record.config, mount, host(), joined))
    for text in found.values():
        number, _, path = text.partition(" ")
        destination = destination_inside(record.rootfs, mount.destination)
        record.mounts.append([destination, path, number])
        try:
            held.write(record)
        except BaseException:
            record.mounts.pop()
            _carry_out(holdings, plan_remove(destination, path, int(number), host(), joined))
            raise


def remove(holdings: Holdings, held: Held, destination: str) -> None:
    """Container.remove_mount(), with the container's lock held."""
    record = holdings.record
    wanted = destination_inside(record.rootfs, destination)
    mine = [one for one in record.mounts if one[0] == wanted]
    if not mine:
        what = f"cannot remove a mount of container {holdings.id!r}"
        raise Error(f"{what}: none was added on {destination!r} while it ran")
    joined = _joined(holdings, "remove a mount of")
    *_, last = mine
    _, path, number = last
    _carry_out(holdings, plan_remove(wanted, path, int(number), host(), joined))
    record.mounts.remove(last)
    held.write(record)


def _joined(holdings: Holdings, verb: str) -> dict[int, int]:
    procfs.require_own_children()
    joined = namespaces_to_join(holdings)
    if CLONE_NEWNS not in joined:
        start = f"cannot {verb} container {holdings.id!r}"
        raise Error(f"{start}: it has no mount namespace of its own")
    return joined


def _check(holdings: Holdings, mount: Mount) -> None:
    from ..config.facts import facts_of_host
    from ..config.validate import validate

    config = holdings.record.config.copy(mounts=[mount])
    findings = [
        one for one in validate(config, facts_of_host()) if one.place.startswith("mounts[0]")
    ]
    why = refused(mount)
    if why:
        findings.append(Finding("mounts[0]", why))
    errors = [one for one in findings if one.level == "error"]
    if errors:
        raise ConfigError(errors)
    holdings.warnings += [str(one) for one in findings]


def _carry_out(holdings: Holdings, plan: Plan) -> dict[str, str]:
    """What was found out, by the places that asked."""
    fill_standard_streams()
    context = Context()
    holdings.plan, holdings.traces = plan, []
    try:
        context.fds["target"] = holdings.open_init()
        name = unique_name(holdings.record, holdings.directory.path)
        started = client.carry_out(plan, context, trace=holdings.trace, container=name)
        started.close()
        pidfd, started.pidfd = started.pidfd, -1
        if pidfd >= 0:
            reap(pidfd)
        holdings.traces += started.traces
        holdings.warnings += started.warnings
        found: dict[str, str] = context.values.get("found", {})
        return found
    finally:
        close_own(context)
