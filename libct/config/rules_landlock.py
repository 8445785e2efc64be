"""Rules about Landlock's rules."""

from __future__ import annotations

from ..errors import Finding
from .landlock import PLACE
from .texts import check_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .landlock import Landlock

SCOPES = ("abstract_unix_socket", "signal")
_LAST_PORT = 65535


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
                check_path(place, value, findings)
            elif not 0 <= value <= _LAST_PORT:
                findings.append(Finding(place, f"not a port: {value}"))
    for index, scope in enumerate(landlock.scope):
        if scope not in SCOPES:
            message = f"unknown scope: {scope!r} (known: {', '.join(SCOPES)})"
            findings.append(Finding(f"{PLACE}.scope[{index}]", message))
