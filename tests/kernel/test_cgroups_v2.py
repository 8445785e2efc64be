"""Control groups of version 2, mounted over /sys/fs/cgroup in a private mount namespace.

Where the host's controllers are bound to v1 there are none to limit anything
with; freezing, killing, events and device programs need none.
"""

from __future__ import annotations

import errno
import os
import posix
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from libct.bootstrap.context import Context
from libct.bootstrap.performer import find
from libct.cgroups import choose as cgroups, entry, files, killing
from libct.cgroups.layout import detect
from libct.config import Cgroup, DeviceRule, HugepageLimit, Resources
from libct.errors import CgroupError, StepProblem
from libct.syscalls.namespaces import clone3

from ..containers import with_v2
from ..ledgers import ledger_of, remove_groups, with_ledger
from ..support import requires, unique, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from libct.cgroups.manager import Manager
    from libct.plan.step import Step

pytestmark = requires("root", "cgroup2")


def perform(planned: list[Step], context: Context) -> Context:
    for step in planned:
        find(step.performer)(context, *step.args)
    return context


def make(manager: Manager) -> Context:
    """Its groups, as a start makes them that is through with that, however it ended."""
    context = with_ledger()
    try:
        return perform(manager.create_steps(), context)
    finally:
        ledger_of(context).release()


def with_group(
    body: Callable[[Manager], object], resources: Resources | None = None, path: str = ""
) -> None:
    """Run body with a group that is gone in the end."""

    def enter() -> None:
        cgroup = Cgroup(path=path, resources=resources or Resources())
        manager = cgroups.new(cgroup, unique(), detect())
        assert manager.problems() == []
        make(manager)
        try:
            body(manager)
        finally:
            manager.kill()
            remove_groups(manager)
        assert not manager.exists()

    with_v2(enter)


def inside(manager: Manager, body: Callable[[], object]) -> int:
    """A process cloned into the group that does body, and ends with its answer's truth."""
    context = perform(manager.directory_steps(), Context())
    pid, _ = clone3(0, signal.SIGCHLD, context.fds["cgroup"])
    if pid == 0:
        try:
            os._exit(0 if body() else 1)
        finally:
            os._exit(2)
    context.release("cgroup")
    return pid


def sleeper(manager: Manager) -> int:
    return inside(manager, lambda: time.sleep(100))


def answer(pid: int) -> int:
    """How a process ended: its exit status, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_process_is_cloned_into_its_group() -> None:
    def body(manager: Manager) -> None:
        assert not manager.populated()
        pid = sleeper(manager)
        assert manager.pids() == manager.all_pids() == [pid]
        assert manager.populated()
        assert manager.around(pid).paths() == manager.paths()
        manager.kill()
        assert answer(pid) == -signal.SIGKILL
        assert not manager.populated()

    with_group(body)


def test_no_process_is_cloned_into_a_group_of_another_users() -> None:
    """Its directory can be opened for that (O_PATH), but clone3(2) would refuse it."""

    def body(manager: Manager) -> None:
        pid = os.fork()
        if pid == 0:
            try:
                os.setresuid(1000, 1000, 1000)
                context = Context()
                entry.cgroup_open_directory(context, manager.paths()[""], 1)
                os._exit(0 if context.fds == {} else 1)
            finally:
                os._exit(2)
        assert os.waitpid(pid, 0)[1] == 0

    with_group(body)


def test_the_runtime_joins_a_process() -> None:
    def body(manager: Manager) -> None:
        context = with_ledger()
        context.pid = os.fork()
        if context.pid == 0:
            time.sleep(100)
        perform(manager.join_steps(), context)
        assert manager.pids() == [context.pid]

    with_group(body)


def test_a_group_is_beside_our_own() -> None:
    def body() -> None:
        name = unique()
        own = f"/sys/fs/cgroup/{name}/own"
        os.makedirs(own)
        Path(own, "cgroup.procs").write_text(str(os.getpid()))
        manager = cgroups.new(Cgroup(path="a/b"), "c", detect())
        try:
            assert manager.paths() == {"": f"/sys/fs/cgroup/{name}/a/b"}
            context = make(manager)
            assert manager.exists()
            assert ledger_of(context).undo() == []
            assert not os.path.exists(f"/sys/fs/cgroup/{name}/a")
        finally:
            Path("/sys/fs/cgroup/cgroup.procs").write_text(str(os.getpid()))
            os.rmdir(own)
            os.rmdir(os.path.dirname(own))

    with_v2(body)


def test_a_process_that_has_moved_below_is_found() -> None:
    def body(manager: Manager) -> None:
        pid = sleeper(manager)
        below = f"{manager.cgroup_directory()}/below"
        os.mkdir(below)
        Path(below, "cgroup.procs").write_text(str(pid))
        assert manager.pids() == []
        assert manager.all_pids() == [pid]
        assert manager.populated()
        assert manager.around(pid).paths() == {"": below}

    with_group(body)


def test_a_frozen_process_does_nothing() -> None:
    def count() -> None:
        while True:
            os.getppid()

    def body(manager: Manager) -> None:
        pid = inside(manager, count)
        assert not manager.frozen()
        manager.freeze()
        assert manager.frozen()
        assert state(pid) == "S"
        manager.freeze()
        manager.thaw()
        assert not manager.frozen()
        assert wait_until(lambda: state(pid) == "R")
        manager.freeze()  # what is frozen is killed as well

    with_group(body)


def test_an_empty_group_is_frozen() -> None:
    def body(manager: Manager) -> None:
        manager.freeze()
        assert manager.frozen()

    with_group(body)


def fork_forever() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        if os.fork() == 0:
            time.sleep(0.01)
            os._exit(0)
        time.sleep(0.0005)


@pytest.mark.parametrize("at_once", [True, False])
def test_killing_gets_forking_processes(at_once: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not at_once:
        without_kill(monkeypatch)

    def body(manager: Manager) -> None:
        pid = inside(manager, fork_forever)
        assert wait_until(lambda: len(manager.pids()) > 5)
        manager.kill()
        assert not manager.populated()
        assert answer(pid) == -signal.SIGKILL

    with_group(body)


def without_kill(monkeypatch: pytest.MonkeyPatch) -> None:
    """As before Linux 5.14."""
    write = files.write

    def refuse(path: str, *values: str) -> None:
        if path.endswith("/cgroup.kill"):
            raise FileNotFoundError(errno.ENOENT, "no such file", path)
        write(path, *values)

    monkeypatch.setattr(files, "write", refuse)


@pytest.mark.parametrize("many", [False, True])
def test_what_forks_away_is_frozen_before_it_is_killed(
    many: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it cannot be killed at once: after a moment, or immediately if there is much of it."""
    without_kill(monkeypatch)
    monkeypatch.setattr(killing, "_SECONDS", 3)
    if many:
        monkeypatch.setattr(killing, "_MANY", 0)
        monkeypatch.setattr(killing, "_FORKS_SECONDS", 60)
    kill, freeze = killing._kill, killing._freeze
    started: list[int] = []
    born: set[int] = set()  # while the group is to be frozen: these never run

    def freeze_all(directories: Collection[str], v2: str, v1: str) -> None:
        born.clear()
        freeze(directories, v2, v1)

    def body(manager: Manager) -> None:
        directory = manager.cgroup_directory()

        def kill_late(groups: Collection[str], pids: list[int]) -> None:
            """What runs, or is yet to be stopped, has forked just before."""
            if len(started) < 100 and not born.issuperset(pids):
                started.append(sleeper(manager))
                if files.read(f"{directory}/cgroup.freeze") == "1\n":
                    born.add(started[-1])
            kill(groups, pids)

        started.append(sleeper(manager))
        monkeypatch.setattr(killing, "_kill", kill_late)
        monkeypatch.setattr(killing, "_freeze", freeze_all)
        manager.kill()
        assert [answer(pid) for pid in started] == [-signal.SIGKILL] * len(started)
        assert 1 < len(started) < 100
        assert not manager.frozen()

    with_group(body)


def test_who_is_in_the_group_himself_is_not_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(killing, "_FORKS_SECONDS", 0)

    def body(manager: Manager) -> None:
        directory = manager.cgroup_directory()
        pid = sleeper(manager)
        Path(f"{directory}/cgroup.procs").write_text("0")
        try:
            manager.kill()
            assert manager.pids() == [os.getpid()]
        finally:
            Path("/sys/fs/cgroup/cgroup.procs").write_text("0")
        assert answer(pid) == -signal.SIGKILL

    with_group(body)


def test_who_ends_late_is_waited_for_while_others_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands take longer than one may."""
    monkeypatch.setattr(killing, "_SECONDS", 0.5)

    def end_one(groups: Collection[str], pids: list[int]) -> None:
        os.kill(max(pids), signal.SIGKILL)
        time.sleep(0.2)

    def body(manager: Manager) -> None:
        without_kill(monkeypatch)
        pids = [sleeper(manager) for _ in range(6)]
        monkeypatch.setattr(killing, "_kill", end_one)
        manager.kill()
        assert [answer(pid) for pid in pids] == [-signal.SIGKILL] * 6
        pids = [sleeper(manager) for _ in range(6)]
        monkeypatch.setattr(killing, "_kill", lambda groups, pids: None)
        with pytest.raises(CgroupError, match=rf"processes {pids[0]} .* \.\.\. did not end"):
            manager.kill()
        monkeypatch.undo()

    with_group(body)


def test_a_number_that_is_somebody_elses_by_now_is_not_signalled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As where the numbers of processes have gone round since the group was looked at."""
    without_kill(monkeypatch)
    tree_pids, looks = files.tree_pids, []

    def body(manager: Manager) -> None:
        pid, other = sleeper(manager), os.fork()
        if other == 0:
            time.sleep(100)
            os._exit(0)

        def outdated(directory: str) -> list[int]:
            found = tree_pids(directory)
            looks.append(directory)
            return [*found, other] if len(looks) == 1 else found

        monkeypatch.setattr(files, "tree_pids", outdated)
        manager.kill()
        assert answer(pid) == -signal.SIGKILL
        assert os.waitpid(other, os.WNOHANG) == (0, 0)
        os.kill(other, signal.SIGTERM)
        assert answer(other) == -signal.SIGTERM

    with_group(body)


def test_what_is_spared_lives_on() -> None:
    def body(manager: Manager) -> None:
        spared, other = sleeper(manager), sleeper(manager)
        killing.kill(manager.directories(), spare=[spared])
        assert answer(other) == -signal.SIGKILL
        assert manager.pids() == [spared]
        manager.kill()
        answer(spared)

    with_group(body)


def test_freezing_waits_until_all_have_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    pread, said = posix.pread, [b"populated 1\nfrozen 0\n"]

    def pread_late(fd: int, size: int, offset: int) -> bytes:
        said.append(said[0] if len(said) < 2 else pread(fd, size, offset))
        return said[-1]

    monkeypatch.setattr(posix, "pread", pread_late)

    def body(manager: Manager) -> None:
        sleeper(manager)
        manager.freeze()
        assert b"frozen 1" in said[-1]

    with_group(body)


def test_groups_in_use_are_not_taken() -> None:
    def body(manager: Manager) -> None:
        again = cgroups.new(manager.cgroup, "c", detect())
        pid = sleeper(manager)
        with pytest.raises(StepProblem, match=f"not empty: processes {pid} are"):
            make(again)
        manager.kill()
        answer(pid)
        manager.freeze()
        with pytest.raises(StepProblem, match="unexpectedly frozen"):
            make(again)
        manager.thaw()
        make(again)

    with_group(body, path=f"/{unique()}")


def test_groups_with_processes_are_not_removed() -> None:
    def body(manager: Manager) -> None:
        sleeper(manager)
        with pytest.raises(OSError, match=os.strerror(errno.EBUSY)):
            remove_groups(manager)

    with_group(body)


def test_groups_that_the_container_made_are_removed() -> None:
    def body(manager: Manager) -> None:
        os.makedirs(f"{manager.cgroup_directory()}/a/b")
        remove_groups(manager)
        remove_groups(manager)

    with_group(body)


def test_a_container_that_is_gone_has_nothing() -> None:
    def body(manager: Manager) -> None:
        remove_groups(manager)
        assert manager.pids() == manager.all_pids() == []
        assert not any((manager.populated(), manager.frozen(), manager.exists()))
        assert manager.oom_kill_count() == 0
        manager.thaw()
        manager.kill()
        with pytest.raises(CgroupError, match="cannot freeze"):
            manager.freeze()

    with_group(body)


def test_device_rules_come_and_go() -> None:
    def reads(path: str) -> Callable[[], bool]:
        def attempt() -> bool:
            os.close(os.open(path, os.O_RDONLY))
            return True

        return attempt

    def body(manager: Manager) -> None:
        assert answer(inside(manager, reads("/dev/zero"))) == 0
        assert answer(inside(manager, reads("/dev/kmsg"))) != 0  # 1:11
        manager.set(Resources(devices=[DeviceRule("c", 1, 11, "r")]))
        assert answer(inside(manager, reads("/dev/kmsg"))) == 0
        manager.set(Resources())
        assert answer(inside(manager, reads("/dev/kmsg"))) != 0
        manager.set(Resources(devices=[DeviceRule()]))
        assert answer(inside(manager, reads("/dev/kmsg"))) == 0

    with_group(body)


def test_a_change_that_fails_leaves_the_device_program_of_before() -> None:
    def reads_kmsg() -> bool:
        os.close(os.open("/dev/kmsg", os.O_RDONLY))
        return True

    before = Resources(devices=[DeviceRule("c", 1, 11, "r")])

    def body(manager: Manager) -> None:
        def fail() -> None:
            assert answer(inside(manager, reads_kmsg)) != 0
            assert depth.read_text() == "5\n"
            raise CgroupError("the end")

        depth = Path(manager.paths()[""], "cgroup.max.depth")
        present = depth.read_text()
        asked = Resources(unified={"cgroup.max.depth": "5"})
        with pytest.raises(CgroupError, match="the end") as caught:
            manager.set(asked, before, fail)
        assert not hasattr(caught.value, "__notes__")
        assert answer(inside(manager, reads_kmsg)) == 0
        assert depth.read_text() == present
        with pytest.raises(CgroupError, match="not enabled for this group, or this kernel"):
            manager.set(asked.copy(unified={"cgroup.max.depth": "5", "memory.none": "1"}), before)
        assert depth.read_text() == present

    with_group(body, before)


@requires("hugetlb2")
def test_huge_pages_are_limited() -> None:
    def body(manager: Manager) -> None:
        directory = Path(manager.paths()[""])
        files = [directory / f"hugetlb.2MB.{name}" for name in ("max", "rsvd.max")]
        assert [file.read_text() for file in files] == ["4194304\n"] * 2
        asked = [HugepageLimit("2MB", 2 << 20), HugepageLimit("3MB", 5)]
        with pytest.raises(CgroupError, match=r"the page sizes here are .*2MB"):
            manager.set(Resources(hugetlb_limit=asked))
        assert [file.read_text() for file in files] == ["4194304\n"] * 2
        manager.set(Resources(hugetlb_limit=asked[:1]))
        assert [file.read_text() for file in files] == ["2097152\n"] * 2

    with_group(body, Resources(hugetlb_limit=[HugepageLimit("2MB", 4 << 20)]))


def test_controllers_are_enabled_on_the_way() -> None:
    """Those that there are: of a host with v1 perhaps none, or only hugetlb."""

    def body(manager: Manager) -> None:
        offered = Path("/sys/fs/cgroup/cgroup.controllers").read_text()
        directory = manager.cgroup_directory()
        assert directory is not None
        assert Path(directory, "cgroup.controllers").read_text() == offered
        assert Path(os.path.dirname(directory), "cgroup.subtree_control").read_text() == offered
        remove_groups(manager)
        os.rmdir(os.path.dirname(directory))

    with_group(body, path=f"/{unique()}/a")


def test_a_group_is_delegated() -> None:
    def body(manager: Manager) -> None:
        manager.cgroup.owner_uid = 1234
        make(manager)
        directory = Path(str(manager.cgroup_directory()))
        owned = {path.name for path in directory.iterdir() if path.stat().st_uid == 1234}
        assert directory.stat().st_uid == 1234
        assert {"cgroup.procs", "cgroup.subtree_control", "cgroup.threads"} <= owned
        assert "cgroup.freeze" not in owned

    with_group(body)


def test_a_group_among_threads_becomes_one_of_threads() -> None:
    def body() -> None:
        name = unique()
        root = f"/sys/fs/cgroup/{name}"
        os.makedirs(f"{root}/threads")
        Path(root, "threads", "cgroup.type").write_text("threaded")
        manager = cgroups.new(Cgroup(path=f"/{name}/a"), "c", detect())
        try:
            make(manager)
            assert Path(root, "a", "cgroup.type").read_text() == "threaded\n"
            assert manager.pids() == []
        finally:
            remove_groups(manager)
            os.rmdir(f"{root}/threads")
            os.rmdir(root)

    with_v2(body)
