"""The architectures of the runtime-spec that there are tables for, and what a filter must know.

Names are the spec's, without "SCMP_ARCH_".
"""

from __future__ import annotations

import sys

from ..syscalls.core import machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_PREFIX = "SCMP_ARCH_"
X32_BIT = 0x40000000  # __X32_SYSCALL_BIT, arch/x86/include/uapi/asm/unistd.h
NONE = 0xFFFFFFFF  # the number of no call, that a tracer has set


class Architecture:
    """name: the spec's.  token: AUDIT_ARCH_* (include/uapi/linux/audit.h), which
        is what a filter sees; x32 has that of x86_64.
    wide: arguments are compared as 64 bits, else as 32.
    byte_order: "<" or ">".
    table: the module of calls/ with its numbers.
    socketcall, ipc: the numbers of the two calls that stand for many; 0: there are none.
    """

    __slots__ = ("byte_order", "ipc", "name", "socketcall", "table", "token", "wide")

    def __init__(
        self,
        name: str,
        token: int,
        table: str,
        *,
        byte_order: str = "<",
        mux: tuple[int, int] = (0, 0),
    ) -> None:
        self.name = name
        self.token = token
        self.wide = token >= 0x80000000 and name not in _NARROW  # __AUDIT_ARCH_64BIT
        self.byte_order = byte_order
        self.table = table
        self.socketcall, self.ipc = mux

    @property
    def spec_name(self) -> str:
        return _PREFIX + self.name

    def numbers(self) -> Mapping[str, int]:
        """Name -> number, of all system calls."""
        module = __import__(f"{__package__}.calls.{self.table}", fromlist=("NUMBERS",))
        numbers: dict[str, int] = module.NUMBERS
        return numbers


# Of 64-bit machines, the programs with 32-bit registers, or pointers.
_NARROW = ("X32", "MIPS64N32", "MIPSEL64N32")
_MUX = (102, 117)
_MUX_MIPS = (4102, 4117)

ARCHITECTURES = {
    architecture.name: architecture
    for architecture in (
        Architecture("X86", 0x40000003, "x86", mux=_MUX),
        Architecture("X86_64", 0xC000003E, "x86_64"),
        Architecture("X32", 0xC000003E, "x32"),
        Architecture("ARM", 0x40000028, "arm"),
        Architecture("AARCH64", 0xC00000B7, "aarch64"),
        Architecture("MIPS", 0x00000008, "mips", byte_order=">", mux=_MUX_MIPS),
        Architecture("MIPS64", 0x80000008, "mips64", byte_order=">"),
        Architecture("MIPS64N32", 0xA0000008, "mips64n32", byte_order=">"),
        Architecture("MIPSEL", 0x40000008, "mips", mux=_MUX_MIPS),
        Architecture("MIPSEL64", 0xC0000008, "mips64"),
        Architecture("MIPSEL64N32", 0xE0000008, "mips64n32"),
        Architecture("PPC", 0x00000014, "ppc", byte_order=">", mux=_MUX),
        Architecture("PPC64", 0x80000015, "ppc64", byte_order=">", mux=_MUX),
        Architecture("PPC64LE", 0xC0000015, "ppc64", mux=_MUX),
        Architecture("RISCV64", 0xC00000F3, "riscv64"),
        Architecture("S390", 0x00000016, "s390", byte_order=">", mux=_MUX),
        Architecture("S390X", 0x80000016, "s390x", byte_order=">", mux=_MUX),
        Architecture("LOONGARCH64", 0xC0000102, "loongarch64"),
    )
}

# Of which architectures else a machine's kernel may run programs.
OTHERS = {
    "X86_64": ("X86", "X32"),
    "AARCH64": ("ARM",),
    "MIPS64": ("MIPS", "MIPS64N32"),
    "MIPSEL64": ("MIPSEL", "MIPSEL64N32"),
    "PPC64": ("PPC",),
    "S390X": ("S390",),
}

# uname(2)'s machine -> the architecture of a program for it.  A kernel of 32 bits gives others.
_MACHINES = {
    "x86_64": "X86_64",
    "i386": "X86",
    "i486": "X86",
    "i586": "X86",
    "i686": "X86",
    "arm": "ARM",
    "armv6l": "ARM",
    "armv7l": "ARM",
    "armv8l": "ARM",
    "aarch64": "AARCH64",
    "ppc": "PPC",
    "ppc64": "PPC64",
    "ppc64le": "PPC64LE",
    "riscv64": "RISCV64",
    "s390x": "S390X",
    "loongarch64": "LOONGARCH64",
}
_MIPS = {("mips", "<"): "MIPSEL", ("mips", ">"): "MIPS"}
_MIPS.update({("mips64", "<"): "MIPSEL64", ("mips64", ">"): "MIPS64"})


def named(name: str) -> Architecture:
    """The architecture SCMP_ARCH_*; ValueError: there is no table for it."""
    try:
        return ARCHITECTURES[name[len(_PREFIX) :] if name.startswith(_PREFIX) else name]
    except KeyError:
        raise ValueError(f"no table of system calls for {name}") from None


def native(name: str, byte_order: str = "<") -> Architecture:
    """The architecture of uname(2)'s machine.

    name: as syscalls.core.machine() gives it, of a 32-bit interpreter the 32-bit machine's.
    """
    found = _MACHINES.get(name) or _MIPS.get((name, byte_order))
    if found is None:
        raise ValueError(f"no table of system calls for {name}")
    return ARCHITECTURES[found]


def here() -> Architecture:
    """That of this machine; ValueError: there is no table for it."""
    return native(machine(), "<" if sys.byteorder == "little" else ">")
