"""What is made in a rootfs beside its mounts and devices."""

from __future__ import annotations

from .record import Record


class Entry(Record):
    """A directory, a symbolic link or a file, made after the mounts, in order.

    kind: "directory", "link", "file", or "empty": a directory in the place of what a view of a
        rootfs has there.
    content: where the link leads to, or what is in the file; surrogates stand for other bytes.
    """

    path: str  # in the container
    kind: str = "directory"
    content: str = ""
