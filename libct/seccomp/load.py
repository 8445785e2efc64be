"""Loading a filter of system calls.  When in a start that is, is planned in plan/seccomp.py."""

from __future__ import annotations

from ..syscalls.files import close_range
from ..syscalls.process import set_dumpable
from ..syscalls.seccomp import Filter, seccomp_set_mode_filter
from ..syscalls.seccomp_constants import SECCOMP_FILTER_FLAG_NEW_LISTENER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context


def load_filter(context: Context, program: str, flags: int) -> None:
    """program: struct sock_filter of this machine, one after the other, as hexadecimal digits.

    The listener, where there is one, stays under "listener", and the runtime is told its number.
    """
    fd = seccomp_set_mode_filter(Filter(bytes.fromhex(program)), flags)
    if flags & SECCOMP_FILTER_FLAG_NEW_LISTENER:
        context.keep("listener", fd)
        context.values["talk"].tell(("listens", fd))


def show_listener(context: Context) -> None:
    """For a runtime without rights over the process: pidfd_getfd(2) is as ptrace(2) then.

    Of the processes of its user, that is; those inside are of the user namespace, and may do
    so anyway where they are this user, or have CAP_SYS_PTRACE.
    """
    set_dumpable(True)


def close_listener(context: Context, shown: bool) -> None:
    """By a call that is made under the filter anyway."""
    fd = context.fds.pop("listener")
    close_range(fd, fd)
    if shown:
        set_dumpable(False)
