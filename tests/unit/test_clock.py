"""Waiting: by the clock, and not by how often something has been looked at."""

from __future__ import annotations

import time

from libct.loading.clock import backoff


def test_it_sleeps_longer_and_longer_and_then_no_more() -> None:
    waiting = backoff(0.1)
    start = time.monotonic()
    assert next(waiting)
    assert time.monotonic() - start < 0.05
    count = 1
    while next(waiting):
        count += 1
    assert 0.1 <= time.monotonic() - start < 1
    assert 6 <= count <= 12
    over = time.monotonic()
    assert not any(next(waiting) for _ in range(1000))
    assert time.monotonic() - over < 0.05


def test_looks_that_take_long_count() -> None:
    waiting = backoff(0.2)
    start = time.monotonic()
    while next(waiting):
        time.sleep(0.1)
    assert 0.2 <= time.monotonic() - start < 1
