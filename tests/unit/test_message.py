"""What a container's process could write to the runtime: decoded within bounds, or refused."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from libct.bootstrap.answer import (
    EXECUTES,
    FAILED,
    LARGEST as LARGEST_ANSWER,
    Answer,
    failed,
    is_none,
    traced,
)
from libct.bootstrap.failure import Failure
from libct.bootstrap.message import LARGEST, Garbled, checked, decode, encode, encode_within

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


@pytest.mark.parametrize("text", ["x", "\u00e4", "\udcff", "\U0001f600"])
def test_the_longest_texts_are_cut_where_there_is_little_room(text: str) -> None:
    values = ("failed", 7, 2, text * 9000, "why", text * 9000, "hint", [(1, 2, 3, text * 900)])
    for most in (200, 1000, 3000, 10000):
        data = encode_within(values, most)
        assert most // 2 < len(data) <= most
        found = decode(data)
        assert found[:3] == ("failed", 7, 2)
        assert (found[4], found[6]) == ("why", "hint")
    assert encode_within(("cloned", 3), 200) == encode(("cloned", 3))


def test_an_answer_fits_into_the_smallest_pipe() -> None:
    """And so does what a process says before that."""
    failure = Failure(7, 2, "c" * 5000, "p" * 5000, "/" * 5000, "h" * 5000)
    records = [(number, 2**60, 2**60, "ok") for number in range(1, 900)]
    said = EXECUTES + traced(records, (9, 10)) + failed(failure)
    assert LARGEST_ANSWER // 2 < len(said) <= LARGEST_ANSWER
    answer = Answer(said)
    assert answer.executes
    assert answer.failed[:2] == (7, 2)
    told, number, start = answer.traced
    assert (number, start) == (9, 10)
    assert told == records[: len(told)]
    assert len(told) > 10


@pytest.mark.parametrize("zeros", [0, 1, 4000])
def test_answers_may_be_filled_up_with_zeros(zeros: int) -> None:
    failure = Failure(7, 2, "call", "problem", None, "hint")
    answer = Answer(FAILED + failed(failure) + bytes(zeros))
    assert (answer.executes, answer.failed) == (False, (*failure.values(), []))
    answer = Answer(EXECUTES + bytes(zeros))
    assert (answer.executes, answer.failed, answer.traced) == (True, (), ())
    assert is_none(bytes(zeros))


def test_what_is_no_answer_is_refused() -> None:
    failure = failed(Failure(7, 2, "call", "problem"))
    cloned = encode(("cloned", 3))
    for said in (
        b"",
        b"x",
        FAILED,
        FAILED + traced([], (1, 2)),
        EXECUTES + failure + failure,
        EXECUTES + failure[:-1],
        EXECUTES + b"\xff\xff",
        EXECUTES + len(cloned).to_bytes(2, "little") + cloned,
    ):
        with pytest.raises(Garbled):
            Answer(said)
    chance = random.Random(9)
    for _ in range(2000):
        try:
            Answer(EXECUTES + chance.randbytes(chance.randrange(200)))
        except Garbled:
            pass
