"""Id-mapped bind mounts: their sources, which the server makes before it clones."""

from __future__ import annotations

from ..config.mount_flags import MS_BIND, MS_REC, MS_SHARED
from ..config.namespace import NEWUSER, map_text
from .step import Performers, Step, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

    from ..config import Config
    from ..config.mount import MountIDMapping

    # slot, path on the host, recursive
    Source = tuple[str, str, bool]
    # slave, recursive, path of a user namespace or "", the maps of a new one
    Mapping = tuple[bool, bool, str, str, str]
    from ..rootfs import idmapped
else:
    idmapped = Performers("rootfs.idmapped")


def idmapped_source_steps(config: Config, lent: Container[int] = ()) -> list[Step]:
    """The server's: the sources of id-mapped mounts, opened and mapped.

    lent: the indices of those that somebody else opens.
    """
    return [
        open_idmapped(*source, *mapping, why=f"mounts[{index}]")
        for index, source, mapping in idmapped_sources(config)
        if index not in lent
    ]


def idmapped_sources(config: Config) -> list[tuple[int, Source, Mapping]]:
    """(index, (slot, source, recursive), mapping) of all id-mapped bind mounts.

    Without mappings of its own a mount takes those of the container.
    """
    found: list[tuple[int, Source, Mapping]] = []
    for index, mount in enumerate(config.mounts):
        if mount.id_mapping is not None and (mount.flags & MS_BIND or mount.device == "bind"):
            source = (f"source {index}", mount.source, bool(mount.flags & MS_REC))
            found.append((index, source, mapping_of(config, mount.id_mapping)))
    return found


def mapping_of(config: Config, mapping: MountIDMapping) -> Mapping:
    # It is made in the host's mount namespace, and is a peer of the host's mount:
    # what is mounted in the one appears in the other, unless it becomes a slave.
    slave = not config.root_propagation & MS_SHARED
    path = mapping.userns_path
    uids, gids = map_text(mapping.uid_mappings), map_text(mapping.gid_mappings)
    if not path and not uids:
        path = _joined_user_namespace(config)
        uids, gids = map_text(config.uid_mappings), map_text(config.gid_mappings)
    return slave, mapping.recursive, path, uids, gids


def _joined_user_namespace(config: Config) -> str:
    for namespace in config.namespaces:
        if namespace.type == NEWUSER:
            return namespace.path
    return ""


@operation(idmapped.open_idmapped, "open {1} with its ids mapped")
def open_idmapped(
    slot: str,
    source: str,
    recursive: bool,
    slave: bool,
    map_recursive: bool,
    path: str,
    uids: str,
    gids: str,
) -> list[str]:
    rec = "|AT_RECURSIVE" if recursive else ""
    return [
        f'open_tree(AT_FDCWD, "{source}", OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC{rec})',
        *mapping_calls(slave, map_recursive, path, uids, gids),
    ]


def mapping_calls(slave: bool, map_recursive: bool, path: str, uids: str, gids: str) -> list[str]:
    map_rec = "|AT_RECURSIVE" if map_recursive else ""
    return [
        f'openat("{path}", O_RDONLY|O_CLOEXEC)' if path else "clone3({flags=CLONE_NEWUSER})",
        *(['mount_setattr("", AT_EMPTY_PATH|AT_RECURSIVE, MS_SLAVE)'] if slave else []),
        f'mount_setattr("", AT_EMPTY_PATH{map_rec}, MOUNT_ATTR_IDMAP)',
    ]
