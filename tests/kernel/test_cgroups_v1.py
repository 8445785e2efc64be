"""Control groups of version 1: this machine's own hierarchies."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from libct.bootstrap.context import Context
from libct.bootstrap.performer import find
from libct.cgroups import choose as cgroups, freezer, killing
from libct.cgroups.layout import detect
from libct.config import Cgroup, DeviceRule, Resources
from libct.errors import CgroupError, StepProblem

from ..ledgers import ledger_of, remove_groups, with_ledger
from ..patience import patient
from ..support import as_user, requires, unique, user_checkout, user_python, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from libct.cgroups.manager import Manager
    from libct.plan.step import Step

pytestmark = requires("root", "cgroup1")

MEGABYTE = 1 << 20


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


@pytest.fixture
def groups() -> Iterator[Callable[..., Manager]]:
    """Makes groups with limits; they are gone in the end, with all that is in them."""
    made: list[Manager] = []

    def new(resources: Resources | None = None, path: str = "") -> Manager:
        cgroup = Cgroup(path=path, resources=resources or Resources())
        manager = cgroups.new(cgroup, unique(), detect())
        assert manager.problems() == []
        made.append(manager)
        make(manager)
        return manager

    yield new
    for manager in made:
        manager.kill()
        remove_groups(manager)
        assert not manager.exists()


def inside(manager: Manager, body: Callable[[], object]) -> int:
    """A process in the groups that does body, and ends with its answer's truth; its pid."""
    before, enter, after = manager.entry_steps()
    context = perform(before, Context())
    pid = os.fork()
    if pid == 0:
        try:
            perform(enter, context)
            os._exit(0 if body() else 1)
        finally:
            os._exit(2)
    perform(after, context)
    return pid


def sleeper(manager: Manager) -> int:
    pid = inside(manager, lambda: time.sleep(100))
    assert wait_until(lambda: pid in manager.pids())
    return pid


def answer(pid: int) -> int:
    """How a process ended: its exit status, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def written(manager: Manager, controller: str, file: str) -> str:
    return Path(manager.paths()[controller], file).read_text().strip()


# --- making, entering, listing ---


def test_a_process_enters_every_hierarchy(groups: Callable[..., Manager]) -> None:
    manager = groups()
    pid = sleeper(manager)
    own = {}
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        own.update(dict.fromkeys(names.split(","), path))
    name = os.path.basename(next(iter(manager.paths().values())))
    # It has not been cloned into the v2 group here.
    assert {own[controller] for controller in manager.paths() if controller} == {f"/{name}"}
    assert manager.pids() == manager.all_pids() == [pid]
    assert manager.populated()
    assert manager.exists()


def test_the_runtime_joins_a_process(groups: Callable[..., Manager]) -> None:
    manager = groups()
    pid = os.fork()
    if pid == 0:
        time.sleep(100)
    context = with_ledger()
    context.pid = pid
    perform(manager.join_steps(), context)
    assert manager.pids() == [pid]
    listed = [Path(path, "cgroup.procs").read_text() for path in manager.directories()]
    assert listed == [f"{pid}\n"] * len(listed)
    manager.kill()
    assert answer(pid) == -signal.SIGKILL


def test_processes_in_groups_below_are_the_container_s(groups: Callable[..., Manager]) -> None:
    manager = groups()
    first, second = sleeper(manager), sleeper(manager)
    main = manager.main_directory()
    assert main is not None
    os.mkdir(f"{main}/own")
    Path(main, "own", "cgroup.procs").write_text(str(second))
    assert manager.pids() == [first]
    assert sorted(manager.all_pids()) == sorted([first, second])
    manager.kill()
    assert [answer(first), answer(second)] == [-signal.SIGKILL] * 2
    assert not manager.populated()


def test_levels_above_are_made_and_kept(groups: Callable[..., Manager]) -> None:
    name = unique()
    manager = groups(path=f"/{name}/a/b")
    assert all(path.endswith(f"/{name}/a/b") for path in manager.directories())
    pid = inside(manager, lambda: True)
    assert answer(pid) == 0
    remove_groups(manager)
    for path in manager.directories():
        os.rmdir(os.path.dirname(path))
        os.rmdir(os.path.dirname(os.path.dirname(path)))


def test_what_was_made_can_be_undone() -> None:
    name = unique()
    manager = cgroups.new(Cgroup(path=f"/{name}/a"), "c", detect())
    context = make(manager)
    assert manager.exists()
    assert ledger_of(context).undo() == []
    for path in manager.directories():
        assert not os.path.exists(os.path.dirname(path))


def test_a_group_with_processes_is_not_taken(groups: Callable[..., Manager]) -> None:
    name = f"/{unique()}"
    pid = sleeper(groups(path=name))
    second = cgroups.new(Cgroup(path=name), "c", detect())
    context = with_ledger()
    with pytest.raises(StepProblem, match=f"not empty: processes {pid} are"):
        perform(second.create_steps(), context)
    assert ledger_of(context).undo() == []
    assert second.pids() == [pid]  # undoing has left them alone


def test_a_frozen_group_is_not_taken(groups: Callable[..., Manager]) -> None:
    name = f"/{unique()}"
    first = groups(path=name)
    first.freeze()
    with pytest.raises(StepProblem, match="unexpectedly frozen"):
        make(cgroups.new(Cgroup(path=name), "c", detect()))
    first.thaw()


def test_an_empty_group_is_taken_again(groups: Callable[..., Manager]) -> None:
    name = f"/{unique()}"
    groups(path=name)
    groups(path=name)


# --- limits ---


def test_too_much_memory_is_fatal(groups: Callable[..., Manager]) -> None:
    manager = groups(Resources(memory=16 * MEGABYTE, memory_swap=16 * MEGABYTE))
    assert answer(inside(manager, lambda: bytearray(4 * MEGABYTE))) == 0
    assert manager.oom_kill_count() == 0
    assert answer(inside(manager, lambda: bytearray(64 * MEGABYTE))) == -signal.SIGKILL
    assert manager.oom_kill_count() == 1


def test_too_many_processes_are_refused(groups: Callable[..., Manager]) -> None:
    manager = groups(Resources(pids_limit=3))

    def fork_until_refused() -> bool:
        for _ in range(10):
            try:
                if os.fork() == 0:
                    time.sleep(100)
            except BlockingIOError:
                return len(manager.pids()) == 3
        return False

    assert answer(inside(manager, fork_until_refused)) == 0


def test_a_limit_of_no_processes_allows_the_first(groups: Callable[..., Manager]) -> None:
    assert written(groups(Resources(pids_limit=0)), "pids", "pids.max") == "1"


def test_a_container_runs_where_its_cpuset_says(groups: Callable[..., Manager]) -> None:
    last = max(os.sched_getaffinity(0))
    manager = groups(Resources(cpuset_cpus=str(last), cpuset_mems="0"))
    assert answer(inside(manager, lambda: os.sched_getaffinity(0) == {last})) == 0


def test_a_cpuset_that_is_not_asked_for_is_all(groups: Callable[..., Manager]) -> None:
    manager, own = groups(), os.sched_getaffinity(0)
    assert answer(inside(manager, lambda: os.sched_getaffinity(0) == own)) == 0
    parent = Path(os.path.dirname(manager.paths()["cpuset"]), "cpuset.cpus").read_text().strip()
    assert written(manager, "cpuset", "cpuset.cpus") == parent


def test_a_quota_slows_down(groups: Callable[..., Manager]) -> None:
    manager = groups(Resources(cpu_quota=20000, cpu_period=100000))

    def busy() -> bool:
        start, used = time.monotonic(), time.process_time()
        while time.monotonic() - start < 0.5:
            pass
        return time.process_time() - used < 0.25  # 0.1 s are allowed

    assert answer(inside(manager, busy)) == 0


def test_all_limits_reach_their_files(groups: Callable[..., Manager]) -> None:
    manager = groups(
        Resources(
            memory=64 * MEGABYTE,
            memory_swap=96 * MEGABYTE,
            memory_reservation=32 * MEGABYTE,
            cpu_shares=512,
            cpu_quota=50000,
            cpu_period=50000,
            cpu_burst=10000,
            pids_limit=99,
            cpuset_cpus="0",
            cpuset_mems="0",
        )
    )
    expected = {
        ("memory", "memory.limit_in_bytes"): 64 * MEGABYTE,
        ("memory", "memory.memsw.limit_in_bytes"): 96 * MEGABYTE,
        ("memory", "memory.soft_limit_in_bytes"): 32 * MEGABYTE,
        ("cpu", "cpu.shares"): 512,
        ("cpu", "cpu.cfs_quota_us"): 50000,
        ("cpu", "cpu.cfs_period_us"): 50000,
        ("cpu", "cpu.cfs_burst_us"): 10000,
        ("pids", "pids.max"): 99,
        ("cpuset", "cpuset.cpus"): 0,
        ("cpuset", "cpuset.mems"): 0,
    }
    assert {key: int(written(manager, *key)) for key in expected} == expected
    idle = groups(Resources(cpu_idle=1, cpu_shares=512))
    assert written(idle, "cpu", "cpu.idle") == "1"


def test_limits_change_in_any_direction(groups: Callable[..., Manager]) -> None:
    """Each of these orders of writing is wrong for one of the changes."""
    manager = groups()
    for size in (64, 16, 128, 32):
        manager.set(Resources(memory=size * MEGABYTE, memory_swap=(size + 1) * MEGABYTE))
        assert written(manager, "memory", "memory.limit_in_bytes") == str(size * MEGABYTE)
    for memory, swap in ((-1, 0), (8 * MEGABYTE, 8 * MEGABYTE), (-1, -1)):
        manager.set(Resources(memory=memory, memory_swap=swap))
    assert int(written(manager, "memory", "memory.memsw.limit_in_bytes")) > 1 << 60
    for quota, period, burst in ((50000, 100000, 40000), (2000, 5000, 1000), (90000, 100000, 0)):
        manager.set(Resources(cpu_quota=quota, cpu_period=period, cpu_burst=burst))
        assert written(manager, "cpu", "cpu.cfs_burst_us") == str(burst)
    manager.set(Resources(pids_limit=-1, cpu_quota=-1))
    assert written(manager, "pids", "pids.max") == "max"


def test_a_loaded_manager_changes_limits(groups: Callable[..., Manager]) -> None:
    manager = groups()
    loaded = cgroups.load(manager.cgroup, manager.paths())
    loaded.set(Resources(pids_limit=7, cpuset_cpus="0"))
    assert written(manager, "pids", "pids.max") == "7"
    assert written(manager, "cpuset", "cpuset.cpus") == "0"


def test_memory_in_use_is_not_taken_away(groups: Callable[..., Manager]) -> None:
    manager = groups()
    reader, writer = os.pipe()

    def hold() -> None:
        used = bytearray(32 * MEGABYTE)
        os.write(writer, b"x")
        time.sleep(100)
        used.clear()

    inside(manager, hold)
    os.read(reader, 1)
    with pytest.raises(CgroupError, match=r"cannot be freed, at most \d+ were") as caught:
        manager.set(Resources(memory=8 * MEGABYTE))
    assert str(caught.value).endswith("[from linux.resources.memory.limit]")
    os.close(reader)
    os.close(writer)


def test_cpus_that_are_not_there(groups: Callable[..., Manager]) -> None:
    with pytest.raises(OSError, match="write") as caught:
        groups(Resources(cpuset_cpus="4000"))
    assert "the group above has" in vars(caught.value)["hint"]


def test_device_rules_come_and_go(groups: Callable[..., Manager]) -> None:
    def reads(path: str) -> Callable[[], bool]:
        def attempt() -> bool:
            os.close(os.open(path, os.O_RDONLY))
            return True

        return attempt

    manager = groups()
    assert answer(inside(manager, reads("/dev/zero"))) == 0
    assert answer(inside(manager, reads("/dev/kmsg"))) != 0  # 1:11
    manager.set(Resources(devices=[DeviceRule("c", 1, 11, "r")]))
    assert answer(inside(manager, reads("/dev/kmsg"))) == 0
    manager.set(Resources())
    assert answer(inside(manager, reads("/dev/kmsg"))) != 0
    manager.set(Resources(devices=[DeviceRule()]))
    assert answer(inside(manager, reads("/dev/kmsg"))) == 0


# --- freezing, killing, removing ---


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_frozen_process_does_nothing(groups: Callable[..., Manager]) -> None:
    manager = groups()

    def count() -> None:
        while True:
            os.getppid()

    pid = inside(manager, count)
    assert wait_until(lambda: pid in manager.pids())
    assert not manager.frozen()
    manager.freeze()
    assert manager.frozen()
    assert state(pid) == "D"
    manager.thaw()
    assert not manager.frozen()
    assert wait_until(lambda: state(pid) == "R")


def test_freezing_where_there_is_nobody(groups: Callable[..., Manager]) -> None:
    manager = groups()
    manager.freeze()
    assert manager.frozen()
    manager.thaw()


def test_killing_gets_frozen_and_forking_processes(groups: Callable[..., Manager]) -> None:
    manager = groups()

    def fork_forever() -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            try:
                child = os.fork()
            except OSError:  # as many as the limit lets it have
                continue
            if child == 0:
                time.sleep(0.1)
                os._exit(0)

    manager.set(Resources(pids_limit=200))
    pids = [inside(manager, fork_forever), sleeper(manager)]
    assert wait_until(lambda: len(manager.pids()) > 10)
    manager.freeze()
    manager.kill()
    assert not manager.populated()
    assert [answer(pid) for pid in pids] == [-signal.SIGKILL] * 2
    manager.kill()


def test_killing_gets_what_is_frozen_below(
    groups: Callable[..., Manager], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container may have frozen groups of its own; what v1 has frozen does not die."""
    monkeypatch.setattr(killing, "_SECONDS", 3)
    manager = groups()
    pid = sleeper(manager)
    below = Path(manager.paths()["freezer"], "below")
    below.mkdir()
    (below / "cgroup.procs").write_text(str(pid))
    (below / "freezer.state").write_text("FROZEN")
    assert wait_until(lambda: (below / "freezer.state").read_text() == "FROZEN\n")
    manager.kill()
    assert answer(pid) == -signal.SIGKILL


def test_what_is_spared_lives_on(
    groups: Callable[..., Manager], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(killing, "_SECONDS", 3)
    manager = groups()
    spared, other = sleeper(manager), sleeper(manager)
    killing.kill(manager.directories(), spare=[spared])
    assert answer(other) == -signal.SIGKILL
    assert manager.pids() == [spared]


def test_freezing_waits_until_all_have_stopped(
    groups: Callable[..., Manager], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = freezer.read
    said: list[str] = []

    def read_late(path: str) -> str:
        said.append("FREEZING" if len(said) < 2 else read(path))
        return said[-1]

    manager = groups()
    sleeper(manager)
    with monkeypatch.context() as patch:
        patch.setattr(freezer, "read", read_late)
        manager.freeze()
    assert said == ["FREEZING", "FREEZING", "FROZEN"]
    manager.thaw()


def test_groups_with_processes_are_not_removed(groups: Callable[..., Manager]) -> None:
    manager = groups()
    sleeper(manager)
    start = time.monotonic()
    with pytest.raises(OSError, match=r"rmdir\("):
        remove_groups(manager)
    assert 0.5 < time.monotonic() - start < patient(5)
    manager.kill()


def test_groups_that_the_container_made_are_removed(groups: Callable[..., Manager]) -> None:
    manager = groups()
    for directory in manager.directories():
        os.makedirs(f"{directory}/a/b/c")
        os.makedirs(f"{directory}/d")
    remove_groups(manager)
    assert not manager.exists()
    remove_groups(manager)


def test_removal_waits_for_the_dying(groups: Callable[..., Manager]) -> None:
    manager = groups()
    pid = inside(manager, lambda: time.sleep(0.1))
    assert wait_until(lambda: pid in manager.pids())
    remove_groups(manager)
    assert answer(pid) == 1


def test_a_container_that_is_gone_has_nothing(groups: Callable[..., Manager]) -> None:
    manager = groups()
    remove_groups(manager)
    assert manager.pids() == manager.all_pids() == []
    assert not any((manager.populated(), manager.frozen(), manager.exists()))
    assert manager.oom_kill_count() == 0
    manager.thaw()
    manager.kill()
    with pytest.raises(CgroupError, match="cannot freeze"):
        manager.freeze()


# --- an ordinary user ---

ROOTLESS = """
import sys
from libct.bootstrap.context import Context
from libct.bootstrap.performer import find
from libct.cgroups import choose as cgroups
from libct.cgroups.layout import detect
from libct.cgroups.ledger import Ledger
from libct.config import Cgroup, Resources
name, limit = sys.argv[1], int(sys.argv[2]) or None
manager = cgroups.new(Cgroup(rootless=True, resources=Resources(pids_limit=limit)), name, detect())
assert not manager.problems(), manager.problems()
context = Context()
class Paper:
    def append(self, name, text): pass
    def text(self, name): return ""
context.values["ledger"] = Ledger(Paper())
before, inside, after = manager.entry_steps()
try:
    for step in [*manager.create_steps(), *before, *manager.directory_steps(), *inside, *after]:
        find(step.performer)(context, *step.args)
    assert context.fds == {}
    assert manager.all_pids() == [] and not manager.exists() and not manager.frozen()
    manager.kill()
    print("none")
except OSError as error:
    print(error.filename, error.strerror, error.hint)
"""


@requires("user")
def test_without_delegation_a_container_goes_without() -> None:
    done = as_user(user_python(), "-c", ROOTLESS, unique(), "0", cwd=user_checkout())
    assert (done.returncode, done.stdout) == (0, "none\n"), done.stderr


@requires("user")
def test_without_delegation_a_limit_is_an_error_with_a_remedy() -> None:
    name = unique()
    done = as_user(user_python(), "-c", ROOTLESS, name, "5", cwd=user_checkout())
    assert done.returncode == 0, done.stderr
    path, _, rest = done.stdout.partition(" ")
    assert path.endswith(f"/pids/libct-{name}")
    assert "Permission denied" in rest
    assert "Delegate=yes" in rest
