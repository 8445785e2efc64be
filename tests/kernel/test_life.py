"""The life of containers in the hard cases: held up, hit by signals, without descriptors."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import libct
from libct.config import Cgroup, Hook, Hooks
from libct.errors import notes
from libct.life import container as container_module, creating as creating_module
from libct.syscalls.interrupts import deferred

from ..bundles import busybox_rootfs, make_bundle
from ..containers import PATH, make_config, running, state_directory
from ..leaks import wait_until
from ..patience import patient
from ..support import (
    libct as command,
    libct_command,
    libct_environment,
    requires,
    session_directory,
    state_root,
    unique,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


pytestmark = [requires("root", "busybox"), pytest.mark.usefixtures("nothing_left")]

SHARED_PIDS = ("NEWNS", "NEWUTS", "NEWIPC")  # no pid namespace of its own


@pytest.fixture(scope="module")
def rootfs() -> Path:
    return busybox_rootfs(Path(tempfile.mkdtemp(dir=session_directory())))


def groups_of(name: str) -> list[str]:
    """Control groups whose names have this one in them."""
    return [str(path) for path in Path("/sys/fs/cgroup").glob(f"*/*{name}*")]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


# --- delete --force and a lock that is held ---------------------------------------------------


@contextlib.contextmanager
def hanging(tmp_path: Path, rootfs: Path, kind: str) -> Iterator[tuple[str, Any]]:
    """A `create` or `start` that a hook holds up: (the container's id, the process)."""
    name, began = unique(), tmp_path / "began"
    script = f"touch {began}; sleep 300 & wait"
    place = rootfs / "began"
    if kind == "startContainer":
        script, began = "touch /began; sleep 300 & wait", place
    hook = {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]}
    bundle = make_bundle(
        tmp_path,
        rootfs=rootfs,
        args=("sleep", "300"),
        hooks={kind: [hook]},
    )
    environment = libct_environment()
    if kind == "startContainer":
        command("create", "-b", bundle, name, check=True)
        words = libct_command("start", name)
    else:
        words = libct_command("create", "-b", bundle, name)
    starter = subprocess.Popen(
        words,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert wait_until(began.exists)
        yield name, starter
    finally:
        starter.send_signal(signal.SIGCONT)
        starter.kill()
        starter.communicate()
        place.unlink(missing_ok=True)


@pytest.mark.parametrize("kind", ["createRuntime", "createContainer", "startContainer"])
def test_delete_by_force_waits_for_no_hook(tmp_path: Path, rootfs: Path, kind: str) -> None:
    with hanging(tmp_path, rootfs, kind) as (name, starter):
        start = time.monotonic()
        command("delete", "--force", name, check=True)
        assert time.monotonic() - start < patient(4)
        said = starter.communicate(timeout=10)[1]
        assert starter.returncode == 1  # it was not killed, and says what has happened
        assert ("hook" in said and kind in said) or (kind[0] == "s" and "killed" in said), said
        assert groups_of(name) == []
        assert not Path(state_root(), name).exists()


def test_kill_ends_a_start_that_a_hook_holds_up(tmp_path: Path, rootfs: Path) -> None:
    with hanging(tmp_path, rootfs, "startContainer") as (name, starter):
        start = time.monotonic()
        command("kill", name, "KILL", check=True)
        said = starter.communicate(timeout=10)[1]
        assert time.monotonic() - start < patient(4)
        assert starter.returncode == 1
        assert "killed before it executed its command" in said
        command("delete", "--force", name, check=True)


@pytest.mark.parametrize("kind", ["createRuntime", "createContainer"])
def test_nor_for_one_who_holds_the_lock_and_does_nothing(
    tmp_path: Path, rootfs: Path, kind: str
) -> None:
    """It lives, and when it goes on it leaves the next container of that id alone."""
    with hanging(tmp_path, rootfs, kind) as (name, starter):
        starter.send_signal(signal.SIGSTOP)
        start = time.monotonic()
        command("delete", "--force", name, check=True)
        assert time.monotonic() - start < patient(10)
        assert alive(starter.pid)
        assert groups_of(name) == []
        (tmp_path / "next").mkdir()
        following = make_bundle(tmp_path / "next", rootfs=rootfs, args=("sleep", "300"))
        command("run", "-d", "-b", following, name, check=True)
        before = Path(state_root(), name, "state.json").read_text()
        starter.send_signal(signal.SIGCONT)
        starter.communicate(timeout=10)
        assert starter.returncode == 1
        assert Path(state_root(), name, "state.json").read_text() == before
        state = json.loads(command("state", name, check=True).stdout)
        assert state["status"] == "running"
        assert alive(state["pid"])
        command("delete", "--force", name, check=True)


# --- kill -------------------------------------------------------------------------------------


def test_kill_ends_the_rest_where_the_first_process_is_gone() -> None:
    config = make_config(namespaces=SHARED_PIDS, cgroups=Cgroup())
    with libct.create(state_directory(), unique(), config) as container:
        first = libct.Process(["sh", "-c", "sleep 300 & exit 0"], init=True, env=[PATH])
        container.run(first)
        first.wait(30)
        (left,) = container.processes()
        assert container.status() == "stopped"
        with pytest.raises(libct.ContainerNotRunning):
            container.signal(signal.SIGTERM)
        assert alive(left)
        container.signal(signal.SIGKILL)
        assert wait_until(lambda: not alive(left))
        with pytest.raises(libct.ContainerNotRunning):
            container.signal(signal.SIGKILL)


@requires("cgroup1")
@pytest.mark.parametrize("how", ["signal", "destroy"])
@pytest.mark.parametrize("namespaces", [None, SHARED_PIDS], ids=["own pids", "shared pids"])
def test_what_a_container_has_frozen_itself_ends(namespaces: Any, how: str) -> None:
    """In a group below its own, as one that manages control groups may."""
    spaces = {"namespaces": namespaces} if namespaces else {}
    with running(make_config(cgroups=Cgroup(), **spaces), "sh", "-c", "sleep 300 & wait") as box:
        assert wait_until(lambda: len(box.processes()) == 2)
        first = box.state()["pid"]
        (sleeper,) = set(box.processes()) - {first}
        assert box.manager is not None
        below = Path(box.manager.paths()["freezer"], "below")
        below.mkdir()
        (below / "cgroup.procs").write_text(str(sleeper))
        (below / "freezer.state").write_text("FROZEN")
        start = time.monotonic()
        if how == "signal":
            box.signal(signal.SIGKILL)
        else:
            box.destroy(force=True)
        assert wait_until(lambda: not alive(sleeper) and not alive(first), patience=5)
        assert time.monotonic() - start < patient(5)


ENDING = ["TERM", "INT", "HUP", "USR1", "RTMIN+3", "KILL"]
SPARING = ["CONT", "WINCH", "CHLD", "URG"]


@pytest.mark.parametrize("name", ENDING + SPARING)
def test_a_signal_that_ends_a_process_ends_a_created_container(
    tmp_path: Path, rootfs: Path, name: str
) -> None:
    bundle, container = make_bundle(tmp_path, rootfs=rootfs, args=("true",)), unique()
    command("create", "-b", bundle, container, check=True)
    pid = json.loads(command("state", container, check=True).stdout)["pid"]
    command("kill", container, name, check=True)
    expected = name in SPARING
    assert wait_until(lambda: alive(pid) == expected)
    time.sleep(0.05)
    assert alive(pid) == expected
    status = json.loads(command("state", container, check=True).stdout)["status"]
    assert status == ("created" if expected else "stopped")
    command("delete", "--force", container, check=True)


# --- signal handlers that raise ---------------------------------------------------------------


class Over(Exception):
    """What the handler of this test raises."""


def raise_over(*_: Any) -> None:
    raise Over


def where(error: BaseException) -> str:
    """The function of container.py that a handler has interrupted; "" for any other."""
    code = [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)][-2]
    return code.co_name if code.co_filename == container_module.__file__ else ""


@pytest.mark.parametrize("begun", [False, True])
def test_the_end_of_a_block_is_interrupted(begun: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before handlers are deferred, or when they are: nobody leaves the block a second time."""
    pending = [None]

    class Interrupted(deferred):
        def __enter__(self) -> None:
            if begun:
                super().__enter__()
            if pending:
                pending.pop()
                signal.raise_signal(signal.SIGUSR1)
            if not begun:
                super().__enter__()

    name = unique()
    restored = signal.signal(signal.SIGUSR1, raise_over)
    try:
        container = libct.create(state_directory(), name, make_config(cgroups=Cgroup()))
        container.run(libct.Process(["sleep", "1000"], init=True, env=[PATH]))
        monkeypatch.setattr(container_module, "deferred", Interrupted)
        with pytest.raises(Over):
            container.__exit__(None, None, None)
    finally:
        signal.signal(signal.SIGUSR1, restored)
    assert not pending
    assert groups_of(name) == []
    assert name not in os.listdir(state_directory())


@pytest.mark.parametrize("namespaces", [None, SHARED_PIDS], ids=["own pids", "shared pids"])
def test_handlers_that_raise_leave_nothing(namespaces: Any) -> None:
    """At any instant: the caller's own exception comes out, or none."""
    spaces = {"namespaces": namespaces} if namespaces else {}
    config = make_config(cgroups=Cgroup(), **spaces)
    name, before = unique(), set(os.listdir("/proc/self/fd"))
    outcomes: dict[str, int] = {"over": 0, "done": 0}
    restored = signal.signal(signal.SIGALRM, raise_over)
    alarm = signal.alarm(0)

    def run(number: int) -> None:
        with libct.create(state_directory(), f"{name}-{number}", config) as container:
            process = libct.Process(["sleep", "0.01"], init=True, env=[PATH])
            container.run(process)
            process.wait()

    run(0)
    start = time.monotonic()
    run(0)
    usual = time.monotonic() - start
    try:
        for number in range(120):
            try:
                signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, 2 * usual))
                run(number)
                signal.setitimer(signal.ITIMER_REAL, 0)
                outcomes["done"] += 1
            except Over:
                outcomes["over"] += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
            assert signal.getsignal(signal.SIGALRM) is raise_over
    finally:
        signal.signal(signal.SIGALRM, restored)
        signal.alarm(alarm)
    assert all(outcomes.values()), outcomes  # both have happened
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()
    assert groups_of(name) == []
    assert [entry for entry in os.listdir(state_directory()) if name in entry] == []
    # Those of the server, which stays, are the only ones more.
    assert len(set(os.listdir("/proc/self/fd")) - before) <= 2


def test_a_handler_ends_a_start_that_hangs(tmp_path: Path) -> None:
    hook: Any = Hook("/bin/sh", ["sh", "-c", "sleep 300"], [PATH])
    for kind in ("create_runtime", "create_container", "start_container"):
        config = make_config(hooks=Hooks(**{kind: [hook]}))
        restored, alarm = signal.signal(signal.SIGALRM, raise_over), signal.alarm(0)
        try:
            with libct.create(state_directory(), unique(), config) as container:
                signal.setitimer(signal.ITIMER_REAL, 0.3)
                start = time.monotonic()
                with pytest.raises(Over):
                    container.run(libct.Process(["true"], init=True, env=[PATH]))
                assert time.monotonic() - start < patient(5)
                assert container.status() == "stopped"
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, restored)
            signal.alarm(alarm)


def test_what_was_made_is_unmade_when_a_signal_comes_at_the_very_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between its last step and the return to the caller."""
    name = unique()
    make = creating_module._make

    def make_and_signal(*args: Any, **given: Any) -> Any:
        made = make(*args, **given)
        os.kill(os.getpid(), signal.SIGUSR1)
        return made

    monkeypatch.setattr(creating_module, "_make", make_and_signal)
    restored = signal.signal(signal.SIGUSR1, raise_over)
    try:
        with pytest.raises(Over):
            libct.create(state_directory(), name, make_config())
    finally:
        signal.signal(signal.SIGUSR1, restored)
    assert not Path(state_directory(), name).exists()


# --- descriptors closed behind our back -------------------------------------------------------


def test_closed_descriptors_cost_a_new_server() -> None:
    """In a process of its own, which has the means to see that nothing of others is closed."""
    script = f"""
import os, sys
import libct
from tests.containers import PATH, make_config

def run(status):
    process = libct.Process(["sh", "-c", f"exit {{status}}"], init=True, env=[PATH])
    with libct.create({state_directory()!r}, {unique()!r} + str(status), config) as container:
        container.run(process)
        return process.wait(30).status

config = make_config({os.fspath(make_config().rootfs)!r})
assert run(3) == 3
for others in range(3):
    os.closerange(3, 256)
    # Our own files by the numbers that were libct's.
    mine = [os.open("/dev/null", os.O_RDONLY) for _ in range(20 * others)]
    assert run(4) == 4
    for fd in mine:
        os.fstat(fd)
        os.close(fd)
# And the pidfd of a process that runs, the channel of a container that waits.
with libct.create({state_directory()!r}, {unique()!r}, config) as container:
    process = libct.Process(["sh", "-c", "sleep 0.2; exit 5"], init=True, env=[PATH])
    container.start(process)
    os.closerange(3, 256)
    mine = [os.open("/dev/null", os.O_RDONLY) for _ in range(20)]
    container.exec()
    os.closerange(3, 256)
    assert process.wait(30).status == 5
from libct.bootstrap import servers
servers.stop_server()
try:
    print(os.waitpid(-1, os.WNOHANG))
except ChildProcessError:
    print("no child is left")
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**libct_environment(), "PYTHONPATH": os.getcwd()},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "no child is left\n"), done.stderr


# --- zombies ----------------------------------------------------------------------------------


def test_commands_wait_for_their_servers(tmp_path: Path, rootfs: Path) -> None:
    """Below a process 1 that reaps nothing they would stay for ever."""
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=("sleep", "300"))
    short = tmp_path / "short"
    short.mkdir()
    once = make_bundle(short, rootfs=rootfs, args=("true",))
    name, other = unique(), unique()
    words = [
        libct_command("run", "-b", once, other),
        libct_command("create", "-b", bundle, name),
        libct_command("exec", name, "true"),
        libct_command("start", name),
        libct_command("exec", name, "false"),
        libct_command("run", "-b", tmp_path / "nothing", other),
        libct_command("exec", "nothing", "true"),
        libct_command("delete", "--force", name),
    ]
    script = """
import ctypes, json, os, subprocess, sys, time
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: as process 1 is
for words in json.loads(sys.argv[1]):
    subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
time.sleep(0.1)
for pid in open(f"/proc/self/task/{os.getpid()}/children").read().split():
    print(open(f"/proc/{pid}/comm").read().strip())
"""
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", script, json.dumps([[*map(str, one)] for one in words])],
            env=libct_environment(),
            stdout=subprocess.PIPE,
            text=True,
            timeout=60,
        )
        # The container's first process is the subreaper's to wait for, and its messenger.
        theirs = ("", "sleep", "libct:messenger")
        left = [name for name in done.stdout.split("\n") if name not in theirs]
        assert left == []
        assert done.returncode == 0


@pytest.mark.parametrize("namespaces", [None, SHARED_PIDS], ids=["own pids", "shared pids"])
def test_a_start_that_has_failed_is_not_running(namespaces: Any) -> None:
    """Also where the process had ended before its start time could be read."""
    spaces = {"namespaces": namespaces} if namespaces else {}
    config = make_config(**spaces)
    for _ in range(40):
        with libct.create(state_directory(), unique(), config) as container:
            with pytest.raises(libct.StepError, match="nothing-there"):
                container.run(libct.Process(["/bin/nothing-there"], init=True, env=[PATH]))
            assert container.status() == "stopped"
            container.destroy()


@pytest.mark.parametrize("way", ["run", "start"])
def test_a_start_that_has_failed_leaves_what_create_had_made(way: str) -> None:
    with libct.create(state_directory(), unique(), make_config()) as container:
        path = container._has.directory.path
        before = os.listdir(path)
        process = libct.Process(["/bin/nothing-there"], init=True, env=[PATH])
        with pytest.raises(libct.StepError, match="nothing-there"):
            getattr(container, way)(process)
        assert os.listdir(path) == before == ["state.json"]


@pytest.mark.parametrize("made", ["fifo", "directory"])
def test_a_next_state_that_cannot_be_written_is_the_error(made: str) -> None:
    with libct.create(state_directory(), unique(), make_config()) as container:
        path = Path(container._has.directory.path, ".state.json")
        if made == "fifo":
            os.mkfifo(path)
        else:
            path.mkdir()
        with pytest.raises(libct.Error, match=r"cannot write '.*/\.state\.json'") as caught:
            container.start(libct.Process(["true"], init=True, env=[PATH]))
        assert notes(caught.value) == []  # what is no file of ours is nothing to undo
    assert not path.parent.exists()


# --- killed before the command --------------------------------------------------------------


@contextlib.contextmanager
def killer() -> Iterator[list[int]]:
    """Kills what is on its way to become a command, whose numbers it gives."""
    killed: list[int] = []
    stop = threading.Event()

    def look() -> None:
        chance = random.Random(3)
        while not stop.is_set():
            for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
                try:
                    name = Path(f"/proc/{pid}/comm").read_text().strip()
                    if name == "libct:init" and chance.random() < 0.2:
                        os.kill(int(pid), signal.SIGKILL)
                        killed.append(int(pid))
                except OSError:
                    continue

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield killed
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("way", ["run", "start", "exec"])
def test_a_command_that_was_not_executed_is_no_success(way: str) -> None:
    config, outcomes = make_config(), set()
    with running(make_config()) as target, killer() as killed:
        for _ in range(60):
            process = libct.Process(["sh", "-c", "exit 42"], init=way != "exec", env=[PATH])
            with contextlib.ExitStack() as stack:
                container = target
                if way != "exec":
                    made = libct.create(state_directory(), unique(), config)
                    container = stack.enter_context(made)
                try:
                    (container.start if way == "start" else container.run)(process)
                    if way == "start":
                        container.exec()
                except (libct.StepError, libct.ContainerNotRunning):
                    outcomes.add("refused")
                    continue
                status = process.wait(30).status
                assert status in (42, 128 + signal.SIGKILL)
                outcomes.add("done" if status == 42 else "killed")
    assert killed
    assert "refused" in outcomes
