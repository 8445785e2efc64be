"""Fixtures of the tests that use rootfs_box; other modules have a rootfs of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .rootfs_box import new_rootfs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def rootfs() -> Iterator[Path]:
    with new_rootfs() as path:
        yield path
