"""Paths of a configuration that are about the inside of a container."""

from __future__ import annotations

from ..loading.paths import normal


def inside(path: str) -> str:
    """path, cleaned lexically, as an absolute path of the container.

    ".." cannot lead above the root, as in a chroot.
    """
    return normal("/" + path.lstrip("/"))
