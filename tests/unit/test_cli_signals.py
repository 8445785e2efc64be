"""Signals as something to poll for, and the program's own handlers after that."""

from __future__ import annotations

import os
import select
import signal

import pytest

from libct.cli.foreground import _reap_orphans
from libct.cli.signals import Signals
from libct.syscalls.interrupts import Raised, StartEnded, allowed, check, deferred

from ..support import forked


def test_signals_are_noted_and_then_handled_as_before() -> None:
    handled: list[int] = []
    former = signal.signal(signal.SIGUSR1, lambda number, frame: handled.append(number))
    try:
        with Signals(but=[signal.SIGUSR2]) as signals:
            assert signals.take() == b""
            os.kill(os.getpid(), signal.SIGUSR1)
            assert select.select([signals], [], [], 5)[0] == [signals]
            assert signals.take() == bytes([signal.SIGUSR1])
            assert signal.getsignal(signal.SIGUSR2) == signal.SIG_DFL
            assert handled == []
        os.kill(os.getpid(), signal.SIGUSR1)
        assert handled == [signal.SIGUSR1]
        assert signal.set_wakeup_fd(-1) == -1
    finally:
        signal.signal(signal.SIGUSR1, former)


def test_a_signal_ends_a_start_only_while_that_waits() -> None:
    own = os.getpid()
    with Signals() as signals:
        signals.starting = True
        try:
            os.kill(own, signal.SIGTERM)
            with deferred():
                os.kill(own, signal.SIGTERM)
        except StartEnded as error:  # which would end the tests
            raise AssertionError from error
        with deferred():
            os.kill(own, signal.SIGUSR1)
            check()
            os.kill(own, signal.SIGTERM)
            with pytest.raises(Raised) as ended:
                check()
        signals.starting = False
        with deferred(), allowed():
            os.kill(own, signal.SIGTERM)
        assert list(signals.take()).count(signal.SIGTERM) == 4
    assert isinstance(ended.value.error, StartEnded)
    assert ended.value.error.args == (signal.SIGTERM,)


def test_orphans_are_reaped_up_to_the_process_itself() -> None:
    """Whose status is for who waits for it."""

    def body() -> None:
        orphan, own = (os.fork() or os._exit(3) for _ in range(2))
        os.waitid(os.P_PID, own, os.WEXITED | os.WNOWAIT)
        os.waitid(os.P_PID, orphan, os.WEXITED | os.WNOWAIT)
        _reap_orphans(own)
        assert os.waitpid(own, 0)[1] == 3 << 8
        _reap_orphans(own)
        assert not os.path.exists(f"/proc/{orphan}")

    forked(body)
