"""Bind mounts whose source or destination is a symbolic link (plan/links.py)."""

from __future__ import annotations

import errno
import posix

from ..config.mount_flags import EXT_COPY_SYMLINK, EXT_DEST_NOFOLLOW, EXT_SRC_NOFOLLOW
from ..errors import StepProblem
from .binds import attach_tree, bind, clone_tree
from .paths import make_in_root, open_in_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context


def bind_with_links(
    context: Context,
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
) -> None:
    """how: EXT_COPY_SYMLINK, or EXT_SRC_NOFOLLOW and EXT_DEST_NOFOLLOW."""
    changes = (attr_set, attr_clr, asked, rec_set, rec_clr, propagation)
    if how & EXT_COPY_SYMLINK:
        link = _link(source)
        if link is None:
            bind(context, target, source, recursive, "", *changes)
        else:
            _make_link(context.fds["root"], target, link)
        return
    tree = clone_tree(source, recursive=recursive, follow=not how & EXT_SRC_NOFOLLOW)
    place = _itself(context.fds["root"], target) if how & EXT_DEST_NOFOLLOW else -1
    attach_tree(context, target, source, tree, place, *changes)


def _link(path: str) -> str | None:
    """What the link path contains; None where it is no link."""
    try:
        return posix.readlink(path)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return None


def _make_link(root: int, target: str, link: str) -> None:
    """A link that is there already is taken if it is the same; anything else is an error."""
    above, _, name = target.rpartition("/")
    parent = make_in_root(root, above or "/", directory=True)
    try:
        posix.symlink(link, name, dir_fd=parent)
    except FileExistsError:
        try:
            found = posix.readlink(name, dir_fd=parent)
        except OSError:
            found = None
        if found != link:
            raise StepProblem(f"{target} is there already and is not a link to {link!r}") from None
    finally:
        posix.close(parent)


def _itself(root: int, target: str) -> int:
    """What is at target, though it be a link; as with crun it has to be there.

    The directories before that are looked up as ever.
    """
    return open_in_root(root, target, posix.O_PATH | posix.O_NOFOLLOW)
