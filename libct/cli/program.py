"""What the program is called, and how its commands write to standard output."""

from __future__ import annotations

import posix

from ..errors import printable

PROGRAM = "libct"


def output(text: str, *, styled: bool = False) -> None:
    """Write lines to standard output; control characters in them are written out.

    styled: those are ours, and the text has no others.
    """
    if not styled:
        text = "\n".join(printable(line, "\t") for line in text.split("\n"))
    data = text.encode()
    while data:
        data = data[posix.write(1, data) :]
