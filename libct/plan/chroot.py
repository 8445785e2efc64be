"""A root held by a descriptor, and made the root directory by chroot(2) alone."""

from __future__ import annotations

from .step import Performers, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..rootfs import chroot
else:
    chroot = Performers("rootfs.chroot")


@operation(chroot.open_root, "open the rootfs {0}")
def open_root(path: str) -> list[str]:
    return [f'openat("{path}", O_PATH|O_DIRECTORY|O_CLOEXEC)']


@operation(chroot.change_root, "make the rootfs the root directory by chroot")
def change_root() -> list[str]:
    return ["fchdir()", 'chroot(".")', 'chdir("/")']
