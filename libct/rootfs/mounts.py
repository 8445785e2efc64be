"""Changes to mounts that are there: their attributes, and the options of their file systems."""

from __future__ import annotations

import posix

from ..syscalls.constants import FSPICK_EMPTY_PATH
from ..syscalls.filesystems import fsconfig_reconfigure, fspick
from .attach import change_attached, change_attributes, finish
from .filesystems import configure
from .held import held
from .paths import open_in_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context
    from .flags import Options


def remount(
    context: Context,
    target: str,
    attr_set: int,
    attr_clr: int,
    asked: int,
    rec_set: int,
    rec_clr: int,
    propagation: tuple[int, ...],
) -> None:
    mount = held(context, target)
    place = posix.dup(mount) if mount >= 0 else open_in_root(context.fds["root"], target)
    try:
        if not change_attributes(context, place, target, attr_set, attr_clr, asked):
            change_attached(context, place, target, attr_set, attr_clr, asked)
        finish(context, place, rec_set, rec_clr, propagation)
    finally:
        posix.close(place)


def reconfigure(context: Context, target: str, options: Options) -> None:
    """Wherever else the same file system is mounted they change, too."""
    place = open_in_root(context.fds["root"], target)
    try:
        fs = fspick(place, "", FSPICK_EMPTY_PATH)
    finally:
        posix.close(place)
    try:
        configure(fs, options)
        fsconfig_reconfigure(fs)
    finally:
        posix.close(fs)
