"""A small rtnetlink client: links, addresses and routes.

Written on the _socket module, for socket costs 9 ms to import.  Every request
asks for an acknowledgement, so that a refusal is known and explained: the
kernel adds a sentence to the errno (NETLINK_EXT_ACK).

Source: netlink(7), rtnetlink(7), include/uapi/linux/{netlink,rtnetlink,if_link,if_addr}.h.
"""

from __future__ import annotations

import _socket
import _struct as struct
import errno
import posix

from ..loading.paths import fsencode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# include/uapi/linux/netlink.h
SOL_NETLINK = 270
NETLINK_CAP_ACK = 10
NETLINK_EXT_ACK = 11
NLMSG_ERROR = 2
NLMSG_DONE = 3
NLM_F_REQUEST = 0x1
NLM_F_ACK = 0x4
NLM_F_DUMP_INTR = 0x10
NLM_F_CAPPED = 0x100
NLM_F_ACK_TLVS = 0x200
NLM_F_DUMP = 0x300
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400
NLMSGERR_ATTR_MSG = 1

# include/uapi/linux/rtnetlink.h
RTM_NEWLINK = 16
RTM_GETLINK = 18
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

# include/uapi/linux/if_link.h, if_addr.h, if.h
IFLA_IFNAME = 3
IFA_ADDRESS = 1
IFA_LOCAL = 2
_IFA_F_NODAD = 0x02
IFF_UP = 1
IFNAMSIZ = 16

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence number, port
_LINK = struct.Struct("=BxHiII")  # family, device type, index, flags, mask of flags to change
_ADDRESS = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, index
_ROUTE = struct.Struct("=BBBBBBBBI")  # family, lengths, tos, table, protocol, scope, type, flags
_ATTRIBUTE = struct.Struct("=HH")  # length with this header, type
_NLA_TYPE_MASK = 0x3FFF  # the two high bits are flags

_BUFFER = 65536  # a reply to one request is shorter, and so is each part of a dump
_RETRIES = 5  # of a dump during which something changed


# net/core/net_namespace.c makes it before all others; include/net/flow.h.
LOOPBACK_IFINDEX = 1


class Address:
    """An address of a link.

    text is without the prefix length, scope is RT_SCOPE_*, flags are IFA_F_*.
    """

    __slots__ = ("family", "flags", "index", "prefix", "scope", "text")

    def __init__(
        self, index: int, family: int, text: str, prefix: int, scope: int, flags: int = 0
    ) -> None:
        self.index, self.family, self.text = index, family, text
        self.prefix, self.scope, self.flags = prefix, scope, flags

    def __repr__(self) -> str:
        return f"Address({self.index}, {self.text}/{self.prefix})"


class Netlink:
    """A NETLINK_ROUTE socket of the calling thread's network namespace, close-on-exec.

    A context manager.  Methods raise OSError with the kernel's errno and, where
    it gives one, its explanation.
    """

    __slots__ = ("_sequence", "_socket")

    def __init__(self) -> None:
        # _socket makes every socket close-on-exec.
        self._socket = _socket.socket(_socket.AF_NETLINK, _socket.SOCK_RAW, _socket.NETLINK_ROUTE)
        self._sequence = 0
        for option in (NETLINK_EXT_ACK, NETLINK_CAP_ACK):
            try:
                self._socket.setsockopt(SOL_NETLINK, option, 1)
            except OSError:
                pass  # only the explanations are lost

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *exception: object) -> None:
        self._socket.close()

    def set_link_up(self, link: int | str) -> None:
        """link: index or name.  ENODEV: there is none; EPERM: no CAP_NET_ADMIN."""
        self.request(RTM_NEWLINK, link_body(link, IFF_UP), what=f"RTM_NEWLINK({link!r}, up)")

    def link_index(self, name: str) -> int:
        """ENODEV: there is no link of this name."""
        what = f"RTM_GETLINK({name!r})"
        for kind, payload in self.request(RTM_GETLINK, link_body(name), what=what):
            if kind == RTM_NEWLINK:
                index: int = _LINK.unpack_from(payload)[2]
                return index
        raise OSError(errno.ENODEV, f"{what}: {posix.strerror(errno.ENODEV)}")

    def addresses(self, index: int = 0) -> list[Address]:
        """Every address of the namespace, or those of the link of this index."""
        body = _ADDRESS.pack(_socket.AF_UNSPEC, 0, 0, 0, index)
        found = []
        for kind, payload in self.request(RTM_GETADDR, body, NLM_F_DUMP, what="RTM_GETADDR"):
            if kind == RTM_NEWADDR:
                address = _address(payload)
                # Older kernels do not filter.
                if address is not None and index in (0, address.index):
                    found.append(address)
        return found

    def add_route(
        self, destination: str, *, source: str = "", gateway: str = "", index: int = 0
    ) -> None:
        """Add a route to the main table; see route_body() for the arguments.

        EEXIST: it is there; ENETUNREACH: no link leads to the gateway;
        ENETDOWN: the link is down.  ValueError: an address is malformed.
        """
        body = route_body(destination, source=source, gateway=gateway, index=index)
        flags = NLM_F_CREATE | NLM_F_EXCL
        self.request(RTM_NEWROUTE, body, flags, what=f"RTM_NEWROUTE({destination!r})")

    def request(
        self, kind: int, body: bytes, flags: int = 0, *, what: str
    ) -> list[tuple[int, bytes]]:
        """Send one message and return the (type, payload) of what is answered, without the ack.

        what: the request in words, for the error.
        """
        for _ in range(_RETRIES):
            self._sequence += 1
            self._socket.send(message(kind, flags | NLM_F_ACK, self._sequence, body))
            replies = self._answer(what)
            if replies is not None:
                return replies
        raise OSError(errno.EINTR, f"{what}: it changed at every reading")

    def _answer(self, what: str) -> list[tuple[int, bytes]] | None:
        """The replies to the last request; None if they are inconsistent."""
        replies: list[tuple[int, bytes]] = []
        consistent = True
        while True:
            for kind, flags, sequence, payload in messages(self._socket.recv(_BUFFER)):
                if sequence != self._sequence:
                    continue  # left over from a request that failed half-way
                consistent = consistent and not flags & NLM_F_DUMP_INTR
                if kind in (NLMSG_ERROR, NLMSG_DONE):
                    _check(kind, flags, payload, what)
                    return replies if consistent else None
                replies.append((kind, payload))


def message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    """A request as it is sent; flags besides NLM_F_REQUEST."""
    length = _HEADER.size + len(body)
    return _HEADER.pack(length, kind, flags | NLM_F_REQUEST, sequence, 0) + body


def attribute(kind: int, payload: bytes) -> bytes:
    """One attribute, padded to four bytes (which its length does not count)."""
    length = _ATTRIBUTE.size + len(payload)
    if length > 0xFFFF:
        raise ValueError(f"netlink attribute {kind} of {len(payload)} bytes")  # CVE-2021-43784
    return _ATTRIBUTE.pack(length, kind) + payload + bytes(-length % 4)


def messages(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """The (type, flags, sequence number, payload) of every message in a datagram."""
    start = 0
    while start + _HEADER.size <= len(data):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, start)
        if length < _HEADER.size:
            return
        yield kind, flags, sequence, data[start + _HEADER.size : start + length]
        start += (length + 3) & ~3


def attributes(data: bytes) -> dict[int, bytes]:
    """The attributes in data by type; of one that is repeated, the last."""
    found = {}
    start = 0
    while start + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, start)
        if length < _ATTRIBUTE.size:
            break
        found[kind & _NLA_TYPE_MASK] = data[start + _ATTRIBUTE.size : start + length]
        start += (length + 3) & ~3
    return found


def link_body(link: int | str, flags: int = 0) -> bytes:
    """The body of a request about a link; flags: IFF_* bits to turn on."""
    if isinstance(link, int):
        return _LINK.pack(_socket.AF_UNSPEC, 0, link, flags, flags)
    name = fsencode(link)
    if not name or b"\0" in name or len(name) >= IFNAMSIZ:
        raise OSError(errno.ENODEV, f"{link!r} cannot be the name of a network device")
    body = _LINK.pack(_socket.AF_UNSPEC, 0, 0, flags, flags)
    return body + attribute(IFLA_IFNAME, name + b"\0")


def address_body(index: int, address: str) -> bytes:
    """The body of RTM_NEWADDR: "10.0.0.2/24" for the link of this index.

    An address of IPv6 is used at once, without a search for others who have it (RFC 4862):
    a new link has nobody else.
    """
    text, slash, length = address.partition("/")
    family = _family(text)
    raw = _encoded(family, text)
    if not slash:
        raise ValueError(f"without a prefix length: {address!r}")
    prefix = _prefix(address, length, 8 * len(raw))
    flags = _IFA_F_NODAD if family == _socket.AF_INET6 else 0
    body = _ADDRESS.pack(family, prefix, flags, RT_SCOPE_UNIVERSE, index)
    return body + attribute(IFA_LOCAL, raw) + attribute(IFA_ADDRESS, raw)


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
    return Address(index, family, _socket.inet_ntop(family, raw), prefix, scope, flags)


def _check(kind: int, flags: int, payload: bytes, what: str) -> None:
    """Raise what an NLMSG_ERROR or NLMSG_DONE reports, unless it is success."""
    code = -struct.unpack_from("=i", payload)[0] if len(payload) >= 4 else 0
    if not code:
        return
    text = f"{what}: {posix.strerror(code)}"
    if flags & NLM_F_ACK_TLVS:
        start = 4
        if kind == NLMSG_ERROR:
            # The request's header follows, and unless capped the whole request.
            request = _HEADER.unpack_from(payload, 4)[0]
            start += _HEADER.size if flags & NLM_F_CAPPED else (request + 3) & ~3
        said = attributes(payload[start:]).get(NLMSGERR_ATTR_MSG, b"")
        if said:
            text += f" ({said.rstrip(bytes(1)).decode('utf-8', 'replace')})"
    raise OSError(code, text)
