"""The part of a program that looks at a call's arguments.

An argument is 64 bits and the accumulator 32, so it is looked at in two words;
32-bit programs have only the lower one.  A test leaves the word in the
accumulator: what follows loads only another one.
"""

from __future__ import annotations

from .instructions import ARGUMENTS, JEQ, JGE, JGT, JSET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .architectures import Architecture
    from .assembler import Assembler
    from .rules import Choice, Condition

_ALL = 0xFFFFFFFF
_NOTHING = -1  # no word: the accumulator holds something else
_ANY = -2  # whatever it holds: the word is not looked at
_INVERSE = {"NE": "EQ", "LT": "GE", "LE": "GT"}


class _Entry:
    """Where a part of the program begins, and the word it wants in the accumulator."""

    __slots__ = ("label", "word")

    def __init__(self, word: int, label: int) -> None:
        self.word = word
        self.label = label

    def after(self, word: int, assembler: Assembler) -> int:
        """Where to go on with a word in the accumulator."""
        if self.word in (_ANY, word):
            return self.label
        return assembler.load(self.word, self.label)


def conditional(
    assembler: Assembler, choices: tuple[Choice, ...], default: int, architecture: Architecture
) -> int:
    """Place the rules of a call, tried in order; the label of the first."""
    entry = _Entry(_ANY, assembler.ret(default))
    for conditions, value in reversed(choices):
        tests = [_Test(condition, architecture) for condition in conditions]
        for test in tests:
            # Loads of what follows stand before it, so they are placed first.
            for word in test.leaves():
                entry.after(word, assembler)
        holds = _Entry(_ANY, assembler.ret(value))
        for test in reversed(tests):
            holds = test.place(assembler, holds, entry)
        entry = holds
    return entry.after(_NOTHING, assembler)


class _Test:
    """One condition: it compares words with words of a number."""

    def __init__(self, condition: Condition, architecture: Architecture) -> None:
        index, operator, mask, value = condition
        self._inverse = operator in _INVERSE
        self._operator = _INVERSE.get(operator, operator)
        offset = ARGUMENTS + 8 * index
        little = architecture.byte_order == "<"
        lower, upper = (offset, offset + 4) if little else (offset + 4, offset)
        # Words to look at, the lower one last: offset, mask, number.
        self._words = [(lower, mask & _ALL, value & _ALL)]
        if architecture.wide:
            self._words.insert(0, (upper, mask >> 32, value >> 32))
        self._words = [word for word in self._words if word[1]]

    def leaves(self) -> list[int]:
        """The words that may be in the accumulator afterwards."""
        return [offset if _kept(mask, value) else _NOTHING for offset, mask, value in self._words]

    def place(self, assembler: Assembler, yes: _Entry, no: _Entry) -> _Entry:
        if self._inverse:
            yes, no = no, yes
        goals = {
            word: (yes.after(word, assembler), no.after(word, assembler)) for word in self.leaves()
        }
        if self._operator == "EQ":
            return self._equal(assembler, goals)
        return self._greater(assembler, goals)

    def _equal(self, assembler: Assembler, goals: dict[int, tuple[int, int]]) -> _Entry:
        entry = None
        for offset, mask, value in reversed(self._words):
            word = offset if _kept(mask, value) else _NOTHING
            yes, no = goals[word]
            if entry:
                yes = entry.after(word, assembler)
            if mask == _ALL:
                label = assembler.test(JEQ, value, yes, no)
            elif value == 0:
                label = assembler.test(JSET, mask, no, yes)
            else:
                label = assembler.mask(mask, assembler.test(JEQ, value, yes, no))
            entry = _Entry(offset, label)
        assert entry
        return entry

    def _greater(self, assembler: Assembler, goals: dict[int, tuple[int, int]]) -> _Entry:
        lower, _, value = self._words[-1]
        code = JGE if self._operator == "GE" else JGT
        entry = _Entry(lower, assembler.test(code, value, *goals[lower]))
        if len(self._words) == 2:
            upper, _, value = self._words[0]
            yes, no = goals[upper]
            equal = assembler.test(JEQ, value, entry.after(upper, assembler), no)
            entry = _Entry(upper, assembler.test(JGT, value, yes, equal))
        return entry


def _kept(mask: int, value: int) -> bool:
    """Whether the word is still in the accumulator after it was compared."""
    return mask == _ALL or value == 0
