"""Device access as an eBPF program of type BPF_PROG_TYPE_CGROUP_DEVICE.

The kernel runs it at each access with a struct bpf_cgroup_dev_ctx: three words,
access (what is done, shifted by 16) and type of device in one, major, minor.
0 denies.  There is one block for each exception, which jumps to the next one
unless it is about this access:

    if type differs, goto next
    if access is not among the allowed (or has none of the denied), goto next
    if major differs, goto next
    if minor differs, goto next
    return 1 (or 0, where the default is to allow)

Source: include/uapi/linux/bpf.h; Documentation/bpf/standardization/instruction-set.rst.
"""

from __future__ import annotations

import struct
import sys

from .rules import ALL, ALLOW, parse_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# include/uapi/linux/bpf.h: BPF_DEVCG_DEV_*
_TYPES = {"b": 1, "c": 2}

# Opcodes: class, size or source, operation.
_LOAD_WORD = 0x61  # dst = *(u32 *)(src + offset)
_AND = 0x54  # (u32) dst &= immediate
_SHIFT_RIGHT = 0x74  # (u32) dst >>= immediate
_MOVE = 0xBF  # dst = src
_SET = 0xB7  # dst = immediate
_JUMP_IF_SET_DIFFERS = 0x55  # if dst != immediate, goto
_JUMP_IF_EQUAL = 0x15  # if dst == immediate, goto
_JUMP_IF_DIFFERS = 0x5D  # if dst != src, goto
_EXIT = 0x95  # return R0

_R0, _R1, _CONTEXT, _TYPE, _ACCESS, _MAJOR, _MINOR = 0, 1, 1, 2, 3, 4, 5

# opcode, registers, offset, immediate
_INSTRUCTION = struct.Struct("=BBhi")


def assemble(default: str, exceptions: Iterable[str]) -> bytes:
    """The instructions, in this machine's byte order, for what Access.texts() gives."""
    verdict = 0 if default == ALLOW else 1
    code = [
        _pack(_LOAD_WORD, _TYPE, _CONTEXT, 0),
        _pack(_AND, _TYPE, value=0xFFFF),
        _pack(_LOAD_WORD, _ACCESS, _CONTEXT, 0),
        _pack(_SHIFT_RIGHT, _ACCESS, value=16),
        _pack(_LOAD_WORD, _MAJOR, _CONTEXT, 4),
        _pack(_LOAD_WORD, _MINOR, _CONTEXT, 8),
    ]
    for text in exceptions:
        code += _block(text, verdict)
    code += [_pack(_SET, _R0, value=1 - verdict), _pack(_EXIT)]
    return b"".join(code)


def _block(text: str, verdict: int) -> list[bytes]:
    (type_, major, minor), bits = parse_text(text)
    # Tests that skip the block: opcode, dst, src, immediate.
    tests = [(_JUMP_IF_SET_DIFFERS, _TYPE, 0, _TYPES[type_])]
    masked = []
    if bits != ALL:
        masked = [_pack(_MOVE, _R1, _ACCESS), _pack(_AND, _R1, value=bits)]
        if verdict:
            tests.append((_JUMP_IF_DIFFERS, _R1, _ACCESS, 0))
        else:
            tests.append((_JUMP_IF_EQUAL, _R1, 0, 0))
    for register, number in ((_MAJOR, major), (_MINOR, minor)):
        if number != -1:
            tests.append((_JUMP_IF_SET_DIFFERS, register, 0, number))
    end = [_pack(_SET, _R0, value=verdict), _pack(_EXIT)]

    # An offset counts instructions from the one that follows.
    left = len(tests) + len(masked) + len(end)
    code = []
    for position, (opcode, register, source, value) in enumerate(tests):
        if position == 1:
            code += masked
            left -= len(masked)
        left -= 1
        code.append(_pack(opcode, register, source, left, value))
    return code + end


def _pack(
    opcode: int, register: int = 0, source: int = 0, offset: int = 0, value: int = 0
) -> bytes:
    if sys.byteorder == "little":
        registers = source << 4 | register
    else:
        registers = register << 4 | source
    return _INSTRUCTION.pack(opcode, registers, offset, value)
