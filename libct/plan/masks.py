"""Masked and read-only paths (config-linux.md, Masked Paths, Readonly Paths)."""

from __future__ import annotations

from .calls import IF_THERE
from .held import Bases
from .paths import inside
from .step import Performers, Step, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..config import Config
    from ..rootfs import masks
    from ..rootfs.flags import Options
else:
    masks = Performers("rootfs.masks")


_MOVE = 'move_mount("", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)'


def read_only_path_steps(config: Config) -> list[Step]:
    bases = Bases(config.mounts)
    return [
        make_read_only(path, bases.base(path), why=f"linux.readonlyPaths[{index}]")
        for path, index in _once(config.readonly_paths)
    ]


def masked_path_steps(config: Config) -> list[Step]:
    options: tuple[Options, ...] = ()
    if config.mount_label:
        from .labels import context_options

        options = (context_options(config),)
    bases = Bases(config.mounts)
    return [
        mask(path, bases.base(path), *options, why=f"linux.maskedPaths[{index}]")
        for path, index in _once(config.mask_paths)
    ]


def _once(paths: list[str]) -> Iterable[tuple[str, int]]:
    """(path, its first place in the list): what is covered already is not covered again."""
    found: dict[str, int] = {}
    for index, path in enumerate(map(inside, paths)):
        found.setdefault(path, index)
    return found.items()


@operation(masks.make_read_only, "make {0} read-only")
def make_read_only(path: str, base: str) -> list[str]:
    return [
        *_sure_calls(path, base),
        IF_THERE + 'open_tree("", OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC|AT_EMPTY_PATH|AT_RECURSIVE)',
        IF_THERE + 'mount_setattr("", AT_EMPTY_PATH|AT_RECURSIVE, MOUNT_ATTR_RDONLY)',
        IF_THERE + _MOVE,
    ]


@operation(masks.mask, "mask {0}")
def mask(path: str, base: str, options: Options = ()) -> list[str]:
    return [
        *_sure_calls(path, base),
        IF_THERE + 'open_tree("", OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC|AT_EMPTY_PATH)',
        IF_THERE + _MOVE,
    ]


def _sure_calls(path: str, base: str) -> list[str]:
    """A path that is not there has no mount made on it."""
    if base:
        below = path[len(base) :].lstrip("/") or "."
        return [f'openat2("{below}", O_PATH, RESOLVE_BENEATH)']
    return [f'openat2("{path}", O_PATH, RESOLVE_IN_ROOT)']
