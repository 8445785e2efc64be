"""An interpreter of classic BPF: what a filter answers to a call."""

from __future__ import annotations

import _struct

from .instructions import (
    ADD,
    ALU,
    AND,
    DATA_SIZE,
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
    OR,
    RET_A,
    RET_K,
    RSH,
    ST,
    STX,
    SUB,
    TAX,
    TXA,
    WORDS,
    XOR,
    X,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .instructions import Program

_MASK = 0xFFFFFFFF


def call_data(
    architecture: int,
    number: int,
    arguments: Sequence[int] = (),
    *,
    pointer: int = 0,
    byte_order: str = "=",
) -> bytes:
    """struct seccomp_data of a call.

    architecture: AUDIT_ARCH_*.  arguments: up to six; the others are 0.
    pointer: where the program makes the call.
    """
    padded = (*arguments, *(0,) * (6 - len(arguments)))
    return _struct.pack(f"{byte_order}IIQ6Q", number & _MASK, architecture, pointer, *padded)


def run(program: Program, data: bytes, byte_order: str = "=") -> tuple[int, int]:
    """What a program returns for the data, and how many instructions it has run.

    The program has passed instructions.check().
    """
    words = _struct.unpack(f"{byte_order}16I", data)
    memory = [0] * WORDS
    a = x = at = steps = 0
    while True:
        code, jt, jf, k = program[at]
        at += 1
        steps += 1
        kind = code & 7
        if code == RET_K:
            return k, steps
        if code == RET_A:
            return a, steps
        if code == JA:
            at += k
        elif kind == JMP:
            at += jt if _holds(code & ~X, a, x if code & X else k) else jf
        elif kind == ALU:
            operand = x if code & X else k
            if code == ALU | DIV | X and not x:
                return 0, steps  # bpf_convert_filter(): such a program ends, with 0
            a = _computed(code & 0xF0, a, operand)
        elif code == LD_ABS:
            a = words[k // 4]
        elif code == LD_LEN:
            a = DATA_SIZE
        elif code == LD_IMM:
            a = k
        elif code == LD_MEM:
            a = memory[k]
        elif code == LDX_LEN:
            x = DATA_SIZE
        elif code == LDX_IMM:
            x = k
        elif code == LDX_MEM:
            x = memory[k]
        elif code == ST:
            memory[k] = a
        elif code == STX:
            memory[k] = x
        elif code == TAX:
            x = a
        elif code == TXA:
            a = x
        else:
            raise ValueError(f"instruction {at - 1}: unknown code {code:#x}")


def answers(program: Program, architecture: int, number: int) -> set[int | None]:
    """All that a program may return for a call, whatever its arguments are.

    None: a number that is computed of these.  Some of it may never be returned in fact, by
    conditions that exclude each other.
    """
    known = {0: number & _MASK, 4: architecture}  # offsets in struct seccomp_data
    found: set[int | None] = set()
    seen = set()
    waiting: list[tuple[int, int | None]] = [(0, 0)]  # where, with what in A; X is not followed
    while waiting:
        state = waiting.pop()
        if state in seen:
            continue
        seen.add(state)
        at, a = state
        code, jt, jf, k = program[at]
        if code == RET_K:
            found.add(k)
        elif code == RET_A:
            found.add(a)
        elif code == JA:
            waiting.append((at + 1 + k, a))
        elif code & 7 != JMP:
            waiting.append((at + 1, _accumulator(code, k, a, known)))
        elif a is None or code & X:
            waiting += [(at + 1 + jt, None), (at + 1 + jf, None)]
        else:
            waiting.append((at + 1 + (jt if _holds(code, a, k) else jf), a))
    return found


def _accumulator(code: int, k: int, a: int | None, known: dict[int, int]) -> int | None:
    """What is in A after an instruction that is no jump; None: not known."""
    if code == LD_ABS:
        return known.get(k)
    if code == LD_LEN:
        return DATA_SIZE
    if code == LD_IMM:
        return k
    if code in (LD_MEM, TXA):
        return None
    if code & 7 == ALU:
        return None if a is None or code & X else _computed(code & 0xF0, a, k)
    return a


def _holds(test: int, a: int, operand: int) -> bool:
    if test == JEQ:
        return a == operand
    if test == JGT:
        return a > operand
    if test == JGE:
        return a >= operand
    if test == JSET:
        return a & operand != 0
    raise ValueError(f"unknown test {test:#x}")


def _computed(operation: int, a: int, operand: int) -> int:
    result = {
        ADD: lambda: a + operand,
        SUB: lambda: a - operand,
        MUL: lambda: a * operand,
        DIV: lambda: a // operand,
        OR: lambda: a | operand,
        AND: lambda: a & operand,
        LSH: lambda: a << (operand & 31),
        RSH: lambda: a >> (operand & 31),
        NEG: lambda: -a,
        XOR: lambda: a ^ operand,
    }[operation]()
    return result & _MASK
