"""Mounts that are held by a descriptor, for what later steps make on them (plan/held.py)."""

from __future__ import annotations

import errno
import posix

from ..errors import StepProblem
from ..syscalls.files import RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, openat2
from .paths import find_in_root, make_in_root, open_in_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context


class OtherMount(StepProblem):
    """What lies in the rootfs by its path is on a mount that is none of the configuration's."""


def hold_mounts(context: Context, targets: tuple[str, ...]) -> None:
    """Those that are made on targets from now on; of several on one, the last."""
    context.values["hold"] = targets


def hold(context: Context, target: str, tree: int) -> None:
    """Hold the mount tree that has been made on target, if it is one of those.

    tree: a descriptor, borrowed.
    """
    if target in context.values.get("hold", ()):
        context.keep(_slot(target), posix.dup(tree))


def held(context: Context, target: str) -> int:
    """A descriptor of the mount that is held of target, borrowed; -1 for none."""
    return context.fds.get(_slot(target), -1)


def _slot(target: str) -> str:
    return f"mount {target}"


def find_below(context: Context, path: str, base: str, flags: int = posix.O_PATH) -> int:
    """A descriptor of path, or -1 where there is nothing.

    base: the mount that it lies on, where that has been made by the plan.  Then its
    absence is believed of that mount alone, wherever it is by now: somebody
    could have put an empty directory in its place for a moment.
    """
    if base:
        resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS
        below = path[len(base) :].lstrip("/") or "."
        top = context.fds[_slot(base)]
        try:
            return openat2(below, flags, dirfd=top, resolve=resolve, missing_ok=True)
        except NotADirectoryError:
            return -1
        except OSError as error:
            # A link that leads elsewhere, which proc and sysfs have none of.
            if error.errno != errno.EXDEV:
                raise
    return find_in_root(context.fds["root"], path, flags)


def parent_below(context: Context, path: str, base: str) -> tuple[int, str]:
    """(descriptor of the directory that holds path, made when missing; last name).

    base: as of find_below.  The directory is on that mount, or on the rootfs itself:
    what is made in it never gets onto another one, which may be the host's.  Raises
    OtherMount where one was there before the start.
    The descriptor stays the context's, which has it at hand for the next path
    in the same directory.
    """
    parent, _, name = path.rstrip("/").rpartition("/")
    if not name or name in (".", ".."):
        raise StepProblem(f"{path!r} names no file")
    if context.values.get("parent") != (parent, base):
        top = context.fds[_slot(base) if base else "root"]
        try:
            made = make_in_root(top, parent[len(base) :] or "/", directory=True, mounts=False)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            raise _other_mount(context, parent) from None
        context.keep("parent", made)
        context.values["parent"] = parent, base
    return context.fds["parent"], name


def _other_mount(context: Context, parent: str) -> StepProblem:
    """Something may be mounted in the rootfs before the start; or a link leads to a mount."""
    try:
        fd = open_in_root(context.fds["root"], parent, symlinks=False, missing_ok=True)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return StepProblem(
            f"{parent} leads to another mount, which may be the host's",
            "look for links of the image in this path",
        )
    if fd >= 0:
        posix.close(fd)
    return OtherMount(
        f"{parent} is on another mount that was there before, which may be the host's",
        "have the configuration mount a tmpfs there, or do so with the device in it",
    )


def open_made(parent: int, name: str) -> int:
    """An O_PATH descriptor of name in the directory parent; -1 where another mount covers it."""
    flags = posix.O_PATH | posix.O_NOFOLLOW
    try:
        return open_in_root(parent, name, flags, mounts=False)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return -1
