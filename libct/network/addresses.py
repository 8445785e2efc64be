"""What is asked of rtnetlink about addresses and routes.

Source: rtnetlink(7), include/uapi/linux/{rtnetlink,if_addr}.h.
"""

from __future__ import annotations

import _socket
import _struct as struct

from .rtnetlink import NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, Netlink, attribute, attributes

RTM_NEWADDR = 20
RTM_GETADDR = 22
RTM_NEWROUTE = 24
RT_TABLE_MAIN = 254
RTPROT_BOOT = 3
RTN_UNICAST = 1
RT_SCOPE_UNIVERSE = 0
RT_SCOPE_LINK = 253
RTA_DST = 1
RTA_OIF = 4
RTA_GATEWAY = 5
RTA_PREFSRC = 7
IFA_ADDRESS = 1
IFA_LOCAL = 2
_IFA_F_NODAD = 0x02
_ADDRESS = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, index
_ROUTE = struct.Struct("=BBBBBBBBI")  # family, lengths, tos, table, protocol, scope, type, flags


class Address:
    """An address of a link.

    text is without the prefix length, scope is RT_SCOPE_*, flags are IFA_F_*.
    peer: the other end's, of a point-to-point link, whose network the prefix is of; else text.
    """

    __slots__ = ("family", "flags", "index", "peer", "prefix", "scope", "text")

    def __init__(
        self,
        index: int,
        family: int,
        text: str,
        prefix: int,
        scope: int,
        flags: int = 0,
        peer: str = "",
    ) -> None:
        self.index, self.family, self.text, self.peer = index, family, text, peer or text
        self.prefix, self.scope, self.flags = prefix, scope, flags

    def written(self) -> str:
        """As address_body() reads it."""
        peer = "" if self.peer == self.text else f" peer {self.peer}"
        return f"{self.text}{peer}/{self.prefix}"

    def __repr__(self) -> str:
        return f"Address({self.index}, {self.written()})"


def address_body(index: int, address: str) -> bytes:
    """The body of RTM_NEWADDR: "10.0.0.2/24" for the link of this index.

    Or "10.0.0.2 peer 10.0.1.1/32", with the address of the link's other end.
    An address of IPv6 is used at once, without a search for others who have it (RFC 4862):
    a new link has nobody else.
    """
    both, slash, length = address.partition("/")
    text, _, peer = both.partition(" peer ")
    family = _family(text)
    raw = _encoded(family, text)
    if not slash:
        raise ValueError(f"without a prefix length: {address!r}")
    other = _encoded(family, peer) if peer else raw
    prefix = _prefix(address, length, 8 * len(raw))
    flags = _IFA_F_NODAD if family == _socket.AF_INET6 else 0
    body = _ADDRESS.pack(family, prefix, flags, RT_SCOPE_UNIVERSE, index)
    return body + attribute(IFA_LOCAL, raw) + attribute(IFA_ADDRESS, other)


def route_body(destination: str, *, source: str = "", gateway: str = "", index: int = 0) -> bytes:
    """The body of RTM_NEWROUTE: a unicast route of the main table.

    destination: CIDR notation, an address (a host route), or "" for the default route.
    source: the address that packets sent this way prefer as theirs.
    index: the link to send on; 0 lets the kernel find the gateway's.

    ValueError: an address is malformed, or not all are of one family.
    """
    address, slash, length = destination.partition("/")
    if address in ("", "default"):
        family = _family(gateway or source)
        target, prefix = b"", 0
    else:
        family = _family(address)
        target = _encoded(family, address)
        prefix = _prefix(destination, length, 8 * len(target)) if slash else 8 * len(target)
    # A route without a gateway reaches its own link alone.  Only then may
    # another route's gateway be looked up by it (IPv6 has no such scopes).
    near = family == _socket.AF_INET and not gateway
    scope = RT_SCOPE_LINK if near else RT_SCOPE_UNIVERSE
    body = _ROUTE.pack(family, prefix, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, scope, RTN_UNICAST, 0)
    if prefix:
        body += attribute(RTA_DST, _masked(target, prefix))
    if source:
        body += attribute(RTA_PREFSRC, _encoded(family, source))
    if gateway:
        body += attribute(RTA_GATEWAY, _encoded(family, gateway))
    if index:
        body += attribute(RTA_OIF, struct.pack("=I", index))
    return body


def _family(address: str) -> int:
    return _socket.AF_INET6 if ":" in address else _socket.AF_INET


def _encoded(family: int, address: str) -> bytes:
    try:
        return _socket.inet_pton(family, address)
    except OSError:
        name = "IPv6" if family == _socket.AF_INET6 else "IPv4"
        raise ValueError(f"not an {name} address: {address!r}") from None


def _prefix(destination: str, length: str, most: int) -> int:
    if not (length.isascii() and length.isdigit()) or len(length) > 3 or int(length) > most:
        raise ValueError(f"not a prefix length of 0 to {most}: {destination!r}")
    return int(length)


def _masked(address: bytes, prefix: int) -> bytes:
    """The address with what is behind the prefix cleared; the kernel refuses other bits."""
    rest = 8 * len(address) - prefix
    return (int.from_bytes(address, "big") >> rest << rest).to_bytes(len(address), "big")


def _address(payload: bytes) -> Address | None:
    family, prefix, flags, scope, index = _ADDRESS.unpack_from(payload)
    found = attributes(payload[_ADDRESS.size :])
    # On a point-to-point link IFA_ADDRESS is the other end's.
    raw = found.get(IFA_LOCAL, found.get(IFA_ADDRESS))
    if raw is None or family not in (_socket.AF_INET, _socket.AF_INET6):
        return None
    text, peer = (_socket.inet_ntop(family, one) for one in (raw, found.get(IFA_ADDRESS, raw)))
    return Address(index, family, text, prefix, scope, flags, peer)


def addresses(netlink: Netlink, index: int = 0) -> list[Address]:
    """Every address of the namespace, or those of the link of this index."""
    body = _ADDRESS.pack(_socket.AF_UNSPEC, 0, 0, 0, index)
    found = []
    for kind, payload in netlink.request(RTM_GETADDR, body, NLM_F_DUMP, what="RTM_GETADDR"):
        if kind == RTM_NEWADDR:
            address = _address(payload)
            # Older kernels do not filter.
            if address is not None and index in (0, address.index):
                found.append(address)
    return found


def add_route(
    netlink: Netlink, destination: str, *, source: str = "", gateway: str = "", index: int = 0
) -> None:
    """Add a route to the main table; see route_body() for the arguments.

    EEXIST: it is there; ENETUNREACH: no link leads to the gateway;
    ENETDOWN: the link is down.  ValueError: an address is malformed.
    """
    body = route_body(destination, source=source, gateway=gateway, index=index)
    flags = NLM_F_CREATE | NLM_F_EXCL
    netlink.request(RTM_NEWROUTE, body, flags, what=f"RTM_NEWROUTE({destination or 'default'!r})")
