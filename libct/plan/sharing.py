"""Which starts share the server's memory, and which are forked (bootstrap/sharing.py).

Sharing saves most of what a start takes, and holds up the server, and each process that clones
another, until the command is executed.  So it is for starts that wait for nobody.

It is never for a process that others might trace: they would look at the server, and change it.
So what appears in a pid namespace with others in it, a further process or a first one where one
is joined, is forked.  Who they are is not known: a container that is there to look at this one
may have joined it (`docker run --pid=container:...`).  The stage, which does most of what there
is to do for a further process, is not in there, and shares.  Where there is no pid namespace, the
caller knows whether somebody inside may trace.
"""

from __future__ import annotations

from ..syscalls.constants import CLONE_NEWTIME
from .namespaces import SHARING
from .step import INIT, RUNTIME, SERVER, STAGE, Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .step import Plan

_CLONING = ("clone_stage", "clone_init")  # and not "clone_command"
# What waits for others: for the start, for a hook, for who opens the sources of mounts.
_WAITING = {"clone_messenger", "await_start", "container_hook", "lend_sources", "lend_here"}
# What the kernel refuses to who shares memory (unshare(2), time_namespaces(7)).
_REFUSED = {"unshare_user", "unshare_time"}
_HOOKS = {"runtime_hook", "function_hook"}
_ENTERING = {"clone_init", "join_process", "unshare_others"}  # whose first argument is CLONE_NEW*
# What needs no interpreter, and cannot fail but by the command itself.
# What comes before these can still look at /proc.
_BEFORE = ("landlock_restrict", "load_filter", "close_descriptors")
_LINED_UP = ("new_session", "set_death_signal", "execute")
_MADE_BARE = ("madvise",)  # the calls that are not made else


def share_memory(plan: Plan, *, bare: bool = False) -> None:
    """Have the clones of a complete plan share memory, unless a step speaks against it.

    bare: what is cloned by a stage into a pid namespace with others needs no interpreter, where
        it has as little to do as most have (bootstrap/bare.py).
    """
    clones = []
    for step in plan:
        if step.op in _HOOKS:
            return  # whoever waits for the caller's own program holds the server up
        if step.process not in (SERVER, STAGE, INIT):
            continue
        if step.op in _WAITING or step.op in _REFUSED or _enters_time(step):
            return
        if step.op == "load_filter" and not _lets_go_on(step):
            return
        if step.op in _CLONING:
            clones.append(step)
    plan.shares = True
    if bare:
        _lighten(plan)
    for step in clones:
        step.args = step.args[0] | SHARING, *step.args[1:]


def _lighten(plan: Plan) -> None:
    """Leave to what clone_command() clones what it can do without an interpreter, if that is all.

    Its limits can be set by the stage, which has the same ids, before it goes on.
    """
    at = next((at for at, step in enumerate(plan) if step.op == "clone_command"), -1)
    own = [step for step in plan if step.process == INIT]
    if at < 0 or any(step.op not in (*_LINED_UP, "set_own_rlimit") for step in own):
        return
    if any(step.process == RUNTIME for step in plan.steps[at:]):
        return  # it would have to say when that is its turn
    if any(step.op == "load_filter" and not _is_enough(step) for step in plan):
        return
    limits = [step for step in own if step.op == "set_own_rlimit"]
    plan.steps[at].op, plan.steps[at].args = "clone_bare", ()
    plan.steps = [step for step in plan if step not in limits]
    plan.steps[at + 1 : at + 1] = [
        Step("set_rlimit", step.args, step.why, STAGE, step.phase) for step in limits
    ]
    # Before its filter and the end of its descriptors.
    first = next(at for at, step in enumerate(plan) if step.op in _BEFORE)
    plan.steps.insert(first, Step("note_memory", (), "", STAGE, "clone"))


def _enters_time(step: Step) -> bool:
    """A time namespace is for who shares no memory."""
    if step.op == "join":
        return any(flag == CLONE_NEWTIME for flag, _ in step.args[1])
    return step.op in _ENTERING and bool(step.args[0] & CLONE_NEWTIME)


def _lets_go_on(step: Step) -> bool:
    """Whether who waits for nobody gets from one lined-up call to the next under this filter."""
    from ..syscalls.seccomp_constants import SECCOMP_FILTER_FLAG_NEW_LISTENER

    program, flags = step.args
    if flags & SECCOMP_FILTER_FLAG_NEW_LISTENER:
        return False  # somebody else answers, when he likes
    from .seccomp import AFTER_SHARING, allows

    return all(allows(program, name) for name in AFTER_SHARING)


def _is_enough(step: Step) -> bool:
    """Whether a filter lets a stage make what it clones without an interpreter."""
    from .seccomp import allows

    return all(allows(step.args[0], name) for name in _MADE_BARE)
