"""Links and files that are made in a rootfs (Config.entries), and nothing replaced."""

from __future__ import annotations

import errno
import posix

from ..errors import StepProblem
from ..loading.paths import split
from .paths import make_in_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..bootstrap.context import Context


def link_entry(context: Context, path: str, target: str) -> None:
    def make(parent: int, name: str) -> None:
        try:
            posix.symlink(target, name, dir_fd=parent)
        except FileExistsError:
            if _link(parent, name) != target:  # made again, it would be the same
                raise

    _make(context, path, make)


def file_entry(context: Context, path: str, content: str) -> None:
    def make(parent: int, name: str) -> None:
        flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC
        file = posix.open(name, flags, 0o644, dir_fd=parent)
        try:
            left = content.encode("utf-8", "surrogateescape")
            while left:
                left = left[posix.write(file, left) :]
        finally:
            posix.close(file)

    _make(context, path, make)


def _make(context: Context, path: str, make: Callable[[int, str], None]) -> None:
    above, name = split(path)
    parent = make_in_root(context.fds["root"], above or "/", directory=True)
    try:
        make(parent, name)
    except OSError as error:
        if error.errno == errno.EEXIST:
            raise StepProblem(f"there is something at {path} already") from None
        raise
    finally:
        posix.close(parent)


def _link(parent: int, name: str) -> str:
    try:
        return posix.readlink(name, dir_fd=parent)
    except OSError:
        return ""
