"""What the runtime alone asks of this process, or sets: prctl(2), personality(2)."""

from __future__ import annotations

from .c import addressof, c_int, c_uint64, c_ulong
from .constants import (
    PER_QUERY,
    PR_GET_CHILD_SUBREAPER,
    PR_GET_NO_NEW_PRIVS,
    PR_GET_SECUREBITS,
    PR_GET_TSC,
    PR_SCHED_CORE,
    PR_SCHED_CORE_GET,
    PR_SET_CHILD_SUBREAPER,
)
from .core import bind, fail
from .process import _prctl


def get_setting(option: int, word: int = 0) -> int | None:
    """What an operation of prctl(2) that only asks returns, PR_GET_TIMERSLACK for one.

    None where this kernel or machine has no such setting, or does not tell us.
    """
    value: int = _prctl(option, word, 0, 0, 0)
    return None if value == -1 else value


def get_time_stamps() -> int | None:
    """Whether rdtsc can be executed, 1, or is a SIGSEGV, 2; None where there is no such choice.

    Source: PR_GET_TSC(2const).
    """
    value = c_int()
    return None if _prctl(PR_GET_TSC, addressof(value), 0, 0, 0) == -1 else value.value


def core_cookie() -> int | None:
    """With whom this thread may share a core (0: all without one); None where that is no matter.

    Source: prctl(2), PR_SCHED_CORE; core-scheduling.rst of the kernel.
    """
    cookie = c_uint64()
    # Of PIDTYPE_PID 0, thread 0: this one.
    status = _prctl(PR_SCHED_CORE, PR_SCHED_CORE_GET, 0, 0, addressof(cookie))
    return None if status == -1 else cookie.value


def set_child_subreaper(subreaper: bool) -> None:
    """Become, or not, the parent of our descendants whose parents end.  Not inherited.

    Source: prctl(2), PR_SET_CHILD_SUBREAPER.
    """
    if _prctl(PR_SET_CHILD_SUBREAPER, subreaper, 0, 0, 0) == -1:
        fail(f"prctl(PR_SET_CHILD_SUBREAPER, {int(subreaper)})")


def get_child_subreaper() -> bool:
    """Whether we are.  Source: prctl(2), PR_GET_CHILD_SUBREAPER."""
    value = c_int()
    if _prctl(PR_GET_CHILD_SUBREAPER, addressof(value), 0, 0, 0) == -1:
        fail("prctl(PR_GET_CHILD_SUBREAPER)")
    return value.value == 1


def get_no_new_privs() -> bool:
    """Whether no_new_privs is set.  Source: prctl(2), PR_GET_NO_NEW_PRIVS."""
    value: int = _prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
    if value == -1:
        fail("prctl(PR_GET_NO_NEW_PRIVS)")
    return value == 1


def get_securebits() -> int:
    """SECBIT_* bits.  Source: prctl(2), PR_GET_SECUREBITS; capabilities(7)."""
    value: int = _prctl(PR_GET_SECUREBITS, 0, 0, 0, 0)
    if value == -1:
        fail("prctl(PR_GET_SECUREBITS)")
    return value


_personality = bind("personality", c_int, c_ulong)


def personality(persona: int = PER_QUERY) -> int:
    """Set the execution domain and its flags (PER_*), and return the former one.

    Without an argument it stays as it is.

    Raises OSError with errno EINVAL: the kernel could not change it.
    Source: personality(2).
    """
    former: int = _personality(persona)
    if former == -1:
        fail(f"personality({persona:#x})")
    return former
