"""Signal handlers of the host program, kept from raising where something would be lost.

Python runs a signal handler between any two instructions of the main thread, and
what the handler raises (KeyboardInterrupt, a time limit) comes out there: a
descriptor that has just been opened, or a process just cloned, is then known to
nobody.  So while something of a container is made or removed, handlers are
deferred: they run at the end, or where it is waited for something long
(allowed()), which are places where nothing can be lost.

    with deferred():
        ...
        with allowed():
            poll.poll()

Handlers run in the main thread alone (signal, Signals and threads), so in every
other thread both do nothing.  A mask of signals would not do: another thread of
the program may have the signal delivered, and the main thread runs the handler.
"""

from __future__ import annotations

import _signal
import _thread
import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any, Union

    Handler = Callable[[int, Union[FrameType, None]], Any]

_NUMBERS = range(1, _signal.NSIG)

_aside: dict[int, Handler] = {}  # the host program's handlers, while they are deferred
_arrived: list[tuple[int, FrameType | None]] = []  # signals that came meanwhile
_raised: list[BaseException] = []  # by a handler that ran while the deferring began
_thread_id = 0  # of the thread that defers, 0 while there is none
_allowed = False  # whether handlers run at once, for the moment


class Raised(BaseException):
    """What a handler has raised, on its way through code of libct's.

    No Exception, so that nobody takes it for a failure of what was going on;
    deferred() gives the host program its own exception.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


class StartEnded(KeyboardInterrupt):
    """Raised by a handler to end a start that is not over, and to do nothing to one that is.

    Its argument is the number of the signal.
    """


class deferred:
    """Context manager: handlers run at the end of the block, or in allowed() within it.

    What they raise comes out of the block then.  Within another one it changes nothing.
    """

    __slots__ = ("_mine",)

    def __enter__(self) -> None:
        while True:
            try:
                self._mine = _begin()
                return
            except BaseException as error:  # a handler's own: it is told at the end, like others
                if not _raised:
                    _raised.append(error)

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        try:
            if self._mine:
                _end()
        finally:
            if isinstance(error, Raised):
                own = error.error
                try:
                    raise own
                finally:
                    own.__context__ = None  # how it got here is no part of its story
                    del own


class allowed:
    """Context manager within deferred(): handlers run at once, also for what came before.

    For waiting: a call that can be made again, or whose result need not be kept.
    """

    __slots__ = ("_before",)

    def __enter__(self) -> None:
        global _allowed
        self._before = True  # as it is for all other threads
        if _thread_id != _thread.get_ident():
            return
        self._before, _allowed = _allowed, True
        try:
            if _raised:
                raise Raised(_raised.pop())
            while _arrived:
                _run(*_arrived.pop(0))
        except BaseException:
            _allowed = self._before
            raise

    def __exit__(self, *_: object) -> None:
        global _allowed
        if not self._before:
            _allowed = False


def _begin() -> bool:
    """Put the handlers aside; whether there are any.  It may be interrupted, and done again."""
    global _thread_id
    if _thread_id or _thread.get_native_id() != posix.getpid():
        return False
    for number, handler in enumerate(map(_signal.getsignal, _NUMBERS), 1):
        if callable(handler) and handler is not _defer:
            _aside[number] = handler
    if not _aside:
        return False
    try:
        for number in _aside:
            _signal.signal(number, _defer)
    except ValueError as error:
        if "main thread" not in str(error):
            raise
        _aside.clear()  # Python runs handlers in another thread than the process's first one
        return False
    _thread_id = _thread.get_ident()
    return True


def is_deferring() -> bool:
    """Whether handlers of this thread run in allowed() alone, and so do now."""
    return _thread_id == _thread.get_ident()


def check() -> None:
    """Run the handlers of signals that have arrived; what they raise comes out here."""
    with allowed():
        pass


def _defer(number: int, frame: FrameType | None) -> None:
    """The handler while others are deferred."""
    if not _allowed:
        _arrived.append((number, frame))
        return
    _run(number, frame)
    while _arrived:  # meanwhile: whoever waits may wait for ever
        _run(*_arrived.pop(0))


def _run(number: int, frame: FrameType | None) -> None:
    """Run the host program's own; it may use libct, where handlers are deferred still."""
    global _allowed
    _allowed = False
    try:
        _aside[number](number, frame)
    except BaseException as error:
        raise Raised(error) from None  # which ends the waiting: it is not to be allowed again
    _allowed = True


def _end() -> None:
    """Put the handlers back, and run them for what has arrived."""
    global _thread_id, _allowed
    handlers = dict(_aside)
    _allowed = False
    _thread_id = 0  # before they are back: from then on each may raise between any two lines
    while _aside:
        try:
            for number in handlers:
                if number in _aside:
                    _signal.signal(number, _aside[number])
                    del _aside[number]
        except BaseException as error:  # a handler's that is back already
            if not _raised:
                _raised.append(error)
    arrived, raised = _arrived[:], _raised[:]
    _arrived.clear()
    _raised.clear()
    try:
        if raised:
            raise raised[0]
    finally:
        _deliver(handlers, arrived)


def _deliver(handlers: dict[int, Handler], arrived: list[tuple[int, FrameType | None]]) -> None:
    """Run handlers; one that raises keeps none of the others from running."""
    if arrived:
        number, frame = arrived.pop(0)
        try:
            handlers[number](number, frame)
        finally:
            _deliver(handlers, arrived)
