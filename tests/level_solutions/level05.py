"""Abstract sockets are of the network namespace."""

from libct.syscalls.namespaces import CLONE_NEWNET, unshare


def exercise(host: object) -> None:
    unshare(CLONE_NEWNET)
