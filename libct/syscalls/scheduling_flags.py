"""Numbers of scheduling, of I/O priorities and of memory policies as strace(1) prints them."""

from __future__ import annotations

from . import scheduling_constants as constants
from .flags import Flags, parts, value_name

_VALUES = vars(constants)
SCHED_FLAG_NAMES = Flags("SCHED_FLAG_", values=_VALUES)
MPOL_FLAG_NAMES = Flags("MPOL_F_", values=_VALUES)


def policy_name(policy: int) -> str:
    """The scheduling policy of sched_setattr(2)."""
    return value_name(policy, "SCHED_", without="SCHED_FLAG_", values=_VALUES) or str(policy)


def ioprio_class_name(class_: int) -> str:
    """The class of ioprio_set(2)."""
    return value_name(class_, "IOPRIO_CLASS_", without="IOPRIO_CLASS_SHIFT", values=_VALUES) or str(
        class_
    )


def ioprio_who_name(which: int) -> str:
    """The first argument of ioprio_set(2)."""
    return value_name(which, "IOPRIO_WHO_", values=_VALUES) or str(which)


def mempolicy_name(mode: int) -> str:
    """The mode of set_mempolicy(2) with its flags; the mode is a value, not bits."""
    flags = mode & sum(bits for bits, _ in MPOL_FLAG_NAMES)
    name = value_name(mode - flags, "MPOL_", without="MPOL_F_", values=_VALUES) or str(mode - flags)
    return "|".join([name, *parts(flags, MPOL_FLAG_NAMES)])
