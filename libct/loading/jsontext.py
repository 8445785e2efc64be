"""JSON text to values and back, without the json module.

Importing json costs as much as starting the interpreter.  Its scanner and its
string encoder are C functions that do the work alone; json is imported only
where they are missing (PyPy), and to say what is wrong with a bad text.
"""

from __future__ import annotations

from ..errors import ConfigError, Finding

try:
    import _json
except ImportError:  # pragma: no cover - another implementation than CPython
    _json = None  # type: ignore[assignment]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_WHITESPACE = " \t\n\r"
_LONGEST_NAME = 100  # characters of one in an error


def loads(text: bytes | str, name: str) -> Any:
    """The value of a JSON text; bytes are UTF-8.

    name: of the file, for messages: "config.json".
    Raises ConfigError with the place of a mistake: "config.json:12:5".
    """
    if isinstance(text, bytes):
        text = _decode(text, name)
    if _json is not None:
        # Without surrounding whitespace the scanner's end is the text's end.
        stripped = text.strip(_WHITESPACE)
        try:
            value, end = _json.make_scanner(_SCANNING)(stripped, 0)
            if end == len(stripped):
                return value
        except (StopIteration, ValueError, RecursionError, SystemError):
            # The json module finds the same, and says where.  SystemError:
            # without that module the scanner has no exception to raise.
            pass
    return _loads_slowly(text, name)


def _decode(text: bytes, name: str) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise ConfigError([Finding(f"{name}:{line}", "not UTF-8")]) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Whose field it is that counts, if one is there twice, each reader of JSON says for itself."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"a field is there twice: {twice[:_LONGEST_NAME]!r}")
    return found


class _Scanning:
    """What the scanner is told, by the attributes that it looks at."""

    strict = True
    object_hook = None
    object_pairs_hook = staticmethod(_object)
    parse_float = float
    parse_int = int

    @staticmethod
    def parse_constant(name: str) -> Any:
        raise ValueError(f"{name} is not JSON")


_SCANNING: Any = _Scanning()


def _loads_slowly(text: str, name: str) -> Any:
    import json

    try:
        return json.loads(text, parse_constant=_Scanning.parse_constant, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        place = f"{name}:{error.lineno}:{error.colno}"
        raise ConfigError([Finding(place, error.msg)]) from None
    except RecursionError:
        raise ConfigError([Finding(name, "nested too deeply")]) from None
    except ValueError as error:  # a constant, or an integer of thousands of digits
        raise ConfigError([Finding(name, str(error))]) from None


def dumps(value: Any, *, indent: int | None = None) -> str:
    """The JSON text of None, bool, int, float, str, lists, tuples, and dicts with str keys.

    indent: spaces for each level; None for one line without spaces.
    Raises TypeError for other types.
    """
    if _json is None:
        import json

        separators = (",", ":") if indent is None else (",", ": ")
        return json.dumps(value, indent=indent, separators=separators)
    if indent is not None:
        return "".join(_encode(value, " " * indent, "\n"))
    encode = _json.make_encoder(
        None,  # no search for cycles
        _refuse,
        _json.encode_basestring_ascii,
        None,  # no indentation
        ":",
        ",",
        False,  # keys keep their order
        False,  # and must be strings
        False,  # no infinity, which JSON does not have
    )
    return "".join(encode(value, 0))


def _refuse(value: Any) -> Any:
    raise TypeError(f"cannot write as JSON: {type(value).__name__}")


def _encode(value: Any, indent: str, newline: str) -> Iterator[str]:
    """newline: a line break and the indentation of the value's own level."""
    if isinstance(value, str):
        yield _json.encode_basestring_ascii(value)
    elif value is None:
        yield "null"
    elif isinstance(value, bool):
        yield "true" if value else "false"
    elif isinstance(value, (int, float)):
        yield repr(value)
    elif isinstance(value, (dict, list, tuple)):
        opening, closing = "{}" if isinstance(value, dict) else "[]"
        if not value:
            yield opening + closing
            return
        inner = newline + indent
        separator = opening + inner
        for item in value:
            yield separator
            separator = "," + inner
            if isinstance(value, dict):
                yield _json.encode_basestring_ascii(item)
                yield ": "
                item = value[item]
            yield from _encode(item, indent, newline + indent)
        yield newline + closing
    else:
        _refuse(value)
