"""The compiler: a profile of the runtime-spec to a program for seccomp(2).

A program looks at the architecture, then at the call's number by binary search,
then, where rules have conditions, at the arguments.  All that depends on the
number alone is one list of ranges: what rules name, the default between them,
the bit of x32, and the numbers above all that the profile names.  Calls with
those are newer than the profile, and get ENOSYS unless the default lets them
through: the C library then does without them.

Documents: config-linux.md, Seccomp; seccomp(2).
"""

from __future__ import annotations

from .actions import ALLOW, KILL_THREAD, LOG, TRACE, answer, no_such_call
from .architectures import NONE, X32_BIT, named
from .assembler import Assembler
from .conditions import conditional
from .instructions import ARCHITECTURE, JEQ, JGE, NUMBER
from .rules import meaning, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..config.seccomp import Seccomp
    from .architectures import Architecture
    from .instructions import Instruction
    from .rules import Decision, Rule

    # The first number of a range, what decides on its calls, and of which architecture they are.
    Range = tuple[int, Decision, Architecture]

# Calls that programs make most: the search is to find them early.
_HOT = (
    *("read", "write", "readv", "writev", "pread64", "pwrite64", "close", "openat", "newfstatat"),
    *("futex", "epoll_wait", "epoll_pwait", "poll", "ppoll", "recvfrom", "sendto", "recvmsg"),
    *("sendmsg", "mmap", "munmap", "clock_gettime", "getpid", "sched_yield", "nanosleep"),
)
_WEIGHT = 4  # of one, in ranges


def compile_profile(seccomp: Seccomp, native: Architecture) -> list[Instruction]:
    """The program for a profile.

    native: the machine's architecture, which is always filtered.

    Raises ValueError, naming the place, where the profile cannot be compiled: an
    unknown name of an action or of an operator, an architecture without a table
    or of another byte order, or more than 4096 instructions.
    """
    default = answer(seccomp.default_action, seccomp.default_errno_ret, "defaultAction")
    rules = read(seccomp, default)
    assembler = Assembler()
    label = assembler.ret(KILL_THREAD)  # of an architecture that is not listed
    for token, group in reversed(_groups(seccomp, native).items()):
        ranges = _joined(_ranges(group, rules, default))
        start = assembler.load(NUMBER, _Search(assembler, ranges, default).place())
        label = assembler.test(JEQ, token, start, label)
    return assembler.program(assembler.load(ARCHITECTURE, label))


def _groups(seccomp: Seccomp, native: Architecture) -> dict[int, dict[str, Architecture]]:
    """The architectures by what a filter sees of them, the native one first."""
    groups = {native.token: {native.name: native}}
    for index, name in enumerate(seccomp.architectures):
        place = f"architectures[{index}]"
        try:
            architecture = named(name)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from None
        if architecture.byte_order != native.byte_order:
            raise ValueError(f"{place}: {name} has another byte order than {native.name}")
        groups.setdefault(architecture.token, {})[architecture.name] = architecture
    return groups


def _ranges(group: dict[str, Architecture], rules: list[Rule], default: int) -> list[Range]:
    """What decides on each number, of architectures that a filter sees as one."""
    if "X86_64" not in group and "X32" not in group:
        (architecture,) = group.values()
        return _of_one(architecture, rules, default, 0, NONE)
    ranges: list[Range] = []
    for name, first, last in (("X86_64", 0, X32_BIT - 1), ("X32", X32_BIT, NONE - 1)):
        if name in group:
            ranges += _of_one(group[name], rules, default, first, last)
        else:
            ranges.append((first, KILL_THREAD, named(name)))
    native = next(iter(group.values()))
    # A tracer has the call skipped by this number, which so is not one of x32.
    ranges.append((NONE, _newer(native, default), native))
    return ranges


def _of_one(
    architecture: Architecture, rules: list[Rule], default: int, first: int, last: int
) -> list[Range]:
    """What decides on the numbers from first to last."""
    found = meaning(rules, architecture)
    decisions = found.decisions
    newer = default if found.newest < 0 else _newer(architecture, default)
    if architecture.name in ("S390", "S390X") and newer != default:
        decisions.setdefault(0, newer)  # a number that is too large for the kernel arrives as 0
    ranges: list[Range] = []

    def gap(start: int, end: int) -> None:
        """Between two numbers that rules name."""
        if start <= min(end, found.newest):
            ranges.append((start, default, architecture))
            start = found.newest + 1
        if start <= end:
            ranges.append((start, newer, architecture))

    for number in sorted(decisions):
        gap(first, number - 1)
        ranges.append((number, decisions[number], architecture))
        first = number + 1
    gap(first, last)
    return ranges


def _newer(architecture: Architecture, default: int) -> int:
    """What the filter returns for a call that is newer than the profile."""
    if default in (ALLOW, LOG) or default & 0xFFFF0000 == TRACE:
        return default
    return no_such_call(architecture.name)


def _joined(ranges: list[Range]) -> list[Range]:
    """The same, without the bounds between two ranges that are decided alike."""
    joined: list[Range] = []
    for found in ranges:
        # What an argument is depends on the architecture, too.
        if (
            not joined
            or joined[-1][1] != found[1]
            or not (isinstance(found[1], int) or joined[-1][2] is found[2])
        ):
            joined.append(found)
    return joined


class _Search:
    """The binary search for the range of a number."""

    def __init__(self, assembler: Assembler, ranges: Sequence[Range], default: int) -> None:
        self._assembler = assembler
        self._ranges = ranges
        self._default = default
        hot = set()
        # Where all calls are killed, as of one that is not listed, none is hot: no table is needed.
        for architecture in {found[2].name: found[2] for found in ranges if found[1]}.values():
            numbers = architecture.numbers()
            hot |= {numbers[name] for name in _HOT if name in numbers}
        # How much lies before each range: what is wanted more often weighs more.
        self._before = [0]
        bounds = [*(found[0] for found in ranges[1:]), NONE + 1]
        for found, end in zip(ranges, bounds):
            weight = 1 + _WEIGHT * sum(1 for number in hot if found[0] <= number < end)
            self._before.append(self._before[-1] + weight)

    def place(self) -> int:
        return self._part(0, len(self._ranges))

    def _part(self, first: int, end: int) -> int:
        """Place the search among the ranges from first on, to the one before end."""
        if end - first == 1:
            _, decision, architecture = self._ranges[first]
            if isinstance(decision, int):
                return self._assembler.ret(decision)
            return conditional(self._assembler, decision, self._default, architecture)
        before = self._before
        half = (before[first] + before[end]) // 2
        middle = first + 1
        while middle + 1 < end and before[middle] < half:
            middle += 1
        if middle > first + 1 and half - before[middle - 1] <= before[middle] - half:
            middle -= 1
        above = self._part(middle, end)
        below = self._part(first, middle)
        return self._assembler.test(JGE, self._ranges[middle][0], above, below)
