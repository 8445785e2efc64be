"""Events of real containers: one that runs out of memory, and one that ends."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import threading
from typing import TYPE_CHECKING

import pytest

import libct
from libct.config import Cgroup, Device, Resources

from ..containers import NULL, PATH, make_config, run_in, running, state_directory, with_v2
from ..support import requires, unique

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [requires("root", "busybox"), pytest.mark.usefixtures("nothing_left")]

MEGABYTE = 1 << 20
ZERO = Device("/dev/zero", "c", 1, 5)
# Keeps more than there is in memory.
GREEDY = "head -c 60000000 /dev/zero | tail -c 50000000 >/dev/null"


def config(**limits: object) -> libct.Config:
    resources = Resources(devices=[ZERO.rule, NULL.rule], **limits)  # type: ignore[arg-type]
    return make_config(cgroups=Cgroup(resources=resources), devices=[NULL, ZERO])


SMALL = {"memory": 16 * MEGABYTE, "memory_swap": 16 * MEGABYTE}


def readable(events: libct.Events) -> bool:
    poll = select.poll()
    poll.register(events, select.POLLIN)
    return bool(poll.poll(0))


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
            with pytest.raises(libct.CgroupError, match="cgroup v2 has no levels"):
                container.memory_pressure_events("low")

    with_v2(body)
