"""Clones that go on at a context of the C library (setcontext(3)): clone(2), clone3(2).

Without the interpreter, that is.  SHARING has one in the memory of who clones it.  As with
vfork(2), that one waits until the clone has executed a program or ended, and none of the two
copies a page.

Documents: clone(2), vfork(2), makecontext(3).
"""

from __future__ import annotations

from .c import addressof, c_char_p, c_int, c_long, c_size_t, c_ulong, c_void_p, get_errno, sizeof
from .constants import (
    CLONE_INTO_CGROUP,
    CLONE_PARENT_SETTID,
    CLONE_VFORK,
    CLONE_VM,
)
from .core import bind, bind_syscall, fail, machine, number
from .flags import clone_names
from .namespaces import CloneArgs

SHARING = CLONE_VM | CLONE_VFORK

_memmove = bind("memmove", c_void_p, c_void_p, c_char_p, c_size_t, locked=True)
# glibc's, which has the new process call a function with one argument.
_clone = bind("clone", c_int, c_void_p, c_void_p, c_ulong, c_void_p, c_void_p, locked=True)
_NR_CLONE3 = number("clone3")
_clone3 = bind_syscall(c_void_p, c_size_t, locked=True)
_NR_ARCH_PRCTL = 158  # of x86-64, which alone has it
_arch_prctl = bind_syscall(c_int, c_void_p)
_ARCH_SHSTK_STATUS = 0x5005  # arch/x86/include/uapi/asm/prctl.h

# Whether clone3_to() knows this machine.
knows_machine = machine() == "x86_64"


def clone_to(
    context: int, setcontext: int, stack: int, flags: int, number_at: int, cgroup: int = -1
) -> int:
    """Make a process that goes on at a context.  Return its number.

    With SHARING that is when it has executed a program or ended, be it that it was killed.

    context: the address of a ucontext_t, of makecontext(3).  Its head is overwritten, which
        has been used by then.
    setcontext: the address of setcontext(3), which leads there.
    stack: where another stack ends, for the way there: 64 bytes below and 8 above are used.
    flags: CLONE_* bits, SHARING or none of the two, without a signal; no CLONE_PIDFD.
    number_at: as of clone3().  cgroup: a descriptor of a cgroup v2 directory, or -1; with it
        only where knows_machine.

    Raises OSError as clone3() does.

    Source: clone(2).
    """
    flags |= CLONE_PARENT_SETTID
    if cgroup < 0:
        pid: int = _clone(setcontext, stack, flags, context, number_at)
        call = f"clone({clone_names(flags)})"
    else:
        flags |= CLONE_INTO_CGROUP
        pid = _clone3_to(context, setcontext, stack, flags, number_at, cgroup)
        call = f"clone3({{flags={clone_names(flags)}, exit_signal=0, cgroup={cgroup}}})"
    if pid == -1:
        fail(call, code=get_errno(), since="5.3")
    return pid


def _clone3_to(
    context: int, setcontext: int, stack: int, flags: int, number_at: int, cgroup: int
) -> int:
    """The C library's clone(3) puts nobody into a cgroup, and it has no clone3.

    So it is syscall(3) that the new process returns from, on a stack of its own, to the
    address that lies on top there: setcontext's.  That finds its argument where the call had
    one, in %rdi: so struct clone_args lies over the head of the context, the part of it that
    setcontext(3) does not read (uc_flags, uc_link, uc_stack) or that a new context does not
    need (r8 to r13).
    Source: syscall(2), Architecture calling conventions; sysdeps/unix/sysv/linux/x86_64 of glibc.
    """
    args = CloneArgs(flags=flags, cgroup=cgroup, parent_tid=number_at)
    args.stack, args.stack_size = stack - _BELOW, _BELOW
    _memmove(stack, setcontext.to_bytes(8, "little"), 8)
    _memmove(context, bytes(args), sizeof(args))
    pid: int = _clone3(_NR_CLONE3, context, sizeof(args))
    return pid


_BELOW = 4096  # the kernel only adds it to where the stack begins


def has_shadow_stack() -> bool:
    """Whether returns are checked against a second stack; only where knows_machine.

    Contexts have none of their own.

    Source: arch/x86/shstk.rst of the kernel.
    """
    features = c_long(0)
    failed = _arch_prctl(_NR_ARCH_PRCTL, _ARCH_SHSTK_STATUS, addressof(features)) == -1
    return not failed and features.value != 0
