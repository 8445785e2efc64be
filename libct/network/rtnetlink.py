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

# include/uapi/linux/if_link.h, if_addr.h, if.h
IFLA_IFNAME = 3
IFF_UP = 1
IFNAMSIZ = 16

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence number, port
_LINK = struct.Struct("=BxHiII")  # family, device type, index, flags, mask of flags to change
_ATTRIBUTE = struct.Struct("=HH")  # length with this header, type
_NLA_TYPE_MASK = 0x3FFF  # the two high bits are flags

_BUFFER = 65536  # a reply to one request is shorter, and so is each part of a dump
_RETRIES = 5  # of a dump during which something changed


# net/core/net_namespace.c makes it before all others; include/net/flow.h.
LOOPBACK_IFINDEX = 1


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
