"""Steps and plans: what a container's start consists of, as plain values.

An operation is a kind of step.  It is declared here in plan/, by the function
that says which system calls it makes, and that names the function that performs
it.  This has the same name and is in the room of its mechanism (libct/rootfs/, ...),
which who plans does not import (see Performers).  Calling an operation does
not perform it; it gives a Step, which is the operation's name, plain arguments
(str, bytes, int, None, tuples of these) and the place of the configuration
that asks for it.

A Plan is an ordered list of steps, each stamped with its phase and with the
process that performs it.  The order of the list is the order in time, also
between processes: where the performing process changes, the one hands over to
the other (bootstrap/talk.py).  The plan is what goes over the wire, what
`libct plan` prints and what `--trace` times (docs/architecture.md, One idea: plan, then perform).
"""

from __future__ import annotations

import marshal

from .processes import (
    AHEAD as AHEAD,
    DELETER as DELETER,
    HOOK_OUTPUT as HOOK_OUTPUT,
    INIT as INIT,
    MEANWHILE as MEANWHILE,
    RUNTIME as RUNTIME,
    SERVER as SERVER,
    STAGE as STAGE,
    STARTER as STARTER,
    STDIO as STDIO,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from typing_extensions import Concatenate, ParamSpec

    from ..bootstrap.context import Context

    Arguments = ParamSpec("Arguments")

OPERATIONS: dict[str, Operation] = {}


class Performers:
    """Stands for a module of performers where these are declared and not loaded.

    Type checkers and editors take the module itself in its place, so that the
    performer is one hop from its operation, and its parameters are compared:

        if TYPE_CHECKING:
            from ..rootfs import masks
        else:
            masks = Performers("rootfs.masks")

    masks.mask is then "rootfs.masks.mask", which bootstrap/performer.py finds.
    """

    __slots__ = ("_module",)

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:  # a str
        return f"{self._module}.{name}"


class Operation:
    """A kind of step.

    performer names the function that does it, with its module, from the package
        on: "rootfs.masks.mask"; that is performer(context, *args).
    title is a format string over the arguments ('mount {0} on {1}'), or a function of them.
    calls(*args) gives the system calls it makes, as text in the manner of strace
        ('mount("proc", ...)'), flags by name and strings quoted; those that are
        made whatever it finds.  It makes none itself.
    """

    __slots__ = ("calls", "name", "performer", "title")

    def __init__(
        self, performer: str, title: str | Callable[..., str], calls: Callable[..., list[str]]
    ) -> None:
        self.name, self.title, self.calls = calls.__name__, title, calls
        self.performer = performer

    def __call__(self, *args: Any, why: str = "") -> Step:
        return Step(self.name, args, why)


def operation(
    performer: Callable[Concatenate[Context, Arguments], str | None],
    title: str | Callable[Arguments, str],
) -> Callable[[Callable[Arguments, list[str]]], Operation]:
    """Declare an operation: the decorated function gives its name and its calls.

    performer: as Performers names it, which is a function for type checkers alone.
    """

    def declare(calls: Callable[Arguments, list[str]]) -> Operation:
        made = Operation(str(performer), title, calls)
        if made.name in OPERATIONS:
            raise ValueError(f"two operations are called {made.name!r}")
        OPERATIONS[made.name] = made
        return made

    return declare


class Step:
    """One step: operation name, arguments, and why (a place in the configuration).

    process and phase are stamped by the plan that holds the step.
    """

    __slots__ = ("args", "op", "phase", "process", "why")

    def __init__(
        self, op: str, args: tuple[Any, ...] = (), why: str = "", process: str = "", phase: str = ""
    ) -> None:
        self.op, self.args, self.why = op, args, why
        self.process, self.phase = process, phase

    def __repr__(self) -> str:
        return f"Step({self.op!r}, {self.args!r}, {self.why!r}, {self.process!r}, {self.phase!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Step) and repr(self) == repr(other)

    __hash__ = None  # type: ignore[assignment]  # steps are values, compared and not looked up

    @property
    def title(self) -> str:
        """What the step does, in words: 'mount proc on /proc'."""
        title = OPERATIONS[self.op].title
        return title.format(*self.args) if isinstance(title, str) else title(*self.args)

    @property
    def performer(self) -> str:
        """Who performs it: module and function, from the package on."""
        return OPERATIONS[self.op].performer

    @property
    def calls(self) -> list[str]:
        """The system calls it makes, in order, in the manner of strace."""
        return OPERATIONS[self.op].calls(*self.args)


class Plan:
    """The steps of a start or of an exec, in order.

    mounts: source and destination of each mount as the configuration has them, for errors.
    shares: what is cloned shares memory until it executes (sharing.py), where that is possible.
    """

    __slots__ = ("mounts", "shares", "steps")

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.mounts: list[tuple[str, str]] = []
        self.shares = False

    def add(self, process: str, phase: str, steps: Iterable[Step]) -> None:
        for step in steps:
            step.process, step.phase = process, phase
            self.steps.append(step)

    def pack(self) -> bytes:
        """The same as bytes, for unpacked(); ValueError where it has more than plain values."""
        steps = [(one.op, one.args, one.why, one.process, one.phase) for one in self.steps]
        return marshal.dumps((steps, self.mounts, self.shares))

    @classmethod
    def unpacked(cls, data: bytes) -> Plan:
        plan = cls()
        steps, plan.mounts, plan.shares = marshal.loads(data)
        plan.steps = [Step(*one) for one in steps]
        return plan

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def segments(self) -> list[tuple[str, list[tuple[int, str, tuple[Any, ...]]]]]:
        """Runs of steps of one process: (process, [(number, performer, args)]), up to execve.

        Numbers count from 1 over the whole plan.  This is what goes over the wire.
        """
        found: list[tuple[str, list[tuple[int, str, tuple[Any, ...]]]]] = []
        for number, step in enumerate(self.steps, 1):
            if step.process in (STARTER, DELETER):
                continue
            if not found or found[-1][0] != step.process:
                found.append((step.process, []))
            found[-1][1].append((number, OPERATIONS[step.op].performer, step.args))
        return found
