"""Whether a test has left anything behind, by looking before and after.

Looked at are processes, mounts, cgroups, state directories, and the open
descriptors of the test process.
"""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .commands import MARK, session_directory, state_root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# What a container's end sets going may take a moment to be over, in seconds.
_PATIENCE = 3.0


class Snapshot:
    """What there is now, of all that a test could leave; texts for people.

    places: names of directories that only this run of the tests uses; a
        process that sees one of them in its mounts is counted as the tests'.
    """

    def __init__(self, places: tuple[str, ...] = ()) -> None:
        self.places = (session_directory().name, *places)
        self.found = self._look()

    def left_since(self) -> list[str]:
        """What is there now and was not there then, after waiting for it to go away."""
        wait_until(lambda: not self._look() - self.found, patience=_PATIENCE)
        return sorted(self._look() - self.found)

    def _look(self) -> set[str]:
        return {
            *(f"process {text}" for text in _processes(self.places)),
            *(f"mount {text}" for text in _mounts()),
            *(f"cgroup {path}" for path in _groups()),
            *(f"state {path}" for path in _states()),
            *(f"descriptor {text}" for text in _descriptors()),
        }


def wait_until(condition: Callable[[], bool], *, patience: float = 10) -> bool:
    """Wait for condition, for patience seconds at most; whether it came true."""
    deadline = time.monotonic() + patience
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


def _processes(places: tuple[str, ...]) -> Iterator[str]:
    """Processes of the tests: descendants, marked ones, and those of their containers.

    A container's process has an environment of its own and may be nobody's
    child, but its mounts name the directories that it was made of.
    """
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            stat = _read(f"/proc/{entry}/stat")
            if stat:  # PID (name) state PPID ...; the name may hold anything
                parents[int(entry)] = int(stat.rpartition(")")[2].split()[1])
    mark = f"{MARK}={os.environ.get(MARK, '')}"
    for pid in parents:
        if pid == os.getpid():
            continue
        if (
            _descends(pid, os.getpid(), parents)
            or mark in _read(f"/proc/{pid}/environ").split("\0")
            or any(place in _read(f"/proc/{pid}/mountinfo") for place in places)
        ):
            command = _read(f"/proc/{pid}/cmdline").replace("\0", " ").strip()
            yield f"{pid} {command or '(ended)'}"


def _descends(pid: int, ancestor: int, parents: dict[int, int]) -> bool:
    while pid in parents:
        pid = parents[pid]
        if pid == ancestor:
            return True
    return False


def _mounts() -> Iterator[str]:
    for line in _read("/proc/self/mountinfo").splitlines():
        fields = line.split()
        yield f"{fields[4]} of {fields[3]}, {line.partition(' - ')[2]}"


def _groups() -> Iterator[str]:
    """Directories of all cgroup hierarchies that bear our name, or are below one that does."""
    for line in _read("/proc/self/mountinfo").splitlines():
        place, _, source = line.partition(" - ")
        if source.split()[0] in ("cgroup", "cgroup2"):
            for directory, _, _ in os.walk(place.split()[4]):
                if "libct" in directory and not _is_another_run_s(directory):
                    yield directory


def _is_another_run_s(path: str) -> bool:
    """Whether a name of unique() in path is that of tests that are running beside these."""
    found = re.search(r"libct-(?:[a-z]+-)*(\d+)-\d+", path)
    return found is not None and found[1] != str(os.getpid()) and _is_pytest(found[1])


def _is_pytest(pid: str) -> bool:
    return "pytest" in _read(f"/proc/{pid}/cmdline")


def _states() -> Iterator[str]:
    roots = [state_root(), state_root(user=True), Path("/run/libct")]
    for root in roots:
        try:
            yield from (str(path) for path in root.iterdir())
        except (FileNotFoundError, PermissionError):
            continue


def _descriptors() -> Iterator[str]:
    for entry in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{entry}")
        except FileNotFoundError:
            continue  # the one of this listing
        yield f"{entry} to {target}"


def _read(path: str) -> str:
    """A file's text; "" if it is gone or closed to us."""
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""
