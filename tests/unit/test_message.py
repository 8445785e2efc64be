"""What a container's process could write to the runtime: decoded within bounds, or refused."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from libct.bootstrap.message import LARGEST, Garbled, checked, decode, encode

MESSAGES: list[tuple[Any, ...]] = [
    ("turn", []),
    ("turn", [(1, 2**62, 3, "ok"), (2, 0, 0, "open(\u00e4): \udcff")]),
    ("cloned", 3),
    ("traced", [(1, 2, 3, "")], 7, -1),
    ("warned", 7, "text"),
    ("failed", 5, 2, "open(x)", "No such file", "x", "", []),
    ("failed", 5, None, "", "it ended", None, "hint", [(1, 2, 3, "no")]),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message[0])
def test_messages_come_back(message: tuple[Any, ...]) -> None:
    found = decode(encode(message))
    assert found == message
    assert checked(found) == message


@pytest.mark.parametrize(
    "message",
    [
        (),
        ("cloned",),
        ("cloned", 3, 4711),
        ("cloned", "3"),
        ("turn", [(1, 2, 3)]),
        ("turn", [(1, 2, "3", "ok")]),
        ("traced", [], 7),
        ("traced", [], 7, None),
        ("warned", 7),
        ("warned", "7", "text"),
        ("failed", None, 2, "", "", None, "", []),
        ("failed", 5, "2", "", "", None, "", []),
        ("failed", 5, -1, "", "", None, "", []),
        ("failed", 5, 4096, "", "", None, "", []),
        ("failed", 5, 2**31, "", "", None, "", []),
        ("go",),
        ("perform", []),
        (1, 2),
        ([],),
    ],
)
def test_other_shapes_are_refused(message: tuple[Any, ...]) -> None:
    with pytest.raises(Garbled):
        checked(decode(encode(message)))


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        b"i\0",
        b"s\xff\xff\xff\xff",
        b"s\0\0\1\0" + b"a" * 65536,
        b"l\xff\xff\xff\xff",
        b"l\1\0\0\0" * 3 + b"n",
        b"l\1\0\0\0" * 100000,
        b"n" * 5000,
    ],
)
def test_what_is_out_of_bounds_is_refused(data: bytes) -> None:
    with pytest.raises(Garbled):
        decode(data)


def test_random_bytes_and_random_changes_do_no_harm() -> None:
    chance = random.Random(8)
    whole = [encode(message) for message in MESSAGES]
    start, refused = time.monotonic(), 0
    for _ in range(20000):
        data = bytearray(chance.choice(whole) if chance.random() < 0.7 else b"")
        if not data:
            data += chance.randbytes(chance.randrange(64))
        for _ in range(chance.randrange(4)):
            place = chance.randrange(len(data) + 1)
            data[place : place + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
        try:
            message = checked(decode(bytes(data)))
        except Garbled:
            refused += 1
            continue
        assert message[0] in ("turn", "cloned", "traced", "warned", "failed")
    assert 5000 < refused < 20000
    assert time.monotonic() - start < 20


def test_what_is_sent_has_bounds_too() -> None:
    text = "x" * 100000
    found = decode(encode(("failed", 1, None, text, "\u20ac" * 5000, None, "", [])))
    assert found[3] == "x" * 4096
    assert checked(found)[4].startswith("\u20ac" * 1365)
    assert len(encode(("turn", [(1, 2, 3, "a")] * 100000))) < LARGEST
