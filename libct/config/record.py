"""The base of the records that describe a container.

A record is a class whose body lists its fields, as a dataclass's does:

    class IDMap(Record):
        container_id: int
        host_id: int
        size: int = 1

It gets __slots__, a constructor taking the fields by position or by name,
equality, a repr, copy(), to_dict() and from_dict().  Type checkers see a
dataclass.  The dataclasses module itself costs 9 ms to import, more than the
interpreter's own start.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    # Type checkers know it without an installation; at run time it is not read.
    from typing_extensions import Self, dataclass_transform
else:

    def dataclass_transform(**_):
        return lambda cls: cls


# What a field without a default has in its place.
_REQUIRED: Any = type("Required", (), {"__repr__": lambda _: "required"})()

# Types whose values need no copy.
_ATOMS = frozenset((str, int, bool, type(None)))

# Every record by its name: from_dict() finds the types of fields here.
_RECORDS: dict[str, Any] = {}


@dataclass_transform()
class RecordType(type):
    """Makes fields of the annotations of a class body, and slots of the fields."""

    _fields: dict[str, Any]  # name -> default
    _plain: dict[str, Any]  # the defaults that records may share
    _fresh: tuple[tuple[str, Callable[[], Any]], ...]  # makers of those that they may not
    _required: tuple[str, ...]  # the fields without a default
    _nested: dict[str, Callable[[Any], Any]] | None  # readers of fields that hold records

    def __new__(mcs, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> RecordType:
        fields = {field: body.pop(field, _REQUIRED) for field in body.get("__annotations__", ())}
        body["__slots__"] = tuple(fields)
        made = super().__new__(mcs, name, bases, body)
        made._fields = fields
        made._required = tuple(field for field in fields if fields[field] is _REQUIRED)
        # A record for a default is one of which all fields have their default.
        made._fresh = tuple(
            (field, default.copy if isinstance(default, (list, dict)) else type(default))
            for field, default in fields.items()
            if isinstance(default, (list, dict)) or isinstance(type(default), RecordType)
        )
        special = {*made._required, *dict(made._fresh)}
        made._plain = {field: fields[field] for field in fields if field not in special}
        made._nested = None
        _RECORDS[name] = made
        return made

    # What inspect.signature() and help() ask for: of the class itself.

    @property
    def __signature__(cls) -> object:
        from .record_help import signature

        return signature(cls)

    @property
    def __doc__(cls) -> str:  # type: ignore[override]
        from .record_help import description

        return description(cls)


class Record(metaclass=RecordType):
    """A mutable value with named fields; the fields are those of the subclass.

    The constructor raises TypeError for an unknown field, one given twice and
    one that is missing.  It does not look at the types of values: those of a
    configuration file are checked where it is read.
    """

    __hash__ = None  # type: ignore[assignment]  # records are mutable

    def __init__(self, *args: Any, **values: Any) -> None:
        cls = type(self)
        if args:
            _add_positional(cls, args, values)
        for name, make in cls._fresh:
            if name not in values:
                values[name] = make()
            elif type(values[name]) is tuple:
                values[name] = list(values[name])  # equal to what from_dict() gives
        try:
            for name, value in {**cls._plain, **values}.items():
                setattr(self, name, value)
        except AttributeError:
            raise TypeError(f"{cls.__name__} has no field {name!r}") from None
        for name in cls._required:
            if name not in values:
                raise TypeError(f"{cls.__name__} needs the field {name!r}")

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in type(self)._fields)

    def __repr__(self) -> str:
        """The expression that makes an equal record; fields at their default are left out."""
        fields = ", ".join(
            f"{name}={value!r}"
            for name, default in type(self)._fields.items()
            if (value := getattr(self, name)) != default
        )
        return f"{type(self).__name__}({fields})"

    def copy(self, **changes: Any) -> Self:
        """An equal record that shares no list, dict or record with this one, with changes made."""
        new = object.__new__(type(self))
        for name in type(self)._fields:
            value = getattr(self, name)
            if type(value) not in _ATOMS:
                value = _copied(value)
            setattr(new, name, value)
        for name, value in changes.items():
            if name not in type(self)._fields:
                raise TypeError(f"{type(self).__name__} has no field {name!r}")
            setattr(new, name, value)
        return new

    def to_dict(self) -> dict[str, Any]:
        """The record as values that JSON can hold; fields at their default are left out."""
        found = {}
        for name, default in type(self)._fields.items():
            value = getattr(self, name)
            if value is not default and value != default:
                found[name] = value if type(value) in _ATOMS else _plain_value(value)
        return found

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The record that to_dict() was called on.  TypeError for an unknown field."""
        if cls._nested is None:
            cls._nested = {
                name: reader
                for name, annotation in cls.__annotations__.items()
                if (reader := _reader(annotation)) is not None
            }
        nested = cls._nested
        return cls(
            **{
                name: nested[name](value) if name in nested and value is not None else value
                for name, value in values.items()
            }
        )


def _add_positional(cls: RecordType, args: tuple[Any, ...], values: dict[str, Any]) -> None:
    if len(args) > len(cls._fields):
        raise TypeError(f"{cls.__name__} has {len(cls._fields)} fields, not {len(args)}")
    for name, value in zip(cls._fields, args):
        if name in values:
            raise TypeError(f"{cls.__name__} got the field {name!r} twice")
        values[name] = value


def _copied(value: Any) -> Any:
    if isinstance(value, list):
        return [item if type(item) in _ATOMS else _copied(item) for item in value]
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return value.copy() if isinstance(value, Record) else value


def _plain_value(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [item if type(item) in _ATOMS else _plain_value(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain_value(item) for key, item in value.items()}
    return value.to_dict() if isinstance(value, Record) else value


def record_type(name: str) -> type[Record] | None:
    """The record of that name, loaded where it is not yet; None for another type's name."""
    if name not in _RECORDS:
        getattr(sys.modules[__package__], name, None)
    return _RECORDS.get(name)


def _reader(annotation: str) -> Callable[[Any], Any] | None:
    """What makes a field's value of its plain form; None if it is plain already.

    annotation: the field's type as it is written: "Hooks | None", "list[Mount]",
    "dict[str, NetDevice]", or one without records.
    """
    wanted = annotation.split(" | ")[0]
    container, _, item = wanted.rpartition("[")
    record = record_type(item.rstrip("]").rpartition(" ")[2])
    if record is None:
        return None
    read: Callable[[Any], Any] = record.from_dict
    if container == "list":
        return lambda values: [read(value) for value in values]
    if container == "dict":
        return lambda values: {key: read(value) for key, value in values.items()}
    return read
