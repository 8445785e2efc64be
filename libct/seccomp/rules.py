"""What a profile means on one architecture: for each call's number, what decides on it.

A rule's conditions must all hold, but where two are about one argument each is
a rule of its own.  A rule without conditions decides alone, the first such rule
of a call if there are several.  Of the others the first that holds decides, in
an order that does not depend on the profile's: the order of libseccomp, whose
answers engines and profiles count on.
"""

from __future__ import annotations

from .actions import answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Union

    from ..config.seccomp import Seccomp, SeccompArg
    from .architectures import Architecture

    # An argument's index, the operator, the mask, and the number to compare with.
    Condition = tuple[int, str, int, int]
    # Conditions that must all hold, and what the filter returns then.
    Choice = tuple[tuple[Condition, ...], int]
    # What the filter returns, or the rules to try, in order.
    Decision = Union[int, tuple[Choice, ...]]

_ALL = {True: (1 << 64) - 1, False: (1 << 32) - 1}

# What the first argument of socketcall(2) and of ipc(2) stands for
# (include/uapi/linux/net.h, ipc.h).
SOCKETCALLS = {
    name: 1 + at
    for at, name in enumerate(
        (
            *("socket", "bind", "connect", "listen", "accept", "getsockname", "getpeername"),
            *("socketpair", "send", "recv", "sendto", "recvfrom", "shutdown", "setsockopt"),
            *("getsockopt", "sendmsg", "recvmsg", "accept4", "recvmmsg", "sendmmsg"),
        )
    )
}
IPCS = {
    "semop": 1,
    "semget": 2,
    "semctl": 3,
    "semtimedop": 4,
    "msgsnd": 11,
    "msgrcv": 12,
    "msgget": 13,
    "msgctl": 14,
    "shmat": 21,
    "shmdt": 22,
    "shmget": 23,
    "shmctl": 24,
}
_PRIVATE = 0x0F0000  # __ARM_NR_BASE: numbers from there on are no newer calls


class Rule:
    """A rule of the profile, for all architectures.

    answer: what the filter returns; None: the default, so there is nothing to do.
    place: in the profile, "syscalls[3]".
    """

    __slots__ = ("answer", "conditions", "names", "place")

    def __init__(
        self, names: list[str], answer: int | None, conditions: list[SeccompArg], place: str
    ) -> None:
        self.names = names
        self.answer = answer
        self.conditions = conditions
        self.place = place


class Meaning:
    """decisions: number -> Decision.  newest: the largest number named, -1 if none is.

    origins: number -> the rule that decides, by the conditions; () for none.
    """

    __slots__ = ("decisions", "newest", "origins")

    def __init__(
        self,
        decisions: dict[int, Decision],
        newest: int,
        origins: dict[int, dict[tuple[Condition, ...], Rule]],
    ) -> None:
        self.decisions = decisions
        self.newest = newest
        self.origins = origins


def read(seccomp: Seccomp, default: int) -> list[Rule]:
    """The rules of a profile; ValueError names the place of a mistake."""
    rules = []
    for index, rule in enumerate(seccomp.syscalls):
        place = f"syscalls[{index}]"
        value = answer(rule.action, rule.errno_ret, place)
        rules.append(Rule(rule.names, None if value == default else value, rule.args, place))
    return rules


def meaning(rules: Iterable[Rule], architecture: Architecture) -> Meaning:
    """What the rules mean on an architecture.

    Names that it has no number for are skipped: a profile is written for all.
    Raises ValueError where two rules give one call, under the same conditions,
    two answers.
    """
    numbers = architecture.numbers()
    origins: dict[int, dict[tuple[Condition, ...], Rule]] = {}
    newest = -1
    for rule in rules:
        known = [numbers[name] for name in rule.names if name in numbers]
        for number in known:
            if number > newest and not _private(number):
                newest = number
        if rule.answer is None:
            continue
        for number, conditions in cases(rule, rule.names, known, architecture):
            found = origins.setdefault(number, {})
            if () in found:
                continue
            if not conditions:
                origins[number] = {(): rule}
            elif found.setdefault(conditions, rule).answer != rule.answer:
                raise ValueError(
                    f"{rule.place}: another rule gives the system call {number} of "
                    f"{architecture.name} another answer under the same conditions"
                )
    decisions = {
        number: _decision(found, wide=architecture.wide) for number, found in origins.items()
    }
    return Meaning(decisions, newest, origins)


def cases(
    rule: Rule, names: list[str], known: list[int], architecture: Architecture
) -> list[tuple[int, tuple[Condition, ...]]]:
    """The calls of these names that a rule is about, and under which conditions: () for any.

    known: the numbers of those that the architecture has.
    """
    found = []
    for conditions in _alternatives(rule, architecture.wide):
        found += [(number, conditions) for number in known]
        if architecture.socketcall:
            found += _multiplexed(names, architecture, conditions)
    return found


def _decision(found: dict[tuple[Condition, ...], Rule], *, wide: bool) -> Decision:
    choices = {
        conditions: rule.answer for conditions, rule in found.items() if rule.answer is not None
    }
    value = choices.get(())
    return tuple(_ordered(choices, wide)) if value is None else value


def _private(number: int) -> bool:
    return _PRIVATE <= number < _PRIVATE + 16


def _alternatives(rule: Rule, wide: bool) -> list[tuple[Condition, ...]]:
    """Conditions of which one list must hold; of a condition that always holds nothing is left."""
    if not rule.conditions:
        return [()]
    conditions = [_condition(one, wide, rule.place) for one in rule.conditions]
    kept = tuple(condition for condition in conditions if condition[2])
    if len({condition[0] for condition in conditions}) < len(conditions):
        return [(condition,) if condition[2] else () for condition in conditions]
    return [tuple(sorted(kept))]


def _condition(one: SeccompArg, wide: bool, place: str) -> Condition:
    """A condition, cut to the size of arguments: 32-bit programs have no more of them."""
    everything = _ALL[wide]
    if one.op == "SCMP_CMP_MASKED_EQ":
        mask = one.value & everything
        return one.index, "EQ", mask, one.value_two & mask
    operator = one.op[len("SCMP_CMP_") :]
    if operator not in _OPERATORS or not 0 <= one.index <= 5:
        raise ValueError(f"{place}: unknown condition: argument {one.index}, {one.op!r}")
    return one.index, operator, everything, one.value & everything


def _multiplexed(
    names: list[str], architecture: Architecture, conditions: tuple[Condition, ...]
) -> list[tuple[int, tuple[Condition, ...]]]:
    """The same calls by way of socketcall(2) and ipc(2).

    Their first argument says which it is.  The call's own arguments are in memory
    then, where no filter looks: conditions on the first are dropped, and those on
    others are kept although they are about something else, as libseccomp does it.
    """
    everything = _ALL[architecture.wide]
    kept = tuple(condition for condition in conditions if condition[0])
    found = []
    for table, number in ((SOCKETCALLS, architecture.socketcall), (IPCS, architecture.ipc)):
        for name in names:
            if name in table:
                found.append((number, ((0, "EQ", everything, table[name]), *kept)))
    return found


_OPERATORS = {"EQ": 3, "NE": 3, "LT": 2, "LE": 2, "GT": 1, "GE": 1}
_LAST = (1 << 64,)


def _ordered(choices: dict[tuple[Condition, ...], int], wide: bool) -> list[Choice]:
    """The rules of a call in the order that they are tried.

    By the first word of a condition in which they differ: a later argument first,
    then equality before less before greater, then the number that fewer can pass,
    then what the profile has first.  What has no further condition comes first.
    """
    seen: dict[tuple[object, ...], int] = {}

    def key(choice: Choice) -> tuple[int, ...]:
        found: list[int] = []
        path: tuple[object, ...] = ()
        for index, operator, mask, value in choice[0]:
            rank = _OPERATORS[operator]
            for shift in (32, 0) if wide else (0,):
                part, bits = value >> shift & 0xFFFFFFFF, mask >> shift & 0xFFFFFFFF
                path = (path, index, shift, rank == 3, bits, part)
                found += (2 * index + (shift > 0), rank, -part if rank == 2 else part)
                found.append(-seen.setdefault(path, len(seen)))
        return (*found, *_LAST)

    return sorted(choices.items(), key=key, reverse=True)
