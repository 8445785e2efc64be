"""What the program is called, and how its commands write to standard output."""

from __future__ import annotations

import posix

PROGRAM = "libct"


def output(text: str) -> None:
    """Write text to standard output, file names in it as they are."""
    data = text.encode("utf-8", "surrogateescape")
    while data:
        data = data[posix.write(1, data) :]
