"""Signals as something to poll for, and the program's own handlers after that."""

from __future__ import annotations

import os
import select
import signal

from libct.cli.signals import Signals


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
