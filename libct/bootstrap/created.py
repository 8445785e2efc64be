"""The runtime's own steps once a process is all that it is to be."""

from __future__ import annotations

import posix

from ..syscalls.process import pidfd_open
from ..syscalls.sockets import send_descriptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .context import Context


def send_pidfd(context: Context, name: str) -> None:
    """To context.values["pidfd socket"], which the process is not to have.

    context.pid is our child and not yet waited for, so nobody else's number.
    """
    pidfd = pidfd_open(context.pid)
    try:
        send_descriptor(context.values["pidfd socket"], pidfd, name.encode())
    finally:
        posix.close(pidfd)


def record_created(context: Context) -> None:
    """Its state file says so from here on."""
    context.values["created"]()


def end_mounting(context: Context) -> None:
    """Its turn says it: the stage has done all, and leaves."""


def let_go(context: Context) -> None:
    """The runtime is there to do it.

    Without it the process ends here (docs/architecture.md, invariant 6).
    """
