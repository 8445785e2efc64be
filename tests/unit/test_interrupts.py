"""Handlers of signals are deferred, run where that is allowed, and put back."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from libct.syscalls.interrupts import allowed, check, deferred

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST, SECOND = signal.SIGUSR1, signal.SIGUSR2


@pytest.fixture
def handled() -> Iterator[list[int]]:
    """The signals that handlers of this program have been called for."""
    numbers: list[int] = []

    def note(number: int, frame: Any) -> None:
        numbers.append(number)

    former = {number: signal.signal(number, note) for number in (FIRST, SECOND)}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield numbers
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask
    for number, handler in former.items():
        signal.signal(number, handler)


def raising(number: int, error: BaseException) -> None:
    def handler(*_: Any) -> NoReturn:
        raise error

    signal.signal(number, handler)


def test_handlers_run_at_the_end_and_are_put_back(handled: list[int]) -> None:
    before = signal.getsignal(FIRST)
    with deferred():
        signal.raise_signal(FIRST)
        with deferred():  # changes nothing
            signal.raise_signal(SECOND)
        assert handled == []
    assert handled == [FIRST, SECOND]
    assert signal.getsignal(FIRST) is before
    signal.raise_signal(FIRST)
    assert handled == [FIRST, SECOND, FIRST]


def test_handlers_run_while_that_is_allowed(handled: list[int]) -> None:
    with deferred():
        signal.raise_signal(FIRST)
        with allowed():
            assert handled == [FIRST]
            signal.raise_signal(SECOND)
            assert handled == [FIRST, SECOND]
        signal.raise_signal(FIRST)
        assert handled == [FIRST, SECOND]
        check()
        assert handled == [FIRST, SECOND, FIRST]
    assert handled == [FIRST, SECOND, FIRST]


def test_what_a_handler_raises_comes_out_of_the_block(handled: list[int]) -> None:
    raising(FIRST, TimeoutError())
    done = []

    def body() -> None:
        with deferred():
            signal.raise_signal(FIRST)
            done.append(1)

    with pytest.raises(TimeoutError):
        body()
    assert done == [1]


def test_what_a_handler_raises_is_no_failure_of_what_goes_on(handled: list[int]) -> None:
    """It is the host program's own exception again, once it is out."""
    error = TimeoutError()
    raising(FIRST, error)

    def body() -> None:
        with deferred():
            try:
                with allowed():
                    signal.raise_signal(FIRST)
            except Exception as wrong:
                pytest.fail(f"taken for a failure: {wrong!r}")

    with pytest.raises(TimeoutError) as caught:
        body()
    assert caught.value is error
    assert error.__context__ is None


def test_one_that_raises_keeps_no_other_from_running(handled: list[int]) -> None:
    raising(FIRST, TimeoutError())

    def body() -> None:
        with deferred():
            signal.raise_signal(FIRST)
            signal.raise_signal(SECOND)

    with pytest.raises(TimeoutError):
        body()
    assert handled == [SECOND]


def test_a_handler_is_not_interrupted_by_another(handled: list[int]) -> None:
    """It may use libct, where nothing is to be lost either."""

    def handler(*_: Any) -> None:
        with deferred():
            signal.raise_signal(SECOND)
            handled.append(0)

    signal.signal(FIRST, handler)
    with deferred(), allowed():
        signal.raise_signal(FIRST)
        assert handled == [0, SECOND]  # not before it has ended


def test_what_comes_while_a_handler_runs_is_handled_before_the_wait_goes_on(
    handled: list[int],
) -> None:
    note = signal.getsignal(FIRST)
    assert callable(note)

    def again(number: int, frame: Any) -> None:
        note(number, frame)
        if len(handled) < 3:
            signal.raise_signal(FIRST)
            signal.raise_signal(SECOND)

    signal.signal(FIRST, again)
    with deferred(), allowed():
        signal.raise_signal(FIRST)
        assert handled == [FIRST, FIRST, SECOND, FIRST, SECOND]


def test_in_other_threads_nothing_is_deferred(handled: list[int]) -> None:
    inside, leave = threading.Event(), threading.Event()

    def body() -> None:
        with deferred(), allowed():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=body)
    thread.start()
    assert inside.wait(10)
    signal.raise_signal(FIRST)
    assert handled == [FIRST]
    with deferred(), allowed():
        leave.set()  # that it leaves allowed() is nothing to this thread
        thread.join()
        signal.raise_signal(FIRST)
        assert handled == [FIRST, FIRST]
