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
