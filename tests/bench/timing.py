"""The times: runtimes take turns, and what counts is the median."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from tests.bench.runtimes import GROUP, ID, cold_commands, device_rules_work, module_run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import Any

    import libct

    Task = Callable[[], object]

median = statistics.median


def take(scratch: Path, *, rounds: int, alive: int) -> dict[str, Any]:
    """All measurements but memory; times in seconds."""
    commands = cold_commands(scratch)
    library = Library(scratch)
    times = {"create, start, wait, destroy": _starts(commands, scratch, library, rounds)}
    try:
        for each in commands.values():
            _call(each["create"])
            _call(each["start"])
        execs = {"libct library, warm": library.execute}
        times["exec of true"] = alternate(_tasks(commands, "exec", execs), rounds)
        for what in ("state", "list", "kill"):
            times[what] = alternate(_tasks(commands, what), rounds)
    finally:
        for each in commands.values():
            subprocess.run(each["delete"], check=False, capture_output=True)
        library.close()
    return {
        "rounds": rounds,
        "python": platform.python_version(),
        "kernel": platform.release(),
        "device_rules": device_rules_work(),
        "versions": {name: _version(each["run"][0]) for name, each in commands.items()},
        "times": times,
        "alive": library.keep_alive(alive),
    }


def alternate(tasks: Mapping[str, Task], rounds: int) -> dict[str, list[float]]:
    """Task -> its times, in seconds; one round goes before and is not counted."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds + 1):
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            times[name].append(time.perf_counter() - start)
    return {name: values[1:] for name, values in times.items()}


def _starts(
    commands: dict[str, dict[str, list[str]]], scratch: Path, library: Library, rounds: int
) -> dict[str, list[float]]:
    more: dict[str, Task] = {"libct library, warm": library.run}
    module = module_run(scratch)
    more["python3 -m libct"] = lambda: _call(module)
    return alternate(_tasks(commands, "run", more), rounds)


def _tasks(
    commands: dict[str, dict[str, list[str]]], what: str, more: Mapping[str, Task] | None = None
) -> dict[str, Task]:
    """Tasks that call a command of each runtime; the keys of runtimes are ratios' bases."""

    def call(command: list[str]) -> Task:
        return lambda: _call(command)

    return {**(more or {}), **{name: call(each[what]) for name, each in commands.items()}}


def _call(command: list[str]) -> None:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=None,  # a pipe would be held by what a created container runs
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"bench.py: {' '.join(command)}: exit status {done.returncode}")


def _version(program: str) -> str:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return done.stdout.partition("\n")[0]


class Library:
    """libct in this process: containers from the same bundle, with cgroups of their own."""

    def __init__(self, scratch: Path) -> None:
        import libct

        self._libct = libct
        self._root = str(scratch / "library")
        self._config: libct.Config = libct.from_bundle(str(scratch / "libct" / "true"))[0]
        self._null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        self._sleeping: libct.Container | None = None

    def run(self) -> None:
        container = self._create(ID)
        process = self._process("/bin/true", init=True)
        container.run(process)
        if process.wait().status != 0:
            sys.exit("bench.py: /bin/true failed in a container of the library")
        container.destroy()

    def execute(self) -> None:
        """exec into a container that is made at the first call."""
        if self._sleeping is None:
            self._sleeping = self._create("sleeping")
            self._sleeping.run(self._process("/bin/sleep", "100000", init=True))
        process = self._process("/bin/true")
        self._sleeping.run(process)
        process.wait()

    def keep_alive(self, number: int) -> list[float]:
        """Start containers that stay, and give the times of their starts, in seconds."""
        containers, times = [], []
        try:
            for index in range(number):
                start = time.perf_counter()
                container = self._create(f"alive-{index}")
                containers.append(container)
                container.run(self._process("/bin/sleep", "100000", init=True))
                times.append(time.perf_counter() - start)
        finally:
            for container in containers:
                container.destroy(force=True)
        return times

    def close(self) -> None:
        if self._sleeping is not None:
            self._sleeping.destroy(force=True)
            self._sleeping = None

    def _create(self, name: str) -> libct.Container:
        config = self._config.copy()
        if config.cgroups is not None:
            config.cgroups.path = f"/{GROUP}/library-{name}"
        return self._libct.create(self._root, name, config)

    def _process(self, *args: str, init: bool = False) -> libct.Process:
        return self._libct.Process(
            args,
            env=["PATH=/bin"],
            stdin=self._null,
            stdout=self._null,
            stderr=self._null,
            init=init,
        )
