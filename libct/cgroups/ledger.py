"""The control groups that one container has made, and those that it took over empty.

The ledger is a file in the container's directory.  A line is added before a group
is made or taken and another one after that, so whatever instant the runtime is killed
at, what it has made can be told from what was there.  Only that is undone after a
failed start, and removed with the container.

    intended MARK PATH  about to be made: removed if it is there, empty and not another's;
                     nothing in it is killed
    made MARK PATH   the container's own group
    taking MARK PATH  was there, empty, and about to be taken: nothing in it is killed, it is
                     not removed, and it gets back the mark that it had
    taken MARK PATH  the container's from here on, as with runc
    above - PATH     a level above it that libct has made: removed when it is empty, and
                     has the mark of such a level still
    unit MARK,WHOSE PATH  systemd is about to start a unit whose group this is ("user" or
                     "system": which systemd): stopped if the mark is in its description
    left - PATH      not the container's, or not any more

The mark of a group that was taken is followed by a comma and the one that it had, if any.

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

from ..errors import CgroupError, ContainerDamaged, ContainerNotFound, Error, StepProblem
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
_MARKED = (*_OWN, "intended", "taking")
_UNMARKED = ("above", "left")
_NONE = ("", "-", "")  # of a group that has no line
_UNIT = "unit"
_USER, _SYSTEM = "user", "system"  # whose service manager a unit is of
_LOCK_SECONDS = 1.0  # that an end waits for a start which is looking at an empty group


class Ledger:
    """What the file says, in the order of its lines."""

    __slots__ = ("_held", "_lines", "_paper", "_restricted", "_units", "_unwritten")

    def __init__(self, paper: Paper, *, by_force: bool = False) -> None:
        """What is in it already is of an earlier start of the container.

        by_force: a file that is damaged is as good as none, and else ContainerDamaged.
        """
        self._paper = paper
        text = ""
        try:
            text = paper.text(NAME)
        except ContainerDamaged:
            if not by_force:
                raise
        found = parse(text)
        # By path: (what, mark, the mark that it had before it was taken).  What is no group
        # is not ours to signal, freeze or remove.
        self._lines = {path: line for path, line in found.items() if _is_group(path)}
        self._units = parse_units(text)  # (mark, whose) by path
        self._held: dict[str, int] = {}  # descriptors of the groups whose locks we have
        self._restricted: set[str] = set()  # where this start has attached a device program
        self._unwritten: list[str] = []  # why what is undone could not be written down

    def own(self) -> list[str]:
        """The container's own groups, those that are there and still are its own."""
        return [path for path in self._lines if self._is_own(path)]

    def _is_own(self, path: str) -> bool:
        return self._lines.get(path, _NONE)[0] in _OWN and self._has_mark(path)

    def _has_mark(self, path: str, fd: int | None = None) -> bool:
        """Whether what is there, or fd is of, still is what its line is about."""
        mark = self._lines.get(path, _NONE)[1]
        return marks.read(path if fd is None else fd) == mark.encode()

    def lost(self) -> list[str]:
        """Those that are there, and have no container's mark any more: nobody knows whose."""
        return [
            path
            for path, (what, _, _) in self._lines.items()
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
            self._leave(path)
            if isinstance(error, FileExistsError):
                return False  # somebody else was faster
            raise
        return self._claim(path, mark)

    def start_unit(self, path: str, *, user: bool) -> str:
        """Write down that systemd is about to make this group for a unit; the unit's mark."""
        mark, whose = marks.new(), _USER if user else _SYSTEM
        self._paper.append(NAME, f"{_UNIT} {mark},{whose} {path}\n")
        self._units[path] = mark, whose
        return mark

    def stop_former_units(self) -> None:
        """Those of earlier starts of the container, where nothing runs in them."""
        if not killing.running(self.own()):
            self._stop_units()

    def adopt(self, path: str) -> None:
        """Make a group the container's that systemd has made for its unit.

        Raises OSError where it cannot be marked.
        """
        mark = marks.new()
        self._write("intended", path, mark)
        if not self._claim(path, mark):
            raise StepProblem(
                f"the control group {path!r} of the unit is another container's already",
                "choose another linux.cgroupsPath",
            )

    def _claim(self, path: str, mark: str) -> bool:
        """Lock and mark a new group; False where another one was faster."""
        try:
            fd = marks.claim(path, mark)
        except OSError:
            if _is_removed(path):
                self._leave(path)
            raise
        if fd < 0:
            self._leave(path)
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
            self._leave(path)
            if not isinstance(error, (FileExistsError, FileNotFoundError)):
                raise
            return  # somebody else was faster; or has removed it, which the next mkdir(2) tells
        if marks.mark_above(path):  # and else it is only intended, for us to remove
            self._write("above", path)

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
        """Remove a group that we hold, and that libct has made; False where that cannot be.

        It is better made anew than taken: it has limits of another, and where it has
        been killed (cgroup.kill), Linux 6.18 kills whatever is cloned into it from a
        group that has not: cgroup_css_set_fork() counts the kills of that one.  What libct
        has only taken is somebody's who has limited it and given it away, and has not
        been killed in that way (killing.kill(), reused).
        """
        try:
            if self._is_own(path):
                files.remove(_below(path))
        except OSError:
            pass
        # With groups below, whoever's these are, it stays.
        if not marks.is_made(self._held[path]) or not _is_removed(path):
            return False
        marks.unlock(self._held.pop(path))
        return True

    def take(self, path: str) -> None:
        """It was there, we hold it, nothing is in it, and it is the container's now.

        Raises OSError where it cannot be marked.
        """
        fd, mark = self._held[path], marks.new(taken=True)
        # Where an earlier start of the container has taken it, the mark is the container's.
        former = self._lines[path][2] if self._has_mark(path, fd) else marks.noted(fd)
        self._write("taking", path, mark, former)
        try:
            marks.write(fd, mark.encode())
        except OSError as error:
            raise marks.unmarkable(error, path) from None
        self._write("taken", path, mark, former)

    def descriptor(self, path: str) -> int:
        """Of a group that this start has made or taken, to enter it by; it stays ours.

        Raises FileNotFoundError for any other, StepProblem where somebody has taken it since.
        """
        if self._lines.get(path, _NONE)[0] not in _OWN or path not in self._held:
            raise FileNotFoundError(errno.ENOENT, "not a control group of this start", path)
        if not self._has_mark(path, self._held[path]):
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
        for path, (what, _, _) in list(self._lines.items()):
            if what == "taken":
                failures += self._give_back(path)
                self._leave(path)
        failures += self.remove(by_force=True)
        return failures + self._unwritten

    def _give_back(self, path: str) -> list[str]:
        """What was taken is as it was, but for limits, where no other start is taking it."""
        try:
            if not (self._has_mark(path) and self._tried(path)):
                return []
            fd, (what, _, former) = self._held[path], self._lines[path]
            if not self._has_mark(path, fd):
                return []
            try:
                if what == "taken":
                    self._kill([path], ())
                if path in self._restricted:
                    from .devices.apply_v2 import replace_programs

                    replace_programs(fd, None)
            finally:
                marks.put_back(fd, former)
        except (CgroupError, OSError) as error:
            return [f"the control group {path!r} is not as it was: {error}"]
        return []

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
            if not killing.running(own):
                self._stop_units()
            own = self._removed(own)
        except CgroupError as error:
            failures.append(str(error))
        except OSError as error:
            spared = set(spare).intersection(killing.running(own))
            failures.append(_spared(spared, own) if spared else _unremoved(error))
        for path, (what, mark, _) in reversed(list(self._lines.items())):
            # What was only about to be made, or is above, may be another's who has made it.
            removable = {"intended": (b"", mark.encode(), marks.ABOVE), "above": (marks.ABOVE,)}
            if what == "taking":
                failures += self._give_back(path)
            elif marks.read(path) in removable.get(what, ()):
                _is_removed(path)  # or gone, or used by others, whose it is then
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
                if self._lines.get(path, _NONE)[0] != "taken" or path not in self._held:
                    raise
                files.remove(_below(path))
                marks.write(self._held[path], b"")
                own = [one for one in own if one != path]

    def _stop_units(self) -> None:
        """Have systemd stop them, and remove their groups; where nothing runs in them."""
        if self._units:
            from .systemd.stopping import stop

            for path, (mark, whose) in self._units.items():
                stop(path, mark, user=whose == _USER)

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

    def _write(self, what: str, path: str, mark: str = "-", former: str = "") -> None:
        self._paper.append(NAME, f"{what} {mark}{former and ','}{former} {path}\n")
        self._lines.pop(path, None)
        self._lines[path] = what, mark, former

    def _leave(self, path: str) -> None:
        """It is not the container's: on the way back, where nothing keeps us from going on."""
        self._lines.pop(path, None)
        try:
            self._paper.append(NAME, f"left - {path}\n")
        except ContainerNotFound:
            pass  # removed by force, and the ledger with it
        except Error as error:
            self._unwritten.append(str(error))


def _is_removed(path: str) -> bool:
    try:
        posix.rmdir(path)
    except OSError:
        return False
    return True


def _below(path: str) -> list[str]:
    return list(files.tree(path))[:-1]


def _remove_levels(path: str) -> None:
    """From this one up: those that some container has made, and nobody is below any more."""
    while marks.read(path) == marks.ABOVE and _is_removed(path):
        path = split(path)[0]


def _spared(pids: set[int], groups: list[str]) -> str:
    return (
        f"cannot remove the control group {groups[0]!r}: process"
        f" {' '.join(map(str, sorted(pids)))} in it holds the container's lock, and is not ended"
        " for that (end it, or move it to another group, and delete the container again)"
    )


def _unremoved(error: OSError) -> str:
    return str(files.failure("remove the control group", error))


def parse(text: str) -> dict[str, tuple[str, str, str]]:
    """Path -> (what, mark, former mark).

    What is no line, or not written to its end, is as good as none.
    """
    found: dict[str, tuple[str, str, str]] = {}
    for line in text.splitlines(keepends=True):
        what, _, rest = line.partition(" ")
        word, _, path = rest.rstrip("\n").partition(" ")
        mark, _, former = word.partition(",")
        known = marks.is_mark(mark) if what in _MARKED else what in _UNMARKED and mark == "-"
        known = known and (not former or marks.is_noted(former))
        if not line.endswith("\n") or not known or not is_plain_path(path):
            continue
        found.pop(path, None)
        if what != "left":
            found[path] = what, mark, former
    return found


def parse_units(text: str) -> dict[str, tuple[str, str]]:
    """Path of its group -> (mark, whose), of each unit."""
    found = {}
    for line in text.splitlines(keepends=True):
        what, _, rest = line.partition(" ")
        word, _, path = rest.rstrip("\n").partition(" ")
        mark, _, whose = word.partition(",")
        known = what == _UNIT and marks.is_mark(mark) and whose in (_USER, _SYSTEM)
        if known and line.endswith("\n") and is_plain_path(path):
            found[path] = mark, whose
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
