"""Do the tests notice?  Each mutant of a table is made in a copy, and its tests have to fail.

    python -m tests.mutants [-j JOBS] [TEXT...]

with TEXTs, those that have one of them in their claim or file.  A mutant that
lives says that a test is missing, or that the code is redundant and can go.
`tox -e mutants` runs all; the tables are in tests/mutant_tables/, and a unit test
sees to it that each still fits the code.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from .mutant_tables import (
    bootstrap,
    callers,
    checkpoints,
    claims,
    classes,
    delegation,
    devices,
    events,
    labels,
    landlock,
    life,
    limits,
    mounts,
    networks,
    plans,
    reaper,
    rootfs,
    runc,
    sandbox,
    seccomp,
    servers,
    sharing,
    systemd,
    texts,
    units,
    userns,
)
from .names import MARK

if TYPE_CHECKING:
    from .mutant_tables import Mutant

CHECKOUT = Path(__file__).parent.parent
_TABLES = (
    plans,
    networks,
    bootstrap,
    rootfs,
    sandbox,
    life,
    callers,
    checkpoints,
    claims,
    classes,
    delegation,
    devices,
    servers,
    sharing,
    systemd,
    units,
    texts,
    seccomp,
    landlock,
    labels,
    userns,
    mounts,
    reaper,
    runc,
    limits,
    events,
)
MUTANTS = [mutant for table in _TABLES for mutant in table.MUTANTS]
_LONGEST = 300  # seconds; a mutant that hangs has been noticed
_TELLING = ("environ", "cgroup")  # of a process: whether it is of a run of the tests
_COPIED = ("libct", "tests", "docs", "README.md", "pyproject.toml")


def mutated(mutant: Mutant, text: str) -> str:
    """The text of its file with the edit; ValueError where the table does not fit any more."""
    if text.count(mutant.old) != 1:
        found = text.count(mutant.old)
        raise ValueError(
            f"{mutant.claim}: {mutant.file} has {mutant.old!r} {found} times, not once"
        )
    return text.replace(mutant.old, mutant.new)


def lives(mutant: Mutant) -> str:
    """What its tests say where they all pass with it; "" where one fails, as it should."""
    with (
        tempfile.TemporaryDirectory(prefix="libct-mutant-") as directory,
        tempfile.TemporaryFile() as said,
    ):
        os.chmod(directory, 0o755)  # some tests are another user's
        for name in _COPIED:
            source, copy = CHECKOUT / name, Path(directory, name)
            if source.is_dir():
                shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, copy)
        path = Path(directory, "libct", mutant.file)
        path.write_text(mutated(mutant, path.read_text()))
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
        mark = uuid.uuid4().hex[:8]
        try:
            done = subprocess.run(
                [*command, *mutant.tests],
                cwd=directory,
                env={
                    **os.environ,
                    MARK: mark,
                    "PYTHONDONTWRITEBYTECODE": "1",
                    "LIBCT_NO_SKIP": "1",
                },
                stdin=subprocess.DEVNULL,
                stdout=said,  # no pipe: what is left may hold that
                stderr=said,
                timeout=_LONGEST,
            )
        except subprocess.TimeoutExpired:
            return ""
        finally:
            sweep(mark)
        said.seek(0)
        # 1: tests were run and some failed.  Anything else proves nothing.
        return "" if done.returncode == 1 else said.read().decode(errors="replace")[-4000:]


def sweep(mark: str) -> None:
    """End and remove what a run of the tests with that mark has left, as mutants have it."""
    groups = [
        Path(directory)
        for directory, _, _ in os.walk("/sys/fs/cgroup", topdown=False)
        if mark in directory
    ]
    for group in reversed(groups):  # what is frozen does not die
        for name, text in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
            if (group / name).exists():
                (group / name).write_text(text)
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            if any(mark.encode() in Path("/proc", entry, name).read_bytes() for name in _TELLING):
                os.kill(int(entry), signal.SIGKILL)
        except OSError:
            continue  # it has ended
    for group in groups:
        for _ in range(50):
            try:
                group.rmdir()
                break
            except FileNotFoundError:
                break
            except OSError:
                time.sleep(0.02)  # what was killed leaves it in a moment
    for place in Path(tempfile.gettempdir()).glob(f"libct-{mark}-*"):
        shutil.rmtree(place, ignore_errors=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("-j", "--jobs", type=int, default=2)
    parser.add_argument("texts", nargs="*", metavar="TEXT")
    arguments = parser.parse_args()
    chosen = [
        mutant
        for mutant in MUTANTS
        if not arguments.texts
        or any(text in mutant.claim or text in mutant.file for text in arguments.texts)
    ]
    alive = 0
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for mutant, said in zip(chosen, pool.map(lives, chosen)):
            print(f"{'LIVES ' if said else 'killed'} {mutant.file}: {mutant.claim}", flush=True)
            if said:
                alive += 1
                print("    " + "\n    ".join(said.splitlines()[-12:]), flush=True)
    print(f"{len(chosen) - alive} passed, {alive} failed")
    return 1 if alive or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
