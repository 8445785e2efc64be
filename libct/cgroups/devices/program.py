"""Device access as an eBPF program of type BPF_PROG_TYPE_CGROUP_DEVICE.

The kernel runs it at each access with a struct bpf_cgroup_dev_ctx: three words,
access (what is done, shifted by 16) and type of device in one, major, minor.
0 denies.  The program is a tree of comparisons:

    for each type: if type differs, goto the next type
        for each exception for any major: if minor and access fit, goto match
        for each major: if major differs, goto the next major
            for each minor, any minor first: if minor and access fit, goto match
            goto default
        goto default
    default: return 0 (or 1, where the default is to allow)
    match: return 1 (or 0)

One block for each exception, as runc and crun have it, would be as right.  But
the verifier follows every path with what is known on it: a device that failed
in one block is known to be of some type and major in all that follow.  The
tree asks nothing twice, and loads in less than half the time.

Source: include/uapi/linux/bpf.h.
"""

from __future__ import annotations

from .instructions import (
    AND,
    EXIT,
    JUMP,
    JUMP_IF_DIFFERS,
    JUMP_IF_EQUAL,
    KIND,
    LOAD_WORD,
    MAJOR,
    MINOR,
    MOVE,
    SET,
    SHIFT_RIGHT,
    TYPES,
    encode,
)
from .rules import ALL, ALLOW, parse_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .instructions import Instruction

    # Major -> [(minor, bits of access)]; -1 for any.
    Majors = dict[int, list[tuple[int, int]]]

_R0, _R1, _CONTEXT, _TYPE, _ACCESS, _MAJOR, _MINOR = 0, 1, 1, 2, 3, 4, 5


def needed_program(default: str, exceptions: Iterable[str]) -> bytes | None:
    """As assemble; None where everything is allowed, which needs no program."""
    exceptions = tuple(exceptions)
    return None if default == ALLOW and not exceptions else assemble(default, exceptions)


_latest: tuple[str, tuple[str, ...], bytes] | None = None


def assemble(default: str, exceptions: Iterable[str]) -> bytes:
    """The instructions, in this machine's byte order, for what Access.texts() gives."""
    global _latest
    exceptions, made = tuple(exceptions), _latest
    if made is None or made[:2] != (default, exceptions):
        made = _latest = default, exceptions, _assembled(default, exceptions)
    return made[2]  # one program's containers mostly have the same rules


def _assembled(default: str, exceptions: tuple[str, ...]) -> bytes:
    code = _Code()
    code.add(LOAD_WORD, _TYPE, _CONTEXT, KIND)
    code.add(MOVE, _ACCESS, _TYPE)
    code.add(AND, _TYPE, value=0xFFFF)
    code.add(SHIFT_RIGHT, _ACCESS, value=16)
    code.add(LOAD_WORD, _MAJOR, _CONTEXT, MAJOR)
    code.add(LOAD_WORD, _MINOR, _CONTEXT, MINOR)
    allows = default == ALLOW
    for type_, majors in _sorted(exceptions).items():
        code.jump(JUMP_IF_DIFFERS, f"after {type_}", _TYPE, TYPES[type_])
        for minor, bits in majors.pop(-1, ()):
            _match(code, minor, bits, allows)
        for major, minors in majors.items():
            code.jump(JUMP_IF_DIFFERS, f"after {major}", _MAJOR, major)
            # What is for any minor is asked first, so nothing can fit after a minor.
            for minor, bits in sorted(minors):
                _match(code, minor, bits, allows)
            code.jump(JUMP, "default")
            code.label(f"after {major}")
        code.jump(JUMP, "default")
        code.label(f"after {type_}")
    code.label("default")
    code.add(SET, _R0, value=int(allows))
    code.add(EXIT)
    code.label("match")
    code.add(SET, _R0, value=int(not allows))
    code.add(EXIT)
    return code.bytes()


def _sorted(exceptions: Iterable[str]) -> dict[str, Majors]:
    """Exceptions by type and by major."""
    found: dict[str, Majors] = {}
    for text in exceptions:
        (type_, major, minor), bits = parse_text(text)
        found.setdefault(type_, {}).setdefault(major, []).append((minor, bits))
    return found


def _match(code: _Code, minor: int, bits: int, allows: bool) -> None:
    """Go to the match if this minor, and this access, is the one that is asked for."""
    if bits == ALL:
        if minor == -1:
            code.jump(JUMP, "match")
        else:
            code.jump(JUMP_IF_EQUAL, "match", _MINOR, minor)
        return
    if minor != -1:
        code.jump(JUMP_IF_DIFFERS, "next", _MINOR, minor)
    code.add(MOVE, _R1, _ACCESS)
    if allows:  # a denial: if there is anything of it
        code.add(AND, _R1, value=bits)
        code.jump(JUMP_IF_DIFFERS, "match", _R1, 0)
    else:  # an allowance: if there is nothing else
        code.add(AND, _R1, value=ALL & ~bits)
        code.jump(JUMP_IF_EQUAL, "match", _R1, 0)
    code.label("next")


class _Code:
    """Instructions with jumps to labels further on.

    The verifier refuses what cannot be reached, so that is left out: what
    follows a jump that is always taken, up to a label that is jumped to.
    """

    def __init__(self) -> None:
        self._instructions: list[Instruction] = []
        self._open: dict[str, list[int]] = {}  # label -> the jumps to it
        self._reached = True

    def add(
        self, code: int, register: int = 0, source: int = 0, offset: int = 0, value: int = 0
    ) -> None:
        if self._reached:
            self._instructions.append((code, register, source, offset, value))
            self._reached = code != EXIT

    def jump(self, code: int, label: str, register: int = 0, value: int = 0) -> None:
        if self._reached:
            self._open.setdefault(label, []).append(len(self._instructions))
            self.add(code, register, value=value)
            self._reached = code != JUMP

    def label(self, label: str) -> None:
        """Let the jumps to label arrive here; it may be used again for others."""
        here = len(self._instructions)
        jumps = self._open.pop(label, [])
        for position in jumps:
            code, register, source, _, value = self._instructions[position]
            # Counted from the instruction after the jump.
            moved = (code, register, source, here - position - 1, value)
            self._instructions[position] = moved
        self._reached = self._reached or bool(jumps)

    def bytes(self) -> bytes:
        return b"".join(map(encode, self._instructions))
