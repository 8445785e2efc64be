"""What comes from a container's namespaces: a few numbers and short texts, decoded by ourselves.

A process inside that may trace the one that enters could write to whatever that has
open: the pipe to the runtime, and exec.fifo.  So what the runtime reads there is no
format that could make it do something (marshal and pickle are not made for that), and
has bounds.  A message is a sequence of these:

    i, then 8 bytes         a whole number, signed, little-endian
    s, then 4 bytes, text   a text by its length in bytes, UTF-8 with surrogates for others
    n                       None
    l, then 4 bytes, ...    a list by the number of its items, each a list of the above

and nothing else.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

LARGEST = 1 << 20  # bytes of a message
_LONGEST = 4096  # bytes of a text; what is longer is cut
_MOST = 4096  # items of a list, or of a message
_DEEPEST = 2  # lists within lists


class Garbled(Exception):
    """What was received is no message."""


def encode(values: Sequence[Any]) -> bytes:
    """A message of ints, strs, Nones, and lists or tuples of such lists."""
    return b"".join(_encoded(value) for value in values)


def encode_within(values: Sequence[Any], most: int) -> bytes:
    """A message of at most so many bytes: lists lose their last items, then long texts their end.

    most: more than a message of empty ones has.
    """
    found = list(values)
    while (excess := len(data := encode(found)) - most) > 0:
        lists = [at for at, value in enumerate(found) if isinstance(value, list) and value]
        if lists:
            found[lists[0]] = found[lists[0]][:-1]
            continue
        texts = [(_bytes(value), at) for at, value in enumerate(found) if isinstance(value, str)]
        text, at = max(texts, key=lambda one: len(one[0]))
        left = max(len(text) - excess, len(text) // 2)  # others may be as long
        found[at] = text[:left].decode("utf-8", "surrogateescape")
    return data


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")[:_LONGEST]


def _encoded(value: Any) -> bytes:
    if value is None:
        return b"n"
    if isinstance(value, int):
        return b"i" + int(value).to_bytes(8, "little", signed=True)
    if isinstance(value, str):
        text = _bytes(value)
        return b"s" + len(text).to_bytes(4, "little") + text
    items = value[:_MOST]
    return b"l" + len(items).to_bytes(4, "little") + b"".join(map(_encoded, items))


def decode(data: bytes) -> tuple[Any, ...]:
    """The values of a message; Garbled for anything else."""
    reader = _Reader(data)
    found: list[Any] = []
    while reader.at < len(data):
        if len(found) == _MOST:
            raise Garbled
        found.append(reader.value(0))
    return tuple(found)


_TRACE = (int, int, int, str)
_SHAPES: dict[str, tuple[Any, ...]] = {  # kind: the types of what follows
    "turn": (list,),
    "cloned": (int,),
    "warned": (int, str),
    "found": (int, str),
    "listens": (int,),
    "traced": (list, int, int),
    "failed": (int, (int, type(None)), str, str, (str, type(None)), str, list),
}
_ERRNO = 2  # where "failed" has it
_HIGHEST_ERRNO = 4095  # MAX_ERRNO, include/linux/err.h


def checked(message: tuple[Any, ...]) -> tuple[Any, ...]:
    """A message of the performing side (talk.py); Garbled for one of another shape."""
    kind = message[0] if message else None
    types = _SHAPES.get(kind if isinstance(kind, str) else "")
    values = message[1:]
    if types is None or len(values) != len(types):
        raise Garbled
    for value, kind in zip(values, types):
        if not isinstance(value, kind):
            raise Garbled
        if kind is list and not all(_is_trace(one) for one in value):
            raise Garbled
    if message[0] == "failed" and not 0 <= (message[_ERRNO] or 0) <= _HIGHEST_ERRNO:
        raise Garbled
    return message


def _is_trace(value: Any) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) == len(_TRACE)
        and all(map(isinstance, value, _TRACE))
    )


class _Reader:
    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        taken = self.data[self.at : self.at + size]
        if len(taken) != size:
            raise Garbled
        self.at += size
        return taken

    def count(self, most: int) -> int:
        number = int.from_bytes(self.take(4), "little")
        if number > most:
            raise Garbled
        return number

    def value(self, depth: int) -> Any:
        kind = self.take(1)
        if kind == b"i":
            return int.from_bytes(self.take(8), "little", signed=True)
        if kind == b"s":
            return self.take(self.count(_LONGEST)).decode("utf-8", "surrogateescape")
        if kind == b"n":
            return None
        if kind == b"l" and depth < _DEEPEST:
            items = [self.value(depth + 1) for _ in range(self.count(_MOST))]
            return items if depth == 0 else tuple(items)
        raise Garbled
