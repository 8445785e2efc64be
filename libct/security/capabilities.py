"""The capabilities of a process: its five sets, and no_new_privs (capabilities(7), prctl(2)).

In which order they are set around the change of user is planned in plan/capabilities.py.
"""

from __future__ import annotations

import errno

from ..syscalls.credentials import capset
from ..syscalls.process import (
    cap_ambient_clear_all,
    cap_ambient_raise,
    capbset_drop,
    capbset_read,
    set_keepcaps,
    set_no_new_privs,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context

_MOST = 64  # bits in a set


def drop_bounding(context: Context, keep: int) -> None:
    """Drop all but keep, also those that libct has no name for.

    Without CAP_SETPCAP it fails, but for capabilities that are not there anyway.
    """
    for number in range(_MOST):
        if keep >> number & 1:
            continue
        try:
            capbset_drop(number)
        except OSError as error:
            if error.errno == errno.EINVAL:
                return  # past the kernel's last
            if _in_bounding(number):
                raise


def _in_bounding(number: int) -> bool:
    try:
        return capbset_read(number)
    except OSError:
        return False  # unknown to the kernel


def keep_capabilities(context: Context, on: int) -> None:
    """on: 1 or 0."""
    set_keepcaps(bool(on))


def set_capabilities(context: Context, effective: int, permitted: int, inheritable: int) -> None:
    """capset(2).  What cannot be granted, the plan has left out."""
    capset(effective, permitted, inheritable)


def raise_ambient(context: Context, mask: int) -> None:
    """Exactly mask; the caller's own are cleared."""
    cap_ambient_clear_all()
    for number in range(_MOST):
        if mask >> number & 1:
            cap_ambient_raise(number)


def no_new_privileges(context: Context) -> None:
    """From here on set-user-ID bits and file capabilities have no effect on execve."""
    set_no_new_privs()
