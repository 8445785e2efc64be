"""The capabilities of a process: its five sets, and no_new_privs (capabilities(7), prctl(2)).

In which order they are set around the change of user is planned in plan/capabilities.py.
"""

from __future__ import annotations

import errno

from ..syscalls.credentials import capget, capset
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
    """capset(2), with what can be granted of it.

    What the runtime itself lacks, inside another container say, is left out and
    noted in context.values["capabilities refused"], as a mask: the
    runtime-spec asks for a warning, not for a failure.
    """
    _, have, inherited = capget()
    new_permitted = permitted & have
    # The inheritable set may take what is permitted, bounded by the bounding set.
    new_inheritable = inheritable & (inherited | have)
    for number in range(_MOST):
        bit = 1 << number
        if new_inheritable & bit & ~inherited and not _in_bounding(number):
            new_inheritable &= ~bit
    capset(effective & new_permitted, new_permitted, new_inheritable)
    refused = (permitted | effective) & ~new_permitted | inheritable & ~new_inheritable
    if refused:
        context.values["capabilities refused"] = refused


def raise_ambient(context: Context, mask: int) -> None:
    """Exactly mask; the caller's own are cleared.

    As with set_capabilities(), one that is not both permitted and inheritable
    is left out and noted.
    """
    try:
        cap_ambient_clear_all()
        _, permitted, inheritable = capget()
        granted = mask & permitted & inheritable
        for number in range(_MOST):
            if granted >> number & 1:
                cap_ambient_raise(number)
    except PermissionError as error:
        # SECBIT_NO_CAP_AMBIENT_RAISE is the caller's to unset.
        hint = "the secure bits of the calling process forbid it"
        error.hint = hint  # type: ignore[attr-defined]  # see bootstrap/performer.py
        raise
    if mask & ~granted:
        refused = context.values.get("capabilities refused", 0)
        context.values["capabilities refused"] = refused | mask & ~granted


def no_new_privileges(context: Context) -> None:
    """From here on set-user-ID bits and file capabilities have no effect on execve."""
    set_no_new_privs()
