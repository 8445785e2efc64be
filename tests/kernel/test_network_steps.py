"""Loopback and routes, in network namespaces of their own."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from libct.bootstrap.context import Context
from libct.network.addresses import addresses
from libct.network.routes import add_route
from libct.network.rtnetlink import NLM_F_ACK, RTM_NEWLINK, Netlink, link_body, message
from libct.network.steps import bring_up_loopback

from ..support import CLONE_NEWNET, CLONE_NEWUSER, in_namespaces, requires

pytestmark = requires("root")


def up() -> None:
    bring_up_loopback(Context())


def routes() -> set[tuple[str, str, str]]:
    """(link, destination, gateway) of /proc/net/route, the numbers in its notation."""
    with open("/proc/net/route") as file:
        next(file)
        found = (line.split() for line in file)
        return {(link, destination, gateway) for link, destination, gateway, *_ in found}


@pytest.mark.parametrize("flags", [CLONE_NEWNET, CLONE_NEWNET | CLONE_NEWUSER])
def test_loopback_carries_connections_once_it_is_up(flags: int) -> None:
    def body() -> None:
        with socket.socket() as client, pytest.raises(OSError, match="unreachable"):
            client.connect(("127.0.0.1", 1))
        up()
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with socket.socket(family) as server, socket.socket(family) as client:
                server.bind((address, 0))
                server.listen()
                client.connect(server.getsockname())

    in_namespaces(flags, body)


def test_addresses_are_listed_with_their_links() -> None:
    def body() -> list[tuple[int, str, int]]:
        up()
        with Netlink() as netlink:
            assert netlink.link_index("lo") == 1
            assert addresses(netlink, 2) == []
            return [(one.index, one.text, one.prefix) for one in addresses(netlink)]

    assert in_namespaces(CLONE_NEWNET, body) == [(1, "127.0.0.1", 8), (1, "::1", 128)]


def test_routes_are_added_in_order() -> None:
    def body() -> None:
        up()
        context = Context()
        add_route(context, "10.9.8.7/16", "", "", "lo")
        add_route(context, "192.0.2.0/24", "127.0.0.1", "10.9.0.1", "lo")
        add_route(context, "", "", "10.9.0.2", "")
        assert routes() == {
            ("lo", "0000090A", "00000000"),
            ("lo", "000200C0", "0100090A"),
            ("lo", "00000000", "0200090A"),
        }

    in_namespaces(CLONE_NEWNET, body)


def test_ipv6_routes() -> None:
    def body() -> None:
        up()
        add_route(Context(), "fd00::1/64", "", "", "lo")
        with open("/proc/net/ipv6_route") as file:
            assert any(line.startswith("fd00" + 28 * "0" + " 40 ") for line in file)

    in_namespaces(CLONE_NEWNET, body)


def test_refusals_tell_their_errno() -> None:
    def body() -> None:
        context = Context()
        with pytest.raises(OSError, match="RTM_GETLINK") as caught:
            add_route(context, "10.0.0.0/8", "", "", "eth0")
        assert caught.value.errno == errno.ENODEV
        with pytest.raises(OSError, match=r"is down|unreachable|not up") as caught:
            add_route(context, "10.0.0.0/8", "", "", "lo")
        assert caught.value.errno == errno.ENETDOWN
        up()
        add_route(context, "10.0.0.0/8", "", "", "lo")
        with pytest.raises(FileExistsError):
            add_route(context, "10.0.0.0/8", "", "", "lo")
        # The kernel says more than its errno.
        with pytest.raises(OSError, match=r"\(Nexthop has invalid gateway") as caught:
            add_route(context, "192.0.2.0/24", "", "198.51.100.1", "")
        assert caught.value.errno == errno.ENETUNREACH

    in_namespaces(CLONE_NEWNET, body)


def test_links_of_another_user_namespace_are_out_of_reach() -> None:
    def body() -> None:
        with Netlink() as netlink, pytest.raises(PermissionError, match="RTM_NEWLINK"):
            netlink.set_link_up("lo")

    in_namespaces(CLONE_NEWUSER, body)


def test_the_socket_is_closed_on_execve() -> None:
    with Netlink() as netlink:
        assert not os.get_inheritable(netlink._socket.fileno())


def test_an_answer_that_comes_late_is_not_taken_for_another() -> None:
    def body() -> None:
        with Netlink() as netlink:
            # Nobody has waited for the refusal of this.
            netlink._socket.send(message(RTM_NEWLINK, NLM_F_ACK, 0, link_body(77)))
            netlink.set_link_up("lo")
            with pytest.raises(OSError, match="RTM_NEWLINK") as caught:
                netlink.set_link_up(77)
            assert caught.value.errno == errno.ENODEV

    in_namespaces(CLONE_NEWNET, body)
