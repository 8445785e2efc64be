"""File names as bytes and as text: os.fsencode() and os.fsdecode() without os.

Loading os takes 2 ms, which a process of a container would be late by; what is
loaded to make one uses posix, which has all the calls.
"""

from __future__ import annotations

import sys

_ENCODING = sys.getfilesystemencoding()


def fsencode(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode(_ENCODING, "surrogateescape")


def fsdecode(data: bytes) -> str:
    return data.decode(_ENCODING, "surrogateescape")
