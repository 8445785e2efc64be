"""A mount of a running container: known again by its number, and removed."""

from __future__ import annotations

import posix

from ..errors import StepProblem
from ..syscalls.constants import MNT_DETACH
from ..syscalls.mounts import umount2
from .attach import path_of
from .held import held
from .paths import open_in_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context


def note_mount(context: Context, place: str, target: str) -> None:
    """Tell the runtime the mount's number, and where it is when all links are followed."""
    tree = held(context, target)
    if tree >= 0:
        text = f"{_number(context, tree)} {path_of(context, tree)}"
        context.values["talk"].tell(("found", context.step, text))


def remove_mount(context: Context, destination: str, path: str, number: int) -> None:
    """Unmount path, if the mount of this number is what is seen there, and no other.

    The kernel gives the number to no other mount as long as that one is there, so a
    container cannot lead us to a mount that protects from it.  What is open in there stays.
    """
    root = context.fds["root"]
    flags = posix.O_PATH | posix.O_NOFOLLOW
    try:
        place = open_in_root(root, path, flags, symlinks=False, missing_ok=True)
    except OSError as error:
        raise _gone(destination) from error
    try:
        if place < 0 or _number(context, place) != number:
            raise _gone(destination)
        # umount2(2) takes no descriptor: by the host's /proc, as mount_on() does.
        posix.fchdir(context.fds["proc"])
        umount2(f"self/fd/{place}", MNT_DETACH)
    finally:
        if place >= 0:
            posix.close(place)


def _gone(destination: str) -> StepProblem:
    return StepProblem(
        f"what was mounted on {destination} is no longer seen there",
        "the container has moved, unmounted or covered it",
    )


def _number(context: Context, fd: int) -> int:
    """The id of the mount that fd is on, as in /proc/PID/mountinfo."""
    name = f"self/fdinfo/{fd}"
    info = posix.open(name, posix.O_RDONLY | posix.O_CLOEXEC, dir_fd=context.fds["proc"])
    try:
        text = posix.read(info, 4096).decode("ascii")
    finally:
        posix.close(info)
    return int(text.partition("mnt_id:")[2].split()[0])
