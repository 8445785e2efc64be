"""libct's own profile, which `sandbox` has unless it is told another.

What is not let through fails with EPERM; what is newer than the profile does not
exist (ENOSYS).  default_calls.py lists the calls, with the reasons; here are those
that depend on their arguments.  A filter sees numbers, and not what pointers lead to.

Comparisons are of 32 bits where the kernel's argument has 32: it does not look at the
others, so a comparison of 64 could be passed by setting one of them (CVE-2019-10063).
"""

from __future__ import annotations

from ..config.seccomp import Seccomp, SeccompArg, SeccompRule
from .actions import no_such_call
from .architectures import ARCHITECTURES, OTHERS
from .default_calls import ALLOWED, LEFT_OUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .architectures import Architecture

_EPERM, _EIO = 1, 5
_EAFNOSUPPORT, _EAFNOSUPPORT_MIPS = 97, 124
_INT = (1 << 32) - 1

# CLONE_NEW* but for CLONE_NEWTIME, which clone(2) has no bit for (include/uapi/linux/sched.h)
_NAMESPACES = 0x7E020000
# include/linux/socket.h: AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET (for CAP_NET_RAW)
_FAMILIES = (1, 2, 10, 16, 17)
# include/uapi/linux/personality.h: PER_LINUX, PER_LINUX32, each with UNAME26; what it is now
_PERSONALITIES = (0, 8, 0x20000, 0x20008, _INT)
# asm/ioctls.h: TIOCSTI, TIOCLINUX
_TYPING, _TYPING_MIPS = (0x5412, 0x541C), (0x5472, 0x5483)


def default_profile(machine: Architecture, capabilities: Iterable[str] = ()) -> Seccomp:
    """The profile for a machine.

    capabilities: that the container may have: what only they allow is then let through.
    """
    has = set(capabilities)
    allowed = list(ALLOWED)
    rules = []
    for group in LEFT_OUT:
        if has.intersection(group.capabilities):
            allowed += group.names
        elif group.answer != _EPERM:
            rules.append(_errno(group.names, no_such_call(machine.name) & 0xFFFF))
    rules += [*_sockets(machine), *_ioctl(machine)]
    rules += [_allow(["personality"], _equal(0, value)) for value in _PERSONALITIES]
    if "CAP_SYS_ADMIN" in has:
        allowed.append("clone")
    else:
        flags = 1 if machine.name in ("S390", "S390X") else 0
        rules.append(_allow(["clone"], _equal(flags, 0, _NAMESPACES)))
    # No kernel of a distribution has x32.
    listed = (machine.name, *(name for name in OTHERS.get(machine.name, ()) if name != "X32"))
    return Seccomp(
        "SCMP_ACT_ERRNO",
        _EPERM,
        [ARCHITECTURES[name].spec_name for name in listed],
        syscalls=[_allow(allowed), *rules],
    )


def _sockets(machine: Architecture) -> list[SeccompRule]:
    """Sockets of the families that programs use, and no others.

    AF_ALG is the kernel's cryptography, AF_VSOCK leads to the host of a virtual
    machine; others are code that was hardly ever tried (CVE-2026-31431, for one).
    By socketcall(2) the family is in memory.  Machines that have that call need it;
    where it is for 32-bit programs of another architecture alone it does not exist,
    and newer C libraries of these then do without.
    """
    if machine.socketcall:
        multiplexer = _allow(["socketcall"])
    else:
        multiplexer = _errno(["socketcall"], no_such_call(machine.name) & 0xFFFF)
    names = ["socket", "socketpair"]
    unknown = _EAFNOSUPPORT_MIPS if machine.name.startswith("MIPS") else _EAFNOSUPPORT
    return [
        multiplexer,
        *(_allow(names, _equal(0, family)) for family in _FAMILIES),
        _errno(names, unknown, _any(0)),
    ]


def _ioctl(machine: Architecture) -> list[SeccompRule]:
    """All but what types into a terminal that the caller's shell reads (CVE-2017-5226).

    EIO is what the kernel says where dev.tty.legacy_tiocsti is off.
    """
    requests = _TYPING_MIPS if machine.name.startswith("MIPS") else _TYPING
    return [
        *(_errno(["ioctl"], _EIO, _equal(1, request)) for request in requests),
        _allow(["ioctl"], _any(0)),
    ]


def _allow(names: list[str], *args: SeccompArg) -> SeccompRule:
    return SeccompRule(names, "SCMP_ACT_ALLOW", args=list(args))


def _errno(names: list[str], number: int, *args: SeccompArg) -> SeccompRule:
    return SeccompRule(names, "SCMP_ACT_ERRNO", number, list(args))


def _equal(index: int, value: int, bits: int = _INT) -> SeccompArg:
    """The argument has this value in these bits."""
    return SeccompArg(index, bits, value, "SCMP_CMP_MASKED_EQ")


def _any(index: int) -> SeccompArg:
    """Whatever the argument is.

    A rule with a condition, so that those with an equality are tried before it; one
    without would decide alone.
    """
    return SeccompArg(index, 0, op="SCMP_CMP_GE")
