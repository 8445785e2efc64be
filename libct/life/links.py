"""Pairs of network devices that a start has made: removed with the container."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .record import Record


def unique_name(record: Record, path: str) -> str:
    """Also unlike that of an earlier container of the same id."""
    return f"{path} {record.created}"


def remove_links(record: Record, path: str) -> list[str]:
    """Remove the host's ends, and so the pairs; what could not be removed is returned, as text.

    path: the container's directory.
    """
    if not record.has_links:
        return []
    from ..network.devices import remove_veth
    from ..plan.network import host_interface

    failures = []
    for index, network in enumerate(record.config.networks):
        if network.type == "veth":
            name = host_interface(network, record.id, index)
            try:
                remove_veth(name, unique_name(record, path))
            except OSError as error:
                failures.append(f"cannot remove the network device {name!r}: {error.strerror}")
    return failures
