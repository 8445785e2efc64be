"""The life of a container: states, who may do what when, and several who do it at once."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import libct
from libct.bootstrap import client, servers
from libct.bootstrap.answer import EXECUTES, failed
from libct.bootstrap.failure import Failure
from libct.config import NEWNS, NEWPID, Cgroup, Mount, Resources
from libct.config.cgroup import HugepageLimit
from libct.life import holdings as holdings_module, killing, releasing
from libct.life.container import list_containers
from libct.life.directory import Held, default_root
from libct.life.proc import pid_namespace, start_time

from ..containers import (
    PATH,
    USUAL,
    make_config,
    run,
    run_in,
    running,
    shared_rootfs,
    state_directory,
)
from ..ledgers import remove_groups
from ..support import forked, libct_environment, requires, unique, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [requires("root", "busybox"), pytest.mark.usefixtures("nothing_left")]


def create(**values: Any) -> libct.Container:
    return libct.create(state_directory(), unique(), make_config(**values))


def first(*args: str, **values: Any) -> libct.Process:
    return libct.Process(args or ("sleep", "60"), env=[PATH], init=True, **values)


def elsewhere(body: Callable[[], Any]) -> Any:
    """Run body in a process that is none of the container's."""
    return forked(body)


def another(container: libct.Container) -> libct.Container:
    """The container as somebody else sees it."""
    return libct.load(state_directory(), container.id)


# --- states -------------------------------------------------------------------------------


@requires("cgroup1")
def test_the_status_at_every_moment() -> None:
    with create(cgroups=Cgroup()) as container:
        process = first("sh", "-c", "read line; exit 3", stdin=(pipe := os.pipe())[0])

        def statuses() -> set[str]:
            other = another(container)
            seen = elsewhere(lambda: (other.status(), other.state()["status"]))
            return {container.status(), container.state()["status"], *seen}

        assert statuses() == {"stopped"}
        assert container.state()["pid"] == 0
        container.start(process)
        assert statuses() == {"created"}
        assert container.state()["pid"] == process.pid
        container.pause()
        assert statuses() == {"paused"}
        container.resume()
        assert statuses() == {"created"}
        container.exec()
        assert statuses() == {"running"}
        assert another(container).processes() == [process.pid]
        container.pause()
        assert statuses() == {"paused"}
        container.resume()
        assert statuses() == {"running"}
        os.write(pipe[1], b"\n")
        assert process.wait().exit_code == 3
        assert statuses() == {"stopped"}
        assert another(container).state()["pid"] == 0
        assert another(container).state()["annotations"] == {"libct.exit-status": "3"}
        assert another(container).processes() == []
        for fd in pipe:
            os.close(fd)
    with pytest.raises(libct.ContainerNotFound, match="container does not exist: "):
        another(container)
    with pytest.raises(libct.ContainerNotFound):
        container.status()


def test_while_it_is_being_created(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    with create() as container:
        asked = client._Run._ask

        def ask(run: client._Run, index: int) -> None:
            other = another(container)
            seen.extend(elsewhere(lambda: (other.status(), other.state()["status"])))
            seen.append(str(other.state()["pid"]))
            with pytest.raises(libct.Error, match="does not exist yet: it is being created"):
                other.signal(signal.SIGTERM)
            asked(run, index)

        monkeypatch.setattr(client._Run, "_ask", ask)
        container.start(first())
        assert seen == ["creating", "creating", "0"]
        assert container.status() == "created"


def test_the_state_document(tmp_path: Path) -> None:
    before = time.time()
    config = make_config(labels=["org.example=one=two", f"bundle={tmp_path}"], version="1.2.0")
    with libct.create(state_directory(), unique(), config, bundle=str(tmp_path)) as container:
        container.run(first())
        state = container.state()
        created = state.pop("created")
        assert state == {
            "ociVersion": "1.2.0",
            "id": container.id,
            "pid": container.state()["pid"],
            "status": "running",
            "bundle": str(tmp_path),
            "rootfs": str(shared_rootfs()),
            "owner": "root",
            "annotations": {"org.example": "one=two"},
        }
        text = time.strftime("%Y-%m-%dT%H:%M", time.gmtime(before))
        assert created.startswith(text) or time.gmtime(before).tm_sec > 55
        assert len(created) == len("2000-01-01T00:00:00.000000000Z")
        assert json.loads(json.dumps(state)) == state


RULES = {
    # what: the statuses it is refused in
    "exec": ("stopped", "running", "paused"),
    "signal": ("stopped",),
    "pause": ("stopped", "paused"),
    "resume": ("stopped", "created", "running"),
    "set": ("stopped",),
    "destroy": ("running", "paused"),
}


@requires("cgroup1")
@pytest.mark.parametrize("status", ["stopped", "created", "running", "paused"])
def test_what_may_be_done_when(status: str) -> None:
    limits = make_config(cgroups=Cgroup(resources=Resources(pids_limit=20)))
    for what, refused in RULES.items():
        with create(cgroups=Cgroup(resources=Resources(pids_limit=10))) as container:
            process = first()
            if status != "stopped":
                container.start(process)
            if status in ("running", "paused"):
                container.exec()
            if status == "paused":
                container.pause()
            actions: dict[str, Callable[[], None]] = {
                "exec": container.exec,
                "signal": lambda one=container: one.signal(signal.SIGCONT),  # type: ignore[misc]
                "pause": container.pause,
                "resume": container.resume,
                "set": lambda one=container: one.set(limits),  # type: ignore[misc]
                "destroy": container.destroy,
            }
            if status in refused:
                with pytest.raises(libct.Error):
                    actions[what]()
                assert container.status() == status
            else:
                actions[what]()


def test_a_signal_reaches_the_first_process() -> None:
    with create() as container:
        process = first("sh", "-c", "trap 'exit 9' USR1; echo; while :; do sleep 0.01; done")
        out = os.pipe()
        process.stdout = out[1]
        container.run(process)
        os.read(out[0], 1)
        another(container).signal(signal.SIGUSR1)
        assert process.wait().exit_code == 9
        with pytest.raises(libct.ContainerNotRunning, match="container not running"):
            container.signal(signal.SIGTERM)
        with pytest.raises(ProcessLookupError, match="os: process already finished"):
            process.signal(signal.SIGTERM)
        for fd in out:
            os.close(fd)


@pytest.mark.parametrize("spaces", [USUAL, (NEWNS,)])
def test_a_signal_ends_a_container_that_waits_for_its_start(spaces: tuple[str, ...]) -> None:
    """Process 1 of a pid namespace, too, which would not notice it."""
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGRTMIN):
        with create(namespaces=spaces) as container:
            container.start(process := first())
            for spares in (signal.SIGCHLD, signal.SIGWINCH, signal.SIGCONT, 0):
                container.signal(spares)
            assert container.status() == "created"
            container.signal(number)
            assert process.wait(10).signal in (number, signal.SIGKILL)
            assert container.status() == "stopped"


@requires("cgroup1")
def test_kill_without_a_pid_namespace_kills_all() -> None:
    kinds = tuple(kind for kind in USUAL if kind != NEWPID)
    with create(namespaces=kinds, cgroups=Cgroup()) as container:
        process = first("sh", "-c", "sleep 70 & sleep 71 & wait")
        container.run(process)
        assert wait_until(lambda: len(container.processes()) == 3)
        pids = container.processes()
        container.signal(signal.SIGKILL)
        assert process.wait().signal == signal.SIGKILL
        assert wait_until(lambda: not container.processes())
        assert not any(os.path.exists(f"/proc/{pid}/exe") for pid in pids)


@pytest.mark.parametrize("way", ["pid namespace", "host's pids", "groups"])
def test_processes(way: str) -> None:
    if way == "groups":
        config = make_config(cgroups=Cgroup())
    else:
        config = make_config(namespaces=USUAL if way == "pid namespace" else (NEWNS,))
    with libct.create(state_directory(), unique(), config) as container:
        process = first("sh", "-c", "sleep 70 & sleep 71 & wait")
        container.run(process)
        if way == "host's pids":  # nothing tells whose they are
            assert container.processes() == [process.pid]
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            assert wait_until(lambda: len(children.read_text().split()) == 2)
            for pid in children.read_text().split():
                os.kill(int(pid), signal.SIGKILL)
        else:
            assert wait_until(lambda: len(container.processes()) == 3)
            assert container.processes()[0] == process.pid


@pytest.mark.parametrize("known", [True, False])
def test_processes_are_of_the_pid_namespace_of_the_start(known: bool) -> None:
    """And not of the one that a later process of the first one's number is in."""
    with running(make_config()) as box, running(make_config()) as other:
        first, holdings = box.state()["pid"], box._has
        assert holdings.record.namespaces["pid"] == pid_namespace(first)
        if not known:  # the state of an earlier version
            del holdings.record.namespaces["pid"]
            assert box.processes() == [first]
        holdings.record.pid = other.state()["pid"]
        holdings.record.start = start_time(holdings.record.pid)
        assert box.processes() == ([first] if known else [other.state()["pid"]])
        holdings.record.pid, holdings.record.start = first, start_time(first)


@pytest.mark.parametrize("later", [False, True])
def test_the_first_process_ends_while_its_processes_are_looked_for(
    monkeypatch: pytest.MonkeyPatch, later: bool
) -> None:
    """later: another one has its number by then."""

    def meanwhile(pid: int) -> list[int]:
        os.kill(pid, signal.SIGKILL)
        process.wait()
        return pid_namespace(os.getpid() if later else pid)

    with create() as container:
        container.run(process := first("sleep", "60"))
        container._has.record.namespaces.clear()
        monkeypatch.setattr(holdings_module, "pid_namespace", meanwhile)
        assert container.processes() == []
        assert container.status() == "stopped"


def test_all_is_only_the_first_process_in_a_pid_namespace_of_others() -> None:
    with running(make_config()) as one:
        kinds = [kind for kind in USUAL if kind != NEWPID]
        joined = (NEWPID, f"/proc/{one.state()['pid']}/ns/pid")
        with running(make_config(namespaces=[*kinds, joined])) as two:
            assert two.processes() == [two.state()["pid"]]
            two.signal(signal.SIGKILL, all=True)
            assert wait_until(lambda: two.status() == "stopped")
        assert one.status() == "running"


def test_kill_reaches_the_first_process_where_there_are_no_groups_of_its_own() -> None:
    """As of an ordinary user's container in the pid namespace of another one."""
    with create(namespaces=[NEWNS], cgroups=Cgroup()) as container:
        container.run(first())
        manager = container.manager
        assert manager is not None
        for directory in manager.directories():
            Path(directory, "../cgroup.procs").write_text(f"{container.state()['pid']}")
        remove_groups(manager)
        container.signal(signal.SIGKILL)
        assert wait_until(lambda: container.status() == "stopped")


# --- start ----------------------------------------------------------------------------------


def test_created_by_one_and_released_by_another() -> None:
    with create() as container:
        process = first("sh", "-c", "exit 4")
        container.start(process)
        elsewhere(another(container).exec)
        assert process.wait(10).exit_code == 4
        assert another(container).state()["annotations"]["libct.exit-status"] == "4"


def test_released_by_another_and_not_executable(tmp_path: Path) -> None:
    config = make_config(mounts=[*make_config().mounts, Mount("/mnt", str(tmp_path), "bind", 4096)])
    (tmp_path / "command").write_text("#!/gone\n")
    (tmp_path / "command").chmod(0o755)
    with libct.create(state_directory(), unique(), config) as container:
        process = first("/mnt/command")
        container.start(process)

        def release() -> tuple[Any, ...]:
            with pytest.raises(libct.StepError) as caught:
                another(container).exec()
            error = caught.value
            return error.op, error.errno, error.hint, error.place, str(error)

        op, code, hint, place, text = elsewhere(release)
        assert (op, code, place) == ("execute", errno.ENOENT, "process.args")
        assert hint == "its interpreter '/gone' is not in the rootfs"
        said = "cannot execute the command: exec /mnt/command: no such file or directory (its inter"
        assert text.startswith(said)
        assert process.wait(10).exit_code == 1
        assert container.status() == "stopped"


def test_several_release_it_at_once() -> None:
    for _ in range(5):
        with create() as container:
            container.start(first())
            results: list[str] = []

            def release(one: libct.Container, results: list[str]) -> None:
                try:
                    one.exec()
                    results.append("released")
                except libct.ContainerRunning:
                    results.append("refused")

            threads = [
                threading.Thread(target=release, args=(another(container), results))
                for _ in range(4)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(10)
            assert sorted(results) == ["refused"] * 3 + ["released"]
            assert container.status() == "running"


@pytest.mark.parametrize("about_to", [False, True], ids=["waiting", "about to execute"])
@pytest.mark.parametrize("waited", [False, True], ids=["a zombie", "waited for"])
def test_a_first_process_that_dies_as_it_is_released(
    monkeypatch: pytest.MonkeyPatch, *, waited: bool, about_to: bool
) -> None:
    release = releasing._release

    def kill_and_release(held: Held, pidfd: int) -> bytes:
        process.signal(signal.SIGKILL)
        if waited:
            assert process.wait(10).signal == signal.SIGKILL
        else:
            assert wait_until(lambda: state_of(process.pid) == "Z")
        if about_to:  # it said so as it died
            monkeypatch.setattr(releasing, "_read", lambda reader: EXECUTES)
        return release(held, pidfd)

    with create() as container:
        container.keeps_status = False  # which takes the lock
        container.start(process := first())
        monkeypatch.setattr(releasing, "_release", kill_and_release)
        with pytest.raises(libct.ContainerNotRunning, match="container process is already dead"):
            container.exec()
        assert container.status() == "stopped"


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


WHY = (2, "execve(x)", "No such file or directory", "x", "")


@pytest.mark.parametrize(
    "said", [b"x", EXECUTES + b"x", *(EXECUTES + failed(Failure(n, *WHY)) for n in (0, 999))]
)
def test_who_speaks_for_a_first_process_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    """Somebody inside has written it just before the end."""
    monkeypatch.setattr(releasing, "_read", lambda reader: said)
    with create() as container:
        container.start(process := first())
        with pytest.raises(libct.StepError, match="it says what cannot be understood"):
            container.exec()
        assert process.wait(10).signal == signal.SIGKILL


@pytest.mark.longest(20)
def test_a_first_process_that_ends_late_is_not_waited_for_under_the_lock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It ends just after somebody has looked whether it has: what records that wants the lock."""
    looks = []

    def look(pidfd: int, milliseconds: int) -> bool:
        looks.append(milliseconds)
        ended = wait_for(pidfd, milliseconds or 5000)
        return ended and looks.count(0) != 1

    wait_for = killing.wait_for
    monkeypatch.setattr(killing, "wait_for", look)
    monkeypatch.setattr(releasing, "_read", lambda reader: b"x")
    with create() as container:
        container.start(process := first())
        with pytest.raises(libct.StepError, match="it says what cannot be understood"):
            container.exec()
        assert looks[1] == 0
        assert process.wait(10).signal == signal.SIGKILL


def test_a_fifo_that_others_have_filled_holds_nobody_up() -> None:
    with create() as container:
        container.start(process := first())
        process.signal(signal.SIGSTOP)  # else it reads what comes first
        assert wait_until(lambda: state_of(process.pid) == "T")
        path = f"{state_directory()}/{container.id}/exec.fifo"
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        writer = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, bytes(4096))

        def rescue() -> None:
            os.read(reader, 1 << 16)
            process.signal(signal.SIGKILL)

        held_up = threading.Timer(10, rescue)  # no signal would, while exec() has the lock
        held_up.start()
        try:
            with pytest.raises(libct.StepError, match="it says what cannot be understood"):
                container.exec()
        finally:
            held_up.cancel()
            os.close(writer)
        held_up.join()
        os.close(reader)
        assert process.wait(10).signal == signal.SIGKILL


def test_a_first_process_that_dies_before_it_is_released() -> None:
    with create() as container:
        process = first()
        container.start(process)
        process.signal(signal.SIGKILL)
        assert wait_until(lambda: container.status() == "stopped")
        with pytest.raises(libct.ContainerNotRunning):
            container.exec()
        assert process.wait().signal == signal.SIGKILL


def test_run_is_start_and_exec() -> None:
    for way in ("run", "start"):
        with create() as container:
            process = first("sh", "-c", "exit 5")
            if way == "run":
                container.run(process)
                assert not os.path.exists(f"{state_directory()}/{container.id}/exec.fifo")
            else:
                container.start(process)
                assert os.path.exists(f"{state_directory()}/{container.id}/exec.fifo")
                container.exec()
            assert process.wait().exit_code == 5
            assert process.wait().exit_code == 5


def test_it_can_be_started_again() -> None:
    with create() as container:
        for status in (1, 2, 3):
            process = first("sh", "-c", f"exit {status}")
            container.run(process)
            assert process.wait().exit_code == status
            assert container.state()["annotations"]["libct.exit-status"] == str(status)
        container.run(first())
        assert "annotations" not in container.state()


@requires("cgroup1")
def test_it_can_be_started_again_after_all_in_its_groups_was_killed() -> None:
    """And has nothing of the groups it had: Linux 6.18 kills what is cloned into such a one."""
    with create(namespaces=[NEWNS], cgroups=Cgroup()) as container:
        for _ in range(3):
            container.run(process := first())
            manager = container.manager
            assert manager is not None
            assert manager.pids() == [process.pid]
            below = [f"{directory}/below" for directory in manager.directories()]
            for directory in below:
                os.mkdir(directory)
            container.signal(signal.SIGKILL)
            assert process.wait().signal == signal.SIGKILL
        container.run(first())
        assert not any(map(os.path.exists, below))


def test_wait_with_a_timeout() -> None:
    with create() as container:
        process = first()
        container.run(process)
        for _ in range(2):
            with pytest.raises(TimeoutError, match=f"the process {process.pid} is still running"):
                process.wait(0.01)
        process.signal(signal.SIGTERM)  # which a process 1 ignores
        process.signal(signal.SIGKILL)
        assert process.wait(10).signal == signal.SIGKILL
        assert repr(process.wait()) == "ProcessState(signal=9)"


def test_several_threads_wait() -> None:
    with create() as container:
        process = first("sleep", "0.1")
        container.run(process)
        states: list[libct.ProcessState] = []
        threads = [threading.Thread(target=lambda: states.append(process.wait())) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert len(states) == 8
        assert {id(state) for state in states} == {id(process.wait())}


def test_a_process_that_was_not_started() -> None:
    process = first()
    for ask in (lambda: process.pid, lambda: process.pidfd, process.wait):
        with pytest.raises(libct.Error, match="has not been started"):
            ask()


# --- destroy ----------------------------------------------------------------------------------


def test_destroy() -> None:
    container = create()
    process = first()
    container.run(process)
    with pytest.raises(libct.ContainerRunning, match="use force"):
        container.destroy()
    assert container.status() == "running"
    container.destroy(force=True)
    assert process.wait().signal == signal.SIGKILL
    container.destroy(force=True)
    with pytest.raises(libct.ContainerNotFound):
        container.destroy()


def test_a_created_container_is_destroyed_without_force() -> None:
    container = create()
    process = first()
    container.start(process)
    elsewhere(another(container).destroy)
    assert process.wait().signal == signal.SIGKILL


def test_destroyed_by_many_at_once() -> None:
    for _ in range(3):
        container = create(cgroups=Cgroup())
        container.run(first())
        errors: list[Exception] = []

        def destroy(one: libct.Container, errors: list[Exception]) -> None:
            try:
                one.destroy(force=True)
            except Exception as error:
                errors.append(error)

        threads = [
            threading.Thread(target=destroy, args=(another(container), errors)) for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert errors == []
        assert not os.path.exists(f"{state_directory()}/{container.id}")


def test_a_handle_of_a_former_container_does_not_touch_the_present_one() -> None:
    former = create()
    same = another(former)
    former.destroy()
    with libct.create(state_directory(), former.id, make_config()) as present:
        process = first()
        present.run(process)
        for handle in (former, same):
            with pytest.raises(libct.ContainerNotFound):
                handle.status()
            with pytest.raises(libct.ContainerNotFound):
                handle.destroy()
            handle.destroy(force=True)
        assert present.status() == "running"


def test_an_exit_status_is_not_written_to_another_container() -> None:
    former = create()
    process = first("sleep", "0.05")
    former.run(process)
    elsewhere(lambda: another(former).destroy(force=True))
    with libct.create(state_directory(), former.id, make_config()) as present:
        process.wait()
        assert "annotations" not in present.state()


def test_an_exit_status_is_not_written_to_a_later_start() -> None:
    """Somebody else has started it again, and only then do we hear of the end."""
    with create() as container:
        process = first("sleep", "0.05")
        container.run(process)
        assert wait_until(lambda: another(container).status() == "stopped")
        elsewhere(lambda: another(container).run(first()))
        assert process.wait().exit_code == 0
        assert container.status() == "running"
        assert "annotations" not in container.state()


@requires("cgroup1")
def test_sigkill_ends_a_paused_container() -> None:
    with create(cgroups=Cgroup()) as container:
        container.run(process := first())
        container.pause()
        container.signal(signal.SIGKILL)
        assert process.wait(10).signal == signal.SIGKILL


@requires("cgroup1")
def test_limits_that_cannot_all_be_set_stay_as_they_were() -> None:
    limits = Resources(memory=64 << 20, pids_limit=20, cpu_period=50000)
    with create(cgroups=Cgroup(resources=limits)) as container:
        container.run(first())
        manager = container.manager
        assert manager is not None
        files = {"memory": "memory.limit_in_bytes", "pids": "pids.max", "cpu": "cpu.cfs_period_us"}

        def present() -> list[int]:
            return [int(Path(manager.paths()[of], name).read_text()) for of, name in files.items()]

        assert present() == [64 << 20, 20, 50000]
        # The memory comes first, and then a period that is too short.
        asked = Resources(memory=128 << 20, pids_limit=30, cpu_period=1)
        with pytest.raises(libct.CgroupError, match="Invalid argument"):
            container.set(make_config(cgroups=Cgroup(resources=asked)))
        assert present() == [64 << 20, 20, 50000]
        for seen in (container, another(container)):
            assert seen.config.cgroups is not None
            assert seen.config.cgroups.resources.memory == 64 << 20


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"freezer": "bogus"}, "freezer: not FROZEN or THAWED: 'bogus'"),
        ({"pids_limit": "5"}, "cgroups.resources.pids_limit: not int | None: '5'"),
        (
            {"hugetlb_limit": [HugepageLimit("2MB", -1)]},
            "linux.resources.hugepageLimits[0].limit: negative: -1",
        ),
        ({"unified": {"cgroup.freeze": "1"}}, "not a limit"),
    ],
)
def test_limits_are_checked_before_they_are_set(fields: dict[str, Any], message: str) -> None:
    with create(cgroups=Cgroup(resources=Resources(pids_limit=20))) as container:
        container.run(first())
        wanted = make_config(cgroups=Cgroup(resources=Resources(pids_limit=30).copy(**fields)))
        with pytest.raises(libct.ConfigError) as caught:
            container.set(wanted)
        assert message in str(caught.value)
        with pytest.raises(libct.Error, match="no cgroups to set"):
            container.set(None)  # type: ignore[arg-type]
        assert container.config.cgroups == Cgroup(resources=Resources(pids_limit=20))


def test_limits_that_cannot_be_kept_are_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Resources(pids_limit=20)
    with create(cgroups=Cgroup(resources=before)) as container:
        container.run(first())
        manager = container.manager
        assert manager is not None
        most = Path(manager.paths()["pids"], "pids.max")

        def write(held: Held, record: object) -> None:
            assert most.read_text() == "30\n"
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        changed = make_config(cgroups=Cgroup(resources=Resources(pids_limit=30)))
        with monkeypatch.context() as patch:
            patch.setattr(Held, "write", write)
            with pytest.raises(OSError, match="No space left"):
                container.set(changed)
        assert most.read_text() == "20\n"
        assert container.config.cgroups == Cgroup(resources=before)


def test_freezing_is_done_once() -> None:
    """A later change of something else does not freeze it again."""
    with create(cgroups=Cgroup()) as container:
        container.run(first())
        container.set(make_config(cgroups=Cgroup(resources=Resources(freezer="FROZEN"))))
        assert container.status() == "paused"
        container.resume()
        changed = container.config.copy()
        assert changed.cgroups is not None
        changed.cgroups.resources.pids_limit = 30
        container.set(changed)
        assert container.status() == "running"


def test_a_paused_container_is_destroyed() -> None:
    container = create(cgroups=Cgroup())
    process = first()
    container.run(process)
    container.pause()
    with pytest.raises(libct.ContainerPaused):
        container.destroy()
    container.destroy(force=True)
    assert process.wait().signal == signal.SIGKILL


def test_further_processes_that_nobody_waited_for() -> None:
    """Process 1 of a pid namespace does not end before they are reaped."""
    container = create()
    container.run(first())
    kept = libct.Process(["sleep", "70"], env=[PATH])
    container.run(kept)
    for _ in range(2):
        container.run(libct.Process(["sleep", "71"], env=[PATH]))
        container.run(libct.Process(["true"], env=[PATH]))
    another(container).destroy(force=True)
    assert kept.wait().signal == signal.SIGKILL


# --- several at once -------------------------------------------------------------------------


def test_one_id_is_for_one_container() -> None:
    name = unique()
    results: list[str] = []

    def make() -> None:
        try:
            libct.create(state_directory(), name, make_config())
            results.append("made")
        except libct.ContainerExists as error:
            results.append("refused")
            assert "container with given ID already exists" in str(error)  # noqa: PT017

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["made"] + ["refused"] * 7
    libct.load(state_directory(), name).destroy()


def test_two_starts_at_once() -> None:
    with create() as container:
        results: list[str] = []

        def start() -> None:
            try:
                another(container).run(first())
                results.append("started")
            except libct.ContainerRunning:
                results.append("refused")

        threads = [threading.Thread(target=start) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(results) == ["refused"] * 3 + ["started"]
        assert len(container.processes()) == 1


@requires("cgroup1")
def test_writers_of_several_processes() -> None:
    """Each change is whole, and the last one stays."""
    with create(cgroups=Cgroup(resources=Resources(pids_limit=10))) as container:
        container.run(first())

        def change(number: int) -> None:
            one = another(container)
            for limit in range(100 * number, 100 * number + 10):
                one.set(make_config(cgroups=Cgroup(resources=Resources(pids_limit=limit))))

        pids = []
        for number in range(1, 4):
            pid = os.fork()
            if pid == 0:
                try:
                    change(number)
                    os._exit(0)
                finally:
                    os._exit(1)
            pids.append(pid)
        while pids:
            found, status = os.waitpid(pids[0], os.WNOHANG)
            assert another(container).status() == "running"
            if found:
                assert status == 0
                pids.pop(0)
        cgroups = another(container).config.cgroups
        assert cgroups is not None
        limit = cgroups.resources.pids_limit
        assert limit in (109, 209, 309)
        assert container.manager is not None
        group = container.manager.paths()["pids"]
        assert Path(group, "pids.max").read_text() == f"{limit}\n"


def test_many_containers() -> None:
    containers = []
    fds = len(os.listdir("/proc/self/fd"))
    try:
        for _ in range(50):
            container = create()
            containers.append(container)
            container.run(first())
        assert {container.status() for container in containers} == {"running"}
        assert len(os.listdir("/proc/self/fd")) <= fds + 60  # a pidfd for each, and the server
        found = {container.id for container in list_containers(state_directory())}
        assert {container.id for container in containers} <= found
    finally:
        for container in containers:
            container.destroy(force=True)


def test_no_descriptor_is_lost() -> None:
    def body() -> None:
        servers.start_server()
        before = sorted(os.listdir("/proc/self/fd"))
        for _ in range(3):
            with running(make_config(cgroups=Cgroup())) as container:
                run_in(container, "true")
                with pytest.raises(libct.StepError):
                    run_in(container, "no such command")
            with pytest.raises(libct.StepError):
                run(make_config(cgroups=Cgroup()), "no such command")
            with pytest.raises(libct.StepError):
                run(make_config(mounts=[Mount("/mnt", "/no/such", "bind", 4096)]), "true")
        assert sorted(os.listdir("/proc/self/fd")) == before

    forked(body)


# --- what is on disk --------------------------------------------------------------------------


def test_a_damaged_state() -> None:
    container = create()
    file = Path(state_directory(), container.id, "state.json")
    whole = file.read_text()
    for text in ("", "{", "[]", "null", whole[:100], whole.replace('"id"', '"ID"'), "\0" * 50):
        file.unlink()
        file.write_text(text)
        with pytest.raises(libct.Error, match=r"is damaged: .*delete it by force"):
            another(container)
        with pytest.raises(libct.Error, match="is damaged"):
            container.status()
        with pytest.raises(libct.Error, match="is damaged"):
            container.destroy()
        assert container.id not in [one.id for one in list_containers(state_directory())]
    container.destroy(force=True)
    assert not file.parent.exists()


def test_a_state_that_was_lost() -> None:
    container = create(cgroups=Cgroup())
    process = first()
    container.run(process)
    Path(state_directory(), container.id, "state.json").unlink()
    with pytest.raises(libct.ContainerNotFound):
        container.status()
    container.destroy(force=True)  # who has made it still knows what it has made
    assert process.wait().signal == signal.SIGKILL


@pytest.mark.parametrize("when", ["create", "start"])
def test_a_full_state_directory(when: str, tmp_path: Path) -> None:
    def body() -> None:
        from ..support import mount

        mount("tmpfs", str(tmp_path), "tmpfs", data="size=16k,nr_inodes=10")
        if when == "create":
            (tmp_path / "fill").write_bytes(bytes(16 << 10))
            with pytest.raises(libct.Error, match="full: free space"):
                libct.create(str(tmp_path), "one", make_config())
            assert os.listdir(tmp_path) == ["fill"]
            return
        container = libct.create(str(tmp_path), "one", make_config())
        (tmp_path / "fill").touch()
        with pytest.raises(OSError, match="No space"):
            (tmp_path / "fill").write_bytes(bytes(16 << 10))
        for start in (container.run, container.start):
            with pytest.raises(libct.Error, match="full: free space"):
                start(first())
        assert container.processes() == []
        container.destroy()
        assert os.listdir(tmp_path) == ["fill"]

    from ..support import CLONE_NEWNS, in_namespaces

    shared_rootfs()
    in_namespaces(CLONE_NEWNS, body)


def test_a_state_directory_that_may_not_be_written() -> None:
    def body() -> None:
        os.setresuid(-1, 65533, -1)
        with pytest.raises(libct.Error, match="choose another place with --root"):
            libct.create(f"{place}/states", "one", make_config())
        assert list_containers(f"{place}/none") == []
        with pytest.raises(libct.Error, match=r"cannot list the containers in .*: Permission"):
            list_containers("/root/any")

    place = shared_rootfs()  # which everybody may enter
    assert default_root() == "/run/libct"
    forked(body)


def test_the_default_root_of_an_ordinary_user() -> None:
    uid = (1 << 20) + os.getpid()  # nobody's, and another's in another run of the tests
    path = f"/tmp/libct-{uid}"

    def body(make: Callable[[], None]) -> Any:
        make()
        os.environ.pop("XDG_RUNTIME_DIR", None)
        os.setresuid(uid, uid, uid)
        try:
            return default_root()
        except libct.Error as error:
            return str(error)

    try:
        assert forked(lambda: body(lambda: None)) == path
        assert forked(lambda: body(lambda: None)) == path
        os.chmod(path, 0o777)
        assert "is not a directory of this user alone" in forked(lambda: body(lambda: None))
        os.rmdir(path)
        os.symlink("/tmp", path)
        assert "is not a directory of this user alone" in forked(lambda: body(lambda: None))
        os.unlink(path)
        os.mkdir(path)
        assert "is not a directory of this user alone" in forked(lambda: body(lambda: None))
    finally:
        os.rmdir(path)


# --- what is missing -----------------------------------------------------------------------


def test_missing_things() -> None:
    cases: dict[str, tuple[Any, dict[str, Any], str]] = {
        "rootfs": ({"rootfs": "/no/such"}, {}, "root.path"),
        "source": ({"mounts": [Mount("/mnt", "/no/such", "bind", 4096)]}, {}, "mounts[0]"),
        "user": ({}, {"user": "nobody2"}, "process.user"),
        "command": ({}, {"args": ["no such"]}, "process.args"),
        "no command": ({}, {"args": []}, "process.args"),
    }
    for name, (config, values, place) in cases.items():
        args = values.pop("args", ["true"]) if "args" in values else ["true"]
        with pytest.raises((libct.StepError, libct.ConfigError)) as caught:
            run(make_config(**config), *args, **values)
        assert place in str(caught.value), name


def test_a_kernel_that_is_too_old(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import libct, sys\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from tests.containers import make_config, run\n"
        "try:\n"
        f"    run(make_config({str(shared_rootfs())!r}), 'true')\n"
        "except libct.StepError as error:\n"
        "    print(error)\n"
    )
    # The first open_tree of the process that has a new mount namespace.
    command = ["strace", "-f", "-o", "/dev/null", "-e", "trace=open_tree,openat2"]
    command += ["-e", "inject=open_tree:error=ENOSYS", sys.executable, str(script)]
    checkout = libct_environment()["PYTHONPATH"]
    done = subprocess.run(
        [*command, checkout], env=libct_environment(), capture_output=True, text=True, check=False
    )
    assert "open_tree(" in done.stdout, done.stderr
    assert "Function not implemented" in done.stdout
    assert "Linux" in done.stdout
    assert done.stdout.count("\n") == 1


test_a_kernel_that_is_too_old = requires("strace")(test_a_kernel_that_is_too_old)
