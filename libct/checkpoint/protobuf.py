"""Messages of protocol buffers, as far as CRIU's RPC uses them (protobuf.dev, Encoding).

A message is a dict from the names of its fields to int, bool, str, dict (a message), or a
list of these where the field may be repeated.  Tables say what fields there are:

    {"message": {"field": (number, kind, repeated)}}

kind: "int", "uint", "bool", "text", or the name of another message.  An enumeration is an
"int".  Fields are written in the order of their numbers.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Tables = Mapping[str, Mapping[str, tuple[int, str, bool]]]

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_NUMBERS = ("int", "uint", "bool")
_LONGEST = 10  # bytes of a varint
_DEEPEST = 10  # messages in messages


class Malformed(ValueError):
    """What was received is no message of this kind."""


def encode(tables: Tables, name: str, values: Mapping[str, Any]) -> bytes:
    """The message of this name.  Raises KeyError for a field that it does not have."""
    fields = tables[name]
    written = []
    for field in sorted(values, key=lambda field: fields[field][0]):
        number, kind, repeated = fields[field]
        for value in values[field] if repeated else [values[field]]:
            written.append(_field(tables, number, kind, value))
    return b"".join(written)


def decode(tables: Tables, name: str, data: bytes, depth: int = 0) -> dict[str, Any]:
    """What is in a message; of fields that are not in the table, nothing.

    As the format has it: of a field that is there twice and cannot be repeated, the last counts.
    """
    if depth > _DEEPEST:
        raise Malformed("messages in messages")
    by_number = {
        number: (field, kind, repeated) for field, (number, kind, repeated) in tables[name].items()
    }
    found: dict[str, Any] = {}
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        wire = key & 7
        value: int | bytes
        if wire == _VARINT:
            value, at = _read_varint(data, at)
        elif wire in (_LENGTH, _FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
            if wire == _LENGTH:
                length, at = _read_varint(data, at)
            if length > len(data) - at:
                raise Malformed(f"a field of {name} ends after the message")
            value, at = data[at : at + length], at + length
        else:
            raise Malformed(f"a field of {name} has the unknown wire type {wire}")
        if key >> 3 not in by_number:
            continue
        field, kind, repeated = by_number[key >> 3]
        if wire != (_VARINT if kind in _NUMBERS else _LENGTH):
            raise Malformed(f"{name}.{field} has the wire type {wire}")
        read = _value(tables, kind, value, depth)
        if repeated:
            found.setdefault(field, []).append(read)
        else:
            found[field] = read
    return found


def _field(tables: Tables, number: int, kind: str, value: Any) -> bytes:
    if kind in _NUMBERS:
        # A negative int32 is written as 64 bits.
        return _varint(number << 3 | _VARINT) + _varint(int(value) & (1 << 64) - 1)
    data: bytes
    if kind == "text":
        data = value.encode("utf-8", "surrogateescape")
    else:
        data = encode(tables, kind, value)
    return _varint(number << 3 | _LENGTH) + _varint(len(data)) + data


def _value(tables: Tables, kind: str, value: int | bytes, depth: int) -> Any:
    if isinstance(value, int):
        if kind == "bool":
            return value != 0
        value &= (1 << 32) - 1  # all are of 32 bits
        return value - (1 << 32) if kind == "int" and value >> 31 else value
    if kind == "text":
        return value.decode("utf-8", "surrogateescape")
    return decode(tables, kind, value, depth + 1)


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(data[at : at + _LONGEST]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value & (1 << 64) - 1, at + index + 1
    raise Malformed("a number that does not end")
