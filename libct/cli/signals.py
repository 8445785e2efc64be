"""Signals as something to poll for, without the signal module, which costs 2 ms to import."""

from __future__ import annotations

import _signal
import posix

from ..syscalls.interrupts import StartEnded, is_deferring

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

# Not caught: what nobody can catch; what a fault of our own would raise, again
# and again; SIGPIPE, which our own writing raises; SIGURG, as runc has it; and
# two that belong to the C library.
_LEFT_ALONE = (
    _signal.SIGKILL,
    _signal.SIGSTOP,
    _signal.SIGSEGV,
    _signal.SIGBUS,
    _signal.SIGFPE,
    _signal.SIGILL,
    _signal.SIGPIPE,
    _signal.SIGURG,
    32,
    33,
)

ENDING = (_signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGTERM)


class Signals:
    """While it is entered, signals do nothing but make fileno() readable; take() says which.

    Those that the caller has us ignore (nohup) stay ignored.  For the main thread.
    While starting is set, the signals that are there to end a program end a start that
    waits for something: who would pass them on is not reached before it is over.
    """

    def __init__(self, *, but: Iterable[int] = ()) -> None:
        self.starting = False
        self._left_alone = (*_LEFT_ALONE, *but)
        self._before: dict[int, Any] = {}

    def fileno(self) -> int:
        return self._reader

    def take(self) -> bytes:
        """The numbers of those that have arrived."""
        try:
            return posix.read(self._reader, 4096)
        except BlockingIOError:
            return b""

    def __enter__(self) -> Signals:
        self._reader, self._writer = posix.pipe2(posix.O_NONBLOCK | posix.O_CLOEXEC)
        # The interpreter's own handler, in C, writes the number.
        self._wakeup = _signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in range(1, _signal.NSIG):
            if number in self._left_alone:
                continue
            handler = _signal.getsignal(number)
            if handler is not None and handler != _signal.SIG_IGN:
                self._before[number] = handler
                _signal.signal(number, self._noted)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            _signal.signal(number, handler)
        _signal.set_wakeup_fd(self._wakeup)
        posix.close(self._reader)
        posix.close(self._writer)

    def _noted(self, number: int, frame: object) -> None:
        """Without a handler in Python there would be none in C."""
        if self.starting and number in ENDING and is_deferring():
            raise StartEnded(number)
