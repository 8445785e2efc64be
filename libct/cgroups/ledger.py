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

The mark (marks.py) says whether the group is still the one that the line is about: another
container may have taken it over since, or it was removed and somebody else made one of
this path.  A group that cannot be marked is not used.

Of several starts with one path at the same time, one goes on: it holds the locks of the
groups from their making until the process is inside, and that enters them by descriptors
of what was locked and marked.  An end locks them as well, for what it kills and removes
is to be what it has looked at.
"""

from __future__ import annotations

import errno
import posix

from ..errors import CgroupError, ContainerDamaged, StepProblem
from ..loading.clock import backoff
from ..loading.paths import is_directory, is_plain_path, split
from . import files, killing, marks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Protocol

    class Paper(Protocol):
        """Where the ledger is written (life/directory.py)."""

        def append(self, name: str, text: str) -> None: ...

        def text(self, name: str) -> str: ...


NAME = "groups"  # of the file
_OWN = ("made", "taken")
_UNMARKED = ("above", "left")
_LOCK_SECONDS = 1.0  # that an end waits for a start which is looking at an empty group


class Ledger:
    """What the file says, in the order of its lines."""

    __slots__ = ("_before", "_held", "_lines", "_paper", "_restricted")

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
        self._held: dict[str, int] = {}  # descriptors of the groups whose locks we have
        self._restricted: set[str] = set()  # where this start has attached a device program

    def own(self) -> list[str]:
        """The container's own groups, those that are there and still are its own."""
        return [path for path in self._lines if self._is_own(path)]

    def _is_own(self, path: str) -> bool:
        what, mark = self._lines.get(path, ("", ""))
        return what in _OWN and marks.read(path) == mark.encode()

    def lost(self) -> list[str]:
        """Those that are there, and have no container's mark any more: nobody knows whose."""
        return [
            path
            for path, (what, _) in self._lines.items()
            if what in _OWN
            and is_directory(path)
            and not marks.is_mark(marks.read(path).decode("ascii", "replace"))
        ]

    # --- of a start ---

    def make(self, path: str) -> bool:
        """mkdir(2), written down, and locked; False where it is there already.

        Raises OSError: then it has not been made.
        """
        if is_directory(path):
            return False
        mark = marks.new()
        self._write("intended", path, mark)
        try:
            marks.make(path)
        except OSError as error:
            self._write("left", path)
            if isinstance(error, FileExistsError):
                return False  # somebody else was faster
            raise
        try:
            fd = marks.claim(path, mark)
        except OSError:
            posix.rmdir(path)
            self._write("left", path)
            raise
        if fd < 0:
            self._write("left", path)
            return False
        self._held[path] = fd
        self._write("made", path, mark)
        return True

    def make_above(self, path: str) -> None:
        """A level above the container's group, where it is not there already."""
        if is_directory(path):
            return
        self._write("intended", path, marks.new())
        try:
            marks.make(path, above=True)
        except OSError as error:
            self._write("left", path)
            if not isinstance(error, (FileExistsError, FileNotFoundError)):
                raise
            return  # somebody else was faster; or has removed it, which the next mkdir(2) tells
        self._write("above", path)
        marks.mark_above(path)

    def hold(self, path: str) -> bool:
        """Lock a group; False where another start has it locked, or it has gone."""
        if path not in self._held:
            try:
                fd = marks.lock(path)
            except FileNotFoundError:
                return False
            if fd < 0:
                return False
            self._held[path] = fd
        return True

    def release(self) -> None:
        """Let go of all locks."""
        while self._held:
            marks.unlock(self._held.popitem()[1])

    def discard(self, path: str) -> bool:
        """Remove a group that we hold and a container has left; False where none has.

        It is better made anew than taken: it has limits of another, and where it has
        been killed (cgroup.kill), Linux 6.18 kills whatever is cloned into it from a
        group that has not: cgroup_css_set_fork() counts the kills of that one.
        """
        own = self._is_own(path)
        if not own and marks.read(path) in (b"", marks.ABOVE):
            return False
        try:
            if own:
                files.remove([path])
            else:
                posix.rmdir(path)  # with groups below, whoever's these are, it stays
        except OSError:
            return False
        marks.unlock(self._held.pop(path))
        return True

    def take(self, path: str) -> None:
        """It was there, we hold it, nothing is in it, and it is the container's now.

        Raises OSError where it cannot be marked.
        """
        fd, mark = self._held[path], marks.new()
        self._before[path] = marks.read(fd)
        try:
            marks.write(fd, mark.encode())
        except OSError as error:
            raise marks.unmarkable(error, path) from None
        self._write("taken", path, mark)

    def descriptor(self, path: str) -> int:
        """Of a group that this start has made or taken, to enter it by; it stays ours.

        Raises FileNotFoundError for any other, StepProblem where somebody has taken it since.
        """
        what, mark = self._lines.get(path, ("", ""))
        if what not in _OWN or path not in self._held:
            raise FileNotFoundError(errno.ENOENT, "not a control group of this start", path)
        if marks.read(self._held[path]) != mark.encode():
            raise StepProblem(
                f"the control group {path!r} has been taken over meanwhile",
                "choose another linux.cgroupsPath",
            )
        return self._held[path]

    def restrict(self, path: str) -> None:
        """A device program of this start is attached to it."""
        self._restricted.add(path)

    def undo(self) -> list[str]:
        """After a failed start: remove what it has made; what could not be is returned, as text.

        What was taken is left as it was, but for limits: nothing of this start runs in it.
        """
        failures = []
        for path, (what, _) in list(self._lines.items()):
            if what != "taken":
                continue
            if self._is_own(path) and path in self._held:
                try:
                    self._give_back(path)
                except (CgroupError, OSError) as error:
                    failures.append(f"the control group {path!r} is not as it was: {error}")
            self._write("left", path)
        return failures + self.remove(by_force=True)

    def _give_back(self, path: str) -> None:
        self._kill([path], ())
        if path in self._restricted:
            from .devices.apply_v2 import replace_programs

            replace_programs(self._held[path], None)
        marks.write(self._held[path], self._before[path])

    # --- of an end ---

    def kill(self, *, spare: Collection[int] = ()) -> None:
        """End what runs in the own groups, but for spare.  CgroupError, as of killing.kill()."""
        try:
            self._kill(self._held_own(), spare)
        finally:
            self.release()

    def remove(self, *, by_force: bool, spare: Collection[int] = ()) -> list[str]:
        """Remove all of it, the lowest first, and with the own groups those below them.

        by_force: end what runs in the own groups; else there is to be nothing that runs.
        spare: processes that are not to be ended.

        What could not be removed stays in the ledger, and is returned as text.
        """
        failures = []
        own: list[str] = []
        try:
            own = self._held_own()
            if by_force:
                self._kill(own, spare)
            own = self._removed(own)
        except CgroupError as error:
            failures.append(str(error))
        except OSError as error:
            spared = set(spare).intersection(killing.running(own))
            failures.append(_spared(spared, own) if spared else _unremoved(error))
        for path, (what, mark) in reversed(list(self._lines.items())):
            # One that was only intended may be another's, who has made it meanwhile.
            if what == "above" or (what == "intended" and marks.read(path) in (b"", mark.encode())):
                try:
                    posix.rmdir(path)
                except OSError:
                    pass  # gone, or used by others, whose it is then
        for path in self._lines:
            _remove_levels(split(path)[0])
        self._lines = {path: self._lines[path] for path in own if is_directory(path)}
        self.release()
        return failures

    def _kill(self, own: list[str], spare: Collection[int]) -> None:
        # What was there may stay, and is another's to start in then.
        reused = any(self._lines[path][0] == "taken" for path in own)
        killing.kill(own, spare=spare, reused=reused)

    def _removed(self, own: list[str]) -> list[str]:
        """Remove groups; those that could only be taken, and cannot be removed either, are left.

        They are below one of another user's, who has given them to this one to be in.
        """
        while True:
            try:
                files.remove(own)
                return own
            except PermissionError as error:
                path = error.filename
                if self._lines.get(path, ("", ""))[0] != "taken" or path not in self._held:
                    raise
                files.remove(list(files.tree(path))[:-1])
                marks.write(self._held[path], b"")
                own = [one for one in own if one != path]

    def _held_own(self) -> list[str]:
        """The own groups, locked, so that no start takes them while we look at what is in them.

        Where one is locked already, its start may be going to take it, if it is empty: that
        is waited for, but not for ever, as somebody may keep the lock out of malice.
        """
        waiting = backoff(_LOCK_SECONDS)
        for path in self.own():
            while not self._tried(path) and self._is_own(path) and not killing.running([path]):
                if not next(waiting):
                    break
        return self.own()

    def _tried(self, path: str) -> bool:
        try:
            return self.hold(path)
        except OSError:
            return False  # whoever may not read it

    def _write(self, what: str, path: str, mark: str = "-") -> None:
        self._paper.append(NAME, f"{what} {mark} {path}\n")
        self._lines.pop(path, None)
        if what != "left":
            self._lines[path] = what, mark


def _remove_levels(path: str) -> None:
    """From this one up: those that some container has made, and nobody is below any more."""
    while marks.read(path) == marks.ABOVE:
        try:
            posix.rmdir(path)
        except OSError:
            return
        path = split(path)[0]


def _spared(pids: set[int], groups: list[str]) -> str:
    return (
        f"cannot remove the control group {groups[0]!r}: process"
        f" {' '.join(map(str, sorted(pids)))} in it holds the container's lock, and is not ended"
        " for that (end it, or move it to another group, and delete the container again)"
    )


def _unremoved(error: OSError) -> str:
    return str(files.failure("remove the control group", error))


def parse(text: str) -> dict[str, tuple[str, str]]:
    """Path -> (what, mark).  What is no line, or not written to its end, is as good as none."""
    found: dict[str, tuple[str, str]] = {}
    for line in text.splitlines(keepends=True):
        what, _, rest = line.partition(" ")
        mark, _, path = rest.rstrip("\n").partition(" ")
        marked = what in (*_OWN, "intended")
        known = marks.is_mark(mark) if marked else what in _UNMARKED and mark == "-"
        if not line.endswith("\n") or not known or not is_plain_path(path):
            continue
        found.pop(path, None)
        if what != "left":
            found[path] = what, mark
    return found


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
