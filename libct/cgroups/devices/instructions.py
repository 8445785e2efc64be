"""The eBPF instructions that device programs are made of.

Source: include/uapi/linux/bpf.h; Documentation/bpf/standardization/instruction-set.rst.
"""

from __future__ import annotations

import _struct as struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    # Operation code, register, source register, offset, immediate.
    Instruction = tuple[int, int, int, int, int]

# Operation codes: class, size or source, operation (syscalls/bpf.py has the
# parts; it comes with ctypes, which nobody else needs who plans or tests).
LOAD_WORD = 0x61  # dst = *(u32 *)(src + offset)
AND = 0x54  # (u32) dst &= immediate
SHIFT_RIGHT = 0x74  # (u32) dst >>= immediate
MOVE = 0xBF  # dst = src
SET = 0xB7  # dst = immediate
JUMP = 0x05  # goto
JUMP_IF_EQUAL = 0x15  # if dst == immediate, goto
JUMP_IF_DIFFERS = 0x55  # if dst != immediate, goto
EXIT = 0x95  # return R0

# Where struct bpf_cgroup_dev_ctx has the access and the type of device, and its numbers.
KIND, MAJOR, MINOR = 0, 4, 8

# BPF_DEVCG_DEV_*
TYPES = {"b": 1, "c": 2}

_INSTRUCTION = struct.Struct("=BBhi")
SIZE = _INSTRUCTION.size


def encode(instruction: Instruction) -> bytes:
    """In this machine's byte order; an offset of a jump counts from the next instruction."""
    code, register, source, offset, value = instruction
    # Two halves of a byte, which are bit fields and follow the byte order.
    little = sys.byteorder == "little"
    both = source << 4 | register if little else register << 4 | source
    return _INSTRUCTION.pack(code, both, offset, value)


def decode(program: bytes) -> list[Instruction]:
    """Undo encode, of a whole program.  ValueError where that does not end with an instruction."""
    if len(program) % SIZE:
        raise ValueError(f"{len(program)} bytes are no whole instructions")
    found = []
    for code, both, offset, value in _INSTRUCTION.iter_unpack(program):
        low, high = both & 15, both >> 4
        register, source = (low, high) if sys.byteorder == "little" else (high, low)
        found.append((code, register, source, offset, value))
    return found
