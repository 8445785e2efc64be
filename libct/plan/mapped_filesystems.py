"""Id-mapped mounts of new file systems, where the kernel can map those (Linux 6.3 for tmpfs).

The server makes and maps them, as the sources of id-mapped bind mounts: to the
container's root the file system is the host's then, and so are its ids before
they are mapped.  The first process puts them in their places.
"""

from __future__ import annotations

from ..config.mount_flags import MS_RDONLY
from .idmapped import mapping_calls, mapping_of
from .mounts import after, finish_calls, is_bind, option_calls, read_only_late, split_options
from .paths import inside
from .step import Performers, Step, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config import Config, Mount
    from ..rootfs import idmapped
    from ..rootfs.flags import Options
else:
    idmapped = Performers("rootfs.idmapped")


def make_steps(config: Config) -> list[Step]:
    """The server's."""
    steps = []
    for index, mount in enumerate(config.mounts):
        if mount.id_mapping is None or is_bind(mount):
            continue
        flags = mount.flags
        if read_only_late(mount, inside(mount.destination)):
            flags &= ~MS_RDONLY
        source = mount.source or mount.device
        _, _, *maps = mapping_of(config, mount.id_mapping)
        more = (split_options(mount.data), flags, *maps)
        steps.append(
            make_idmapped(f"source {index}", mount.device, source, *more, why=f"mounts[{index}]")
        )
    return steps


def attach_steps(mount: Mount, index: int) -> list[Step]:
    target, source = inside(mount.destination), mount.source or mount.device
    more = (f"source {index}", *after(mount))
    return [attach_mapped(target, source, *more, why=f"mounts[{index}]")]


@operation(idmapped.make_idmapped, "make a file system {1} with its ids mapped")
def make_idmapped(
    slot: str,
    fstype: str,
    source: str,
    options: Options,
    flags: int,
    path: str,
    uids: str,
    gids: str,
) -> list[str]:
    return [
        f'fsopen("{fstype}", FSOPEN_CLOEXEC)',
        *option_calls(options),
        "fsconfig(FSCONFIG_CMD_CREATE)",
        "fsmount(FSMOUNT_CLOEXEC)",
        *mapping_calls(False, False, path, uids, gids),
    ]


@operation(idmapped.attach_mapped, "mount {1} on {0} with its ids mapped")
def attach_mapped(
    target: str,
    source: str,
    slot: str,
    rec_set: int,
    rec_clr: int,
    propagation: tuple[int, ...],
) -> list[str]:
    return [
        f'openat2("{target}", O_PATH, RESOLVE_IN_ROOT)',
        'move_mount("", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)',
        *finish_calls(rec_set, rec_clr, propagation),
    ]
