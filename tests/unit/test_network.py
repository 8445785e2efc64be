"""The rtnetlink encoding, and the plan of the network."""

from __future__ import annotations

import errno
import struct

import pytest

from libct.config import Config, Namespace, Route
from libct.network import addresses, rtnetlink
from libct.plan.network import network_steps, route_steps


def test_a_message_begins_with_its_length_type_flags_and_sequence_number() -> None:
    sent = rtnetlink.message(rtnetlink.RTM_NEWLINK, rtnetlink.NLM_F_ACK, 7, b"abcd")
    assert sent == struct.pack("=IHHII", 20, 16, 0x5, 7, 0) + b"abcd"


def test_an_attribute_is_padded_and_its_length_is_not() -> None:
    assert rtnetlink.attribute(3, b"lo\0") == struct.pack("=HH", 7, 3) + b"lo\0\0"


def test_an_attribute_does_not_overflow_its_length() -> None:
    with pytest.raises(ValueError, match="65536 bytes"):
        rtnetlink.attribute(1, bytes(65536))


def test_attributes_read_what_attribute_writes() -> None:
    data = rtnetlink.attribute(3, b"lo\0") + rtnetlink.attribute(4 | 0x8000, b"1234")
    assert rtnetlink.attributes(data) == {3: b"lo\0", 4: b"1234"}


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x00\x00\x03\x00", b"\xff\xff\x03\x00x"])
def test_malformed_attributes_end_the_reading(data: bytes) -> None:
    assert rtnetlink.attributes(data) in ({}, {3: b"x"})


def test_a_datagram_holds_several_messages() -> None:
    data = rtnetlink.message(1, 2, 3, b"abcde") + bytes(3) + rtnetlink.message(4, 0, 6, b"")
    assert list(rtnetlink.messages(data)) == [(1, 3, 3, b"abcde"), (4, 1, 6, b"")]


def test_a_link_is_named_by_index_or_by_name() -> None:
    assert rtnetlink.link_body(1, rtnetlink.IFF_UP) == struct.pack("=BxHiII", 0, 0, 1, 1, 1)
    assert rtnetlink.link_body("lo").endswith(struct.pack("=HH4s", 7, 3, b"lo\0"))


@pytest.mark.parametrize("name", ["", "sixteen-letters-", "a\0b"])
def test_a_name_that_no_link_can_have_is_not_there(name: str) -> None:
    with pytest.raises(OSError, match="cannot be the name") as caught:
        rtnetlink.link_body(name)
    assert caught.value.errno == errno.ENODEV


def route(body: bytes) -> tuple[tuple[int, ...], dict[int, bytes]]:
    """(family, prefix length, scope) and the attributes of a route's body."""
    fields = struct.unpack_from("=BBBBBBBBI", body)
    return (fields[0], fields[1], fields[6]), rtnetlink.attributes(body[12:])


def test_a_route_through_a_gateway_has_the_widest_scope() -> None:
    assert route(addresses.route_body("10.1.2.3/8", gateway="192.168.0.1")) == (
        (2, 8, 0),
        {1: bytes([10, 0, 0, 0]), 5: bytes([192, 168, 0, 1])},
    )


def test_a_route_without_a_gateway_has_the_scope_of_its_link() -> None:
    found = route(addresses.route_body("10.0.0.0/8", source="10.0.0.1", index=2))
    assert found == (
        (2, 8, 253),
        {1: bytes([10, 0, 0, 0]), 7: bytes([10, 0, 0, 1]), 4: struct.pack("=I", 2)},
    )


@pytest.mark.parametrize("destination", ["", "default", "0.0.0.0/0"])
def test_the_default_route_has_no_destination(destination: str) -> None:
    (family, length, _), found = route(addresses.route_body(destination, gateway="10.0.0.1"))
    assert (family, length, list(found)) == (2, 0, [5])


def test_the_family_of_a_default_route_is_its_gateways() -> None:
    assert route(addresses.route_body("", gateway="fe80::1"))[0] == (10, 0, 0)


def test_a_route_to_an_address_is_for_it_alone() -> None:
    assert route(addresses.route_body("fd00::1"))[0] == (10, 128, 0)


def test_bits_behind_the_prefix_are_cleared() -> None:
    found = route(addresses.route_body("fd00:ffff::/17"))[1]
    assert found[1] == b"\xfd\0\x80\0" + bytes(12)


@pytest.mark.parametrize(
    ("destination", "gateway"),
    [
        ("10.0.0.0/33", ""),
        ("10.0.0.0/-1", ""),
        ("10.0.0.0/", ""),
        ("10.0.0.0/٨", ""),
        ("10.0.0/8", ""),
        ("ten/8", ""),
        ("10.0.0.0/8", "fd00::1"),
        ("fd00::/8", "10.0.0.1"),
    ],
)
def test_a_malformed_route_is_refused(destination: str, gateway: str) -> None:
    with pytest.raises(ValueError, match=r"not an? "):
        addresses.route_body(destination, gateway=gateway)


def test_a_refusal_carries_the_kernels_explanation() -> None:
    header = struct.pack("=IHHII", 16, 24, 5, 1, 0)
    payload = struct.pack("=i", -errno.EINVAL) + header
    payload += rtnetlink.attribute(rtnetlink.NLMSGERR_ATTR_MSG, b"Nexthop has invalid gateway\0")
    flags = rtnetlink.NLM_F_CAPPED | rtnetlink.NLM_F_ACK_TLVS
    with pytest.raises(OSError, match=r"add: Invalid argument \(Nexthop has invalid") as caught:
        rtnetlink._check(rtnetlink.NLMSG_ERROR, flags, payload, "add")
    assert caught.value.errno == errno.EINVAL


def test_an_explanation_follows_the_whole_request_where_it_is_not_capped() -> None:
    request = rtnetlink.message(24, 4, 1, b"abcde")
    payload = struct.pack("=i", -errno.EPERM) + request + bytes(3)
    payload += rtnetlink.attribute(rtnetlink.NLMSGERR_ATTR_MSG, b"no\0")
    with pytest.raises(OSError, match=r"\(no\)"):
        rtnetlink._check(rtnetlink.NLMSG_ERROR, rtnetlink.NLM_F_ACK_TLVS, payload, "add")


def test_an_acknowledgement_is_no_error() -> None:
    rtnetlink._check(rtnetlink.NLMSG_ERROR, 0, struct.pack("=i", 0), "")


def test_loopback_comes_up_in_a_new_network_namespace_and_before_the_routes() -> None:
    config = Config(
        rootfs="/r",
        namespaces=[Namespace("NEWNS"), Namespace("NEWNET")],
        routes=[Route("10.0.0.0/8", gateway="127.0.0.1"), Route(interface_name="lo")],
    )
    steps = network_steps(config) + route_steps(config)
    assert [(step.op, step.args, step.why) for step in steps] == [
        ("bring_up_loopback", (), "linux.namespaces[1]"),
        ("add_route", ("10.0.0.0/8", "", "127.0.0.1", ""), "routes[0]"),
        ("add_route", ("", "", "", "lo"), "routes[1]"),
    ]


@pytest.mark.parametrize("namespaces", [[], [Namespace("NEWNET", "/proc/1/ns/net")]])
def test_no_other_network_is_touched(namespaces: list[Namespace]) -> None:
    assert network_steps(Config(rootfs="/r", namespaces=namespaces)) == []


def test_a_route_shows_what_is_sent() -> None:
    config = Config(rootfs="/r", routes=[Route("10.0.0.0/8", "10.0.0.2", "10.0.0.1", "eth0")])
    assert route_steps(config)[0].calls == [
        "socket(AF_NETLINK, SOCK_RAW|SOCK_CLOEXEC, NETLINK_ROUTE)",
        "sendto({nlmsg_flags=NLM_F_REQUEST|NLM_F_ACK}, {index of eth0})",
        (
            "sendto({nlmsg_flags=NLM_F_REQUEST|NLM_F_ACK},"
            " {dst 10.0.0.0/8, via 10.0.0.1, src 10.0.0.2})"
        ),
    ]
