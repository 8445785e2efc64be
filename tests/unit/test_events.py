"""Events of cgroup v2, on ordinary files that stand for those of a control group."""

from __future__ import annotations

import asyncio
import os
import select
from typing import TYPE_CHECKING

import pytest

from libct.cgroups import choose, files
from libct.config import Cgroup
from libct.errors import CgroupError, Error
from libct.life.events import Events, V2Events, memory_pressure_events

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


def kills(group: Path, count: int) -> None:
    replace(group / "memory.events", f"low 0\nhigh 0\nmax 9\noom 9\noom_kill {count}\n")


def populated(group: Path, value: int) -> None:
    replace(group / "cgroup.events", f"populated {value}\nfrozen 0\n")


def readable(events: Events) -> bool:
    poll = select.poll()
    poll.register(events, select.POLLIN)
    return bool(poll.poll(0))


def test_kills_are_told_of_once(group: Path) -> None:
    with V2Events(str(group)) as events:
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


def test_iterating_ends_with_the_last_process(group: Path) -> None:
    with V2Events(str(group)) as events:
        kills(group, 3)
        assert next(events) == 1
        kills(group, 4)
        populated(group, 0)
        assert list(events) == [1]
        assert events.ended
        assert list(events) == []


def test_a_group_that_goes_away_is_the_end(group: Path) -> None:
    with V2Events(str(group)) as events:
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
        with V2Events(str(group)) as events:
            return [count async for count in events]

    assert asyncio.run(collect()) == [2, 1]


def test_without_a_memory_controller(group: Path) -> None:
    (group / "memory.events").unlink()
    before = os.listdir("/proc/self/fd")
    with pytest.raises(CgroupError, match="the memory controller is not enabled for the control"):
        V2Events(str(group))
    assert os.listdir("/proc/self/fd") == before
    with V2Events(str(group), optional=True) as events:
        populated(group, 0)
        assert list(events) == []


def test_without_a_group(tmp_path: Path) -> None:
    with pytest.raises(CgroupError, match=r"cannot watch the control group: .*cgroup.events"):
        V2Events(str(tmp_path), optional=True)


def test_closing(group: Path) -> None:
    before = os.listdir("/proc/self/fd")
    events = V2Events(str(group))
    assert os.get_inheritable(events.fileno()) is False
    events.close()
    events.close()
    assert list(events) == []
    V2Events(str(group))  # dropped
    assert os.listdir("/proc/self/fd") == before


def test_pressure_by_level_is_of_v1() -> None:
    two = choose.load(Cgroup(), {"": "/sys/fs/cgroup/box"})
    with pytest.raises(CgroupError, match="cgroup v2 has no levels of it"):
        memory_pressure_events(two, lambda: -1, "low")
    with pytest.raises(Error, match="'high': low, medium, critical"):
        memory_pressure_events(two, lambda: -1, "high")
