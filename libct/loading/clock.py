"""Waiting measured by the clock: a limit holds, however long each look takes."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def backoff(seconds: float) -> Iterator[bool]:
    """Sleep longer and longer at each step; False, at once, when the time is over.

    waiting = backoff(1.0)
    while not done():
        if not next(waiting):
            raise Error("not done within a second")
    """
    end, pause = time.monotonic() + seconds, 0.0002
    while time.monotonic() < end:
        time.sleep(pause)
        pause = min(pause * 2, 0.02)
        yield True
    while True:
        yield False
