"""What crun's annotations ask of a filter: a program that is there already, and strict names."""

from __future__ import annotations

import binascii

from ..config.annotations import SECCOMP_PROGRAM
from ..errors import ConfigError, Finding
from .architectures import ARCHITECTURES
from .instructions import check, decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.seccomp import Seccomp


def given_program(text: str) -> bytes:
    """The program of this machine's struct sock_filter, in base64.

    Raises ConfigError where it is none that the kernel takes.
    """
    try:
        code = _bytes(text)
        check(decode(code))
    except ValueError as error:
        raise ConfigError([Finding(f"annotations.{SECCOMP_PROGRAM}", str(error))]) from error
    return code


def _bytes(text: str) -> bytes:
    try:
        code = binascii.a2b_base64(text.encode("ascii"))
        exact = binascii.b2a_base64(code, newline=False).decode() == text
    except ValueError:  # binascii.Error is one
        exact = False
    if not exact:
        raise ValueError("not base64")
    return code


def check_names(seccomp: Seccomp) -> None:
    """Raise ValueError, naming the place, for a system call that no architecture has."""
    wanted: dict[str, str] = {}
    for index, rule in enumerate(seccomp.syscalls):
        for at, name in enumerate(rule.names):
            wanted.setdefault(name, f"syscalls[{index}].names[{at}]")
    for architecture in ARCHITECTURES.values():  # the native one has nearly all
        if not wanted:
            return
        for name in architecture.numbers().keys() & wanted.keys():
            del wanted[name]
    for name, place in wanted.items():
        raise ValueError(f"{place}: unknown system call {name!r}")
