"""Groups of resctrl: what performs the steps, and the removal of what a start has made.

What a start makes is noted in a file in the container's directory, before and after it is
made, so that whatever instant the runtime is killed at, its groups are found:

    making PATH   about to be made: removed if it is there and nothing is in it
    made PATH     the container's own
    left PATH     was there already, or is not the container's any more: it stays

The kernel lets a group be removed with processes in it, which go to the group above.  So
nothing is removed that is not known to be the container's.
"""

from __future__ import annotations

import posix

from ..errors import StepProblem, advise
from ..loading.paths import is_directory, rest, split
from ..syscalls import procfs
from ..syscalls.constants import RDTGROUP_SUPER_MAGIC
from ..syscalls.filesystems import fstatfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Protocol

    from ..bootstrap.context import Context

    class Paper(Protocol):
        """Where it is noted (life/directory.py)."""

        def append(self, name: str, text: str) -> None: ...

        def text(self, name: str) -> str: ...


NOTES = "resctrl"  # the name of the file


class Notes:
    """What the file says: path -> "making", "made" or "left"."""

    def __init__(self, paper: Paper) -> None:
        self._paper = paper
        self._found: dict[str, str] = {}
        for line in paper.text(NOTES).splitlines():
            what, _, path = line.partition(" ")
            if path.startswith("/") and what in ("making", "made", "left"):
                self._found.pop(path, None)
                self._found[path] = what

    def write(self, what: str, path: str) -> None:
        self._paper.append(NOTES, f"{what} {path}\n")
        self._found.pop(path, None)
        self._found[path] = what

    def own(self) -> list[str]:
        """The groups that are the container's."""
        return [path for path, what in self._found.items() if what == "made"]

    def remove(self) -> list[str]:
        """Remove what was made, the last first; what could not be is returned, as text."""
        failures = []
        for path, what in reversed(list(self._found.items())):
            if what == "left" or not is_directory(path) or (what == "making" and _is_used(path)):
                continue
            try:
                posix.rmdir(path)
            except OSError as error:
                failures.append(f"cannot remove the resctrl group {path!r}: {error.strerror}")
        return failures


def _is_used(group: str) -> bool:
    try:
        return bool(_read(f"{group}/tasks").strip())
    except OSError:
        return True


# --- performers ---


def resctrl_group(context: Context, directory: str, make: int, own: int) -> None:
    """Make a group, or take one that is there.

    make: else it has to be there.  own: it goes with the container, if that has made it.
    """
    notes: Notes = context.values["resctrl"]
    if is_directory(directory):
        notes.write("left", directory)
        return
    if not make:
        raise StepProblem(
            f"there is no resctrl group {directory!r}",
            "make it, or give linux.intelRdt its schemata, with which libct makes it",
        )
    notes.write("making" if own else "left", directory)
    try:
        posix.mkdir(directory, 0o755)
    except OSError as error:
        notes.write("left", directory)
        raise _explained(error, f'mkdir("{directory}")', directory) from None
    if own:
        notes.write("made", directory)


def resctrl_schemata(context: Context, directory: str, lines: tuple[str, ...]) -> None:
    """Write all lines at once: where one is wrong, the kernel takes none of those after it."""
    _write(f"{directory}/schemata", "".join(f"{line}\n" for line in lines))


def resctrl_enter(context: Context, directory: str) -> None:
    """Move the process context.pid, and with it what it is going to start."""
    _write(f"{directory}/tasks", str(context.pid))


# --- a container that is there ---


def schemata(directory: str) -> list[str]:
    return [line.strip() for line in _read(f"{directory}/schemata").splitlines()]


def unmake(notes: Notes, directory: str) -> None:
    """Remove a group; its processes go to the one above."""
    posix.rmdir(directory)
    notes.write("left", directory)


def move(directory: str, processes: Callable[[], Iterable[int]]) -> None:
    """Move all threads of processes, also those that are started meanwhile."""
    moved: set[int] = set()
    while found := {thread for pid in processes() for thread in _threads(pid)} - moved:
        for thread in found:
            try:
                _write(f"{directory}/tasks", str(thread))
            except ProcessLookupError:
                pass  # it has ended
        moved |= found


def _threads(pid: int) -> list[int]:
    try:
        return [int(name) for name in posix.listdir(procfs.path(pid, "task"))]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _write(path: str, text: str) -> None:
    fd = _open(path, posix.O_WRONLY)
    try:
        posix.write(fd, text.encode())
    except OSError as error:
        raise _explained(error, f"write({text!r})", path) from None
    finally:
        posix.close(fd)


def _read(path: str) -> str:
    fd = _open(path, posix.O_RDONLY)
    try:
        return rest(fd).decode(errors="replace")
    finally:
        posix.close(fd)


def _open(path: str, flags: int) -> int:
    """Open a file of a group, verified to be on resctrl, close-on-exec."""
    try:
        fd = posix.open(path, flags | posix.O_CLOEXEC | posix.O_NOFOLLOW)
    except OSError as error:
        raise _explained(error, f'openat("{path}")', path) from None
    if fstatfs(fd).type != RDTGROUP_SUPER_MAGIC:
        posix.close(fd)
        raise StepProblem(f"{path!r} is not on a resctrl file system")
    return fd


def _explained(error: OSError, call: str, path: str) -> OSError:
    """With what the kernel says of it in info/last_cmd_status."""
    assert error.errno is not None
    found = OSError(error.errno, f"{call}: {posix.strerror(error.errno)}", path)
    mount = split(path)[0]
    while mount not in ("", "/") and not is_directory(f"{mount}/info"):
        mount = split(mount)[0]
    try:
        status = _read(f"{mount}/info/last_cmd_status").strip()
    except (OSError, StepProblem):
        return found
    if status and status != "ok":
        advise(found, f"the kernel says: {status}")
    return found
