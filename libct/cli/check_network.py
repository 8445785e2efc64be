"""Trials of `libct check` with network devices and Intel RDT; each in a child of its own."""

from __future__ import annotations

import errno
import os

from ..life.host import host
from ..network.links import add_veth, move_link
from ..network.rtnetlink import Netlink
from ..syscalls.namespaces import CLONE_NEWNET, unshare

_OWN = "/proc/self/ns/net"


def veth() -> None:
    """A pair of devices between two namespaces that end with the child."""
    unshare(CLONE_NEWNET)
    first = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
    unshare(CLONE_NEWNET)
    with Netlink() as netlink:
        add_veth(netlink, "one", "other", first)


def net_devices() -> None:
    """A device that is moved to another namespace and renamed."""
    veth()
    with Netlink() as netlink:
        here = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
        add_veth(netlink, "moved", "stays", here)
        unshare(CLONE_NEWNET)
        there = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
        move_link(netlink, "moved", there, "renamed")
    with Netlink() as netlink:
        netlink.link_index("renamed")


def intel_rdt() -> None:
    if not host().resctrl:
        raise OSError(errno.ENOENT, "no resctrl is mounted")
