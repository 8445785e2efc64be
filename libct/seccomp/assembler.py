"""An assembler of classic BPF that writes a program from its end.

Jumps go forward, so where one goes is known when it is placed if the end is
placed first.  A label is what placing gives: the number of instructions from
there to the end.  Each method places an instruction before all that are there
and answers its label, or the label of the same instruction where there is one.

A test skips 255 instructions at most; a label that is farther is reached over
a jump without a test (JA) that is placed for it.
"""

from __future__ import annotations

from .instructions import ALU, AND, JA, LD_ABS, MAX_INSTRUCTIONS, RET_K

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .instructions import Instruction

_FARTHEST = 255  # jt and jf are bytes


class Assembler:
    def __init__(self) -> None:
        self._placed: list[Instruction] = []  # the last one first
        self._labels: dict[tuple[int, int, int, int], int] = {}

    def ret(self, value: int) -> int:
        """Return value.  Placed again where the one that is there is far, which costs no more."""
        key = (RET_K, 0, 0, value)
        label = self._labels.get(key)
        # Not at the limit: tests that go there are still to be placed.
        if label is None or len(self._placed) - label > _FARTHEST // 2:
            label = self._labels[key] = self._place(key)
        return label

    def load(self, offset: int, then: int) -> int:
        """Load the word at offset of the data, and go on at then."""
        return self._straight(LD_ABS, offset, then)

    def mask(self, bits: int, then: int) -> int:
        """Keep these bits of the accumulator, and go on at then."""
        return self._straight(ALU | AND, bits, then)

    def test(self, code: int, k: int, yes: int, no: int) -> int:
        """Go on at yes where the test (JEQ, JGT, JGE, JSET) of A with k holds, else at no."""
        if yes == no:
            return yes
        key = (code, yes, no, k)
        label = self._labels.get(key)
        if label is None:
            if len(self._placed) - min(yes, no) >= _FARTHEST:  # with a JA for the other between
                yes, no = self._near(yes), self._near(no)
            here = len(self._placed)
            label = self._labels[key] = self._place((code, here - yes, here - no, k))
        return label

    def program(self, start: int) -> list[Instruction]:
        """The program that begins at a label; ValueError: it is too long for the kernel."""
        self._follow(start)
        if len(self._placed) > MAX_INSTRUCTIONS:
            raise ValueError(
                f"the filter has {len(self._placed)} instructions; "
                f"the kernel takes at most {MAX_INSTRUCTIONS}"
            )
        return self._placed[::-1]

    def _straight(self, code: int, k: int, then: int) -> int:
        key = (code, then, then, k)
        label = self._labels.get(key)
        if label is None:
            self._follow(then)
            label = self._labels[key] = self._place((code, 0, 0, k))
        return label

    def _near(self, label: int) -> int:
        """A label that the next instructions reach by a byte, and which goes on at label."""
        if len(self._placed) - label < _FARTHEST:
            return label
        return self._place((JA, 0, 0, len(self._placed) - label))

    def _follow(self, label: int) -> None:
        """See to it that what is placed last is at label."""
        if label != len(self._placed):
            self._place((JA, 0, 0, len(self._placed) - label))

    def _place(self, instruction: Instruction) -> int:
        self._placed.append(instruction)
        return len(self._placed)
