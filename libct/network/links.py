"""What is asked of rtnetlink about network devices: pairs of them, moves, addresses.

Source: rtnetlink(7), include/uapi/linux/{if_link,if_addr,veth}.h; net/core/rtnetlink.c.
"""

from __future__ import annotations

import _socket
import _struct as struct
import _thread
import errno
import posix

from ..loading.paths import fsencode
from ..syscalls import procfs
from ..syscalls.namespaces import CLONE_NEWNET, setns
from .addresses import RTM_NEWADDR, address_body, addresses
from .rtnetlink import (
    IFF_UP,
    IFLA_IFNAME,
    IFNAMSIZ,
    NLM_F_CREATE,
    NLM_F_EXCL,
    RTM_GETLINK,
    RTM_NEWLINK,
    Netlink,
    attribute,
    attributes,
    link_body,
)

# include/uapi/linux/rtnetlink.h, if_link.h, veth.h, if_bridge.h
RTM_DELLINK = 17
RTM_SETLINK = 19
IFLA_ADDRESS = 1
IFLA_MTU = 4
IFLA_MASTER = 10
IFLA_PROTINFO = 12
IFLA_TXQLEN = 13
IFLA_LINKINFO = 18
IFLA_IFALIAS = 20
IFLA_NET_NS_FD = 28
IFLA_INFO_KIND = 1
IFLA_INFO_DATA = 2
VETH_INFO_PEER = 1
IFLA_BRPORT_MODE = 4
IFA_F_PERMANENT = 0x80
_NESTED = 0x8000
_LINK = struct.Struct("=BxHiII")  # family, device type, index, flags, mask of flags to change


def device_name(name: str) -> bytes:
    """ValueError where it can be no device's (net/core/dev.c, dev_valid_name()).

    One with % is a pattern to the kernel, which makes another name of it.
    """
    data = fsencode(name)
    if (
        not data
        or len(data) >= IFNAMSIZ
        or name in (".", "..")
        or any(one in "/:%" or one.isspace() or one == "\0" for one in name)
    ):
        raise ValueError(f"{name!r} cannot be the name of a network device")
    return data + b"\0"


def mac_address(text: str) -> bytes:
    """Six bytes of "02:42:ac:11:00:02"; ValueError for anything else."""
    parts = text.split(":")
    try:
        found = bytes(int(one, 16) for one in parts if len(one) == 2)
    except ValueError:
        found = b""
    if len(parts) != 6 or len(found) != 6:
        raise ValueError(f"not a hardware address like 02:00:00:00:00:01: {text!r}")
    return found


def add_veth(
    netlink: Netlink,
    name: str,
    peer: str,
    netns: int,
    *,
    peer_mac: bytes = b"",
    mtu: int = 0,
    queue: int = 0,
    alias: str = "",
) -> None:
    """Make a pair: name here, peer in the network namespace that the descriptor netns is of.

    queue: how many packets wait to be sent.  alias: a text about name, for people and for us.
    EEXIST: there is a device of that name.
    """
    common = attribute(IFLA_MTU, struct.pack("=I", mtu)) if mtu else b""
    common += attribute(IFLA_TXQLEN, struct.pack("=I", queue)) if queue else b""
    there = _LINK.pack(_socket.AF_UNSPEC, 0, 0, 0, 0) + attribute(IFLA_IFNAME, device_name(peer))
    there += common + attribute(IFLA_NET_NS_FD, struct.pack("=I", netns))
    there += attribute(IFLA_ADDRESS, peer_mac) if peer_mac else b""
    data = attribute(IFLA_INFO_DATA | _NESTED, attribute(VETH_INFO_PEER | _NESTED, there))
    info = attribute(IFLA_INFO_KIND, b"veth\0") + data
    body = _LINK.pack(_socket.AF_UNSPEC, 0, 0, 0, 0) + attribute(IFLA_IFNAME, device_name(name))
    body += common + attribute(IFLA_LINKINFO | _NESTED, info)
    what = f"RTM_NEWLINK({name!r}, veth, peer {peer!r})"
    netlink.request(RTM_NEWLINK, body, NLM_F_CREATE | NLM_F_EXCL, what=what)
    if alias:  # the kernel does not take it at the making
        change(netlink, name, attribute(IFLA_IFALIAS, fsencode(alias)), f"alias {alias!r}")


def change(netlink: Netlink, name: str, more: bytes, what: str) -> None:
    """RTM_SETLINK with more attributes."""
    netlink.request(RTM_SETLINK, link_body(name) + more, what=f"RTM_SETLINK({name!r}, {what})")


def set_master(netlink: Netlink, name: str, bridge: str) -> None:
    """Make it a port of a bridge; ENODEV: there is no such bridge."""
    index = struct.pack("=I", netlink.link_index(bridge))
    change(netlink, name, attribute(IFLA_MASTER, index), f"master {bridge!r}")


def set_hairpin(netlink: Netlink, name: str) -> None:
    """A port of a bridge may send back where a packet came from."""
    index = netlink.link_index(name)
    port = attribute(IFLA_PROTINFO | _NESTED, attribute(IFLA_BRPORT_MODE, b"\x01"))
    body = _LINK.pack(_socket.AF_BRIDGE, 0, index, 0, 0) + port
    netlink.request(RTM_SETLINK, body, what=f"RTM_SETLINK({name!r}, hairpin)")


def move_link(netlink: Netlink, name: str, netns: int, new_name: str) -> None:
    """Move a device into another network namespace, under a new name.

    It goes down, and loses its addresses and routes.

    EINVAL: it cannot leave its namespace, and is as it was, for the kernel looks at that before
    it takes the device down.  EEXIST: there is one of that name there, and it may be there, too.
    """
    body = link_body(netlink.link_index(name)) + attribute(IFLA_NET_NS_FD, struct.pack("=I", netns))
    body += attribute(IFLA_IFNAME, device_name(new_name))
    netlink.request(RTM_NEWLINK, body, what=f"RTM_NEWLINK({name!r}, netns, name {new_name!r})")


def is_up(netlink: Netlink, name: str) -> bool:
    """ENODEV: there is no such device."""
    what = f"RTM_GETLINK({name!r})"
    for kind, payload in netlink.request(RTM_GETLINK, link_body(name), what=what):
        if kind == RTM_NEWLINK:
            return bool(_LINK.unpack_from(payload)[3] & IFF_UP)
    return False


def delete_link(netlink: Netlink, name: str) -> None:
    netlink.request(RTM_DELLINK, link_body(name), what=f"RTM_DELLINK({name!r})")


def alias_of(netlink: Netlink, name: str) -> str | None:
    """None where there is no such device, "" where it has no alias."""
    what = f"RTM_GETLINK({name!r})"
    try:
        for kind, payload in netlink.request(RTM_GETLINK, link_body(name), what=what):
            if kind == RTM_NEWLINK:
                found = attributes(payload[_LINK.size :]).get(IFLA_IFALIAS, b"")
                return found.rstrip(b"\0").decode(errors="surrogateescape")
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise
    return None


def add_address(netlink: Netlink, name: str, address: str) -> None:
    """address: "10.0.0.2/24", or with a peer (Address.written()); ValueError for anything else.

    EEXIST: it has it already.
    """
    body = address_body(netlink.link_index(name), address)
    flags = NLM_F_CREATE | NLM_F_EXCL
    netlink.request(RTM_NEWADDR, body, flags, what=f"RTM_NEWADDR({name!r}, {address!r})")


def kept_addresses(netlink: Netlink, name: str) -> list[str]:
    """Those that a device is to have where it is moved to: permanent ones of global scope."""
    index = netlink.link_index(name)
    return [
        one.written()
        for one in addresses(netlink, index)
        if one.flags & IFA_F_PERMANENT and one.scope == 0
    ]


class Elsewhere(Netlink):
    """A socket of another network namespace, whose descriptor is netns.

    A thread of its own enters that for the moment in which the socket is made: no other thread
    of the program is ever in there.
    """

    __slots__ = ()

    def __init__(self, netns: int) -> None:
        problems: list[BaseException] = []
        done = _thread.allocate_lock()
        done.acquire()

        def make() -> None:
            try:
                setns(netns, CLONE_NEWNET)
                super(Elsewhere, self).__init__()
            except BaseException as error:
                problems.append(error)
            finally:
                done.release()

        _thread.start_new_thread(make, ())
        done.acquire()
        for problem in problems:
            raise problem


def netns_of(pid: int) -> int:
    """A descriptor of the network namespace of a process; close-on-exec, the caller's."""
    return posix.open(procfs.path(pid, "ns/net"), posix.O_RDONLY | posix.O_CLOEXEC)
