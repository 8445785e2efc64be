"""Extended attributes by path, by the C library: CPython has no such functions with musl."""

from __future__ import annotations

import ctypes
import os

_libc = ctypes.CDLL(None, use_errno=True)


def set_attribute(path: str, name: str, value: bytes) -> None:
    _check(_libc.setxattr(path.encode(), name.encode(), value, ctypes.c_size_t(len(value)), 0))


def get_attribute(path: str, name: str) -> bytes:
    value = ctypes.create_string_buffer(4096)
    size = _libc.getxattr(path.encode(), name.encode(), value, ctypes.c_size_t(4096))
    _check(min(size, 0))
    return value.raw[:size]


def remove_attribute(path: str, name: str) -> None:
    _check(_libc.removexattr(path.encode(), name.encode()))


def attributes(path: str) -> list[str]:
    """The names of all that are seen."""
    names = ctypes.create_string_buffer(4096)
    size = _libc.listxattr(path.encode(), names, ctypes.c_size_t(4096))
    _check(min(size, 0))
    return names.raw[:size].decode().split("\0")[:-1]


def _check(status: int) -> None:
    if status:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
