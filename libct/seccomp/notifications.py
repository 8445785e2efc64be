"""Answering the notifications of a filter (SCMP_ACT_NOTIFY) from Python.

Who asks is a process inside that waits in its system call.  What it has in memory it can
change while we look, and after that: an answer that lets the call go on must not depend on
what its arguments point to (seccomp_unotify(2), NOTES).  libct/seccomp/listener.py brings
the listener.
"""

from __future__ import annotations

import errno
import posix
import select
import sys

from ..syscalls.seccomp_notify import SECCOMP_USER_NOTIF_FLAG_CONTINUE, notif_recv, notif_send
from .architectures import ARCHITECTURES, X32_BIT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Union

    # None: the kernel makes the call; a number: what it returns to its caller instead.
    Answer = Callable[["Notification"], Union[int, None]]

_HIGHEST_ERRNO = 4095
_SIGNED = 1 << 63  # what a call returns is a long


class Notification:
    """A system call that waits for an answer.

    pid: of the thread that makes it, in our pid namespace; 0 if it has no number there.
    architecture: the spec's name without SCMP_ARCH_, "" for one that we do not know.
    number, args: of the call on that architecture; six arguments, unsigned.
    """

    __slots__ = ("architecture", "args", "number", "pid")

    def __init__(self, pid: int, architecture: str, number: int, args: tuple[int, ...]) -> None:
        self.pid, self.architecture, self.number, self.args = pid, architecture, number, args

    @property
    def name(self) -> str:
        """The call's, "" for one that we do not know."""
        architecture = ARCHITECTURES.get(self.architecture)
        numbers = architecture.numbers() if architecture is not None else {}
        return next((name for name, number in numbers.items() if number == self.number), "")

    def __repr__(self) -> str:
        args = ", ".join(f"{one:#x}" for one in self.args)
        return f"<Notification {self.name or self.number}({args}) of {self.pid}>"


def serve(listener: int, answer: Answer) -> None:
    """Answer what comes, until no process is left under the filter; listener is closed then.

    answer: returns None for a call that the kernel is to make, what it returns to its caller
        otherwise; or raises OSError, whose errno the call fails with.  Any other
        exception is EPERM for the caller, and goes to sys.excepthook.
    """
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    try:
        while True:
            events = poll.poll()
            if not events or not events[0][1] & select.POLLIN:
                return  # hung up
            received = notif_recv(listener)
            if received is not None:
                _answer(listener, received, answer)
    finally:
        posix.close(listener)


def _answer(
    listener: int, received: tuple[int, int, int, int, tuple[int, ...]], answer: Answer
) -> None:
    ident, pid, number, token, args = received
    number &= 0xFFFFFFFF
    value, code, flags = 0, 0, 0
    try:
        result = answer(Notification(pid, _architecture(token, number), number, args))
        if result is None:
            flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE
        else:
            value = int(result)
            if not -_SIGNED <= value < _SIGNED:
                raise OverflowError(f"{value:#x} is not a value that a system call returns")
    except OSError as error:
        value, code = 0, errno.EPERM
        if isinstance(error.errno, int) and 0 < error.errno <= _HIGHEST_ERRNO:
            code = error.errno
    except BaseException as error:
        value, code = 0, errno.EPERM
        _tell(error)
    notif_send(listener, ident, value, code, flags)


def _tell(error: BaseException) -> None:
    try:
        sys.excepthook(type(error), error, error.__traceback__)
    except BaseException:
        pass  # it is the host program's, and others wait for answers


def _architecture(token: int, number: int) -> str:
    for name, found in ARCHITECTURES.items():
        if found.token == token and (name == "X32") == (
            token == ARCHITECTURES["X32"].token and bool(number & X32_BIT)
        ):
            return name
    return ""
