"""The network of a network namespace: its loopback device, devices of the host's, routes.

Engines make pairs of devices by themselves, in hooks; a program that uses the library has
networks of type "veth" for that.
"""

from __future__ import annotations

from ..config.namespace import NEWNET
from .step import Performers, Step, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config import Config
    from ..config.config import Network
    from ..network import devices, ready, routes, steps
else:
    devices = Performers("network.devices")
    routes = Performers("network.routes")
    steps = Performers("network.steps")
    ready = Performers("network.ready")

_SOCKET = "socket(AF_NETLINK, SOCK_RAW|SOCK_CLOEXEC, NETLINK_ROUTE)"


def host_interface(network: Network, container_id: str, index: int) -> str:
    """The name of the host's end of a pair: as given, or one made of the container's id."""
    if network.host_interface_name:
        return network.host_interface_name
    from binascii import crc32

    return f"veth{crc32(f'{index} {container_id}'.encode()):08x}"


def device_steps(config: Config, container_id: str) -> list[Step]:
    """For the runtime, when the first process is in its network namespace."""
    steps = [
        move_net_device(name, device.name or name, why=f"linux.netDevices.{name}")
        for name, device in config.net_devices.items()
    ]
    for index, network in enumerate(config.networks):
        if network.type != "veth":
            continue
        settings = (
            ("mac", network.mac_address),
            ("mtu", str(network.mtu or "")),
            ("queue", str(network.tx_queue_len or "")),
            ("bridge", network.bridge),
            ("hairpin", "1" if network.hairpin_mode else ""),
            ("host_address", network.host_address),
        )
        steps.append(
            make_veth(
                host_interface(network, container_id, index),
                network.name or f"eth{index}",
                tuple((name, value) for name, value in settings if value),
                tuple(one for one in (network.address, network.ipv6_address) if one),
                tuple(one for one in (network.gateway, network.ipv6_gateway) if one),
                why=f"networks[{index}]",
            )
        )
    return steps


def route_steps(config: Config) -> list[Step]:
    """For the first process: after the links, for a route over one that is down is refused."""
    return [
        add_route(
            route.destination,
            route.source,
            route.gateway,
            route.interface_name,
            why=f"routes[{index}]",
        )
        for index, route in enumerate(config.routes)
    ]


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
    return steps


@operation(devices.move_net_device, "move the network device {0} into the container, as {1}")
def move_net_device(name: str, new_name: str) -> list[str]:
    return [_SOCKET, "setns(CLONE_NEWNET)", _SOCKET, f"sendto({{{name}, netns, name {new_name}}})"]


@operation(devices.make_veth, "make the pair of network devices {0} and {1}")
def make_veth(
    host_name: str,
    name: str,
    settings: tuple[tuple[str, str], ...],
    addresses: tuple[str, ...],
    gateways: tuple[str, ...],
) -> list[str]:
    return [
        _SOCKET,
        "setns(CLONE_NEWNET)",
        _SOCKET,
        f"sendto({{{host_name}, veth, peer {name}}})",
        *(f"sendto({{{name}, address {address}}})" for address in addresses),
        f"sendto({{{name}, up}})",
        *(f"sendto({{default, via {gateway}}})" for gateway in gateways),
    ]


@operation(steps.bring_up_loopback, "bring up the loopback device")
def bring_up_loopback() -> list[str]:
    # strace does not always know a netlink socket's protocol, so no message types.
    return [_SOCKET, "sendto({nlmsg_flags=NLM_F_REQUEST|NLM_F_ACK}, {ifi_index=1, up})"]


@operation(routes.add_route, "add the route to {0}")
def add_route(destination: str, source: str, gateway: str, interface: str) -> list[str]:
    parts = [("dst", destination or "default"), ("via", gateway), ("src", source)]
    said = ", ".join(f"{word} {value}" for word, value in parts if value)
    lookup = [f"sendto({{nlmsg_flags=NLM_F_REQUEST|NLM_F_ACK}}, {{index of {interface}}})"]
    return [
        _SOCKET,
        *(lookup if interface else []),
        f"sendto({{nlmsg_flags=NLM_F_REQUEST|NLM_F_ACK}}, {{{said}}})",
    ]


@operation(ready.get_network, "get a new network namespace with loopback up")
def get_network() -> list[str]:
    return []


@operation(ready.enter_network, "enter the new network namespace")
def enter_network() -> list[str]:
    return ["setns(CLONE_NEWNET)"]
