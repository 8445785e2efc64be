"""Rules about Landlock's rules."""

from __future__ import annotations

from ..errors import Finding
from .landlock import PLACE, below_written
from .texts import check_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .landlock import Landlock

SCOPES = ("abstract_unix_socket", "signal")
_LAST_PORT = 65535
_OWN = (["proc", "self"], ["proc", "thread-self"])


def landlock_rules(landlock: Landlock, findings: list[Finding]) -> None:
    lists = {
        name: getattr(landlock, name)
        for name in ("read", "write", "execute", "bind_tcp", "connect_tcp")
    }
    if not landlock.scope and all(values is None for values in lists.values()):
        findings.append(Finding(PLACE, "restricts nothing"))
    for name, values in lists.items():
        for index, value in enumerate(values or ()):
            place = f"{PLACE}.{name}[{index}]"
            if not name.endswith("_tcp"):
                if check_path(place, value, findings) and _parts(value)[:2] in _OWN:
                    findings.append(Finding(place, f"leads each process to its own: {value!r}"))
            elif not 0 <= value <= _LAST_PORT:
                findings.append(Finding(place, f"not a port: {value}"))
    for path in landlock.write or ():
        for name in ("read", "write", "execute"):
            for number, other in enumerate(lists[name] or ()):
                if _is_below(other, path):
                    place = f"{PLACE}.{name}[{number}]"
                    findings.append(Finding(place, below_written(other, path)))
    for index, scope in enumerate(landlock.scope):
        if scope not in SCOPES:
            message = f"unknown scope: {scope!r} (known: {', '.join(SCOPES)})"
            findings.append(Finding(f"{PLACE}.scope[{index}]", message))


def _is_below(path: str, above: str) -> bool:
    """Whether path leads through the directory above, as far as their text tells."""
    first, second = _parts(path), _parts(above)
    return len(first) > len(second) and first[: len(second)] == second


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]
