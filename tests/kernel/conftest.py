"""Fixtures: a rootfs, for the tests that use rootfs_box, and a single bootstrap server."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from libct.bootstrap import servers

from .rootfs_box import new_rootfs

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _no_ended_child() -> Iterator[None]:
    """What a test has forked, and killed with a group, say, is no child that the next one finds."""
    yield
    for task in os.listdir("/proc/self/task"):
        with contextlib.suppress(FileNotFoundError):  # a thread that has just ended
            children = Path(f"/proc/self/task/{task}/children").read_text()
            for pid in map(int, children.split()):
                if Path(f"/proc/{pid}/comm").read_text() != "libct:server\n":  # libct's to reap
                    os.waitpid(pid, os.WNOHANG)


@pytest.fixture(scope="module")
def rootfs() -> Iterator[Path]:
    with new_rootfs() as path:
        yield path


@pytest.fixture
def one_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not another where it takes a while to say that it is through with a start."""
    monkeypatch.setattr(servers, "_most", lambda: 1)
