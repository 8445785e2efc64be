"""A disassembler of device programs: a line for each instruction, and what it is about.

The instructions are written as the kernel and bpftool write them (w2 is the lower half of
r2), but for jumps, which name the line that they go to.
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
    decode,
)
from .rules import BITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .instructions import Instruction

    # What is known to be in registers.
    State = dict[int, str]

_WORDS = {KIND: "access and type", MAJOR: "major", MINOR: "minor"}
_KINDS = {TYPES["b"]: "block", TYPES["c"]: "char"}
_ACCESS = {"m": "mknod", "r": "read", "w": "write"}
_COLUMN = 32  # where what it is about begins


def disassemble(program: bytes) -> list[str]:
    """The lines of a program; ValueError where it has an instruction that these do not have."""
    lines = []
    states: dict[int, State] = {0: {}}
    for at, instruction in enumerate(decode(program)):
        state = dict(states.get(at, {}))
        code, register, _, offset, _ = instruction
        text, about = _text(at, instruction, state)
        lines.append(f"{at:4}  {text:{_COLUMN}}{about and '; '}{about}".rstrip())
        if code in (JUMP, JUMP_IF_EQUAL, JUMP_IF_DIFFERS):
            _reach(states, at + 1 + offset, state)
        elif code != EXIT:
            state[register] = about
        if code not in (JUMP, EXIT):
            _reach(states, at + 1, state)
    return lines


def _reach(states: dict[int, State], at: int, state: State) -> None:
    """Keep of what is known there what all ways agree on."""
    before = states.get(at, state)
    states[at] = {name: what for name, what in state.items() if before.get(name) == what}


def _text(at: int, instruction: Instruction, state: State) -> tuple[str, str]:
    """An instruction, and what it is about."""
    code, register, source, offset, value = instruction
    known = state.get(register, "")
    to = at + 1 + offset
    if code == LOAD_WORD:
        return f"r{register} = *(u32 *)(r{source} + {offset})", _WORDS.get(offset, "")
    if code == MOVE:
        return f"r{register} = r{source}", state.get(source, "")
    if code == AND:
        return f"w{register} &= {value:#x}", _part(known, value)
    if code == SHIFT_RIGHT:
        shifted = known == _WORDS[KIND] and value == 16
        return f"w{register} >>= {value}", "access" if shifted else ""
    if code == SET:
        verdict = ("deny", "allow")[value] if register == 0 and value in (0, 1) else ""
        return f"r{register} = {value}", verdict
    if code == JUMP:
        return f"go to {to}", ""
    if code in (JUMP_IF_EQUAL, JUMP_IF_DIFFERS):
        test = "==" if code == JUMP_IF_EQUAL else "!="
        about = f"type: {_KINDS[value]}" if known == "type" and value in _KINDS else known
        return f"if r{register} {test} {value} go to {to}", about
    if code == EXIT:
        return "exit", state.get(0, "")
    raise ValueError(f"instruction {at}: unknown code {code:#x}")


def _part(known: str, mask: int) -> str:
    """What is left under a mask of what is known."""
    if known == _WORDS[KIND] and mask == 0xFFFF:
        return "type"
    if known == "access":
        return " or ".join(name for letter, name in _ACCESS.items() if BITS[letter] & mask)
    return ""
