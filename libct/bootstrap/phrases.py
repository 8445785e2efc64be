"""What runc says where a step fails, for callers and scripts that look for its words.

Our own words say more, and follow in the same line: which step, which call, the place in
the configuration, what to do.  Most of runc's phrases stand where the failure is found,
in a rule or in a mechanism; here are those that depend on more than that.
"""

from __future__ import annotations

import errno
import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..plan.step import Plan, Step
    from .failure import Failure

_REFUSALS = (errno.EACCES, errno.EPERM, errno.EROFS)


def opening(plan: Plan, step: Step, failure: Failure) -> str:
    """How the error begins; "" where runc has no phrase for it."""
    if step.why.startswith("mounts["):
        source, destination = plan.mounts[_index(step.why)]
        return (
            f'error during container init: error mounting "{source}" to rootfs at "{destination}"'
        )
    if step.why.startswith("hooks."):
        kind = step.args[0]
        text = f"error running {kind} hook #{_index(step.why)}"
        executing = failure.errno and failure.call.startswith("execve(")
        return f"{text}: fork/exec {failure.path}: {_errno(failure)}" if executing else text
    if step.op == "change_directory" and failure.errno:
        return f'chdir to cwd ("{step.args[0]}") set in config.json failed: {_errno(failure)}'
    if step.op == "mask":
        return f"error during container init: can't mask path {step.args[0]}"
    if step.op == "make_read_only":
        return f'error during container init: can\'t make "{step.args[0]}" read-only'
    if step.op == "set_memory_policy" and failure.errno == errno.EINVAL:
        return "invalid memory policy"
    if step.op == "cgroup_mkdir" and failure.errno in _REFUSALS:
        controller = _limited(plan, step.args[0], step.args[1])
        if controller:
            return no_group_for(controller)
    return ""


def no_group_for(controller: str) -> str:
    """Where a limit of it meets no control group."""
    return f"cannot set {controller} limit: container could not join or create cgroup"


def _limited(plan: Plan, mount: str, below: str) -> str:
    """The controller of the first limit that is to be set in this group; "" for none."""
    group = f"{mount}/{below}/"
    for step in plan:
        limit = step.why.partition("linux.resources.")[2]
        if not limit or limit == "devices":
            continue
        if step.args[:2] == (mount, below) or f"{step.args[0]}/".startswith(group):
            return "cpuset" if limit in ("cpu.cpus", "cpu.mems") else limit.partition(".")[0]
    return ""


def _index(place: str) -> int:
    """The 3 of mounts[3].options."""
    return int(place.partition("[")[2].partition("]")[0])


def not_executed(failure: Failure) -> str:
    """Of the command, in the place of the call and of the text of its errno."""
    return f"exec {failure.path}: {_errno(failure)}"


def _errno(failure: Failure) -> str:
    """As Go has it, whose texts are those of C in small letters."""
    return posix.strerror(failure.errno or 0).lower()
