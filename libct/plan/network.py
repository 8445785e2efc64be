"""The network of a new network namespace: its loopback device, and routes.

Veth pairs, bridges and addresses are the business of who calls the runtime,
by hooks.  Devices to be moved in (linux.netDevices) are not done here.
"""

from __future__ import annotations

from ..config.namespace import NEWNET
from .step import Step, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config import Config

_SOCKET = "socket(AF_NETLINK, SOCK_RAW|SOCK_CLOEXEC, NETLINK_ROUTE)"


def network_steps(config: Config, *, ready: bool = False) -> list[Step]:
    """For the first process, in its network namespace and with CAP_NET_ADMIN there.

    ready: it enters one that is up already (network/ready.py).

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


@operation("network.steps", "bring up the loopback device")
def bring_up_loopback() -> list[str]:
    # strace does not always know a netlink socket's protocol, so no message types.
    return [_SOCKET, "sendto({nlmsg_flags=NLM_F_REQUEST|NLM_F_ACK}, {ifi_index=1, up})"]


@operation("network.steps", "add the route to {0}")
def add_route(destination: str, source: str, gateway: str, interface: str) -> list[str]:
    parts = [("dst", destination or "default"), ("via", gateway), ("src", source)]
    said = ", ".join(f"{word} {value}" for word, value in parts if value)
    lookup = [f"sendto({{nlmsg_flags=NLM_F_REQUEST|NLM_F_ACK}}, {{index of {interface}}})"]
    return [
        _SOCKET,
        *(lookup if interface else []),
        f"sendto({{nlmsg_flags=NLM_F_REQUEST|NLM_F_ACK}}, {{{said}}})",
    ]


@operation("network.ready", "get a new network namespace, its loopback device up")
def get_network() -> list[str]:
    return []


@operation("network.ready", "enter the new network namespace")
def enter_network() -> list[str]:
    return ["setns(CLONE_NEWNET)"]
