"""The root directory, held by a descriptor and changed by chroot(2) alone.

For a container without a mount namespace of its own, and for a further process
in the one of its container.
"""

from __future__ import annotations

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context


def open_root(context: Context, path: str) -> None:
    """Hold the rootfs under "root", where no mount namespace is there to mount it in."""
    context.keep("root", posix.open(path, posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC))


def change_root(context: Context) -> None:
    posix.fchdir(context.fds["root"])
    posix.chroot(".")
    posix.chdir("/")
