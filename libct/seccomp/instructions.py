"""Instructions of classic BPF, as far as seccomp(2) takes them.

The machine has an accumulator A, an index register X and 16 words of memory,
all of 32 bits.  Jumps go forward only, so every program ends.

An instruction is a tuple (code, jt, jf, k): what to do; how many instructions
to skip where a test holds and where it does not; a constant.

Documents: Documentation/networking/filter.rst of the kernel; kernel/seccomp.c,
seccomp_check_filter(); net/core/filter.c, bpf_check_classic().
"""

from __future__ import annotations

import _struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Instruction = tuple[int, int, int, int]
    Program = Sequence[Instruction]

MAX_INSTRUCTIONS = 4096  # BPF_MAXINSNS, include/uapi/linux/bpf_common.h
WORDS = 16  # BPF_MEMWORDS

# include/uapi/linux/bpf_common.h: class | size | mode, class | operation | operand
LD_ABS = 0x20  # A = the word at k of the data
LD_LEN = 0x80  # A = the size of the data
LD_IMM = 0x00  # A = k
LD_MEM = 0x60  # A = memory[k]
LDX_LEN = 0x81
LDX_IMM = 0x01
LDX_MEM = 0x61
ST = 0x02  # memory[k] = A
STX = 0x03
ALU = 0x04
JMP = 0x05
RET_K = 0x06
RET_A = 0x16
TAX = 0x07
TXA = 0x87
X = 0x08  # the operand is X, not k

ADD, SUB, MUL, DIV, OR, AND, LSH, RSH, NEG, XOR = (
    *(0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x80),
    0xA0,
)
JA = JMP | 0x00  # skips k
JEQ = JMP | 0x10
JGT = JMP | 0x20
JGE = JMP | 0x30
JSET = JMP | 0x40  # A & k

TESTS = (JEQ, JGT, JGE, JSET)
OPERATIONS = (ADD, SUB, MUL, DIV, OR, AND, LSH, RSH, NEG, XOR)
# NEG with X is what the kernel takes as well, and does not look at X.
_CODES = frozenset(
    (
        *(LD_ABS, LD_LEN, LD_IMM, LD_MEM, LDX_LEN, LDX_IMM, LDX_MEM, ST, STX),
        *(RET_K, RET_A, TAX, TXA, JA),
        *(ALU | operation for operation in OPERATIONS),
        *(ALU | operation | X for operation in OPERATIONS if operation != NEG),
        *TESTS,
        *(test | X for test in TESTS),
    )
)

# struct seccomp_data, include/uapi/linux/seccomp.h: nr, arch, instruction_pointer, args[6]
NUMBER = 0
ARCHITECTURE = 4
POINTER = 8  # two words
ARGUMENTS = 16
DATA_SIZE = 64


def encode(program: Iterable[Instruction], byte_order: str = "=") -> bytes:
    """The program as an array of struct sock_filter.

    byte_order: "<", ">" or "=", this machine's.
    """
    pack = _struct.Struct(f"{byte_order}HBBI").pack
    return b"".join([pack(*instruction) for instruction in program])


def decode(code: bytes, byte_order: str = "=") -> list[Instruction]:
    """The program of an array of struct sock_filter; ValueError: it is no whole number of them."""
    if len(code) % 8:
        raise ValueError(f"a program is a multiple of 8 bytes, not {len(code)}")
    return list(_struct.iter_unpack(f"{byte_order}HBBI", code))


def check(program: Program) -> None:
    """Raise ValueError, naming the instruction, where the kernel would not take the program."""
    size = len(program)
    if not 0 < size <= MAX_INSTRUCTIONS:
        raise ValueError(f"a program has 1 to {MAX_INSTRUCTIONS} instructions, not {size}")
    for at, (code, jt, jf, k) in enumerate(program):
        if code not in _CODES:
            raise ValueError(f"instruction {at}: unknown code {code:#x}")
        if code == LD_ABS and (k % 4 or k >= DATA_SIZE):
            raise ValueError(f"instruction {at}: there is no word at {k} of the data")
        if code in (LD_MEM, LDX_MEM, ST, STX) and k >= WORDS:
            raise ValueError(f"instruction {at}: there is no word {k} of memory")
        if code == ALU | DIV and not k:
            raise ValueError(f"instruction {at}: divides by 0")
        if code in (ALU | LSH, ALU | RSH) and k >= 32:
            raise ValueError(f"instruction {at}: shifts by {k}")
        if code & 7 == JMP:
            farthest = k if code == JA else max(jt, jf)
            if at + 1 + farthest >= size:
                raise ValueError(f"instruction {at}: jumps out of the program")
    if program[-1][0] not in (RET_K, RET_A):
        raise ValueError("the last instruction does not return")
