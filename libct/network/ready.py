"""Network namespaces made before they are needed.

Making one takes the kernel as long as all the other namespaces together, and
bringing its loopback device up as long again.  So the server keeps one ready,
which a container's first process enters (setns(2)) instead of being cloned
into a new one.  It is as new: nobody has been in it.  Not with a new user
namespace, which a network namespace of its own would have to belong to, nor
for root of a user namespace, who may leave his own and not return to it.
"""

from __future__ import annotations

import posix

from ..syscalls.namespaces import CLONE_NEWNET, setns, unshare
from .rtnetlink import LOOPBACK_IFINDEX, Netlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..bootstrap.context import Context

_OWN = "/proc/self/ns/net"


class Ready:
    """The namespace that is ready, if one is: the server's, and used by one thread."""

    __slots__ = ("_fd", "_wanted")

    def __init__(self) -> None:
        self._fd = -1
        self._wanted = False

    def expect(self) -> None:
        """One will be asked for soon."""
        self._wanted = True
        self.refill()

    def take(self) -> int:
        """A descriptor of a new namespace with its loopback up; close-on-exec, the caller's."""
        self._wanted = True
        fd, self._fd = self._fd, -1
        return fd if fd >= 0 else _make()

    def refill(self) -> None:
        """Make the next one, once there has been a first; for when there is nothing else to do."""
        if self._wanted and self._fd < 0:
            try:
                self._fd = _make()
            except OSError:
                self._wanted = False  # take() will meet it again, and has somebody to tell


def _make() -> int:
    own = posix.open(_OWN, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        setns(own, CLONE_NEWNET)  # it is where we are, and EPERM if we could not come back
        unshare(CLONE_NEWNET)
        try:
            with Netlink() as netlink:
                netlink.set_link_up(LOOPBACK_IFINDEX)
            return posix.open(_OWN, posix.O_RDONLY | posix.O_CLOEXEC)
        finally:
            _return(own)
    finally:
        posix.close(own)


def _return(own: int) -> None:
    try:
        setns(own, CLONE_NEWNET)
    except OSError:
        posix._exit(71)  # EX_OSERR: a server in the wrong namespace must serve nobody


def ready(kept: dict[str, Any]) -> Ready:
    """That of a server.  kept: what it keeps from one request to the next."""
    if "networks" not in kept:
        kept["networks"] = Ready()
    found: Ready = kept["networks"]
    return found


def get_network(context: Context) -> None:
    """Held under "network".  The server's step; mostly the namespace is ready already."""
    context.keep("network", ready(context.values["kept"]).take())


def enter_network(context: Context) -> None:
    setns(context.fds["network"], CLONE_NEWNET)
    context.release("network")
