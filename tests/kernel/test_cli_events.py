"""libct events on real containers, and next to runc's."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import (
    busybox_rootfs,
    libct,
    libct_command,
    libct_environment,
    make_bundle,
    requires,
    run,
    session_directory,
    uncached_file,
    unique,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [requires("root", "busybox"), pytest.mark.usefixtures("nothing_left")]

LIMITS = {
    "resources": {
        "memory": {"limit": 16 << 20, "swap": 16 << 20},
        "pids": {"limit": 50},
        "cpu": {"quota": 50_000, "period": 100_000},
        "devices": [{"allow": False, "access": "rwm"}],
    }
}


@pytest.fixture(scope="module")
def rootfs() -> Path:
    return busybox_rootfs(Path(tempfile.mkdtemp(dir=session_directory())))


@pytest.fixture
def bundle(tmp_path: Path, rootfs: Path) -> Path:
    return make_bundle(tmp_path, rootfs=rootfs, args=["sleep", "1000"], linux=LIMITS)


@pytest.fixture
def sleeper(bundle: Path) -> Iterator[str]:
    """The id of a running container that sleeps; removed at the end."""
    name = unique()
    libct("run", "-d", "-b", bundle, name, check=True)
    yield name
    libct("delete", "--force", name, check=True)


class Watcher:
    """libct events while it runs; what it prints is read line by line."""

    def __init__(self, *args: str) -> None:
        self.process = subprocess.Popen(
            libct_command("events", *args),
            env=libct_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )

    def next(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def rest(self) -> list[Any]:
        """What is printed until it ends by itself, which it does without an error."""
        output, _ = self.process.communicate(timeout=20)
        assert self.process.returncode == 0
        return [json.loads(line) for line in output.splitlines()]

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def test_stats_are_one_line(sleeper: str) -> None:
    done = libct("events", "--stats", sleeper, check=True)
    assert done.stdout.count("\n") == 1
    event = json.loads(done.stdout)
    assert (event["type"], event["id"]) == ("stats", sleeper)
    assert event["data"]["pids"]["current"] == 1


@requires("runc")
def test_the_form_is_runc_s(sleeper: str, bundle: Path, tmp_path: Path) -> None:
    """The same keys, in the same order, and the same values where these are limits."""
    name, state = unique("runc"), tmp_path / "runc"
    runc = ["runc", "--root", str(state)]
    run([*runc, "run", "-d", "-b", bundle, name], check=True)
    try:
        theirs = json.loads(run([*runc, "events", "--stats", name], check=True).stdout)
    finally:
        run([*runc, "delete", "--force", name], check=True)
    ours = json.loads(libct("events", "--stats", sleeper, check=True).stdout)
    assert list(ours) == list(theirs)
    for each in (ours, theirs):
        each["data"]["blkio"] = {}  # who has read from the disk depends on its caches
    assert _keys(ours["data"]) == _keys(theirs["data"])
    for kind in ("usage", "swap", "kernel", "kernelTCP"):
        ours_of, theirs_of = (each["data"]["memory"][kind] for each in (ours, theirs))
        assert ours_of["limit"] == theirs_of["limit"]
    for part in ("pids", "cpuset", "hugetlb", "intel_rdt", "network_interfaces"):
        assert ours["data"][part] == theirs["data"][part]


# Left out where they are 0, which they may be in one container and not in the other.
_OPTIONAL = {
    "cache", "usage", "max", "total", "percpu", "percpu_kernel", "percpu_user",
    "periods", "throttledPeriods", "throttledTime",
}  # fmt: skip


def _keys(value: Any) -> Any:
    """The keys of objects in objects, without optional ones that are no objects.

    Without "psi", too, which runc has of cgroup v2 alone, from 1.2 on.
    """
    if not isinstance(value, dict):
        return None
    return [
        (key, _keys(below))
        for key, below in value.items()
        if key != "psi" and (isinstance(below, dict) or key not in _OPTIONAL)
    ]


def test_events_follow_each_other_until_the_container_stops(sleeper: str) -> None:
    start = time.monotonic()
    with Watcher("--interval", "200ms", sleeper) as watcher:
        first, second = watcher.next(), watcher.next()
        assert time.monotonic() - start >= 0.4
        assert {first["type"], second["type"]} == {"stats"}
        libct("kill", sleeper, "KILL", check=True)
        assert {event["type"] for event in watcher.rest()} <= {"stats"}


@requires("cgroup1")
def test_a_container_that_runs_out_of_memory(bundle: Path, sleeper: str) -> None:
    with Watcher("--interval", "100ms", sleeper) as watcher:
        assert watcher.next()["type"] == "stats"  # it watches
        # In the shell's own memory, for there is no /dev/zero.
        script = "yes | tail -c 50000000"
        done = libct("exec", sleeper, "sh", "-c", script)
        assert done.returncode == 128 + signal.SIGKILL
        libct("kill", sleeper, "KILL", check=True)
        events = watcher.rest()
    assert {"type": "oom", "id": sleeper} in events
    assert [event for event in events if event["type"] == "stats"]


@requires("cgroup1")
def test_memory_gets_scarce(sleeper: str, rootfs: Path) -> None:
    """By a file that there is no room for; its pages are reclaimed."""
    uncached_file(rootfs / "big", 32 << 20)
    with Watcher("--pressure", "low", "--interval", "1h", sleeper) as watcher:
        libct("exec", sleeper, "sh", "-c", "for i in 1 2; do cat /big; done >/dev/null", check=True)
        event = {"type": "memory_pressure", "id": sleeper, "data": {"level": "low"}}
        assert watcher.next() == event
        libct("kill", sleeper, "KILL", check=True)
        assert all(each == event for each in watcher.rest())


def test_the_end_of_a_container_that_is_removed_is_no_event(sleeper: str) -> None:
    with Watcher("--interval", "100ms", sleeper) as watcher:
        assert watcher.next()["type"] == "stats"
        libct("delete", "--force", sleeper, check=True)
        assert {event["type"] for event in watcher.rest()} <= {"stats"}


def test_a_container_that_is_not_running(sleeper: str) -> None:
    libct("kill", sleeper, "KILL", check=True)
    deadline = time.monotonic() + 10
    while json.loads(libct("state", sleeper).stdout)["status"] != "stopped":
        assert time.monotonic() < deadline
    for options in ([], ["--stats"]):
        done = libct("events", *options, sleeper)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"libct: container with id {sleeper} is not running\n"


def test_bad_command_lines(sleeper: str) -> None:
    for interval in ("0s", "-1s", "5", "x"):
        done = libct("events", "--interval", interval, sleeper)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("libct: --interval: ")
    done = libct("events", "--pressure", "high", sleeper)
    assert (done.returncode, done.stdout) == (1, "")
    assert "--pressure: not low or medium or critical: 'high'" in done.stderr
    done = libct("events", unique())
    assert done.returncode == 1
    assert "container does not exist" in done.stderr


def test_a_reader_that_goes_away(sleeper: str) -> None:
    with Watcher("--interval", "50ms", sleeper) as watcher:
        watcher.next()
        assert watcher.process.stdout is not None
        watcher.process.stdout.close()
        assert watcher.process.wait(20) == 128 + signal.SIGPIPE
        watcher.process.stdout = None
