"""The network of a sandbox that has one of its own: a pair of devices that root makes.

pasta.py has that of ordinary users.
"""

from __future__ import annotations

import errno
import os
import random
from binascii import crc32
from ipaddress import IPv4Address, ip_interface, ip_network

from ..config import Network
from ..errors import ConfigError, Error, Finding
from ..network.addresses import addresses
from ..network.rtnetlink import Netlink
from .readers import veth_parts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipaddress import IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
    from typing import Union

    AnyAddress = Union[IPv4Address, IPv6Address]
    AnyInterface = Union[IPv4Interface, IPv6Interface]
    AnyNetwork = Union[IPv4Network, IPv6Network]

# Where sandboxes have their networks, of four addresses each, unless one is given.
RANGE = ip_network("10.213.0.0/16")
_PREFIX = 30
_DEVICE = "eth0"


def pair(net: str) -> Network:
    """What "veth", or "veth:10.0.3.2/24,bridge=br0", means here and now.

    Raises ConfigError where it cannot be had.
    """
    if os.geteuid() != 0:
        text = "an ordinary user cannot make a pair of network devices: pasta is the one for that"
        raise ConfigError([Finding("net", text)])
    given, bridge = veth_parts(net)
    try:
        taken = _taken(bridge)
    except OSError as error:
        missing = f"the host has no device {bridge!r}"
        text = missing if error.errno == errno.ENODEV else str(error.strerror)
        raise ConfigError([Finding("net", text)]) from None
    if bridge:
        return _port(ip_interface(given), bridge, taken)
    if given:
        own = ip_interface(given)
        network: AnyNetwork = own.network
        for other in taken:
            if other.version == network.version and network.overlaps(other.network):
                text = (
                    f"the host has {other} itself: give a bridge, or addresses of another network"
                )
                raise ConfigError([Finding("net", text)])
        host = next(one for one in _first_two(network) if one != own.ip)
    else:
        network = _free([one.network for one in taken])
        host, inside = _first_two(network)
        own = ip_interface(f"{inside}/{network.prefixlen}")
    found = _network(own, str(host))
    found.host_address = f"{host}/{network.prefixlen}"
    # Another sandbox's that is made at the same time has another name, or fails.
    packed = network.network_address.packed
    number = int.from_bytes(packed, "big") if len(packed) == 4 else crc32(packed)
    found.host_interface_name = f"sbox-{number:08x}"
    return found


def _network(own: AnyInterface, gateway: str) -> Network:
    if own.version == 4:
        return Network("veth", name=_DEVICE, address=str(own), gateway=gateway)
    return Network("veth", name=_DEVICE, ipv6_address=str(own), ipv6_gateway=gateway)


def _port(own: AnyInterface, bridge: str, taken: list[AnyInterface]) -> Network:
    """The way out is over the bridge itself, where that has an address of the same network."""
    gateway = next((str(one.ip) for one in taken if one.ip in own.network), "")
    if gateway == str(own.ip):
        raise ConfigError([Finding("net", f"{bridge!r} has the address {gateway} itself")])
    found = _network(own, gateway)
    found.bridge = bridge
    return found


def _taken(bridge: str) -> list[AnyInterface]:
    """The addresses of the host, or those of its bridge."""
    with Netlink() as netlink:
        index = netlink.link_index(bridge) if bridge else 0
        return [ip_interface(f"{one.text}/{one.prefix}") for one in addresses(netlink, index)]


def _first_two(network: AnyNetwork) -> tuple[AnyAddress, AnyAddress]:
    """The first two that devices may have."""
    first = 0 if network.num_addresses == 2 else 1
    return network[first], network[first + 1]


def _free(taken: list[AnyNetwork]) -> AnyNetwork:
    """A network of RANGE that has no address of the host's in it."""
    others = [one for one in taken if one.version == 4]
    count = 1 << (_PREFIX - RANGE.prefixlen)
    # Not the first: others look at the same time.
    begin = random.randrange(count)
    for number in range(begin, begin + count):
        base = int(RANGE.network_address) + (number % count << (32 - _PREFIX))
        network = ip_network((base, _PREFIX))
        if not any(network.overlaps(one) for one in others):
            return network
    raise Error(f"no network of {RANGE} is free for another sandbox: give one")
