"""The root directory, held by a descriptor and changed by chroot(2) alone.

For a container without a mount namespace of its own, and for a further process
in the one of its container.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context


def open_root(context: Context, path: str) -> None:
    """Hold the rootfs under "root", where no mount namespace is there to mount it in."""
    context.keep("root", os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))


def change_root(context: Context) -> None:
    os.fchdir(context.fds["root"])
    os.chroot(".")
    os.chdir("/")
