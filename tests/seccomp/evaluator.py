"""What a profile's words say about a call, worked out from them directly.

For profiles whose rules of one call all have one action, so that no order counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from libct.seccomp.actions import answer
from libct.seccomp.architectures import X32_BIT, named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libct.config.seccomp import Seccomp, SeccompArg
    from libct.seccomp.architectures import Architecture

# socketcall(2) and ipc(2): their first argument, and the call that it stands for.
_SOCKETS = (
    *(None, "socket", "bind", "connect", "listen", "accept", "getsockname", "getpeername"),
    *("socketpair", "send", "recv", "sendto", "recvfrom", "shutdown", "setsockopt", "getsockopt"),
    *("sendmsg", "recvmsg", "accept4", "recvmmsg", "sendmmsg"),
)
_MULTIPLEXED: dict[str, dict[int, str | None]] = {
    "socketcall": dict(enumerate(_SOCKETS)),
    "ipc": {
        1: "semop",
        2: "semget",
        3: "semctl",
        4: "semtimedop",
        11: "msgsnd",
        12: "msgrcv",
        13: "msgget",
        14: "msgctl",
        21: "shmat",
        22: "shmdt",
        23: "shmget",
        24: "shmctl",
    },
}
_MACHINES = ("X86", "S390", "S390X", "PPC", "PPC64", "PPC64LE", "MIPS", "MIPSEL")


def verdict(
    seccomp: Seccomp, native: Architecture, token: int, number: int, arguments: Sequence[int]
) -> int:
    """What the filter has to return; for numbers up to the largest that the profile names."""
    listed = {one.name: one for one in (native, *map(named, seccomp.architectures))}
    for architecture in listed.values():
        x32 = architecture.name == "X32"
        x86 = architecture.name in ("X86_64", "X32")
        if architecture.token == token and (not x86 or x32 == bool(number & X32_BIT)):
            return _on(seccomp, architecture, number, arguments)
    return 0


def _on(seccomp: Seccomp, architecture: Architecture, number: int, arguments: Sequence[int]) -> int:
    default = answer(seccomp.default_action, seccomp.default_errno_ret, "")
    bits = 64 if architecture.name in ("X86_64", "AARCH64", "RISCV64", "S390X", "MIPS64") else 32
    if architecture.name in ("MIPSEL64", "PPC64", "PPC64LE", "LOONGARCH64"):
        bits = 64
    names = {name for name, found in architecture.numbers().items() if found == number}
    inner = None
    for multiplexer in names.intersection(_MULTIPLEXED):
        if architecture.name in _MACHINES:
            inner = _MULTIPLEXED[multiplexer].get(arguments[0] % (1 << bits))
    for rule in seccomp.syscalls:
        value = answer(rule.action, rule.errno_ret, "")
        if value == default:
            continue
        for names_of_call, dropped in ((names, None), ({inner}, 0)):
            if names_of_call.intersection(rule.names):
                tests = [
                    one.index == dropped or _holds(one, arguments[one.index], bits)
                    for one in rule.args
                ]
                apart = len({one.index for one in rule.args}) < len(rule.args)
                if any(tests) if apart else all(tests):
                    return value
    return default


def _holds(one: SeccompArg, argument: int, bits: int) -> bool:
    size = 1 << bits
    argument, value = argument % size, one.value % size
    return {
        "SCMP_CMP_NE": argument != value,
        "SCMP_CMP_LT": argument < value,
        "SCMP_CMP_LE": argument <= value,
        "SCMP_CMP_EQ": argument == value,
        "SCMP_CMP_GE": argument >= value,
        "SCMP_CMP_GT": argument > value,
        "SCMP_CMP_MASKED_EQ": argument & value == one.value_two & value,
    }[one.op]
