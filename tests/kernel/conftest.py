"""Fixtures: a rootfs, for the tests that use rootfs_box, and a single bootstrap server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from libct.bootstrap import servers

from .rootfs_box import new_rootfs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def rootfs() -> Iterator[Path]:
    with new_rootfs() as path:
        yield path


@pytest.fixture
def one_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not another where it takes a while to say that it is through with a start."""
    monkeypatch.setattr(servers, "_most", lambda: 1)
