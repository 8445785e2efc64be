"""Changes to mounts that are there: their attributes, and the options of their file systems."""

from __future__ import annotations

import posix

from ..syscalls.constants import FSPICK_EMPTY_PATH
from ..syscalls.filesystems import fsconfig_reconfigure, fspick
from .attach import finish, remount_attached, set_attributes
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
    rec_set: int,
    rec_clr: int,
    propagation: tuple[int, ...],
) -> None:
    mount = held(context, target)
    place = posix.dup(mount) if mount >= 0 else open_in_root(context.fds["root"], target)
    try:
        if not set_attributes(place, attr_set, attr_clr):
            remount_attached(context, place, attr_set, attr_clr)
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
