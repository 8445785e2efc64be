"""What prctl(2) tells of this process, and securebits: for tests, by ctypes alone."""

from __future__ import annotations

import ctypes
import os

_PR_GET_PDEATHSIG, _PR_GET_KEEPCAPS, _PR_GET_NAME = 2, 7, 16
_PR_SET_SECUREBITS, _PR_GET_CHILD_SUBREAPER, _PR_GET_NO_NEW_PRIVS = 28, 37, 39
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_IS_SET = 47, 1

_libc = ctypes.CDLL(None, use_errno=True)
_libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4


def _prctl(option: int, first: int = 0, second: int = 0) -> int:
    value: int = _libc.prctl(option, first, second, 0, 0)
    if value == -1:
        raise OSError(ctypes.get_errno(), f"prctl({option}): {os.strerror(ctypes.get_errno())}")
    return value


def _told(option: int) -> int:
    value = ctypes.c_int()
    _prctl(option, ctypes.addressof(value))
    return value.value


def get_pdeathsig() -> int:
    return _told(_PR_GET_PDEATHSIG)


def get_child_subreaper() -> bool:
    return bool(_told(_PR_GET_CHILD_SUBREAPER))


def get_keepcaps() -> bool:
    return bool(_prctl(_PR_GET_KEEPCAPS))


def get_no_new_privs() -> bool:
    return bool(_prctl(_PR_GET_NO_NEW_PRIVS))


def get_name() -> bytes:
    buffer = ctypes.create_string_buffer(16)
    _prctl(_PR_GET_NAME, ctypes.addressof(buffer))
    return buffer.value


def cap_ambient_is_set(capability: int) -> bool:
    return bool(_prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_IS_SET, capability))


def set_securebits(bits: int) -> None:
    _prctl(_PR_SET_SECUREBITS, bits)
