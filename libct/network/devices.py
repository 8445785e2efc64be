"""Network devices of a container: those of the host that are moved in, and pairs made for it.

Performed by the runtime, for it takes rights over the host's network and over the container's,
which may belong to a user namespace.
"""

from __future__ import annotations

import errno
import posix

from ..errors import StepProblem, advise
from ..loading.paths import fsdecode, fsencode
from . import links
from .addresses import add_route
from .rtnetlink import Netlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context


_NETWORK, _MOVED = "network of devices", "moved devices"  # in a Context; life/links.py
_LONGEST_ALIAS = 255  # bytes: IFALIASZ, include/uapi/linux/if.h, without the NUL


class Moved:
    """A device that has been moved in, and what it was like on the host."""

    def __init__(self, name: str, new_name: str, addresses: list[str], up: bool) -> None:
        self.name, self.new_name, self.addresses, self.up = name, new_name, addresses, up


def move_net_device(context: Context, name: str, new_name: str) -> None:
    """Move a device in, with the addresses that it is to keep; up."""
    if _NETWORK not in context.fds:  # kept for give_back()
        context.keep(_NETWORK, links.netns_of(context.pid))
    netns = context.fds[_NETWORK]
    moved: list[Moved] = context.values.setdefault(_MOVED, [])
    try:
        with Netlink() as here, links.Elsewhere(netns) as there:
            one = Moved(name, new_name, links.kept_addresses(here, name), links.is_up(here, name))
            if links.alias_of(there, new_name) is not None:  # it would lose its routes in vain
                what = f"the container has a device {new_name!r} already"
                raise OSError(errno.EEXIST, f"{what}: {posix.strerror(errno.EEXIST)}")
            try:
                links.move_link(here, name, netns, new_name)
            except BaseException:
                # The kernel moves it first, and may then refuse its new name.
                _take_back(here, there, one, name)
                raise
            moved.append(one)
            for address in one.addresses:
                links.add_address(there, new_name, address)
            there.set_link_up(new_name)
    except OSError as error:
        raise _explained(error) from None
    except ValueError as error:
        raise StepProblem(str(error)) from None


def give_back(context: Context) -> list[str]:
    """After a failed start: the devices are the host's again; what has failed is returned."""
    failures: list[str] = []
    moved: list[Moved] = context.values.pop(_MOVED, [])
    if not moved:
        return failures
    with Netlink() as here, links.Elsewhere(context.fds[_NETWORK]) as there:
        for one in reversed(moved):
            try:
                _take_back(here, there, one, one.new_name)
            except OSError as error:
                what = f"cannot take back the network device {one.name!r}"
                failures.append(f"{what}: {error.strerror}")
    return failures


def _take_back(here: Netlink, there: Netlink, one: Moved, name: str) -> None:
    """name: what it is called in there, if it is there."""
    if links.alias_of(here, one.name) is None:
        own = posix.open("/proc/thread-self/ns/net", posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            links.move_link(there, name, own, one.name)
        finally:
            posix.close(own)
    if one.up:
        here.set_link_up(one.name)
    for address in one.addresses:
        try:
            links.add_address(here, one.name, address)
        except OSError as error:
            if error.errno != errno.EEXIST:
                raise


def make_veth(
    context: Context,
    host_name: str,
    name: str,
    settings: tuple[tuple[str, str], ...],
    addresses: tuple[str, ...],
    gateways: tuple[str, ...],
) -> None:
    """Make a pair of devices, one of them in the container, up.

    The host's end has an alias by which its removal knows it.
    settings: mac, mtu, queue, bridge, host_address, hairpin: as far as they are given.
    """
    given = dict(settings)
    netns = links.netns_of(context.pid)
    try:
        with Netlink() as here, links.Elsewhere(netns) as there:
            try:
                links.add_veth(
                    here,
                    host_name,
                    name,
                    netns,
                    peer_mac=links.mac_address(given["mac"]) if "mac" in given else b"",
                    mtu=int(given.get("mtu", 0)),
                    queue=int(given.get("queue", 0)),
                    alias=alias_of_container(context.values["unique"]),
                )
            except OSError as error:
                if error.errno == errno.EOPNOTSUPP:
                    advise(error, "this kernel has no such device: load the module veth")
                raise
            if "bridge" in given:
                try:
                    links.set_master(here, host_name, given["bridge"])
                except OSError as error:
                    if error.errno == errno.EOPNOTSUPP:
                        advise(error, f"{given['bridge']!r} is not a bridge")
                    raise
            if "hairpin" in given:
                links.set_hairpin(here, host_name)
            for address in given.get("host_address", "").split():
                links.add_address(here, host_name, address)
            here.set_link_up(host_name)
            for address in addresses:
                links.add_address(there, name, address)
            there.set_link_up(name)
            for gateway in gateways:
                # A gateway of the link alone (fe80::1) is found by its link.
                add_route(there, "", gateway=gateway, index=there.link_index(name))
    except OSError as error:
        raise _explained(error) from None
    except ValueError as error:
        raise StepProblem(str(error)) from None
    finally:
        posix.close(netns)


def alias_of_container(unique: str) -> str:
    """unique: a name that no other container has or has had; what is too long loses its front,
    for the id and the time are at its end.
    """
    most = _LONGEST_ALIAS - len("libct ")
    return "libct " + fsdecode(fsencode(unique)[-most:])


def remove_veth(host_name: str, unique: str) -> None:
    """Remove a pair that make_veth() has made for that container, if it is there still.

    The kernel does so by itself when it gets round to removing the container's network
    namespace, which others may hold.
    """
    with Netlink() as netlink:
        if links.alias_of(netlink, host_name) == alias_of_container(unique):
            try:
                links.delete_link(netlink, host_name)
            except OSError as error:
                if error.errno != errno.ENODEV:  # just now
                    raise


def _explained(error: OSError) -> OSError:
    if error.errno in (errno.EPERM, errno.EACCES):
        advise(error, "it takes CAP_NET_ADMIN over the host's network")
    return error
