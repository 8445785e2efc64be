"""Hooks that no start has: poststart, once the command is executed, and poststop.

They run where exec() and destroy() are called, which may be another process
than the one that has made the container: what they need is in its state.  Both
are steps of the plan of its start all the same, and have their numbers there.
"""

from __future__ import annotations

import posix

from ..bootstrap.context import Context, Trace
from ..bootstrap.failure import Failure
from ..bootstrap.performer import perform, performers
from ..bootstrap.spawning import fill_standard_streams
from ..bootstrap.started import step_error
from ..config.hooks import HOOK_OUTPUT_ANNOTATIONS
from ..errors import Error
from ..loading.paths import join
from ..plan.hooks import hook_steps, labelled_bundle
from ..plan.step import DELETER, HOOK_OUTPUT, INIT, RUNTIME, STARTER, Plan, Step
from .killing import stop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..config import Config
    from .holdings import Holdings
    from .record import Record


def run_poststart(holdings: Holdings) -> None:
    """StepError at the first that fails; the container is stopped then."""
    record = holdings.record
    try:
        context = Context(open_output(record))
        context.pid = record.pid
        context.values["directory"] = holdings.directory
        context.values["warnings"] = holdings.warnings
        try:
            plan, steps = _planned(holdings, STARTER)
            _perform(holdings, plan, steps, context)
        finally:
            _close(context)
    except BaseException:
        stop(holdings)
        raise


def run_before_restore(holdings: Holdings, pid: int) -> None:
    """Those that a start has before its command: StepError at the first that fails."""
    record = holdings.record
    context = Context(open_output(record))
    context.pid = pid
    context.values["directory"] = holdings.directory
    context.values["warnings"] = holdings.warnings
    plan = Plan()
    for kind in ("prestart", "createRuntime"):
        plan.add(RUNTIME, "hooks", hook_steps(kind, record.config, record.id, record.bundle))
    steps = [(number, step.performer, step.args) for number, step in enumerate(plan, 1)]
    try:
        _perform(holdings, plan, steps, context)
    finally:
        _close(context)


def run_poststop(holdings: Holdings) -> None:
    """All of them; what fails is put into the warnings (runtime.md, Lifecycle)."""
    try:
        context = Context(open_output(holdings.record))
    except Error as error:
        holdings.warnings.append(str(error))
        context = Context()
    context.values["warnings"] = holdings.warnings
    try:
        try:
            plan, steps = _planned(holdings, DELETER)
        except Error as error:  # its state is damaged
            holdings.warnings.append(str(error))
            return
        for step in steps:
            try:
                _perform(holdings, plan, [step], context)
            except Error as error:
                holdings.warnings.append(str(error))
    finally:
        _close(context)


def open_output(record: Record) -> dict[str, int]:
    """The files that hooks write to instead of their pipe, by their names in a Context.

    Relative paths start in the bundle, as the hooks do.
    """
    bundle = record.bundle or labelled_bundle(record.config)
    found: dict[str, int] = {}
    for annotation, name in zip(HOOK_OUTPUT_ANNOTATIONS, HOOK_OUTPUT):
        path = record.annotations.get(annotation)
        if not path:
            continue
        path = join(bundle, path)
        try:
            flags = (
                posix.O_WRONLY | posix.O_CREAT | posix.O_APPEND | posix.O_CLOEXEC | posix.O_NOCTTY
            )
            found[name] = posix.open(path, flags, 0o600)
        except (OSError, ValueError) as error:
            for fd in found.values():
                posix.close(fd)
            reason = getattr(error, "strerror", None) or error
            text = f"cannot open {path!r} for the output of hooks: {reason}"
            raise Error(f"{text} (annotation {annotation})") from error
    return found


def rest_of_plan(record: Record, config: Config) -> Plan:
    """The plan of a start, as far as it is left when the container is created.

    config: the record's, with functions among its hooks.
    What goes before is there by its number only.
    """

    def hooks(kind: str) -> list[Step]:
        return hook_steps(kind, config, record.id, record.bundle)

    plan = Plan()
    command = Step("execute", (("the command",), ()), "process.args")
    before = hooks("startContainer")
    unknown = command
    if record.config.landlock is not None:  # which says why the command may not be executed
        from ..plan.landlock import landlock_restrict

        unknown = landlock_restrict(False)
    plan.add(INIT, "start", [unknown] * (record.last_step - len(before) - 1))
    plan.add(INIT, "start", [*before, command])
    plan.add(STARTER, "started", hooks("poststart"))
    plan.add(DELETER, "deleted", hooks("poststop"))
    return plan


def _planned(holdings: Holdings, process: str) -> tuple[Plan, list[Any]]:
    """The plan, and in the form that is performed the steps of a process of it."""
    plan = holdings.plan  # of the start, if that was made by this object and is its latest
    if plan is None or all(step.process != process for step in plan):
        plan = rest_of_plan(holdings.record, holdings.config())
    steps = [
        (number, step.performer, step.args)
        for number, step in enumerate(plan, 1)
        if step.process == process
    ]
    return plan, steps


def _perform(holdings: Holdings, plan: Plan, steps: list[Any], context: Context) -> None:
    fill_standard_streams()
    context.values["hooks"] = holdings.hooks
    trace = Trace(holdings.trace)
    try:
        perform(performers(steps), context, trace)
    except Failure as failure:
        raise step_error(plan, failure, trace.records) from failure.__cause__
    finally:
        holdings.traces += trace.take()


def _close(context: Context) -> None:
    for name in list(context.fds):
        context.release(name)
