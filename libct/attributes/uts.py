"""The names of the UTS namespace (uts_namespaces(7); config.md, Hostname, Domainname)."""

from __future__ import annotations

from ..plan.step import Step, operation
from ..syscalls.flags import quote
from ..syscalls.uts import setdomainname, sethostname

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context
    from ..config import Config


def uts_steps(config: Config) -> list[Step]:
    """For the first process; validation refuses names without a UTS namespace of its own."""
    steps = []
    if config.hostname:
        steps.append(set_hostname(config.hostname, why="hostname"))
    if config.domainname:
        steps.append(set_domainname(config.domainname, why="domainname"))
    return steps


@operation("set the hostname to {0}")
def set_hostname(context: Context, name: str) -> None:
    sethostname(name)


@set_hostname.calls
def _(name: str) -> list[str]:
    return [f"sethostname({quote(name)})"]


@operation("set the domain name to {0}")
def set_domainname(context: Context, name: str) -> None:
    setdomainname(name)


@set_domainname.calls
def _(name: str) -> list[str]:
    return [f"setdomainname({quote(name)})"]
