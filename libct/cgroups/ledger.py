"""The control groups that one container has made, and those that it took over empty.

The ledger is a file in the container's directory.  A line is added before a group
is made and another one after that, so whatever instant the runtime is killed at,
what it has made can be told from what was there.  Only that is undone after a
failed start, and removed with the container.

    intended MARK PATH  about to be made: removed if it is there, empty and not another's;
                     nothing in it is killed
    made MARK PATH   the container's own group
    taken MARK PATH  was there, empty, and is the container's from here on, as with runc
    above - PATH     a level above it that libct has made: removed when it is empty
    left - PATH      not the container's, or not any more

The mark says whether the group is still the one that the line is about: another
container may have taken it over since, or it was removed and somebody else made
one of this path.  It is an extended attribute of the group that only root of the
host may write; for an ordinary user it is the number of the inode.
"""

from __future__ import annotations

import posix

from ..errors import CgroupError, ContainerDamaged
from ..loading.paths import is_directory, is_plain_path
from . import files, killing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Protocol

    class Paper(Protocol):
        """Where the ledger is written (life/directory.py)."""

        def append(self, name: str, text: str) -> None: ...

        def text(self, name: str) -> str: ...


NAME = "groups"  # of the file
_ATTRIBUTE = "trusted.libct"  # xattr(7): for CAP_SYS_ADMIN in the first user namespace
_BYTES = 8  # of a mark
_OWN = ("made", "taken")
_UNMARKED = ("above", "left")
_ABOVE = b"above"  # the mark of a level: whoever leaves it last removes it


class Ledger:
    """What the file says, in the order of its lines."""

    __slots__ = ("_before", "_lines", "_paper")

    def __init__(self, paper: Paper, *, by_force: bool = False) -> None:
        """What is in it already is of an earlier start of the container.

        by_force: a file that is damaged is as good as none, and else ContainerDamaged.
        """
        self._paper = paper
        try:
            found = parse(paper.text(NAME))
        except ContainerDamaged:
            if not by_force:
                raise
            found = {}
        # By path: (what, mark).  What is no group is not ours to signal, freeze or remove.
        self._lines = {path: line for path, line in found.items() if _is_group(path)}
        self._before: dict[str, bytes] = {}  # the marks that were replaced in what was taken

    def own(self) -> list[str]:
        """The container's own groups, those that are there and still are its own."""
        return [
            path
            for path, (what, mark) in self._lines.items()
            if what in _OWN and mark == _mark_of(path, mark)
        ]

    def make(self, path: str, *, above: bool = False) -> bool:
        """mkdir(2), written down; False where it is there already.

        above: it is a level above the container's group.

        Raises OSError: then it has not been made.
        """
        if is_directory(path):
            if above and _read_mark(path) == _ABOVE:
                self._write("above", path)
            return False
        mark = _new_mark()
        self._write("intended", path, mark)
        try:
            posix.mkdir(path, 0o755)
        except OSError as error:
            self._write("left", path)
            if isinstance(error, FileExistsError):
                return False  # somebody else was faster
            raise
        if above:
            self._write("above", path)
            _write_mark(path, _ABOVE)
        else:
            self._write("made", path, _marked(path, mark))
        return True

    def discard(self, path: str) -> bool:
        """Remove a group with nothing in it that a container has left; False where none has.

        It is better made anew than taken: it has limits of another, and where it has
        been killed (cgroup.kill), Linux 6.18 kills whatever is cloned into it from a
        group that has not: cgroup_css_set_fork() counts the kills of that one.
        """
        own = path in self.own()
        if not own and _read_mark(path) in (b"", _ABOVE):
            return False
        try:
            if own:
                files.remove([path])
            else:
                posix.rmdir(path)  # with groups below, whoever's these are, it stays
        except OSError:
            return False
        return True

    def take(self, path: str) -> None:
        """It was there, with nothing in it, and is the container's now."""
        if path not in self.own():
            self._before[path] = _read_mark(path)
            self._write("taken", path, _marked(path, _new_mark()))

    def undo(self) -> list[str]:
        """After a failed start: remove what it has made; what could not be is returned, as text."""
        for path, (what, mark) in list(self._lines.items()):
            if what == "taken":
                if mark == _mark_of(path, mark) and path in self._before:
                    _write_mark(path, self._before[path])
                self._write("left", path)
        return self.remove(by_force=True)

    def remove(self, *, by_force: bool, spare: Collection[int] = ()) -> list[str]:
        """Remove all of it, the lowest first, and with the own groups those below them.

        by_force: end what runs in the own groups; else there is to be nothing that runs.
        spare: processes that are not to be ended.

        What could not be removed stays in the ledger, and is returned as text.
        """
        failures = []
        own = self.own()
        try:
            if by_force:
                killing.kill(own, spare=spare)
            files.remove(own)
        except CgroupError as error:
            failures.append(str(error))
        except OSError as error:
            failures.append(str(files.failure("remove the control group", error)))
        for path, (what, mark) in reversed(list(self._lines.items())):
            # One that was only intended may be another's, who has made it meanwhile.
            if what == "above" or (what == "intended" and _mark_of(path, mark) in ("", mark)):
                try:
                    posix.rmdir(path)
                except OSError:
                    pass  # gone, or used by others, whose it is then
        self._lines = {path: self._lines[path] for path in own if is_directory(path)}
        return failures

    def _write(self, what: str, path: str, mark: str = "-") -> None:
        self._paper.append(NAME, f"{what} {mark} {path}\n")
        self._lines.pop(path, None)
        if what != "left":
            self._lines[path] = what, mark


def parse(text: str) -> dict[str, tuple[str, str]]:
    """Path -> (what, mark).  What is no line, or not written to its end, is as good as none."""
    found: dict[str, tuple[str, str]] = {}
    for line in text.splitlines(keepends=True):
        what, _, rest = line.partition(" ")
        mark, _, path = rest.rstrip("\n").partition(" ")
        known = _is_mark(mark) if what in (*_OWN, "intended") else what in _UNMARKED and mark == "-"
        if not line.endswith("\n") or not known or not is_plain_path(path):
            continue
        found.pop(path, None)
        if what != "left":
            found[path] = what, mark
    return found


def _is_mark(mark: str) -> bool:
    """Whether it is one that _marked() gives.  "" is that of every group that nobody marked."""
    if mark.startswith("inode-"):
        digits, alphabet = mark[len("inode-") :], "0123456789"
    else:
        digits, alphabet = mark if len(mark) == 2 * _BYTES else "", "0123456789abcdef"
    return bool(digits) and not digits.strip(alphabet)


def _is_group(path: str) -> bool:
    """Whether there is a directory of a cgroup file system, and not where one is mounted.

    No container has made the root of a hierarchy, and all processes of the host are in it.
    """
    try:
        fd = posix.open(path, posix.O_PATH | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC)
    except (OSError, ValueError):
        return False
    try:
        above = posix.stat("..", dir_fd=fd)
        return files.on_cgroup_filesystem(fd) and posix.fstat(fd).st_dev == above.st_dev
    except OSError:
        return False
    finally:
        posix.close(fd)


def _new_mark() -> str:
    return posix.urandom(_BYTES).hex()


def _marked(path: str, mark: str) -> str:
    """Mark a group as nobody else's; how it is marked."""
    if _write_mark(path, mark.encode()):
        return mark
    return f"inode-{posix.stat(path).st_ino}"


def _mark_of(path: str, like: str) -> str:
    """The mark of a group, of the kind of another one; "" where there is no group."""
    if like.startswith("inode-"):
        try:
            return f"inode-{posix.stat(path).st_ino}"
        except OSError:
            return ""
    return _read_mark(path).decode("ascii", "replace")


def _read_mark(path: str) -> bytes:
    try:
        return posix.getxattr(path, _ATTRIBUTE, follow_symlinks=False)
    except OSError:
        return b""


def _write_mark(path: str, mark: bytes) -> bool:
    try:
        posix.setxattr(path, _ATTRIBUTE, mark, follow_symlinks=False)
    except OSError:
        return False  # not root of the host
    return True
