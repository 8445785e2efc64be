"""Whether a test has left anything behind, by looking before and after.

Looked at are processes, mounts, cgroups and state directories of this run of
the tests, and the open descriptors of the test process.  Whatever else runs on
the machine, other runs of the tests too, is not looked at: all that this run
makes has its mark in a name (names.unique(), commands.session_directory()), or
is in the directory that pytest has made for the test.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .commands import state_root
from .names import MARK, run_mark
from .patience import patient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# What a container's end sets going may take a moment to be over, in seconds.
_PATIENCE = 3.0


class Snapshot:
    """What there is now, of all that a test could leave; texts for people.

    directory: pytest's, for this test.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self.names = [run_mark()]
        if directory:
            # The end of the path: mountinfo has paths from the roots of file systems on.
            self.names.append("/".join(directory.parts[-3:]))
        self.found = self._look()

    def left_since(self) -> list[str]:
        """What is there now and was not there then, after waiting for it to go away."""
        wait_until(lambda: not self._look() - self.found, patience=_PATIENCE)
        return sorted(self._look() - self.found)

    def _look(self) -> set[str]:
        return {
            *(f"process {text}" for text in self._processes()),
            *(f"mount {text}" for text in self._mounts()),
            *(f"cgroup {path}" for path in self._groups()),
            *(f"state {path}" for path in self._states()),
            *(f"descriptor {text}" for text in _descriptors()),
        }

    def _is_ours(self, text: str) -> bool:
        return any(name in text for name in self.names)

    def _processes(self) -> Iterator[str]:
        """Descendants, processes with the mark in their environment, and those of containers.

        A process of a container or of a hook has an environment of its own and
        may be nobody's child, but its command, its control groups or its mounts
        have names of ours.
        """
        parents, ended = {}, set()
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                stat = _read(f"/proc/{entry}/stat")
                if stat:  # PID (name) state PPID ...; the name may hold anything
                    state, parent, *_ = stat.rpartition(")")[2].split()
                    parents[int(entry)] = int(parent)
                    if state == "Z":
                        ended.add(int(entry))
        mark = f"{MARK}={run_mark()}"
        mounts = _link("/proc/self/ns/mnt")
        for pid in parents:
            if pid == os.getpid():
                continue
            command = _read(f"/proc/{pid}/cmdline").replace("\0", " ").strip()
            marks = [
                one for one in _read(f"/proc/{pid}/environ").split("\0") if one.startswith(MARK)
            ]
            if (
                _descends(pid, os.getpid(), parents)
                or mark in marks
                or self._is_ours(command)
                # One that has ended and is not ours to wait for, process 1 waits for.
                or (pid not in ended and self._is_ours(_read(f"/proc/{pid}/cgroup")))
                # A mount that everybody sees would make everybody's processes ours; and what
                # another run of the tests moves aside meanwhile has a copy of it.
                or (
                    not marks
                    and _link(f"/proc/{pid}/ns/mnt") not in ("", mounts)
                    and self._is_ours(_read(f"/proc/{pid}/mountinfo"))
                )
            ):
                yield f"{pid} {command or '(ended)'}"

    def _mounts(self) -> Iterator[str]:
        """Mounts that everybody sees, of or on a place of ours."""
        for line in _read("/proc/self/mountinfo").splitlines():
            if self._is_ours(line):
                fields = line.split()
                yield f"{fields[4]} of {fields[3]}, {line.partition(' - ')[2]}"

    def _groups(self) -> Iterator[str]:
        """Directories of all cgroup hierarchies that have our mark, or are below one that has."""
        for line in _read("/proc/self/mountinfo").splitlines():
            place, _, source = line.partition(" - ")
            if source.split()[0] in ("cgroup", "cgroup2"):
                for directory in _directories(place.split()[4]):
                    if self._is_ours(directory):
                        yield directory

    def _states(self) -> Iterator[str]:
        """All in this run's state directories, and what has its mark in the machine's."""
        for root in (state_root(), state_root(user=True), Path("/run/libct")):
            try:
                yield from (path for path in map(str, root.iterdir()) if self._is_ours(path))
            except (FileNotFoundError, PermissionError):
                continue


def wait_until(condition: Callable[[], bool], *, patience: float = 10) -> bool:
    """Wait for condition, for patience seconds at most; whether it came true."""
    deadline = time.monotonic() + patient(patience)
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def stop_server() -> None:
    """End this process's bootstrap server, which stays for the next container otherwise."""
    servers = sys.modules.get("libct.bootstrap.servers")
    if servers is not None:
        servers.stop_server()


def _descends(pid: int, ancestor: int, parents: dict[int, int]) -> bool:
    while pid in parents:
        pid = parents[pid]
        if pid == ancestor:
            return True
    return False


def _descriptors() -> Iterator[str]:
    for entry in os.listdir("/proc/self/fd"):
        target = _link(f"/proc/self/fd/{entry}")
        # Not that of this listing, and not what libct keeps (cgroups/mounted.py).
        if target and not target.endswith("/mountinfo"):
            yield f"{entry} to {target}"


def _read(path: str) -> str:
    """A file's text; "" if it is gone or closed to us."""
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _link(path: str) -> str:
    """Where a link leads; "" if it is gone or closed to us."""
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _directories(top: str) -> Iterator[str]:
    """All below, but for what is below the sixteenth level: others' trees may be deep."""
    left = [(top, 0)]
    while left:
        path, depth = left.pop()
        yield path
        try:
            with os.scandir(path) as entries:
                below = [one.path for one in entries if one.is_dir(follow_symlinks=False)]
        except OSError:
            continue  # it went meanwhile
        if depth < 16:
            left += [(one, depth + 1) for one in below]
