"""Make libct/seccomp/calls/: the numbers of system calls, from the kernel's headers for programs.

    python -m tests.seccomp.make_tables DIRECTORY...

DIRECTORYs are unpacked packages linux-libc-dev of Debian, newest first; since
6.12 one package has the headers of all machines:

    apt-get download linux-libc-dev
    dpkg -x linux-libc-dev_*.deb headers

A table has what the first directory with its header has.  Linux has dropped the
31-bit programs of s390, so its table needs linux-libc-dev-s390x-cross of Debian 12;
it gets the calls that are newer from s390x.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

TABLES = Path(__file__).parents[2] / "libct/seccomp/calls"

# Module -> the machine's headers below usr/lib/linux/uapi, or usr in older packages; the header;
# what the numbers are counted from.
SOURCES = {
    "x86": ("x86", "unistd_32.h", 0),
    "x86_64": ("x86", "unistd_64.h", 0),
    "x32": ("x86", "unistd_x32.h", 0x40000000),
    "arm": ("arm", "unistd-eabi.h", 0),
    "aarch64": ("arm64", "unistd_64.h", 0),
    "mips": ("mips", "unistd_o32.h", 4000),
    "mips64": ("mips", "unistd_n64.h", 5000),
    "mips64n32": ("mips", "unistd_n32.h", 6000),
    "ppc": ("powerpc", "unistd_32.h", 0),
    "ppc64": ("powerpc", "unistd_64.h", 0),
    "riscv64": ("riscv", "unistd_64.h", 0),
    "s390x": ("s390", "unistd_64.h", 0),
    "s390": ("s390", "unistd_32.h", 0),
    "loongarch64": ("loongarch", "unistd_64.h", 0),
}
_OLDER = {"s390": "s390x-linux-gnu"}  # a machine's directory below usr
# asm/unistd.h of arm: calls that libc makes, with numbers of their own.
_ARM_PRIVATE = re.compile(r"#define\s+__ARM_NR_(\w+)\s+\(__ARM_NR_BASE\s*\+\s*(\d+)\)")
_ARM_BASE = 0x0F0000
_UNIFORM = 424  # from here on the machines of one family number alike
_ALIAS = re.compile(r"#define\s+__NR_(\w+)\s+__NR_(\w+)\s*$", re.MULTILINE)
_NUMBER = re.compile(r"#define\s+__NR_(\w+)\s+\(?(?:__\w+\s*\+\s*)?(\d+)\)?\s*$", re.MULTILINE)
_NO_CALL = re.compile(r"unused\d+|reserved\d+|syscalls|Linux(_syscalls)?")


def numbers(header: str, base: int) -> dict[str, int]:
    """Name -> number, of a header's text."""
    found = {
        name: base + int(number)
        for name, number in _NUMBER.findall(header)
        if not _NO_CALL.fullmatch(name)
    }
    for name, other in _ALIAS.findall(header):
        if other in found:
            found.setdefault(name, found[other])
    return found


def private_numbers(header: str) -> dict[str, int]:
    """The same, of the calls that only arm has."""
    return {name: _ARM_BASE + int(number) for name, number in _ARM_PRIVATE.findall(header)}


def module(name: str, found: dict[str, int], header: str, version: str) -> str:
    lines = [
        f'"""System calls of {name}.  Made by tests/seccomp/make_tables.py.',
        "",
        f"Source: {header}, Linux {version}.",
        '"""',
        "",
        "NUMBERS = {",
        *(f'    "{call}": {number},' for call, number in sorted(found.items(), key=_by_number)),
        "}",
        "",
    ]
    return "\n".join(lines)


def _newer(name: str, found: dict[str, int]) -> dict[str, int]:
    """The calls of the 64-bit machine that are newer than those found."""
    scope: dict[str, dict[str, int]] = {}
    exec((TABLES / f"{name}x.py").read_text(), scope)
    return {
        call: number
        for call, number in scope["NUMBERS"].items()
        if number >= _UNIFORM and call not in found
    }


def _by_number(item: tuple[str, int]) -> tuple[int, str]:
    return item[1], item[0]


def _version(root: Path) -> str:
    text = next(root.glob("usr/**/linux/version.h")).read_text()
    code = int(re.findall(r"LINUX_VERSION_CODE\s+(\d+)", text)[0])
    return f"{code >> 16}.{code >> 8 & 255}"


def _directories(root: Path, machine: str) -> list[Path]:
    places = [root / "usr/lib/linux/uapi" / machine / "asm"]
    if machine in _OLDER:
        places.append(root / "usr" / _OLDER[machine] / "include/asm")
    return places


def main(roots: list[Path]) -> None:
    for name, (machine, header, base) in SOURCES.items():
        places = [(root, asm) for root in roots for asm in _directories(root, machine)]
        places = [(root, asm) for root, asm in places if (asm / header).exists()]
        if not places:
            raise SystemExit(f"no directory has {header} of {machine}")
        root, asm = places[0]
        found = numbers((asm / header).read_text(), base)
        if name == "arm":
            more = (asm / "unistd.h").read_text()
            found.update(private_numbers(more))
            found.update({alias: found[to] for alias, to in _ALIAS.findall(more) if to in found})
        if root != roots[0]:
            found.update(_newer(name, found))
        text = module(name, found, f"asm/{header} of {machine}", _version(root))
        (TABLES / f"{name}.py").write_text(text)


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
