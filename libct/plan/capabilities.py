"""The capabilities of a process: its five sets, and no_new_privs (capabilities(7), prctl(2)).

The order around the change of user (users.py) is the point:

    bounding_steps      the bounding set, which needs CAP_SETPCAP; and keep the
                        permitted set when the user changes
    become_user         clears the effective and the ambient set
    capability_steps    what is to remain, then the ambient set, which may hold
                        only what is permitted and inheritable
"""

from __future__ import annotations

from ..syscalls.constants import CAPABILITIES
from .step import Step, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config import Capabilities


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


@operation("security.capabilities", "drop capabilities from the bounding set")
def drop_bounding(keep: int) -> list[str]:
    return [f"prctl(PR_CAPBSET_DROP, {name})" for name in _names(~keep)]


@operation("security.capabilities", "set whether capabilities outlive a change of user to {0}")
def keep_capabilities(on: int) -> list[str]:
    return [f"prctl(PR_SET_KEEPCAPS, {on})"]


@operation("security.capabilities", "set the capabilities")
def set_capabilities(effective: int, permitted: int, inheritable: int) -> list[str]:
    sets = (
        f"effective={_set_text(effective & permitted)}, permitted={_set_text(permitted)}, "
        f"inheritable={_set_text(inheritable)}"
    )
    return [f"capset({{version=_LINUX_CAPABILITY_VERSION_3, pid=0}}, {{{sets}}})"]


def _set_text(mask: int) -> str:
    """As strace has it: 1<<CAP_CHOWN|1<<CAP_KILL."""
    return "|".join(f"1<<{name}" for name in _names(mask)) or "0"


def _names(mask: int) -> list[str]:
    return [name for name, number in CAPABILITIES.items() if mask >> number & 1]


@operation("security.capabilities", "set the ambient capabilities")
def raise_ambient(mask: int) -> list[str]:
    return ["prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)"] + [
        f"prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, {name}, 0, 0)" for name in _names(mask)
    ]


@operation("security.capabilities", "forbid new privileges")
def no_new_privileges() -> list[str]:
    return ["prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)"]
