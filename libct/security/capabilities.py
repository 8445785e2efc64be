"""The capabilities of a process: its five sets, and no_new_privs (capabilities(7), prctl(2)).

The order around the change of user (users.py) is the point:

    bounding_steps      the bounding set, which needs CAP_SETPCAP; and keep the
                        permitted set when the user changes
    become_user         clears the effective and the ambient set
    capability_steps    what is to remain, then the ambient set, which may hold
                        only what is permitted and inheritable
"""

from __future__ import annotations

import errno

from ..plan.step import Step, operation
from ..syscalls.constants import CAPABILITIES
from ..syscalls.credentials import capget, capset
from ..syscalls.flags import CAPABILITY_NAMES
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
    from ..config import Capabilities

_MOST = 64  # bits in a set


class Masks:
    """The sets as bits, 1 << CAP_*; unknown: the names that no kernel of ours knows."""

    __slots__ = ("ambient", "bounding", "effective", "inheritable", "permitted", "unknown")

    def __init__(self) -> None:
        self.bounding = self.effective = self.permitted = self.inheritable = self.ambient = 0
        self.unknown: list[str] = []


def capability_masks(capabilities: Capabilities | None) -> Masks:
    """The sets as bits.  None is a process without any capability, as for runc.

    Unknown names are left out and listed, once each, for a warning: the
    runtime-spec asks not to fail for what cannot be granted (config.md,
    POSIX process, capabilities).
    """
    masks = Masks()
    if capabilities is None:
        return masks
    for field in ("bounding", "effective", "permitted", "inheritable", "ambient"):
        for name in getattr(capabilities, field):
            number = CAPABILITIES.get(name)
            if number is not None:
                setattr(masks, field, getattr(masks, field) | 1 << number)
            elif name not in masks.unknown:
                masks.unknown.append(name)
    return masks


def bounding_steps(capabilities: Capabilities | None) -> list[Step]:
    masks = capability_masks(capabilities)
    place = "process.capabilities"
    return [
        drop_bounding(masks.bounding, why=f"{place}.bounding"),
        keep_capabilities(1, why=place),
    ]


def capability_steps(capabilities: Capabilities | None) -> list[Step]:
    masks = capability_masks(capabilities)
    place = "process.capabilities"
    return [
        keep_capabilities(0, why=place),
        set_capabilities(masks.effective, masks.permitted, masks.inheritable, why=place),
        raise_ambient(masks.ambient, why=f"{place}.ambient"),
    ]


@operation("drop capabilities from the bounding set")
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


@drop_bounding.calls
def _(keep: int) -> list[str]:
    return [f"prctl(PR_CAPBSET_DROP, {name})" for bit, name in CAPABILITY_NAMES if not keep & bit]


@operation("set whether capabilities outlive a change of user to {0}")
def keep_capabilities(context: Context, on: int) -> None:
    """on: 1 or 0."""
    set_keepcaps(bool(on))


@keep_capabilities.calls
def _(on: int) -> list[str]:
    return [f"prctl(PR_SET_KEEPCAPS, {on})"]


@operation("set the capabilities")
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


@set_capabilities.calls
def _(effective: int, permitted: int, inheritable: int) -> list[str]:
    sets = (
        f"effective={_set_text(effective & permitted)}, permitted={_set_text(permitted)}, "
        f"inheritable={_set_text(inheritable)}"
    )
    return [f"capset({{version=_LINUX_CAPABILITY_VERSION_3, pid=0}}, {{{sets}}})"]


def _set_text(mask: int) -> str:
    """As strace has it: 1<<CAP_CHOWN|1<<CAP_KILL."""
    return "|".join(f"1<<{name}" for bit, name in CAPABILITY_NAMES if mask & bit) or "0"


@operation("set the ambient capabilities")
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


@raise_ambient.calls
def _(mask: int) -> list[str]:
    return ["prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)"] + [
        f"prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, {name}, 0, 0)"
        for bit, name in CAPABILITY_NAMES
        if mask & bit
    ]


@operation("forbid new privileges")
def no_new_privileges(context: Context) -> None:
    """From here on set-user-ID bits and file capabilities have no effect on execve."""
    set_no_new_privs()


@no_new_privileges.calls
def _() -> list[str]:
    return ["prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)"]
