"""A caller that is killed leaves nothing but what another process can find and remove."""

from __future__ import annotations

import importlib
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import libct
from libct.bootstrap import client, servers
from libct.bootstrap.listening import Listener
from libct.config import NEWCGROUP, NEWUSER, Cgroup, IDMap, Resources
from libct.life import releasing
from libct.life.directory import Directory, Held
from libct.plan import (  # noqa: F401  # they declare what there is
    cgroups,
    container as planner,
    further as further_planner,
)
from libct.plan.step import OPERATIONS
from libct.syscalls.process import pidfd_send_signal
from libct.syscalls.settings import set_child_subreaper

from ..containers import PATH, USUAL, make_config, shared_rootfs, state_directory
from ..killing import as_caller, beside, groups, kill_at, orphans, reap, remove
from ..support import forked, requires, unique, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [requires("root", "busybox"), pytest.mark.usefixtures("nothing_left")]


def everything() -> libct.Config:
    """A configuration with something for the runtime to do at every turn."""
    return make_config(
        namespaces=(*USUAL, NEWUSER, NEWCGROUP),
        uid_mappings=[IDMap(0, 100000, 65536)],
        gid_mappings=[IDMap(0, 100000, 65536)],
        oom_score_adj=100,
        cgroups=Cgroup(resources=Resources(pids_limit=50)),
    )


def operation(name: str, when: str, turn: int = 1) -> Callable[[], None]:
    module, _, function = OPERATIONS[name].performer.rpartition(".")
    return lambda: kill_at(importlib.import_module(f"libct.{module}"), function, when, turn)


def method(owner: Any, name: str, when: str, turn: int = 1) -> Callable[[], None]:
    return lambda: kill_at(owner, name, when, turn)


def stopped_clone() -> None:
    """The first process does not get far before its caller is gone."""
    take = client._Run._take_clone

    def take_and_stop(run: client._Run, number: int) -> None:
        take(run, number)
        pidfd_send_signal(run.started.pidfd, signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(client._Run, "_take_clone", take_and_stop)  # noqa: B010  # mypy: a method


# Name: (how to be killed, what the status is then).
MOMENTS: dict[str, tuple[Callable[[], None], str]] = {
    "directory made": (method(Directory, "make", "after"), "gone"),
    "before the first record": (method(Held, "publish", "before"), "gone"),
    "recorded": (method(Held, "write", "after"), "stopped"),
    "before the groups": (operation("cgroup_mkdir", "before"), "stopped"),
    "a group made": (operation("cgroup_mkdir", "after"), "stopped"),
    "groups made": (operation("cgroup_mkdir", "after", 2), "stopped"),
    "a limit set": (operation("cgroup_write", "after"), "stopped"),
    "fifo made": (method(Held, "make_fifo", "after"), "stopped"),
    "before asking": (method(client._Run, "_ask", "before"), "stopped"),
    "asked": (method(client._Run, "_ask", "after"), "stopped"),
    "cloned": (method(client._Run, "_expect", "after"), "stopped"),
    "cloned and stopped": (stopped_clone, "stopped"),
    "next record written": (method(Held, "prepare", "after", 2), "stopped"),
    "before the uid map": (operation("write_id_map", "before"), "stopped"),
    "between the maps": (operation("write_id_map", "after"), "stopped"),
    "maps written": (operation("write_id_map", "after", 2), "stopped"),
    "score set": (operation("set_oom_score_adj", "after"), "stopped"),
    "before the last turn": (method(client._Run, "_expect", "before", 3), "stopped"),
    "before created": (operation("record_created", "before"), "stopped"),
    "created and not let go": (operation("record_created", "after"), "stopped"),
    "created": (method(client._Run, "_send_go", "after", 2), "created"),
    "released": (method(releasing, "_release", "after"), "running"),
}


def call(moment: Callable[[], None], name: str) -> None:
    """What the caller does, until it is killed."""
    moment()
    container = libct.create(state_directory(), name, everything())
    container.start(libct.Process(["sleep", "60"], env=[PATH], init=True))
    container.exec()


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_caller_is_killed(moment: str) -> None:
    kill, status = MOMENTS[moment]
    name = unique()
    shared_rootfs()
    state_directory()

    def body() -> None:
        set_child_subreaper(True)
        as_caller(lambda: call(kill, name))
        try:
            container = libct.load(state_directory(), name)
        except libct.ContainerNotFound:
            assert status == "gone"
        else:
            if moment == "cloned and stopped":
                for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
                    os.kill(int(pid), signal.SIGCONT)
            if status == "stopped":
                assert orphans() == []
                assert container.processes() == []
            assert container.status() == status
        beside(lambda: remove(name))
        servers.stop_server()
        assert orphans() == []
        assert groups(name) == []
        assert not os.path.exists(f"{state_directory()}/{name}")

    forked(body)


@pytest.mark.parametrize("moment", ["asked", "let go", "gone on"])
def test_the_caller_of_a_further_process_is_killed(moment: str) -> None:
    kill = {
        "asked": method(client._Run, "_ask", "after"),
        "let go": operation("let_go", "before"),
        "gone on": method(client._Run, "_let_go_ahead", "after"),
    }[moment]
    name = unique()
    shared_rootfs()
    state_directory()

    def first() -> None:
        process = libct.Process(["sleep", "60"], env=[PATH], init=True)
        libct.create(state_directory(), name, everything()).run(process)

    def further() -> None:
        kill()
        container = libct.load(state_directory(), name)
        container.run(libct.Process(["sleep", "70"], env=[PATH]))

    def body() -> None:
        set_child_subreaper(True)
        beside(first)
        as_caller(further)
        container = libct.load(state_directory(), name)
        if moment != "gone on":
            assert wait_until(lambda: reap() and len(container.processes()) == 1)
        assert container.status() == "running"
        beside(lambda: remove(name))
        assert orphans() == []

    forked(body)


def test_a_caller_may_be_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception out of the blue, at each time that the runtime waits for the others."""
    for turn in range(1, 6):
        calls = 0
        hear = Listener.hear

        def hear_or_not(talk: Listener, turn: int = turn) -> Any:
            nonlocal calls
            calls += 1
            if calls == turn:
                raise KeyboardInterrupt
            return hear(talk)  # noqa: B023  # called before the next round

        name = unique()
        container = libct.create(state_directory(), name, everything())
        with monkeypatch.context() as patch:
            patch.setattr(Listener, "hear", hear_or_not)
            process = libct.Process(["sleep", "60"], env=[PATH], init=True)
            try:
                container.run(process)
            except KeyboardInterrupt:
                assert container.status() == "stopped"
            else:
                assert turn == 5  # there are no more
        container.destroy(force=True)
        assert groups(name) == []
