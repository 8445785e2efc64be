"""Bind mounts whose source or destination is a symbolic link, as crun has them.

copy-symlink makes a link like the source, where that is one, instead of a mount; src-nofollow
mounts the link itself; dest-nofollow mounts on what is there, though it is a link.
The source is opened when the mount is made, by the container's root.
"""

from __future__ import annotations

from ..config.mount_flags import EXT_COPY_SYMLINK, EXT_LINKS, EXT_SRC_NOFOLLOW, MS_REC
from ..rootfs.flags import named_attributes
from .mounts import after, finish_calls, setattr_call
from .paths import inside
from .step import Performers, Step, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config import Mount
    from ..rootfs import links
else:
    links = Performers("rootfs.links")


def link_steps(mount: Mount, index: int) -> list[Step]:
    recursive, how = bool(mount.flags & MS_REC), mount.extensions & EXT_LINKS
    changes = (*named_attributes(mount.flags, mount.cleared_flags), *after(mount))
    target = inside(mount.destination)
    return [bind_with_links(target, mount.source, recursive, how, *changes, why=f"mounts[{index}]")]


@operation(links.bind_with_links, "bind {1} on {0}, treating links as asked")
def bind_with_links(
    target: str,
    source: str,
    recursive: bool,
    how: int,
    attr_set: int,
    attr_clr: int,
    asked: int,
    rec_set: int,
    rec_clr: int,
    propagation: tuple[int, ...],
) -> list[str]:
    if how & EXT_COPY_SYMLINK:
        return [f'readlink("{source}")']
    rec = "|AT_RECURSIVE" if recursive else ""
    link = "|AT_SYMLINK_NOFOLLOW" if how & EXT_SRC_NOFOLLOW else ""
    calls = [f'open_tree(AT_FDCWD, "{source}", OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC{rec}{link})']
    calls.append(f'openat2("{target}", O_PATH, RESOLVE_IN_ROOT)')
    if attr_set or attr_clr:
        calls.append(setattr_call(attr_set, attr_clr))
    calls.append('move_mount("", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)')
    return calls + finish_calls(rec_set, rec_clr, propagation)
