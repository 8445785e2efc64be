"""Paths of a configuration that are about the inside of a container."""

from __future__ import annotations

import os


def inside(path: str) -> str:
    """path, cleaned lexically, as an absolute path of the container.

    ".." cannot lead above the root, as in a chroot.
    """
    clean = os.path.normpath("/" + path)
    return clean[1:] if clean.startswith("//") else clean
