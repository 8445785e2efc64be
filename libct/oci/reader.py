"""Reading a JSON object field by field, with every mistake noted at its place.

Each method gives the field's value, or its default where the field is absent
(null is absent, as for the Go runtimes) or bad; a bad one is a finding.
"""

from __future__ import annotations

from ..errors import ConfigError, Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any, TypeVar

    T = TypeVar("T")

INT32 = (-(1 << 31), (1 << 31) - 1)
INT64 = (-(1 << 63), (1 << 63) - 1)
UINT16 = (0, (1 << 16) - 1)
UINT32 = (0, (1 << 32) - 1)
UINT64 = (0, (1 << 64) - 1)


def show(value: Any) -> str:
    """A value as part of a message of one line."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    words = {None: "null", True: "true", False: "false"}
    text = words[value] if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def settle(findings: list[Finding], warnings: list[Finding] | None) -> None:
    """Raise ConfigError if there is an error among them; what else there is goes to warnings."""
    errors = [finding for finding in findings if finding.level == "error"]
    if errors:
        raise ConfigError(errors)
    if warnings is not None:
        warnings += findings


class Table:
    """A JSON object at a place, read by its fields' names.

    The case of letters does not matter, and of two that differ in it alone the last
    counts: so Go reads, and with it other runtimes.  Names that are not ours, of
    annotations for one, are what they are.
    """

    __slots__ = ("_names", "findings", "place", "values")

    def __init__(self, values: dict[str, Any], place: str, findings: list[Finding]) -> None:
        self.values, self.place, self.findings = values, place, findings
        self._names: dict[str, str] | None = None  # as they are written, by lower-case ones

    def get(self, key: str) -> Any:
        """The value as it is; None where it is absent."""
        if self._names is None:
            self._names = {name.lower(): name for name in self.values}
        name = self._names.get(key.lower())
        if name is None:
            return None
        if name != key:
            self.warn(key, f"spelled {name!r}, but read all the same")
        return self.values[name]

    def warn(self, key: str, message: str) -> None:
        finding = Finding(self.at(key), message, "warning")
        if finding not in self.findings:  # fields are looked at more than once
            self.findings.append(finding)

    def at(self, key: str) -> str:
        return f"{self.place}.{key}" if self.place else key

    def problem(self, key: str, message: str) -> None:
        self.findings.append(Finding(self.at(key), message))

    def has(self, key: str) -> bool:
        return self.get(key) is not None

    def require(self, *keys: str) -> bool:
        """Whether the fields are there; a missing one is a finding."""
        missing = [key for key in keys if self.get(key) is None]
        for key in missing:
            self.problem(key, "missing")
        return not missing

    def string(self, key: str, default: str = "") -> str:
        return self._string(key, self.get(key), default)

    def _string(self, key: str, value: Any, default: str = "") -> str:
        if isinstance(value, str):
            return value
        if value is not None:
            self.problem(key, f"not a string: {show(value)}")
        return default

    def boolean(self, key: str) -> bool:
        value = self.get(key)
        if value is None or isinstance(value, bool):
            return bool(value)
        self.problem(key, f"not true or false: {show(value)}")
        return False

    def number(self, key: str, limits: tuple[int, int], default: int = 0) -> int:
        value = self.optional_number(key, limits)
        return default if value is None else value

    def optional_number(self, key: str, limits: tuple[int, int]) -> int | None:
        value = self.get(key)
        if value is None or not self._check_number(value, limits, self.at(key)):
            return None
        number: int = value
        return number

    def _check_number(self, value: Any, limits: tuple[int, int], place: str) -> bool:
        if type(value) is not int:
            self.findings.append(Finding(place, f"not a whole number: {show(value)}"))
        elif not limits[0] <= value <= limits[1]:
            message = f"not between {limits[0]} and {limits[1]}: {show(value)}"
            self.findings.append(Finding(place, message))
        else:
            return True
        return False

    def named(self, key: str, names: Mapping[str, T], default: T, what: str = "") -> T:
        """The value that names has for the field's string; what: of what kind the names are."""
        name = self.string(key)
        if name in names:
            return names[name]
        if isinstance(self.get(key), str):
            self.problem(key, unknown(name, names, what))
        return default

    def bits(self, key: str, names: Mapping[str, int], what: str) -> int:
        """The bits of a list of names."""
        found = 0
        for index, name in enumerate(self.strings(key)):
            if name in names:
                found |= names[name]
            else:
                self.problem(f"{key}[{index}]", unknown(name, names, what))
        return found

    def items(self, key: str) -> list[Any]:
        value = self.get(key)
        if isinstance(value, list):
            return value
        if value is not None:
            self.problem(key, f"not a list: {show(value)}")
        return []

    def strings(self, key: str) -> list[str]:
        """A fresh list; what is no string is left out of it."""
        values = self.items(key)
        found = [value for value in values if isinstance(value, str)]
        if len(found) != len(values):
            for index, value in enumerate(values):
                if not isinstance(value, str):
                    self.problem(f"{key}[{index}]", f"not a string: {show(value)}")
        return found

    def numbers(self, key: str, limits: tuple[int, int]) -> list[int]:
        return [
            value
            for index, value in enumerate(self.items(key))
            if self._check_number(value, limits, f"{self.at(key)}[{index}]")
        ]

    def string_map(self, key: str) -> dict[str, str]:
        table = self.table(key)
        if table is None:
            return {}
        values = table.values
        return {
            name: table._string(name, values[name]) for name in values if values[name] is not None
        }

    def table(self, key: str) -> Table | None:
        return self._table(key, self.get(key))

    def _table(self, key: str, value: Any) -> Table | None:
        if isinstance(value, dict):
            return Table(value, self.at(key), self.findings)
        if value is not None:
            self.problem(key, f"not an object: {show(value)}")
        return None

    def tables(self, key: str) -> Iterator[Table]:
        """The objects of a list."""
        for index, value in enumerate(self.items(key)):
            place = f"{self.at(key)}[{index}]"
            if isinstance(value, dict):
                yield Table(value, place, self.findings)
            else:
                self.findings.append(Finding(place, f"not an object: {show(value)}"))

    def named_tables(self, key: str) -> Iterator[tuple[str, Table]]:
        """The objects of an object, with their names; null is one without fields, as in Go."""
        table = self.table(key)
        if table is not None:
            for name, value in table.values.items():
                inner = table._table(name, {} if value is None else value)
                if inner is not None:
                    yield name, inner


def unknown(name: str, names: Mapping[str, object], what: str = "") -> str:
    known = ", ".join(sorted(each for each in names if each))
    return f"unknown{' ' + what if what else ''}: {show(name)} (known: {known})"
