"""A disassembler of classic BPF: a filter's program as text, a line for each instruction.

What is compared is named where the way to a test leaves no doubt what it is
about: architectures, and system calls of the one that was found.
"""

from __future__ import annotations

import errno

from . import actions
from .architectures import ARCHITECTURES, X32_BIT
from .instructions import (
    ADD,
    ALU,
    AND,
    ARCHITECTURE,
    ARGUMENTS,
    DIV,
    JA,
    JEQ,
    JGE,
    JGT,
    JMP,
    JSET,
    LD_ABS,
    LD_IMM,
    LD_LEN,
    LD_MEM,
    LDX_IMM,
    LDX_LEN,
    LDX_MEM,
    LSH,
    MUL,
    NEG,
    NUMBER,
    OR,
    RET_A,
    RET_K,
    RSH,
    ST,
    STX,
    SUB,
    TAX,
    TXA,
    XOR,
    X,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from .instructions import Program

    # What is known before an instruction: the word in the accumulator, the architecture's token.
    State = tuple[Optional[int], Optional[int]]

_TESTS = {JEQ: "==", JGT: ">", JGE: ">=", JSET: "&"}
_OPERATIONS = {
    ADD: "+",
    SUB: "-",
    MUL: "*",
    DIV: "/",
    OR: "|",
    AND: "&",
    LSH: "<<",
    RSH: ">>",
    XOR: "^",
}
_PLAIN = {
    LD_LEN: "A = size",
    LDX_LEN: "X = size",
    TAX: "X = A",
    TXA: "A = X",
    RET_A: "return A",
    ALU | NEG: "A = -A",
}
_WITH_K = {
    LD_IMM: "A = {:#x}",
    LDX_IMM: "X = {:#x}",
    LD_MEM: "A = M[{}]",
    LDX_MEM: "X = M[{}]",
    ST: "M[{}] = A",
    STX: "M[{}] = X",
}
_NAMES = {
    value: name[len("SCMP_ACT_") :]
    for name, value in actions.ACTIONS.items()
    if name != "SCMP_ACT_KILL"
}
_DATA = 0xFFFF


def disassemble(program: Program, byte_order: str = "<") -> list[str]:
    """The lines of a program, which has passed instructions.check()."""
    lines = []
    states: dict[int, State] = {0: (None, None)}
    for at, (code, jt, jf, k) in enumerate(program):
        state = states.get(at)
        lines.append(f"{at:4}  {_text(at, code, jt, jf, k, state, byte_order)}")
        if state is None or code in (RET_K, RET_A):
            continue
        word, token = state
        if code == JA:
            _reach(states, at + 1 + k, state)
        elif code & 7 == JMP:
            found = k if code == JEQ and word == ARCHITECTURE else token
            _reach(states, at + 1 + jt, (word, found))
            _reach(states, at + 1 + jf, state)
        elif code == LD_ABS:
            _reach(states, at + 1, (k, token))
        else:
            changes = code not in (ST, STX, TAX, LDX_IMM, LDX_LEN, LDX_MEM)
            _reach(states, at + 1, (None, token) if changes else state)
    return lines


def _reach(states: dict[int, State], at: int, state: State) -> None:
    """Keep of what is known there what all ways agree on."""
    before = states.get(at, state)
    states[at] = (
        state[0] if state[0] == before[0] else None,
        state[1] if state[1] == before[1] else None,
    )


def _text(
    at: int, code: int, jt: int, jf: int, k: int, state: State | None, byte_order: str
) -> str:
    if code == RET_K:
        return f"return {returned(k)}"
    if code == JA:
        return f"go to {at + 1 + k}"
    if code == LD_ABS:
        return f"A = {_word(k, byte_order)}"
    if code & 7 == JMP:
        operand = "X" if code & X else _operand(k, state)
        test = f"A {_TESTS[code & ~X]} {operand}"
        return f"if {test} go to {at + 1 + jt} else {at + 1 + jf}"
    if code in _PLAIN:
        return _PLAIN[code]
    if code in _WITH_K:
        return _WITH_K[code].format(k)
    return f"A = A {_OPERATIONS[code & 0xF0]} {'X' if code & X else f'{k:#x}'}"


def returned(value: int) -> str:
    """What a filter returns, in words: "ERRNO(EPERM)"."""
    action = value & ~_DATA
    name = _NAMES.get(action, f"{value:#x}")
    data = value & _DATA
    if action == actions.ERRNO:
        return f"{name}({errno.errorcode.get(data, data)})"
    return f"{name}({data})" if data else name


def _word(offset: int, byte_order: str) -> str:
    if offset == NUMBER:
        return "number"
    if offset == ARCHITECTURE:
        return "architecture"
    upper = (offset % 8 == 4) == (byte_order == "<")
    half = "upper" if upper else "lower"
    if offset < ARGUMENTS:
        return f"{half} half of the instruction pointer"
    return f"{half} half of argument {(offset - ARGUMENTS) // 8}"


def _operand(k: int, state: State | None) -> str:
    word, token = state or (None, None)
    if word == ARCHITECTURE:
        names = [one.name for one in ARCHITECTURES.values() if one.token == k]
        return names[0] if names else f"{k:#x}"
    if word == NUMBER:
        for one in ARCHITECTURES.values():
            if one.token == token and (one.name == "X32") == bool(k & X32_BIT and k >> 31 == 0):
                for name, number in one.numbers().items():
                    if number == k:
                        return f"{k} ({name})"
        return str(k)
    return f"{k:#x}"
