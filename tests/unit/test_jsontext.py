"""JSON without the json module: the same values, texts and mistakes."""

from __future__ import annotations

import json
import random
import string
from typing import Any

import pytest

from libct.errors import ConfigError
from libct.loading.jsontext import dumps, loads


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        " \n[1, -2, 3.5e2, true, false, null]\t\r\n",
        '{"a": {"b": ["\\u00e4\\ud83d\\ude00", "\\n", ""]}}',
        "18446744073709551615",
        '"lone"',
    ],
)
def test_good_texts(text: str) -> None:
    assert loads(text, "x") == json.loads(text)
    assert loads(text.encode(), "x") == json.loads(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "config.json:1:1: Expecting value"),
        ("{]", "config.json:1:2: Expecting property name enclosed in double quotes"),
        ('{\n  "a": 1,\n  "b" 2\n}', "config.json:3:7: Expecting ':' delimiter"),
        ("{} {}", "config.json:1:4: Extra data"),
        ('  \n"abc', "config.json:2:1: Unterminated string starting at"),
        ('"a\tb"', "config.json:1:3: Invalid control character at"),
        ('{"a": {"b": 1, "c": 2, "b": 1}}', "config.json: a field is there twice: 'b'"),
        ("[NaN]", "config.json: NaN is not JSON"),
        ("[-Infinity]", "config.json: -Infinity is not JSON"),
        (b'{\n"a": "\xff"}', "config.json:2: not UTF-8"),
        ("\ufeff{}", "config.json:1:1: Unexpected UTF-8 BOM (decode using utf-8-sig)"),
    ],
)
def test_mistakes_have_their_place(text: str | bytes, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loads(text, "config.json")
    assert str(caught.value) == message


def test_depth_and_length_are_no_traceback() -> None:
    with pytest.raises(ConfigError):
        loads("[" * 200_000, "x")
    try:
        loads("1" * 10_000, "x")  # an error from Python 3.11 on
    except ConfigError:
        pass


def test_texts_are_those_of_the_json_module() -> None:
    value = {"a": [1, [], {}, {"b": None}], "ä\x00\n": [True, False, 1.5], "c": ("x", "\udc80")}
    assert dumps(value) == json.dumps(value, separators=(",", ":"))
    assert dumps(value, indent=4) == json.dumps(value, indent=4)
    assert dumps({}, indent=2) == "{}"


def test_what_is_no_json_is_refused() -> None:
    for indent in (None, 2):
        with pytest.raises(TypeError, match="cannot write as JSON: set"):
            dumps([set()], indent=indent)


def _random_value(source: random.Random, depth: int) -> Any:
    kind = source.randrange(8 if depth else 5)
    if kind == 0:
        return source.choice([None, True, False])
    if kind == 1:
        return source.randint(-(1 << 70), 1 << 70)
    if kind == 2:
        return source.uniform(-1e9, 1e9)
    if kind < 5:
        return "".join(source.choices(string.printable + "äß€😀\x00\x7f", k=source.randrange(9)))
    if kind == 5:
        return {str(n): _random_value(source, depth - 1) for n in range(source.randrange(5))}
    return [_random_value(source, depth - 1) for _ in range(source.randrange(5))]


def test_random_values_survive() -> None:
    source = random.Random(1)
    for _ in range(300):
        value = _random_value(source, 4)
        assert loads(dumps(value), "x") == value
        assert loads(dumps(value, indent=2), "x") == value


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError
    return dict(pairs)


def test_random_damage_is_refused_as_by_json() -> None:
    source = random.Random(2)
    refused = 0
    for _ in range(500):
        text = list(dumps(_random_value(source, 3)))
        for _ in range(source.randrange(1, 4)):
            text[source.randrange(len(text))] = source.choice('{}[]",:0tn \\')
        damaged = "".join(text)
        try:
            expected = json.loads(damaged, object_pairs_hook=_each_once)
        except ValueError:
            with pytest.raises(ConfigError):
                loads(damaged, "x")
            refused += 1
        else:
            assert loads(damaged, "x") == expected
    assert 100 < refused < 450
