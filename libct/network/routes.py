"""Routes of a network namespace."""

from __future__ import annotations

from ..errors import StepProblem
from . import addresses
from .rtnetlink import Netlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context


def add_route(
    context: Context, destination: str, source: str, gateway: str, interface: str
) -> None:
    """destination: CIDR notation, "" for the default route; the others may be ""."""
    with Netlink() as netlink:
        index = netlink.link_index(interface) if interface else 0
        try:
            addresses.add_route(netlink, destination, source=source, gateway=gateway, index=index)
        except ValueError as error:
            raise StepProblem(str(error)) from None
