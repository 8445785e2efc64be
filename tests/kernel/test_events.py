"""Events of real containers: one that runs out of memory, and one that ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import libct
from libct.config import Cgroup, Device, Resources
from libct.life import events_v2

from ..containers import NULL, PATH, make_config, run_in, running, state_directory, with_v2
from ..support import forked, requires, uncached_file, unique, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [requires("root", "busybox"), pytest.mark.usefixtures("nothing_left")]

MEGABYTE = 1 << 20
ZERO = Device("/dev/zero", "c", 1, 5)
# Keeps more than there is in memory.
GREEDY = "head -c 60000000 /dev/zero | tail -c 50000000 >/dev/null"


def config(**limits: object) -> libct.Config:
    resources = Resources(devices=[ZERO.rule, NULL.rule], **limits)  # type: ignore[arg-type]
    return make_config(cgroups=Cgroup(resources=resources), devices=[NULL, ZERO])


SMALL = {"memory": 16 * MEGABYTE, "memory_swap": 16 * MEGABYTE}


def readable(events: libct.Events, seconds: float = 0) -> bool:
    poll = select.poll()
    poll.register(events, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


# --- v1 ---


@requires("cgroup1")
def test_running_out_of_memory() -> None:
    with running(config(**SMALL)) as container, container.oom_events() as events:
        assert not readable(events)
        assert events.take() == 0
        assert run_in(container, "sh", "-c", GREEDY).state.status == 128 + signal.SIGKILL
        assert readable(events)
        assert next(events) >= 1
        assert not readable(events)
        container.signal(signal.SIGKILL)
        assert list(events) == []
        assert events.ended


@requires("cgroup1")
def test_what_ends_the_container_is_told_first() -> None:
    with libct.create(state_directory(), unique(), config(**SMALL)) as container:
        script = f"read x; exec {GREEDY.partition('| ')[2]}"
        reader, writer = os.pipe()
        process = libct.Process(["sh", "-c", script], env=[PATH], stdin=reader, init=True)
        container.run(process)
        os.close(reader)
        with container.oom_events() as events:
            feeder = threading.Thread(target=_feed, args=(writer,))
            feeder.start()
            assert sum(events) >= 1
            feeder.join()
        assert process.wait().signal == signal.SIGKILL


def _feed(writer: int) -> None:
    with open(writer, "wb") as pipe:
        try:
            pipe.write(b"\n" + bytes(60_000_000))
        except BrokenPipeError:
            pass


@requires("cgroup1")
def test_the_end_of_a_removed_container_is_no_event() -> None:
    """Though the kernel counts the removal of the group up, too."""
    with running(config(**SMALL)) as container, container.oom_events() as events:
        container.destroy(force=True)
        assert list(events) == []


@requires("cgroup1")
def test_asyncio_waits_for_both() -> None:
    async def watch() -> int:
        with running(config(**SMALL)) as container, container.oom_events() as events:
            greedy = libct.Process(["sh", "-c", GREEDY], env=[PATH])
            container.run(greedy)
            assert await events.__anext__() >= 1
            await greedy.wait_async()
            events.take()
            container.signal(signal.SIGKILL)
            return sum([count async for count in events])

    assert asyncio.run(watch()) == 0


@requires("cgroup1")
def test_memory_gets_scarce(tmp_path: Path) -> None:
    """Reading files through a small memory makes the kernel reclaim their pages."""
    with running(config(**SMALL)) as container:
        with container.memory_pressure_events("low") as events:
            big = "head -c 60000000 /dev/zero >/big; for i in 1 2 3; do cat /big >/dev/null; done"
            try:
                assert run_in(container, "sh", "-c", big).state.success
                assert events.take() >= 1
            finally:
                run_in(container, "rm", "-f", "/big")
        with pytest.raises(libct.Error, match="no such level of memory pressure: 'high'"):
            container.memory_pressure_events("high")


@requires("cgroup1")
def test_a_container_that_has_stopped_cannot_be_watched() -> None:
    with libct.create(state_directory(), unique(), config()) as container:
        run_in(container, "true", init=True)
        before = os.listdir("/proc/self/fd")
        with pytest.raises(libct.ContainerNotRunning, match=r"cannot watch container .* stopped"):
            container.oom_events()
        assert os.listdir("/proc/self/fd") == before


@requires("cgroup1")
def test_nothing_stays_open() -> None:
    with running(config()) as container:
        before = os.listdir("/proc/self/fd")
        for _ in range(3):
            container.oom_events().close()
            container.memory_pressure_events("critical").close()
        assert os.listdir("/proc/self/fd") == before


# --- v2 ---


@requires("cgroup2")
def test_v2_ends_with_the_last_process() -> None:
    def body() -> None:
        with running(config()) as container, container.oom_events(optional=True) as events:
            assert events.take() == 0
            assert not events.ended
            container.pause()  # writes cgroup.events as well
            assert events.take() == 0
            container.resume()
            container.signal(signal.SIGKILL)
            assert list(events) == []
            assert events.ended

    with_v2(body)


@requires("cgroup2")
def test_v2_without_a_memory_controller() -> None:
    def body() -> None:
        with running(config()) as container:
            assert container.manager is not None
            if os.path.exists(f"{container.manager.directories()[0]}/memory.events"):
                container.oom_events().close()
                return
            with pytest.raises(libct.CgroupError, match="memory controller is not enabled"):
                container.oom_events()

    with_v2(body)


# --- pressure by v2 ---


@pytest.fixture
def small_memory() -> Iterator[int]:
    """A group of v1 with a small memory, as the descriptor of its cgroup.procs.

    What waits for memory in there waits for it in its group of v2, too.
    """
    group = Path("/sys/fs/cgroup/memory", unique())
    group.mkdir()
    (group / "memory.limit_in_bytes").write_text(str(2 * MEGABYTE))
    procs = os.open(group / "cgroup.procs", os.O_WRONLY)
    yield procs
    os.close(procs)
    assert wait_until(lambda: not (group / "cgroup.procs").read_text())
    group.rmdir()


# Reads a file that there is no room for, again and again, which is to wait for memory half of the
# time.  Nothing is written: what waits for a disk is not killed at once.
STARVING = "read x; while :; do cat /big >/dev/null; done & while :; do cat /big >/dev/null; done"


@contextlib.contextmanager
def starving(container: libct.Container, procs: int) -> Iterator[None]:
    big = Path(container.config.rootfs, "big")
    uncached_file(big, 32 * MEGABYTE)
    reader, writer = os.pipe()
    process = libct.Process(["sh", "-c", STARVING], env=[PATH], stdin=reader)
    try:
        container.run(process)
        os.write(procs, str(process.pid).encode())
        os.write(writer, b"\n")
        yield
    finally:
        os.close(reader)
        os.close(writer)
        container.signal(signal.SIGKILL)
        process.wait()
        big.unlink()


@requires("cgroup1", "cgroup2", "psi")
def test_v2_memory_gets_scarce(small_memory: int) -> None:
    """Whether or not the memory controller is enabled; also for asyncio."""

    async def next_of(events: libct.Events) -> int:
        return await events.__anext__()

    def body() -> None:
        with running(config()) as container:
            low = container.memory_pressure_events("low")
            medium = container.memory_pressure_events("medium")
            assert (low.take(), medium.take(), readable(low), readable(medium)) == (
                0,
                0,
                False,
                False,
            )
            with starving(container, small_memory):
                assert next(low) == 1
                assert asyncio.run(next_of(medium)) == 1
                assert readable(low, 10)
                assert readable(low)  # looking takes nothing away
                assert low.take() == 1
                assert low.take() == 0
                assert not low.ended
            assert list(low) in ([], [1])
            assert list(medium) in ([], [1])
            assert low.ended
            low.close()
            medium.close()

    with_v2(body)


@requires("cgroup1", "cgroup2", "psi")
def test_v2_an_event_of_another_level_is_none(
    small_memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the kernel wakes up, since Linux 6.5, whoever polls the same file."""
    monkeypatch.setitem(events_v2._TRIGGERS, "critical", "full 9900000 10000000")

    def body() -> None:
        with running(config()) as container:
            low = container.memory_pressure_events("low")
            critical = container.memory_pressure_events("critical")
            with starving(container, small_memory):
                assert next(low) == 1
                readable(critical)
                assert critical.take() == 0
                assert next(low) == 1
                assert critical.take() == 0
            low.close()
            critical.close()

    with_v2(body)


@requires("cgroup2", "psi")
def test_v2_pressure_of_a_container_that_is_removed() -> None:
    def body() -> None:
        with running(config()) as container:
            events = container.memory_pressure_events("low")
            container.destroy(force=True)
            assert list(events) == []
            events.close()

    with_v2(body)


@requires("cgroup2", "psi")
def test_v2_pressure_that_is_not_measured() -> None:
    def body() -> None:
        with running(config()) as container:
            assert container.manager is not None
            switch = Path(container.manager.directories()[0], "cgroup.pressure")
            if not switch.exists():  # before Linux 6.1
                return
            switch.write_text("0")
            before = os.listdir("/proc/self/fd")
            with pytest.raises(libct.CgroupError, match="measuring it is turned off"):
                container.memory_pressure_events("low")
            assert os.listdir("/proc/self/fd") == before

    with_v2(body)


@requires("cgroup2", "psi")
def test_v2_pressure_of_a_group_of_root_s() -> None:
    def body() -> None:
        with running(config()) as container:
            assert container.manager is not None
            group = container.manager.directories()[0]

            def watch() -> None:
                os.setuid(65534)
                with pytest.raises(libct.CgroupError, match=r"you may not write to .*pressure"):
                    events_v2.PressureEvents(group, "low")

            forked(watch)

    with_v2(body)
