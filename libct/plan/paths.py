"""Paths of a configuration that are about the inside of a container."""

from __future__ import annotations

from ..loading.paths import normal


def inside(path: str) -> str:
    """path, cleaned lexically, as an absolute path of the container.

    ".." cannot lead above the root, as in a chroot.
    """
    if path[:1] == "/" and path[-1] != "/" and "//" not in path and "/." not in path:
        return path  # as most are; a plan asks a hundred times
    return normal("/" + path.lstrip("/"))
