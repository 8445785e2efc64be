"""Containers among threads: groups of v2 whose cgroup.type is "threaded" (cgroup-v2, Threads)."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import libct
from libct.bootstrap.context import Context
from libct.cgroups import controllers
from libct.config import NEWPID, Cgroup
from libct.errors import StepProblem

from ..containers import (
    PATH,
    USUAL,
    make_config,
    run_in,
    running,
    shared_rootfs,
    state_directory,
    with_v2,
)
from ..support import requires, unique, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [requires("root", "busybox", "cgroup2"), pytest.mark.usefixtures("nothing_left")]


@pytest.fixture(autouse=True)
def rootfs() -> None:
    """Made once, and not by each test's process."""
    shared_rootfs()


@contextlib.contextmanager
def among_threads() -> Iterator[Path]:
    """A group that has a process and a threaded group below it.

    So it is the root of a tree of threads, as it is where it has a process and the cpu
    controller enabled, which the host may not offer to v2.
    """
    root = Path("/sys/fs/cgroup", unique())
    (root / "threads").mkdir(parents=True)
    (root / "threads/cgroup.type").write_text("threaded")
    pid = os.fork()
    if pid == 0:
        time.sleep(100)
        os._exit(0)
    (root / "cgroup.procs").write_text(str(pid))
    try:
        yield root
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        (root / "threads").rmdir()
        root.rmdir()


def config(root: Path, *, shared: bool = False) -> libct.Config:
    """Of a container in the group payload/x.  shared: in the host's pid namespace."""
    spaces = tuple(space for space in USUAL if not shared or space != NEWPID)
    path = f"/{root.name}/payload/x"
    return make_config(namespaces=spaces, cgroups=Cgroup(path=path))


def group_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cgroup").read_text().rpartition("0::")[2].strip()


def test_each_level_becomes_threaded() -> None:
    def body() -> None:
        with among_threads() as root:
            with running(config(root)) as container:
                for name in ("payload", "payload/x"):
                    assert (root / name / "cgroup.type").read_text() == "threaded\n"
                assert (root / "cgroup.type").read_text() == "domain threaded\n"
                assert group_of(container.state()["pid"]) == f"/{root.name}/payload/x"
            assert not (root / "payload").exists()

    with_v2(body)


def test_a_container_among_threads_is_like_any_other() -> None:
    """exec, ps, stats, pause, resume."""

    def body() -> None:
        with among_threads() as root, running(config(root)) as container:
            first = container.state()["pid"]
            further = libct.Process(["sleep", "60"], env=[PATH])
            container.run(further)
            assert group_of(further.pid) == f"/{root.name}/payload/x"
            assert container.processes() == sorted([first, further.pid])
            stats = container.stats().cgroup_stats
            assert stats is not None
            assert stats.pids_stats is not None
            assert stats.pids_stats.current == 2
            container.pause()
            assert container.status() == "paused"
            container.resume()
            assert container.status() == "running"
            container.signal(signal.SIGKILL, all=True)
            assert further.wait(10).signal == signal.SIGKILL

    with_v2(body)


def test_threads_are_told_as_their_processes(tmp_path: Path) -> None:
    import threading

    def body() -> None:
        with among_threads() as root, running(config(root)) as container:
            pid = os.fork()
            if pid == 0:
                for _ in range(3):
                    threading.Thread(target=time.sleep, args=(100,)).start()
                (tmp_path / "ready").touch()
                time.sleep(100)
                os._exit(0)
            assert wait_until((tmp_path / "ready").exists)
            own = root / "payload/x"
            (own / "cgroup.procs").write_text(str(pid))
            assert len((own / "cgroup.threads").read_text().split()) == 5
            assert container.processes() == sorted([container.state()["pid"], pid])
            container.signal(signal.SIGKILL, all=True)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL

    with_v2(body)


@pytest.mark.parametrize("how", ["kill", "all", "destroy"])
def test_what_forks_is_killed_without_cgroup_kill(how: str) -> None:
    def body() -> None:
        with among_threads() as root, contextlib.ExitStack() as stack:
            asked = config(root, shared=True)
            container = stack.enter_context(libct.create(state_directory(), unique(), asked))
            command = ["sh", "-c", "while :; do sleep 0.1 & done"]  # some hundreds at a time
            container.run(libct.Process(command, init=True, env=[PATH]))
            assert wait_until(lambda: len(container.processes()) > 20)
            own = root / "payload/x"
            with pytest.raises(OSError, match="not supported"):
                (own / "cgroup.kill").write_text("1")
            if how == "destroy":
                container.destroy(force=True)
                assert not own.exists()
            else:
                container.signal(signal.SIGKILL, all=how == "all")
                assert (own / "cgroup.threads").read_text() == ""

    with_v2(body)


@pytest.mark.parametrize("threads", [True, False])
def test_what_cannot_limit_threads_is_refused(threads: bool) -> None:
    """Among threads, and next to processes: it says what and why, and nothing is changed."""

    def body() -> None:
        top = Path("/sys/fs/cgroup")
        offered = (top / "cgroup.controllers").read_text().split()
        domain = [name for name in offered if name not in ("cpu", "cpuset", "perf_event", "pids")]
        with among_threads() as root:
            if not threads:
                (root / "threads").rmdir()
                (root / "threads").mkdir()
                assert (root / "cgroup.type").read_text() == "domain\n"
            files = [top / "cgroup.subtree_control", root / "cgroup.subtree_control"]
            files += [root / "cgroup.type", root / "threads/cgroup.type"]
            before = [file.read_text() for file in files]
            (root / "payload/x").mkdir(parents=True)
            args = (str(top), f"{root.name}/payload/x", (domain[0],))
            with pytest.raises((StepProblem, OSError)) as caught:
                controllers.cgroup_enable_controllers(Context(), *args)
            if threads:
                assert f"{domain[0]} cannot be limited in '{root}/payload'" in str(caught.value)
            else:
                assert f"+{domain[0]}" in str(caught.value)
                assert "processes in that group itself" in vars(caught.value)["hint"]
            (root / "payload/x").rmdir()
            (root / "payload").rmdir()
            assert [file.read_text() for file in files] == before

    with_v2(body)


def test_what_is_made_below_is_killed_and_removed() -> None:
    """Groups below, which are of no use until they are threaded, and may be frozen."""

    def body() -> None:
        with among_threads() as root, running(config(root, shared=True)) as container:
            own = root / "payload/x"
            for name in ("a", "a/b"):
                (own / name).mkdir()
                (own / name / "cgroup.type").write_text("threaded")
            (own / "a/b/cgroup.procs").write_text(str(container.state()["pid"]))
            assert run_in(container, "true").state.success
            assert container.processes() == [container.state()["pid"]]
            (own / "a/b/cgroup.freeze").write_text("1")
            container.destroy(force=True)
            assert not own.exists()

    with_v2(body)
