"""libseccomp through ctypes: what it makes of a profile, to compare ours with.

The calls are those of runc's libcontainer/seccomp.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import signal
from typing import TYPE_CHECKING

from libct.seccomp.actions import answer
from libct.seccomp.architectures import here, named
from libct.seccomp.instructions import decode

if TYPE_CHECKING:
    from libct.config.seccomp import Seccomp, SeccompRule
    from libct.seccomp.architectures import Architecture
    from libct.seccomp.instructions import Instruction

_OPTIMIZE = 8  # SCMP_FLTATR_CTL_OPTIMIZE
_TREE = 2
_LONGEST = 0.2  # seconds
_OPERATORS = ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ")  # from 1
_X32 = 0x4000003E  # SCMP_ARCH_X32: a token that no filter sees


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("a", ctypes.c_uint64),
        ("b", ctypes.c_uint64),
    )


@functools.cache
def library() -> ctypes.CDLL:
    found = ctypes.CDLL("libseccomp.so.2")
    found.seccomp_init.restype = ctypes.c_void_p
    found.seccomp_init.argtypes = (ctypes.c_uint32,)
    found.seccomp_release.argtypes = (ctypes.c_void_p,)
    found.seccomp_arch_add.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
    found.seccomp_arch_remove.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
    found.seccomp_attr_set.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32)
    found.seccomp_export_bpf.argtypes = (ctypes.c_void_p, ctypes.c_int)
    found.seccomp_syscall_resolve_name.argtypes = (ctypes.c_char_p,)
    found.seccomp_syscall_resolve_name_arch.argtypes = (ctypes.c_uint32, ctypes.c_char_p)
    found.seccomp_rule_add_array.argtypes = (
        *(ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint),
        ctypes.POINTER(_Comparison),
    )
    found.seccomp_api_set(6)  # it takes all actions, whatever this kernel has
    return found


class Refused(Exception):
    """libseccomp does not take the profile."""


def token(architecture: Architecture) -> int:
    return _X32 if architecture.name == "X32" else architecture.token


def number(architecture: Architecture, name: str) -> int | None:
    """The number that libseccomp has for a call; None: it knows no such call there.

    Negative for one that a machine has only by way of socketcall(2) or ipc(2).
    """
    found: int = library().seccomp_syscall_resolve_name_arch(token(architecture), name.encode())
    return None if found == -1 or found <= -10000 else found


def known(name: str) -> bool:
    """Whether it knows the name, on whatever machine."""
    return library().seccomp_syscall_resolve_name(name.encode()) != -1  # type: ignore[no-any-return]


def compiled(seccomp: Seccomp, native: Architecture) -> list[Instruction]:
    """The program that libseccomp exports for a profile.

    In a child with a limit of processor time: rules that overlap make some versions run for ever.
    """
    fd = os.memfd_create("exported")
    try:
        child = os.fork()
        if child == 0:
            code = 2
            try:
                signal.signal(signal.SIGPROF, signal.SIG_DFL)
                signal.setitimer(signal.ITIMER_PROF, _LONGEST)  # it ends the process
                _export(seccomp, native, fd)
                code = 0
            except Refused:
                code = 1
            finally:
                os._exit(code)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status in (1, -signal.SIGPROF, -signal.SIGSEGV):
            raise Refused(f"status {status}")
        assert status == 0, status
        return decode(os.pread(fd, os.fstat(fd).st_size, 0), native.byte_order)
    finally:
        os.close(fd)


def _export(seccomp: Seccomp, native: Architecture, fd: int) -> None:
    lib = library()
    default = answer(seccomp.default_action, seccomp.default_errno_ret, "default")
    context = lib.seccomp_init(default)
    assert context
    listed = {one.name: one for one in (native, *map(named, seccomp.architectures))}
    host = here()
    if host.name not in listed:
        # One of another byte order is taken when nothing else is there.
        lib.seccomp_arch_add(context, token(native))
        lib.seccomp_arch_remove(context, host.token)
    for one in listed.values():
        assert lib.seccomp_arch_add(context, token(one)) in (0, -errno.EEXIST)
    count = 0
    for rule in seccomp.syscalls:
        value = answer(rule.action, rule.errno_ret, "rule")
        if value != default:
            count += _add(context, rule, value)
    if count > 32:
        assert lib.seccomp_attr_set(context, _OPTIMIZE, _TREE) == 0
    assert lib.seccomp_export_bpf(context, fd) == 0


def _add(context: int, rule: SeccompRule, value: int) -> int:
    comparisons = [
        _Comparison(one.index, 1 + _OPERATORS.index(one.op[9:]), one.value, one.value_two)
        for one in rule.args
    ]
    lists = [comparisons]
    if len({one.index for one in rule.args}) < len(rule.args):
        lists = [[one] for one in comparisons]
    for name in rule.names:
        number = library().seccomp_syscall_resolve_name(name.encode())
        if number == -1:
            continue
        for some in lists:
            array = (_Comparison * len(some))(*some)
            code = library().seccomp_rule_add_array(context, value, number, len(some), array)
            if code:
                raise Refused(f"{name}: {os.strerror(-code)}")
    return len(rule.names) * len(lists)
