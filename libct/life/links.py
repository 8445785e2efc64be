"""Network devices of a start: pairs that it has made, and those that it has moved."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context
    from .record import Record

MOVED = "moved devices"  # in a Context


def unique_name(record: Record, path: str) -> str:
    """Also unlike that of an earlier container of the same id."""
    return f"{path} {record.created}"


def give_back_devices(context: Context) -> list[str]:
    """Those that a start has moved before it failed; what could not be given back, as text."""
    if not context.values.get(MOVED):
        return []
    from ..network.devices import give_back

    return give_back(context)


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
