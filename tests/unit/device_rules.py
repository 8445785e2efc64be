"""For tests of device access: random rules and accesses, and an interpreter of eBPF."""

from __future__ import annotations

import struct
import sys
from typing import TYPE_CHECKING

from libct.config import DeviceRule

if TYPE_CHECKING:
    import random

    # type, major, minor, permissions
    Access = tuple[str, int, int, str]

PERMISSIONS = ("r", "w", "m", "rw", "rm", "wm", "rwm")

# Few numbers, so that rules meet.  Those of the memory devices exist everywhere.
MAJORS = (1, 5, 7)
MINORS = (0, 3, 5, 9)


def random_rules(source: random.Random) -> list[DeviceRule]:
    """Up to eight rules, with few enough wildcards to be expressible most of the time."""
    rules = []
    if source.random() < 0.7:
        rules.append(DeviceRule("a", allow=source.random() < 0.3))
    for _ in range(source.randrange(8)):
        rules.append(
            DeviceRule(
                "a" if source.random() < 0.05 else source.choice("cccb"),
                -1 if source.random() < 0.15 else source.choice(MAJORS),
                -1 if source.random() < 0.2 else source.choice(MINORS),
                source.choice(PERMISSIONS),
                source.random() < 0.6,
            )
        )
    return rules


def random_access(source: random.Random) -> Access:
    """What a program can ask for: to make a node, or to open one."""
    wanted = source.choice(("m", "r", "w", "rw"))
    return source.choice("ccb"), source.choice(MAJORS), source.choice(MINORS), wanted


def last_match(rules: list[DeviceRule], access: Access) -> bool:
    """What rules in order mean for an access to a device, of one permission."""
    type_, major, minor, permission = access
    verdict = False
    for rule in rules:
        if (
            rule.type in ("a", type_)
            and rule.major in (-1, major)
            and rule.minor in (-1, minor)
            and permission in rule.permissions
        ):
            verdict = rule.allow
    return verdict


def run_program(program: bytes, access: Access) -> int:
    """What an eBPF program of the kind BPF_PROG_TYPE_CGROUP_DEVICE returns for an access."""
    return _run(program, access)[0]


def trace(program: bytes, access: Access) -> list[int]:
    """The positions of the instructions that it executes."""
    return _run(program, access)[1]


def _run(program: bytes, access: Access) -> tuple[int, list[int]]:
    """Interpret a program.

    Knows the few instructions that such programs have, as instruction-set.rst
    of the kernel describes them, and fails on any other.
    """
    type_, major, minor, permissions = access
    bits = sum({"m": 1, "r": 2, "w": 4}[letter] for letter in permissions)
    context = struct.pack("=III", bits << 16 | {"b": 1, "c": 2, "-": 3}[type_], major, minor)
    assert len(program) % 8 == 0
    registers = {1: 0}  # R1 is the context's address, here 0
    position = 0
    path = []
    while True:
        path.append(position)
        code, both, offset, immediate = struct.unpack_from("=BBhi", program, position * 8)
        little = sys.byteorder == "little"
        dst, src = (both & 15, both >> 4) if little else (both >> 4, both & 15)
        position += 1
        if code == 0x61:
            (registers[dst],) = struct.unpack_from("=I", context, registers[src] + offset)
        elif code == 0x54:
            registers[dst] = registers[dst] & immediate & 0xFFFFFFFF
        elif code == 0x74:
            registers[dst] = (registers[dst] & 0xFFFFFFFF) >> immediate
        elif code == 0xBF:
            registers[dst] = registers[src]
        elif code == 0xB7:
            registers[dst] = immediate
        elif code in (0x05, 0x55, 0x15):
            assert offset >= 0, "the program loops"
            if code == 0x05 or (registers[dst] == immediate) == (code == 0x15):
                position += offset
        elif code == 0x95:
            return registers[0], path
        else:
            raise AssertionError(f"instruction {code:#x} at {position - 1}")
