"""Events of cgroup v2, on ordinary files that stand for those of a control group."""

from __future__ import annotations

import asyncio
import errno
import os
import select
import threading
from typing import TYPE_CHECKING

import pytest

from libct.cgroups import choose, files
from libct.config import Cgroup
from libct.errors import CgroupError, Error
from libct.life.events import Events
from libct.life.events_v2 import KilledEvents, PressureEvents
from libct.life.watching import memory_pressure_events

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(files, "on_cgroup_filesystem", lambda fd: True)
    populated(tmp_path, 1)
    kills(tmp_path, 2)
    return tmp_path


def replace(path: Path, text: str) -> None:
    """Write over what is there, in one: the kernel's files are never half written."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    os.write(fd, text.encode())
    os.close(fd)


def kills(group: Path, count: int, groups: int = 0) -> None:
    text = f"low 0\nhigh 0\nmax 9\noom 9\noom_kill {count}\noom_group_kill {groups}\n"
    replace(group / "memory.events", text)


def populated(group: Path, value: int) -> None:
    replace(group / "cgroup.events", f"populated {value}\nfrozen 0\n")


def readable(events: Events) -> bool:
    poll = select.poll()
    poll.register(events, select.POLLIN)
    return bool(poll.poll(0))


def test_kills_are_told_of_once(group: Path) -> None:
    with KilledEvents(str(group)) as events:
        assert not readable(events)
        kills(group, 3)
        assert readable(events)
        assert events.take() == 1
        assert not readable(events)
        assert events.take() == 0
        kills(group, 5)
        assert events.take() == 2
        kills(group, 5)  # another number in the file has changed
        assert readable(events)
        assert events.take() == 0
        assert not events.ended


@pytest.mark.parametrize(
    "looks", [(1, 2, 3, 4), (1, 2, 4), (1, 3, 4), (1, 4), (2, 3, 4), (2, 4), (3, 4), (4,)]
)
def test_a_group_that_is_killed_as_a_whole_is_one_event(
    group: Path, monkeypatch: pytest.MonkeyPatch, looks: tuple[int, ...]
) -> None:
    """Whenever we look: after the first process, the group, another process, and all."""
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    steps = {1: (3, 0), 2: (3, 1), 3: (4, 1), 4: (9, 1)}
    with KilledEvents(str(group)) as events:
        told = []
        for step, counts in steps.items():
            kills(group, *counts)
            now += 0.01
            if step in looks:
                told.append(events.take())
        assert sum(told) == 1
        now += 2
        kills(group, 10, 1)  # a process
        assert events.take() == 1
        now += 2
        kills(group, 15, 3)  # two groups
        assert events.take() == 2
        kills(group, 16, 3)
        assert events.take() == 0


def test_iterating_ends_with_the_last_process(group: Path) -> None:
    with KilledEvents(str(group)) as events:
        kills(group, 3)
        assert next(events) == 1
        kills(group, 4)
        populated(group, 0)
        assert list(events) == [1]
        assert events.ended
        assert list(events) == []


def test_a_group_that_goes_away_is_the_end(group: Path) -> None:
    with KilledEvents(str(group)) as events:
        (group / "memory.events").unlink()
        (group / "cgroup.events").unlink()
        assert events.take() == 0
        assert events.ended


def test_asyncio(group: Path) -> None:
    async def collect() -> list[int]:
        loop = asyncio.get_running_loop()
        loop.call_later(0.01, kills, group, 4)
        loop.call_later(0.1, kills, group, 5)
        loop.call_later(0.2, populated, group, 0)
        with KilledEvents(str(group)) as events:
            return [count async for count in events]

    assert asyncio.run(collect()) == [2, 1]


def test_without_a_memory_controller(group: Path) -> None:
    (group / "memory.events").unlink()
    before = os.listdir("/proc/self/fd")
    with pytest.raises(CgroupError, match="the memory controller is not enabled for the control"):
        KilledEvents(str(group))
    assert os.listdir("/proc/self/fd") == before
    with KilledEvents(str(group), optional=True) as events:
        populated(group, 0)
        assert list(events) == []


def test_without_a_group(tmp_path: Path) -> None:
    with pytest.raises(CgroupError, match=r"cannot watch the control group: .*cgroup.events"):
        KilledEvents(str(tmp_path), optional=True)


def test_closing(group: Path) -> None:
    before = os.listdir("/proc/self/fd")
    events = KilledEvents(str(group))
    assert os.get_inheritable(events.fileno()) is False
    events.close()
    events.close()
    assert list(events) == []
    KilledEvents(str(group))  # dropped
    assert os.listdir("/proc/self/fd") == before


def test_closing_ends_the_wait_of_another_thread(group: Path) -> None:
    before = os.listdir("/proc/self/fd")
    events = KilledEvents(str(group))
    found: list[int] = []
    waiting = threading.Thread(target=lambda: found.extend(events), daemon=True)
    waiting.start()
    kills(group, 3)
    while not found:  # and it waits again
        pass
    events.close()
    waiting.join(10)
    assert not waiting.is_alive()
    assert found == [1]
    assert os.listdir("/proc/self/fd") == before


def test_closing_ends_the_wait_of_another_task(group: Path) -> None:
    async def collect() -> list[int]:
        events = KilledEvents(str(group))
        loop = asyncio.get_running_loop()
        loop.call_later(0.01, kills, group, 4)
        loop.call_later(0.1, events.close)
        return await asyncio.wait_for(_all(events), 10)

    before = os.listdir("/proc/self/fd")
    assert asyncio.run(collect()) == [2]
    assert os.listdir("/proc/self/fd") == before


def test_a_task_that_waits_can_be_cancelled(group: Path) -> None:
    async def cancelled() -> None:
        with KilledEvents(str(group)) as events:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(_all(events), 0.05)
            kills(group, 3)
            assert await events.__anext__() == 1

    before = os.listdir("/proc/self/fd")
    asyncio.run(cancelled())
    assert os.listdir("/proc/self/fd") == before


async def _all(events: Events) -> list[int]:
    return [count async for count in events]


def test_levels_of_pressure() -> None:
    two = choose.load(Cgroup(), {"": "/sys/fs/cgroup/box"})
    with pytest.raises(Error, match="'high': low, medium, critical"):
        memory_pressure_events(two, lambda: -1, "high")


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (errno.EOPNOTSUPP, "the kernel does not measure it"),
        (errno.EINVAL, "this kernel gives that to root alone"),
        (errno.EPERM, "this kernel gives that to root alone"),
        (errno.EACCES, "you may not write to .*/memory.pressure"),
        (errno.ENOMEM, "the kernel has no memory for it"),
        (errno.EBUSY, "Device or resource busy: "),
    ],
)
def test_pressure_that_cannot_be_watched(
    group: Path, monkeypatch: pytest.MonkeyPatch, number: int, why: str
) -> None:
    """As the kernel may answer; which of these it can be made to is in the kernel tests."""
    opened = files.open_file

    def refused(path: str, flags: int) -> int:
        if path.endswith("/memory.pressure"):
            raise OSError(number, os.strerror(number), path)
        return opened(path, flags)

    monkeypatch.setattr(files, "open_file", refused)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(CgroupError, match=f"cannot watch the memory pressure: {why}"):
        PressureEvents(str(group), "low")
    assert os.listdir("/proc/self/fd") == before


def test_pressure_without_its_file(group: Path) -> None:
    with pytest.raises(CgroupError, match=r"the kernel does not measure it \(CONFIG_PSI"):
        PressureEvents(str(group), "low")
    (group / "cgroup.pressure").write_text("0\n")
    with pytest.raises(CgroupError, match="measuring it is turned off"):
        PressureEvents(str(group), "low")
