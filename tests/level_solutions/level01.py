"""An IPC namespace has the System V objects and the POSIX message queues."""

from libct.syscalls.namespaces import CLONE_NEWIPC, unshare


def exercise(host: object) -> None:
    unshare(CLONE_NEWIPC)
