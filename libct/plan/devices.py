"""Device nodes and the links of /dev (config-linux.md, Default Devices; runc's set)."""

from __future__ import annotations

import _stat as stat

from ..config.namespace import NEWNS, NEWUSER
from ..loading.paths import split
from .held import Bases
from .mounts import is_bind
from .paths import inside
from .step import Performers, Step, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config import Config
    from ..rootfs import devices
else:
    devices = Performers("rootfs.devices")

_LINKS = (
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/core", "/proc/kcore"),
    ("/dev/ptmx", "pts/ptmx"),
)
_KINDS = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}
_KIND_NAMES = {stat.S_IFCHR: "S_IFCHR", stat.S_IFBLK: "S_IFBLK", stat.S_IFIFO: "S_IFIFO"}


def device_steps(config: Config) -> list[Step]:
    """The nodes and links, unless /dev is the user's own (a bind mount) or the host's rootfs's.

    Nor is a node made on any other bind mount: what is there is the user's, or the host's.
    """
    if not any(namespace.type == NEWNS for namespace in config.namespaces):
        return []  # what would be made in the rootfs would stay there
    if any(is_bind(mount) and inside(mount.destination) == "/dev" for mount in config.mounts):
        return []
    # A user namespace may not make nodes that work: the host's are bound instead.
    binding = any(namespace.type == NEWUSER for namespace in config.namespaces)
    bases = Bases(config.mounts)
    steps = []
    for index, device in enumerate(config.devices):
        path = inside(device.path)
        if path in ("/dev/console", "/dev/ptmx"):
            continue  # the console and the link to pts/ptmx have these places
        below = bases.mount(split(path)[0])
        if below is not None and is_bind(below):
            continue
        base = inside(below.destination) if below is not None else ""
        why = f"linux.devices[{index}]"
        fifo = device.type == "p"
        number = (0, 0) if fifo else (device.major, device.minor)
        if binding and not fifo:
            steps.append(bind_device(path, _KINDS[device.type], *number, base, why=why))
        else:
            mode = _KINDS[device.type] | (device.file_mode & 0o7777)
            owner = (device.uid or 0, device.gid or 0)
            steps.append(make_device(path, mode, *number, *owner, base, why=why))
    base = bases.base("/dev")
    return steps + [make_link(path, target, base) for path, target in _LINKS]


@operation(devices.make_device, "make the device node {0}")
def make_device(
    path: str, mode: int, major: int, minor: int, uid: int, gid: int, base: str
) -> list[str]:
    name = split(path)[1]
    kind = _KIND_NAMES[stat.S_IFMT(mode)]
    permissions = f"{stat.S_IMODE(mode):#o}".replace("0o", "0")
    number = "" if kind == "S_IFIFO" else f", makedev({major:#x}, {minor:#x})"
    calls = [
        f'mknodat("{name}", {kind}|{permissions}{number})',
    ]
    if uid or gid:
        calls.append(f'openat2("{name}", O_PATH|O_NOFOLLOW, RESOLVE_NO_XDEV)')
        calls.append(f"fchownat({uid}, {gid})")
    return calls


@operation(devices.bind_device, "bind the host's {0}")
def bind_device(path: str, kind: int, major: int, minor: int, base: str) -> list[str]:
    return [
        f'open_tree(AT_FDCWD, "{path}", OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC)',
        f'openat2("{split(path)[1]}", O_PATH|O_NOFOLLOW, RESOLVE_NO_XDEV)',
        'move_mount("", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)',
    ]


@operation(devices.make_link, "make the link {0} to {1}")
def make_link(path: str, target: str, base: str) -> list[str]:
    if path == "/dev/core":
        return []  # it depends
    return [f'symlinkat("{target}", "{split(path)[1]}")']
