"""Compiled filters in the kernel: calls that are really made get what our interpreter says.

A call that the filter refuses has no effect, so all of those can be made, with any number.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import platform
import signal
from typing import TYPE_CHECKING, Any

import pytest

from libct.config.seccomp import Seccomp, SeccompArg, SeccompRule
from libct.seccomp.actions import ALLOW, ENOSYS, ERRNO, KILL_THREAD, load_flags
from libct.seccomp.architectures import X32_BIT, named
from libct.seccomp.compiler import compile_profile
from libct.seccomp.instructions import MAX_INSTRUCTIONS, encode
from libct.seccomp.interpreter import call_data, run
from libct.syscalls.process import set_no_new_privs
from libct.syscalls.seccomp import Filter, seccomp_set_mode_filter

from ..needs import requires
from ..processes import forked
from ..seccomp.profiles import DOCKER, engine_profile

if TYPE_CHECKING:
    from collections.abc import Callable

    from libct.seccomp.instructions import Instruction

pytestmark = [
    requires("userns"),  # not the inside of another sandbox
    pytest.mark.skipif(platform.machine() != "x86_64", reason="this machine lacks: x86_64"),
]

X86_64, X86 = named("X86_64"), named("X86")
_ERRNO_BITS = 0xFFFF
# uretprobe and uprobe: the kernel makes programs call them, and lets them pass every filter
# (kernel/seccomp.c, seccomp_uprobe_exception()).  Others who call them get SIGILL.
UNFILTERED = (335, 336)


def load(program: list[Instruction], seccomp: Seccomp) -> None:
    set_no_new_privs()
    seccomp_set_mode_filter(Filter(encode(program)), load_flags(seccomp))


def wide(number: int, *arguments: int) -> int:
    """0, or the errno of a system call of a 64-bit program."""
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    syscall.restype = ctypes.c_long
    padded = [ctypes.c_ulong(one) for one in (*arguments, *(0,) * (6 - len(arguments)))]
    return ctypes.get_errno() if syscall(ctypes.c_long(number), *padded) == -1 else 0


def narrow() -> Callable[[int, int], int]:
    """What makes a system call as a 32-bit program does, by int 0x80: number, first argument."""
    # push rbx; mov eax, edi; mov ebx, esi; xor ecx, ecx; xor edx, edx; int 0x80; pop rbx; ret
    code = bytes.fromhex("53 89f8 89f3 31c9 31d2 cd80 5b c3")
    memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    function = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_uint)(address)

    def call(number: int, argument: int) -> int:
        result = function(number, argument)
        return -result if -4096 < result < 0 else 0

    call.memory = memory  # type: ignore[attr-defined]  # kept
    return call


@pytest.mark.parametrize("listed", ["with x32", "without x32"])
def test_the_kernel_answers_as_the_interpreter(listed: str) -> None:
    seccomp = engine_profile(DOCKER, "X86_64")
    if listed == "without x32":
        seccomp.architectures.remove("SCMP_ARCH_X32")
    program = compile_profile(seccomp, X86_64)

    def body() -> Any:
        by_interrupt = narrow()
        load(program, seccomp)
        made, wrong = 0, []
        for token, call in ((X86_64.token, wide), (X86.token, by_interrupt)):
            numbers = [*range(600), 0x3FFFFFFF, 0xFFFFFFF]
            if token == X86_64.token and listed == "with x32":
                numbers += [X32_BIT + number for number in numbers[:-2]]
            for number in numbers:
                if token == X86_64.token and number in UNFILTERED:
                    continue
                for argument in (0, 40, 0xFFFFFFFE):
                    said, _ = run(program, call_data(token, number, (argument,)))
                    if said & ~_ERRNO_BITS == ERRNO:
                        made += 1
                        found = call(number, argument)
                        if found != said & _ERRNO_BITS:
                            wrong.append((hex(token), number, argument, found, hex(said)))
        return made, wrong

    made, wrong = forked(body)
    assert wrong == []
    assert made > 1000


def test_arguments_decide_in_the_kernel() -> None:
    """By a call that has no effect here: nobody has that process id."""
    conditions = [
        ("EQ", 5, 0),
        ("NE", 5, 0),
        ("LT", 5 << 32, 0),
        ("LE", 5 << 32, 0),
        ("GE", (5 << 32) + 7, 0),
        ("GT", (5 << 32) + 7, 0),
        ("MASKED_EQ", 0xFF00FF00FF, 0x0100000002),
    ]
    values = [0, 5, 6, (5 << 32) - 1, 5 << 32, (5 << 32) + 1, (5 << 32) + 7, (5 << 32) + 8]
    values += [0x0100000002, 0xAB01CD00EF02, (1 << 64) - 1]
    number = X86_64.numbers()["getpgid"]
    for operator, value, other in conditions:
        condition = SeccompArg(3, value, other, f"SCMP_CMP_{operator}")
        rule = SeccompRule(["getpgid"], "SCMP_ACT_ERRNO", errno.EXDEV, [condition])
        seccomp = Seccomp("SCMP_ACT_ALLOW", syscalls=[rule])
        program = compile_profile(seccomp, X86_64)

        def body(seccomp: Seccomp = seccomp, program: list[Instruction] = program) -> list[int]:
            load(program, seccomp)
            return [wide(number, 0, 0, 0, one) for one in values]

        said = [run(program, call_data(X86_64.token, number, (0, 0, 0, one)))[0] for one in values]
        assert {ALLOW, ERRNO | errno.EXDEV} == set(said)
        assert forked(body) == [0 if one == ALLOW else errno.EXDEV for one in said]


@pytest.mark.parametrize("way", ["x32", "i386"])
def test_an_architecture_that_is_not_listed_kills(way: str) -> None:
    seccomp = Seccomp("SCMP_ACT_ALLOW", syscalls=[SeccompRule(["reboot"], "SCMP_ACT_ERRNO")])
    program = compile_profile(seccomp, X86_64)
    getpid = X86_64.numbers()["getpid"]
    assert run(program, call_data(X86_64.token, X32_BIT + getpid))[0] == KILL_THREAD

    def body() -> int:
        by_interrupt = narrow()
        child = os.fork()
        if child == 0:
            load(program, seccomp)
            if way == "x32":
                wide(X32_BIT + getpid)
            else:
                by_interrupt(X86.numbers()["getpid"], 0)
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert forked(body) == -signal.SIGSYS


def test_the_kernel_takes_the_longest_program() -> None:
    rules = [
        SeccompRule(["getpgid"], "SCMP_ACT_ERRNO", args=[SeccompArg(0, one << 32 | one)])
        for one in range(1, 3000)
    ]
    longest = 0
    for count in range(1000, 3000, 5):
        seccomp = Seccomp("SCMP_ACT_ALLOW", syscalls=rules[:count])
        try:
            program = compile_profile(seccomp, X86_64)
        except ValueError:
            break
        longest = count
    assert MAX_INSTRUCTIONS - 40 < len(program) <= MAX_INSTRUCTIONS
    seccomp = Seccomp("SCMP_ACT_ALLOW", syscalls=rules[:longest])

    def body() -> list[int]:
        load(program, seccomp)
        number = X86_64.numbers()["getpgid"]
        return [wide(number, one << 32 | one) for one in (1, longest, longest + 1)]

    assert forked(body)[:2] == [errno.EPERM, errno.EPERM]


def test_what_is_newer_than_the_profile_does_not_exist() -> None:
    seccomp = engine_profile(DOCKER, "X86_64")
    program = compile_profile(seccomp, X86_64)
    newest = max(X86_64.numbers().values())
    assert run(program, call_data(X86_64.token, newest))[0] == ENOSYS

    def body() -> list[int]:
        load(program, seccomp)
        return [wide(newest), wide(X86_64.numbers()["keyctl"]), wide(X86_64.numbers()["getpid"])]

    assert forked(body) == [errno.ENOSYS, errno.EPERM, 0]
