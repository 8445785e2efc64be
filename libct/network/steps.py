"""The network of a network namespace: its loopback device, and routes."""

from __future__ import annotations

from .rtnetlink import LOOPBACK_IFINDEX, Netlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context


def bring_up_loopback(context: Context) -> None:
    """The kernel gives it 127.0.0.1/8 and ::1/128 when it goes up."""
    with Netlink() as netlink:
        netlink.set_link_up(LOOPBACK_IFINDEX)
