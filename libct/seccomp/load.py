"""Loading a filter of system calls.  When in a start that is, is planned in plan/seccomp.py."""

from __future__ import annotations

from ..syscalls.seccomp import Filter, seccomp_set_mode_filter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context


def load_filter(context: Context, program: str, flags: int) -> None:
    """program: struct sock_filter of this machine, one after the other, as hexadecimal digits."""
    seccomp_set_mode_filter(Filter(bytes.fromhex(program)), flags)
