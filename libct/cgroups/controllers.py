"""Enabling the controllers of v2 on the way to a container's group.

A group that has processes, and controllers enabled for the groups below it, is the root
of a tree of threads, and so is one with a threaded group below it: the other groups there
are `domain invalid`, and of no use until they are made threaded, the upper ones first.
Only some controllers can limit threads.  So nothing is enabled next to processes that
was not asked for: it would change what the group is that they are in.

Source: the kernel's admin-guide/cgroup-v2, Controlling Controllers and Threads.
"""

from __future__ import annotations

import errno

from ..errors import StepProblem
from ..loading.paths import is_directory, split
from . import files
from .files import REFUSALS, hinted
from .steps import refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..bootstrap.context import Context

# Those that know threads: "threaded" in struct cgroup_subsys.
_THREADED = ("cpu", "cpuset", "perf_event", "pids")


def cgroup_enable_controllers(
    context: Context, mount: str, below: str, needed: tuple[str, ...]
) -> None:
    """Let the groups on the way to this v2 group distribute all controllers there are.

    needed: the controllers that limits were asked of; only without these it fails, and
        what it has enabled is enabled no more.
    """
    if not is_directory(f"{mount}/{below}"):  # it was refused, and optional
        return
    enabled: list[tuple[str, str]] = []
    try:
        _enable_on_the_way(mount, below, needed, enabled)
    except (OSError, StepProblem):
        for level, controller in reversed(enabled):
            try:
                files.write(f"{level}/cgroup.subtree_control", f"-{controller}")
            except OSError:
                continue  # another container needs it by now
        raise


def _enable_on_the_way(
    mount: str, below: str, needed: tuple[str, ...], enabled: list[tuple[str, str]]
) -> None:
    offered = files.read(f"{mount}/cgroup.controllers").split()
    level, refused_by, problem = mount, mount, None
    for name in below.split("/"):
        error = _enable(level, offered, needed, enabled) if offered else None
        if error is not None:
            refused_by, problem = level, error
            offered = files.read(f"{level}/cgroup.subtree_control").split()
        level += f"/{name}"
        _make_threaded(level, needed)
    missing = [controller for controller in needed if controller not in offered]
    if missing:
        raise _not_enabled(refused_by, missing, problem) from problem


def _enable(
    level: str, offered: list[str], needed: tuple[str, ...], enabled: list[tuple[str, str]]
) -> OSError | None:
    """Enable all of them, or each that can be; the last error."""
    file = f"{level}/cgroup.subtree_control"
    before = files.read(file).split()
    wanted = [controller for controller in offered if controller not in before]
    try:
        if wanted:
            files.write(file, _added(wanted))
            enabled += [(level, controller) for controller in wanted]
        return None
    except PermissionError as error:
        return error
    except OSError as error:
        problem = error
    for controller in wanted:
        if problem.errno == errno.EBUSY and controller not in needed:
            continue  # there are processes in that group
        try:
            files.write(file, _added([controller]))
            enabled.append((level, controller))
        except OSError as error:
            problem = error
    return problem


def _added(controllers: Iterable[str]) -> str:
    return " ".join(f"+{controller}" for controller in controllers)


def _make_threaded(directory: str, needed: tuple[str, ...]) -> None:
    """A group in a tree of threads must be one of threads, too."""
    kind = files.read(f"{directory}/cgroup.type").strip()
    if kind not in ("domain invalid", "threaded"):
        return
    whole = [name for name in needed if name not in _THREADED]
    if whole:
        raise StepProblem(
            f"{' and '.join(whole)} cannot be limited in {directory!r}: it is in a tree of threads"
            f" (cgroup.type is {kind!r}), as {split(directory)[0]!r} has processes of its own or"
            " a threaded group below it",
            "choose another linux.cgroupsPath",
        )
    if kind == "domain invalid":
        files.write(f"{directory}/cgroup.type", "threaded")


def _not_enabled(level: str, missing: list[str], problem: OSError | None) -> OSError | StepProblem:
    what = " and ".join(missing)
    if problem is None:
        return StepProblem(
            f"{what} cannot be enabled", f"{level}/cgroup.controllers does not offer it"
        )
    if problem.errno == errno.EBUSY:
        why = (
            "there are processes in that group itself: move them to a group below it, or choose"
            " another linux.cgroupsPath"
        )
        return hinted(problem, why)
    return refused(problem) if problem.errno in REFUSALS else problem
