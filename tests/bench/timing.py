"""The times: runtimes take turns, and what counts is the median."""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

from tests.bench.runtimes import (
    CHECKOUT,
    GROUP,
    ID,
    cold_commands,
    device_rules_work,
    module_run,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import Any

    import libct

    Task = Callable[[], object]

median = statistics.median


def take(scratch: Path, *, rounds: int, alive: int, seconds: float) -> dict[str, Any]:
    """All measurements but memory; times in seconds."""
    commands = cold_commands(scratch)
    library = Library(scratch)
    times = {"create, start, wait, destroy": _starts(commands, scratch, library, rounds)}
    try:
        for each in commands.values():
            run_once(each["create"])
            run_once(each["start"])
        execs = {"libct library, warm": library.execute}
        times["exec of true"] = alternate(_tasks(commands, "exec", execs), rounds)
        for what in ("state", "list", "kill"):
            times[what] = alternate(_tasks(commands, what), rounds)
    finally:
        for each in commands.values():
            subprocess.run(each["delete"], check=False, capture_output=True)
        library.close()
    return {
        "sandboxes": alternate(sandbox_tasks(), rounds),
        "per_second": throughput(commands, library, seconds=seconds),
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
    more["python3 -m libct"] = lambda: run_once(module)
    return alternate(_tasks(commands, "run", more), rounds)


def _tasks(
    commands: dict[str, dict[str, list[str]]], what: str, more: Mapping[str, Task] | None = None
) -> dict[str, Task]:
    """Tasks that call a command of each runtime; the keys of runtimes are ratios' bases."""

    def call(command: list[str]) -> Task:
        return lambda: run_once(command)

    return {**(more or {}), **{name: call(each[what]) for name, each in commands.items()}}


def run_once(command: list[str]) -> None:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=None,  # a pipe would be held by what a created container runs
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"bench.py: {' '.join(command)}: exit status {done.returncode}")


# What `libct sandbox` shows and hides, told to bubblewrap.
_BWRAP = """bwrap --unshare-ipc --unshare-pid --unshare-net --unshare-uts --unshare-cgroup
    --ro-bind / / --proc /proc --dev /dev --mqueue /dev/mqueue --tmpfs /tmp --tmpfs /run
    --ro-bind /sys /sys --tmpfs /root --hostname sandbox --new-session --die-with-parent
    --cap-drop ALL true"""


def sandbox_tasks() -> dict[str, Task]:
    """`true` away from the host's files: by the library, by the command line, by bubblewrap."""
    import libct

    cold = [sys.executable, "-I", "-S", str(CHECKOUT / "libct/__main__.py"), "sandbox", "true"]
    tasks: dict[str, Task] = {
        "libct.run(), warm": lambda: libct.run(["true"]),
        "libct sandbox": lambda: run_once(cold),
    }
    if shutil.which("bwrap"):
        tasks["bwrap"] = lambda: run_once(_BWRAP.split())
    return tasks


def throughput(
    commands: dict[str, dict[str, list[str]]], library: Library, *, seconds: float
) -> dict[str, float]:
    """Containers that run `true` to its end, one after the other in each of two threads."""
    tasks: dict[str, Callable[[int], object]] = {
        "libct library, warm": lambda thread: library.run(f"thread-{thread}"),
        **{name: _one_of_two(commands[name]) for name in ("crun", "runc") if name in commands},
    }
    return {name: _per_second(task, seconds) for name, task in tasks.items()}


def _one_of_two(each: dict[str, list[str]]) -> Callable[[int], object]:
    return lambda thread: run_once(each[f"run-{thread}"])


def _per_second(task: Callable[[int], object], seconds: float) -> float:
    counts = [0, 0]
    for number in range(len(counts)):
        task(number)  # what is needed for the first alone
    end = time.perf_counter() + seconds

    def work(number: int) -> None:
        while time.perf_counter() < end:
            task(number)
            counts[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(counts))]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - start)


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

    def run(self, name: str = ID) -> None:
        container = self.create(name)
        process = self.process("/bin/true", init=True)
        container.run(process)
        if process.wait().status != 0:
            sys.exit("bench.py: /bin/true failed in a container of the library")
        container.destroy()

    def execute(self) -> None:
        """exec into a container that is made at the first call."""
        if self._sleeping is None:
            self._sleeping = self.create("sleeping")
            self._sleeping.run(self.process("/bin/sleep", "100000", init=True))
        process = self.process("/bin/true")
        self._sleeping.run(process)
        process.wait()

    def keep_alive(self, number: int) -> list[float]:
        """Start containers that stay, and give the times of their starts, in seconds."""
        containers, times = [], []
        try:
            for index in range(number):
                start = time.perf_counter()
                container = self.create(f"alive-{index}")
                containers.append(container)
                container.run(self.process("/bin/sleep", "100000", init=True))
                times.append(time.perf_counter() - start)
        finally:
            for container in containers:
                container.destroy(force=True)
        return times

    def close(self) -> None:
        if self._sleeping is not None:
            self._sleeping.destroy(force=True)
            self._sleeping = None

    def create(self, name: str) -> libct.Container:
        config = self._config.copy()
        if config.cgroups is not None:
            config.cgroups.path = f"/{GROUP}/library-{name}"
        return self._libct.create(self._root, name, config)

    def process(self, *args: str, init: bool = False) -> libct.Process:
        return self._libct.Process(
            args,
            env=["PATH=/bin"],
            stdin=self._null,
            stdout=self._null,
            stderr=self._null,
            init=init,
        )
