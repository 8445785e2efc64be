"""The names of the UTS namespace (uts_namespaces(7); config.md, Hostname, Domainname)."""

from __future__ import annotations

from ..syscalls.uts import setdomainname, sethostname

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context


def set_hostname(context: Context, name: str) -> None:
    sethostname(name)


def set_domainname(context: Context, name: str) -> None:
    setdomainname(name)
