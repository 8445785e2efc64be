"""The names of the UTS namespace (uts_namespaces(7); config.md, Hostname, Domainname)."""

from __future__ import annotations

from .calls import quote
from .step import Performers, Step, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..attributes import uts
    from ..config import Config
else:
    uts = Performers("attributes.uts")


def uts_steps(config: Config) -> list[Step]:
    """For the first process; validation refuses names without a UTS namespace of its own."""
    steps = []
    if config.hostname:
        steps.append(set_hostname(config.hostname, why="hostname"))
    if config.domainname:
        steps.append(set_domainname(config.domainname, why="domainname"))
    return steps


@operation(uts.set_hostname, "set the hostname to {0}")
def set_hostname(name: str) -> list[str]:
    return [f"sethostname({quote(name)})"]


@operation(uts.set_domainname, "set the domain name to {0}")
def set_domainname(name: str) -> list[str]:
    return [f"setdomainname({quote(name)})"]
