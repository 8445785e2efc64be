"""Sizes as people write them on a command line."""

from __future__ import annotations

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50}


def parse_size(text: str) -> int:
    """Bytes: 1048576, 1024K, 1M, 1MB, 1MiB, 0.5g; units are powers of 1024, as for runc.

    Raises ValueError, with a message for a person.
    """
    digits = text.rstrip("KMGTPkmgtpiBb ")
    unit = text[len(digits) :].strip().upper().removesuffix("B").removesuffix("I")
    whole, _, fraction = digits.partition(".")
    if unit not in _UNITS or not (whole + fraction).isdecimal() or not text.isascii() or not whole:
        raise ValueError(f"not a size like 256M: {text!r}")
    if len(whole) > 30:  # int() refuses thousands of them, and says nothing of sizes
        raise ValueError(f"more bytes than there can be: {text[:40]!r}")
    thousandths = int((fraction + "000")[:3])  # more digits are below what anybody means
    return (int(whole) * 1000 + thousandths) * _UNITS[unit] // 1000
