"""The arguments of a Process, as a program of Python gives them, made of one kind.

What is wrong is told at once, each by the name of the argument.
"""

from __future__ import annotations

from ..errors import ConfigError, Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_LONGEST = 1 << 20  # seconds that are no limit: poll(2) counts milliseconds in 31 bits


def texts(name: str, value: Any, findings: list[Finding]) -> list[str]:
    """A list of texts; paths may be among them."""
    if isinstance(value, (str, bytes)):
        example = value.split() if isinstance(value, str) else [value.decode(errors="replace")]
        text = f"one string where a list is expected: {value!r} (write {example!r})"
        findings.append(Finding(name, text))
        return []
    try:
        found = [_path(one) for one in value]
    except TypeError:
        findings.append(Finding(name, f"not a list of strings: {value!r}"))
        return []
    for index, one in enumerate(found):
        if not isinstance(one, str):
            findings.append(Finding(f"{name}[{index}]", f"not a string: {one!r}"))
    return found


def _path(value: Any) -> Any:
    """What a path is as a text; anything else as it is."""
    return value.__fspath__() if hasattr(value, "__fspath__") else value


def environment(value: Any, findings: list[Finding]) -> list[str]:
    """NAME=VALUE strings, of such or of a mapping."""
    if not hasattr(value, "items"):
        return texts("env", value, findings)
    found = []
    for name, text in value.items():
        if not isinstance(name, str) or not isinstance(text, str):
            findings.append(Finding(f"env[{name!r}]", f"not a string: {text!r}"))
        elif not name or "=" in name:
            findings.append(Finding(f"env[{name!r}]", "not a name of a variable"))
        else:
            found.append(f"{name}={text}")
    return found


def user(value: Any, findings: list[Finding]) -> str:
    """A name, or a number, with a group or without; as a text."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return str(value)
    return text("user", value, findings)


def text(name: str, value: Any, findings: list[Finding]) -> str:
    found = _path(value)
    if isinstance(found, str):
        return found
    findings.append(Finding(name, f"not a string: {value!r}"))
    return ""


def rlimits(value: Any, findings: list[Finding]) -> list[Any]:
    """Rlimit records, of such or of a mapping: "NOFILE" -> limit, or (soft, hard)."""
    from ..config.attributes import Rlimit

    if not hasattr(value, "items"):
        found = _items("rlimits", value, findings)
        for index, one in enumerate(found):
            if not isinstance(one, Rlimit):
                findings.append(Finding(f"rlimits[{index}]", f"not a libct.Rlimit: {one!r}"))
        return found
    from ..syscalls.constants import RLIMITS

    found = []
    for name, limit in value.items():
        place = f"rlimits[{name!r}]"
        number = RLIMITS.get(f"RLIMIT_{str(name).upper().removeprefix('RLIMIT_')}")
        pair = limit if isinstance(limit, tuple) and len(limit) == 2 else (limit, limit)
        if number is None:
            known = ", ".join(one[7:] for one in RLIMITS)
            findings.append(Finding(place, f"unknown limit (known: {known})"))
        elif not all(isinstance(one, int) and not isinstance(one, bool) for one in pair):
            findings.append(Finding(place, f"not a number, or a pair (soft, hard): {limit!r}"))
        else:
            soft, hard = (one % (1 << 64) for one in pair)  # -1 is no limit
            found.append(Rlimit(number, hard=hard, soft=soft))
    return found


def read_timeout(value: Any) -> float | None:
    """Seconds as poll(2) takes them, None for ever; ConfigError for what is no number."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
        raise ConfigError([Finding("timeout", f"not a number of seconds: {value!r}")])
    return None if value > _LONGEST else value


def _items(name: str, value: Any, findings: list[Finding]) -> list[Any]:
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        findings.append(Finding(name, f"not a list: {value!r}"))
        return []
    return list(value)


def streams(values: dict[str, Any], findings: list[Finding]) -> None:
    """What is to be a descriptor, a file, or None."""
    for name, value in values.items():
        number = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        if not (value is None or number or hasattr(value, "fileno")):
            findings.append(Finding(name, f"not a descriptor or an open file: {value!r}"))


def extra_files(value: Any, findings: list[Finding]) -> list[Any]:
    found = _items("extra_files", value, findings)
    streams({f"extra_files[{index}]": one for index, one in enumerate(found)}, findings)
    return found


def groups(value: Any, findings: list[Finding]) -> list[Any]:
    found = _items("additional_groups", value, findings)
    for index, one in enumerate(found):
        if not isinstance(one, (int, str)) or isinstance(one, bool):
            what = f"not a number or a name: {one!r}"
            findings.append(Finding(f"additional_groups[{index}]", what))
    return found


def flags(values: dict[str, Any], findings: list[Finding]) -> None:
    for name, value in values.items():
        if value is not None and not isinstance(value, bool):
            findings.append(Finding(name, f"neither True nor False: {value!r}"))


def numbers(values: dict[str, Any], findings: list[Finding]) -> None:
    for name, value in values.items():
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            findings.append(Finding(name, f"not a number: {value!r}"))


def refuse(findings: Iterable[Finding]) -> None:
    """Raise ConfigError with all of them, if there are any."""
    found = list(findings)
    if found:
        raise ConfigError(found)
