"""Device nodes, the rules of access to devices, and the nodes every container has."""

from __future__ import annotations

from .record import Record


class DeviceRule(Record):
    """What the container may do with devices (config-linux.md, Allowed Device list)."""

    type: str = "a"  # "a" all, "b" block, "c" character
    major: int = -1  # -1: any
    minor: int = -1
    permissions: str = "rwm"  # read, write, mknod
    allow: bool = True


class Device(Record):
    """A device node in the container, and the access to it."""

    path: str
    type: str  # "c", "b", or "p" for a fifo
    major: int = 0
    minor: int = 0
    permissions: str = "rwm"
    allow: bool = True
    file_mode: int = 0o666  # permission bits
    uid: int = 0  # in the container
    gid: int = 0

    @property
    def rule(self) -> DeviceRule:
        return DeviceRule(self.type, self.major, self.minor, self.permissions, self.allow)


# config-linux.md, Default Devices; numbers from Documentation/admin-guide/devices.txt.
ALLOWED_DEVICES = (
    Device("/dev/null", "c", 1, 3),
    Device("/dev/random", "c", 1, 8),
    Device("/dev/full", "c", 1, 7),
    Device("/dev/tty", "c", 5, 0),
    Device("/dev/zero", "c", 1, 5),
    Device("/dev/urandom", "c", 1, 9),
)
