"""The network of a new network namespace: its loopback device, and routes.

Veth pairs, bridges and addresses are the business of who calls the runtime,
by hooks.  Devices to be moved in (linux.netDevices) are not done here.
"""

from __future__ import annotations

from ..config.namespace import NEWNET
from ..errors import StepProblem
from ..plan.step import Step, operation
from .ready import enter_network
from .rtnetlink import LOOPBACK_IFINDEX, Netlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context
    from ..config import Config

_SOCKET = "socket(AF_NETLINK, SOCK_RAW|SOCK_CLOEXEC, NETLINK_ROUTE)"


def network_steps(config: Config, *, ready: bool = False) -> list[Step]:
    """For the first process, in its network namespace and with CAP_NET_ADMIN there.

    ready: it enters one that is up already (ready.py).

    Loopback is brought up in every new namespace, which has nothing else.  A
    namespace that is joined belongs to who made it and is left as it is; routes
    for one are refused by validation.
    """
    steps = []
    for index, namespace in enumerate(config.namespaces):
        if namespace.type == NEWNET and not namespace.path:
            up = enter_network if ready else bring_up_loopback
            steps.append(up(why=f"linux.namespaces[{index}]"))
    # After the links: a route over one that is down is refused.
    for index, route in enumerate(config.routes):
        arguments = (route.destination, route.source, route.gateway, route.interface_name)
        steps.append(add_route(*arguments, why=f"routes[{index}]"))
    return steps


@operation("bring up the loopback device")
def bring_up_loopback(context: Context) -> None:
    """The kernel gives it 127.0.0.1/8 and ::1/128 when it goes up."""
    with Netlink() as netlink:
        netlink.set_link_up(LOOPBACK_IFINDEX)


@bring_up_loopback.calls
def _() -> list[str]:
    # strace does not always know a netlink socket's protocol, so no message types.
    return [_SOCKET, "sendto({nlmsg_flags=NLM_F_REQUEST|NLM_F_ACK}, {ifi_index=1, up})"]


@operation("add the route to {0}")
def add_route(
    context: Context, destination: str, source: str, gateway: str, interface: str
) -> None:
    """destination: CIDR notation, "" for the default route; the others may be ""."""
    with Netlink() as netlink:
        index = netlink.link_index(interface) if interface else 0
        try:
            netlink.add_route(destination, source=source, gateway=gateway, index=index)
        except ValueError as error:
            raise StepProblem(str(error)) from None


@add_route.calls
def _(destination: str, source: str, gateway: str, interface: str) -> list[str]:
    parts = [("dst", destination or "default"), ("via", gateway), ("src", source)]
    said = ", ".join(f"{word} {value}" for word, value in parts if value)
    lookup = [f"sendto({{nlmsg_flags=NLM_F_REQUEST|NLM_F_ACK}}, {{index of {interface}}})"]
    return [
        _SOCKET,
        *(lookup if interface else []),
        f"sendto({{nlmsg_flags=NLM_F_REQUEST|NLM_F_ACK}}, {{{said}}})",
    ]
