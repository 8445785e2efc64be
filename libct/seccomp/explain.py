"""Which rule of a profile decides on a call, and what a filter made of it answers.

What is answered is always read off the program; the rules only say where that comes from.
"""

from __future__ import annotations

from .actions import answer
from .architectures import named
from .compiler import compile_profile
from .interpreter import call_data, run
from .rules import IPCS, SOCKETCALLS, meaning, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..config.seccomp import Seccomp
    from .architectures import Architecture
    from .rules import Condition, Rule

DEFAULT = "defaultAction"
UNLISTED = "architectures"
NEWER = "newer"
_SIGNS = {"EQ": "==", "NE": "!=", "LT": "<", "LE": "<=", "GT": ">", "GE": ">="}


class Answer:
    """One of the answers that a call may get.

    conditions: under which it does, in words; "" where nothing else is tried any more.
    place: of the rule that decides: "syscalls[3]", or DEFAULT; UNLISTED for a call of an
        architecture that the profile does not list, NEWER for one that is newer than all
        that it names.
    value: what the filter returns.
    steps: how many instructions it runs for that, where it is the only answer.
    """

    __slots__ = ("conditions", "place", "steps", "value")

    def __init__(self, conditions: str, place: str, value: int, steps: int = 0) -> None:
        self.conditions, self.place, self.value, self.steps = conditions, place, value, steps


class Explainer:
    """A profile for a machine, to be asked about calls.

    Raises ValueError as compile_profile() does.
    """

    def __init__(self, seccomp: Seccomp, machine: Architecture) -> None:
        self.program = compile_profile(seccomp, machine)
        self.architectures = {machine.name: machine}
        self.architectures.update((one.name, one) for one in map(named, seccomp.architectures))
        self.default = answer(seccomp.default_action, seccomp.default_errno_ret, DEFAULT)
        self.rules = read(seccomp, self.default)
        self.meanings = {name: meaning(self.rules, one) for name, one in self.architectures.items()}

    def explain(
        self, architecture: Architecture, number: int, arguments: Mapping[int, int]
    ) -> list[Answer]:
        """The answers that a call may get, in the order in which their conditions are tried.

        arguments: those that are known, by their index.
        """
        given = [arguments.get(index, 0) for index in range(6)]
        order = architecture.byte_order
        value, steps = run(
            self.program, call_data(architecture.token, number, given, byte_order=order), order
        )
        if architecture.name not in self.architectures:
            return [Answer("", UNLISTED, value, steps)]
        found = self.meanings[architecture.name]
        origins = found.origins.get(number)
        if origins is None:
            place = self._default_place(architecture, number)
            return [Answer("", place if value == self.default else NEWER, value, steps)]
        decision = found.decisions[number]
        if isinstance(decision, int):
            return [Answer("", origins[()].place, value, steps)]
        answers: list[Answer] = []
        for conditions, returned in decision:
            if not all(_holds(one, arguments) for one in conditions if one[0] in arguments):
                continue
            words = [
                _in_words(one, wide=architecture.wide)
                for one in conditions
                if one[0] not in arguments
            ]
            place = origins[conditions].place
            only = not words and not answers
            answers.append(Answer(" and ".join(words), place, returned, steps if only else 0))
            if not words:
                return answers
        place = self._default_place(architecture, number)
        return [*answers, Answer("", place, self.default, 0 if answers else steps)]

    def _default_place(self, architecture: Architecture, number: int) -> str:
        """A rule that has the call, and the default action; or the default itself."""
        for rule in self.rules:
            if rule.answer is None and number in _numbers(rule, architecture):
                return rule.place
        return DEFAULT


def _numbers(rule: Rule, architecture: Architecture) -> list[int]:
    numbers = architecture.numbers()
    return [numbers[name] for name in rule.names if name in numbers]


def multiplexed(architecture: Architecture, name: str) -> tuple[int, int] | None:
    """The call by way of which a program makes another one, and the first argument for it."""
    for table, number in ((SOCKETCALLS, architecture.socketcall), (IPCS, architecture.ipc)):
        if number and name in table:
            return number, table[name]
    return None


def _in_words(condition: Condition, *, wide: bool) -> str:
    index, operator, mask, value = condition
    everything = (1 << 64 if wide else 1 << 32) - 1
    masked = "" if mask == everything else f" & {mask:#x}"
    return f"argument {index}{masked} {_SIGNS[operator]} {value:#x}"


def _holds(condition: Condition, arguments: Mapping[int, int]) -> bool:
    index, operator, mask, value = condition
    argument = arguments[index] & mask
    return {
        "EQ": argument == value,
        "NE": argument != value,
        "LT": argument < value,
        "LE": argument <= value,
        "GT": argument > value,
        "GE": argument >= value,
    }[operator]
