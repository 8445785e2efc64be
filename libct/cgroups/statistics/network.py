"""The network devices of a container: /proc/PID/net/dev, of the namespace of that process."""

from __future__ import annotations

from .records import NetworkInterface

# The columns of proc_net(5), dev, that are told: index -> field.
_COLUMNS = (
    *((0, "rx_bytes"), (1, "rx_packets"), (2, "rx_errors"), (3, "rx_dropped")),
    *((8, "tx_bytes"), (9, "tx_packets"), (10, "tx_errors"), (11, "tx_dropped")),
)


def interfaces(text: str) -> list[NetworkInterface]:
    """text: of the file.  Pure."""
    found = []
    for line in text.splitlines():
        name, colon, rest = line.rpartition(":")
        numbers = rest.split()
        if colon and len(numbers) >= 12 and all(one.isdigit() for one in numbers):
            values = {field: int(numbers[index]) for index, field in _COLUMNS}
            found.append(NetworkInterface(name.strip(), **values))
    return found
