"""The tmpfs first, though either order will do: attributes are of one mount."""

from libct.syscalls.constants import MOUNT_ATTR_RDONLY
from libct.syscalls.mounts import mount, mount_setattr


def exercise(host: object) -> None:
    mount("tmpfs", "/tmp", "tmpfs")
    mount_setattr("/", attr_set=MOUNT_ATTR_RDONLY)
