"""Sandboxes whose command is not process 1, and which end when libct does."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import libct
from libct.bootstrap import lined_up, reaper, servers
from libct.bootstrap.context import Context
from libct.config import NEWIPC, NEWNET, NEWNS, NEWPID, NEWUSER, NEWUTS, Capabilities
from libct.config.seccomp import Seccomp, SeccompArg, SeccompRule
from libct.errors import StepProblem
from libct.life.directory import Directory
from libct.plan.seccomp import compiled
from libct.sandbox.config import sandbox
from libct.seccomp.architectures import here
from libct.syscalls.constants import PR_SET_SECCOMP
from libct.syscalls.credentials import capset
from libct.syscalls.process import set_no_new_privs
from libct.syscalls.seccomp import Filter, seccomp_set_mode_filter
from libct.syscalls.settings import set_child_subreaper

from ..commands import (
    libct as libct_run,
    libct_command,
    libct_environment,
    state_root,
    user_environment,
    user_identity,
)
from ..containers import PATH, make_config, run_in, shared_rootfs, state_directory
from ..leaks import wait_until
from ..names import unique
from ..needs import requires
from ..processes import CLONE_NEWNS, forked, in_namespaces, mount

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [requires("root", "busybox"), pytest.mark.usefixtures("nothing_left")]

SPACES = ((NEWNS, NEWPID, NEWUTS, NEWIPC, NEWNET), (NEWNS, NEWPID, NEWUTS, NEWIPC, NEWNET, NEWUSER))
WHO = pytest.mark.parametrize("user", [False, pytest.param(True, marks=requires("user"))])


@pytest.fixture(params=SPACES, ids=["root", "user namespace"])
def config(request: Any) -> libct.Config:
    return make_config(namespaces=request.param)


def reaped(container: libct.Container, *args: str, **options: Any) -> libct.Process:
    process = libct.Process(args, env=[PATH], init=True, reaper=True, **options)
    container.run(process)
    return process


def reaper_of(container: libct.Container) -> int:
    pid: int = container._has.refresh().reaper[0]
    return pid


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: text.strip() for name, _, text in (line.partition(":") for line in lines)}


def begin(*args: str, user: bool = False) -> subprocess.Popen[bytes]:
    """libct sandbox, with what it writes in a pipe."""
    environment = {**os.environ, **libct_environment()}
    if user:
        environment = {**user_environment(), **libct_environment(user=True)}
    return subprocess.Popen(
        libct_command("sandbox", *args, user=user),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        **(user_identity() if user else {}),
    )


def names_in(root: Path) -> list[str]:
    return sorted(os.listdir(root))


# --- how a command ends ---


@WHO
@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("exit 3", 3),
        ("kill -9 $$", 128 + signal.SIGKILL),
        ("kill -ABRT $$", 128 + signal.SIGABRT),  # as abort(3)
        ("ulimit -S -t 1; while :; do :; done", 128 + signal.SIGXCPU),
    ],
)
def test_it_ends_as_anywhere_else(script: str, status: int, *, user: bool) -> None:
    assert libct_run("sandbox", "--", "sh", "-c", script, user=user).returncode == status


def test_the_library_is_told_exactly(config: libct.Config) -> None:
    script = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; kill -9 $$"
    with libct.create(state_directory(), unique(), config) as container:
        state = reaped(container, "sh", "-c", script).wait(60)
        assert (state.signal, state.exit_code, state.status) == (9, None, 137)
        assert state.usage is not None
        assert 0.01 < state.usage.user + state.usage.system < 30
        assert 1 << 20 < state.usage.max_rss < 1 << 28
        assert container.state()["annotations"][libct.life.container.EXIT_STATUS] == "137"


def test_a_command_that_is_process_1_is_so_only_when_asked_for() -> None:
    look = ("--", "sh", "-c", "echo $$; kill -9 $$; exit 4")
    done = libct_run("sandbox", "--as-pid-1", *look)
    assert (done.stdout, done.returncode) == ("1\n", 4)
    done = libct_run("sandbox", *look)
    assert (done.stdout, done.returncode) == ("2\n", 137)


def test_orphans_go(config: libct.Config) -> None:
    script = (
        "for i in 1 2 3 4 5; do (sleep 0.05 &); done; sleep 0.5; grep -s '^State' /proc/*/status"
    )
    with libct.create(state_directory(), unique(), config) as container:
        run = run_in(container, "sh", "-c", script, init=True, reaper=True)
        assert len(run.lines) >= 3  # the reaper, the shell, grep
        assert not [line for line in run.lines if "Z" in line.partition("State:")[2]]


def test_with_the_command_all_ends_before_anybody_is_told(config: libct.Config) -> None:
    read, write = os.pipe()
    heard, word = os.pipe()
    with libct.create(state_directory(), unique(), config) as container:
        script = "(while :; do echo; sleep 0.001; done) & read line; exit 5"
        process = reaped(container, "sh", "-c", script, stdin=heard, stdout=write)
        os.close(write)
        os.kill(reaper_of(container), signal.SIGSTOP)  # not to be faster than who waits
        os.close(word)
        assert process.wait(60).exit_code == 5
        os.set_blocking(read, False)
        while os.read(read, 65536):  # BlockingIOError if anybody has it open still
            pass
    os.close(read)
    os.close(heard)


def test_what_has_been_left_behind_ends_while_nobody_waits(config: libct.Config) -> None:
    with libct.create(state_directory(), unique(), config) as container:
        read, write = os.pipe()
        process = reaped(container, "sh", "-c", "sleep 1000 & exit 0", stdout=write)
        os.close(write)
        assert select.select([read], [], [], 20)[0]  # the end of the file
        os.close(read)
        assert process.wait(60).exit_code == 0


def test_further_processes_end_with_it_and_are_waited_for(config: libct.Config) -> None:
    with libct.create(state_directory(), unique(), config) as container:
        process = reaped(container, "sleep", "1000")
        further = libct.Process(["sleep", "1000"], env=[PATH])
        container.run(further)
        assert sorted(container.processes()) == sorted([process.pid, further.pid])
        process.signal(signal.SIGTERM)  # which ends it: it is not process 1
        assert process.wait(20).signal == signal.SIGTERM
        assert further.wait(20).signal == signal.SIGKILL


def test_a_created_container_has_one_too(config: libct.Config) -> None:
    with libct.create(state_directory(), unique(), config) as container:
        process = libct.Process(["sh", "-c", "exit 6"], env=[PATH], init=True, reaper=True)
        container.start(process)
        assert container.status() == "created"
        assert status_of(reaper_of(container))["Name"] == "libct:reaper"
        further = libct.Process(["true"], env=[PATH])
        container.run(further)
        assert further.wait(20).success
        assert container.status() == "created"
        container.exec()
        assert process.wait(20).exit_code == 6


def test_signals_go_to_the_command(config: libct.Config) -> None:
    script = "trap 'exit 7' USR1; echo; while :; do sleep 0.01; done"
    read, write = os.pipe()
    with libct.create(state_directory(), unique(), config) as container:
        process = reaped(container, "sh", "-c", script, stdout=write)
        os.read(read, 1)
        libct.load(state_directory(), container.id).signal(signal.SIGUSR1)
        assert process.wait(20).exit_code == 7
    os.close(read)
    os.close(write)


def test_a_start_that_fails_leaves_no_reaper(config: libct.Config) -> None:
    with (
        libct.create(state_directory(), unique(), config) as container,
        pytest.raises(libct.StepError, match="executable file not found"),
    ):
        reaped(container, "no-such-command")


def test_the_end_of_the_reaper_is_the_end_of_all(config: libct.Config) -> None:
    with libct.create(state_directory(), unique(), config) as container:
        process = reaped(container, "sleep", "1000")
        os.kill(reaper_of(container), signal.SIGKILL)
        assert process.wait(20).signal == signal.SIGKILL


def test_somebody_else_removes_it(config: libct.Config) -> None:
    """Who is no parent of it waits for the end of the reaper, and so of all."""
    with libct.create(state_directory(), unique(), config) as container:
        process = reaped(container, "sh", "-c", "sleep 1000 & sleep 1000")
        reaper = reaper_of(container)
        waiting = threading.Thread(target=process.wait)
        waiting.start()
        libct_run("delete", "--force", container.id, check=True)
        assert not Path(f"/proc/{reaper}").exists() or status_of(reaper)["State"].startswith("Z")
        waiting.join(20)


# --- the end of libct ---


def everything_ends(patience: float = 20) -> None:
    """Reap all that has come to this process as a subreaper, until there is nothing more."""
    deadline = time.monotonic() + patience
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            assert time.monotonic() < deadline, Path("/proc/self/task").read_text()
            time.sleep(0.005)


@WHO
def test_whatever_instant_libct_is_killed_at_nothing_runs_on(*, user: bool) -> None:
    def body() -> None:
        set_child_subreaper(True)
        for delay in [0.02 * n + random.random() / 50 for n in range(25)]:
            running = begin("--", "sh", "-c", "setsid sleep 1000 & sleep 1000", user=user)
            time.sleep(delay)
            running.kill()
            running.wait()
            assert running.stdout is not None
            running.stdout.close()
            everything_ends()

    forked(body, timeout=200)
    root = state_root(user=user)
    done = libct_run("list", "--quiet", user=user)
    assert (done.stdout, done.stderr) == ("", "")
    assert names_in(root) == []


def test_a_time_limit_of_subprocess() -> None:
    read, write = os.pipe()
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run(
            libct_command("sandbox", "--", "sh", "-c", "echo ready; sleep 1000"),
            env={**os.environ, **libct_environment()},
            stdin=subprocess.DEVNULL,
            stdout=write,
            timeout=2,
            check=False,
        )
    os.close(write)
    assert select.select([read], [], [], 20)[0]
    while os.read(read, 100):  # to its end, which comes when nobody has it open any more
        assert select.select([read], [], [], 20)[0]
    os.close(read)
    assert libct_run("list", "--quiet").stdout == ""


def run_on(config: libct.Config, name: str, ready: int, **options: Any) -> libct.Process:
    container = libct.create(state_directory(), name, config)
    process = libct.Process(
        ["sh", "-c", "echo; sleep 1000 & sleep 1000"],
        env=[PATH],
        stdout=ready,
        init=True,
        reaper=True,
        **options,
    )
    container.run(process)
    return process


@pytest.fixture
def owner(config: libct.Config) -> Iterator[tuple[str, int, int]]:
    """A program that has a container and goes on: id, number, and what ends with the container."""
    name = unique()
    read, write = os.pipe()
    told, tell = os.pipe()
    owner = os.fork()
    if owner == 0:
        try:
            os.close(read)
            # A thread that ends before the program does, and a forked copy that does not.
            thread = threading.Thread(target=run_on, args=(config, name, write))
            thread.start()
            thread.join()
            os.close(write)
            copy = os.fork()
            if copy:
                os.write(tell, b"%d" % copy)
            signal.pause()
        finally:
            os._exit(1)
    os.close(write)
    assert os.read(read, 1) == b"\n"
    copy = int(os.read(told, 20))
    yield name, owner, read
    os.kill(copy, signal.SIGKILL)
    libct_run("list", check=True)
    for fd in (read, told, tell):
        os.close(fd)


def test_a_container_ends_with_its_process_not_with_a_thread_of_that(
    owner: tuple[str, int, int],
) -> None:
    name, pid, read = owner
    assert not select.select([read], [], [], 0.5)[0]
    assert libct.load(state_directory(), name).status() == "running"
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert select.select([read], [], [], 20)[0]
    assert os.read(read, 1) == b""


def test_what_is_left_is_not_shown_and_goes_with_the_next_command(
    owner: tuple[str, int, int],
) -> None:
    name, pid, _ = owner
    root = state_root()
    libct_run("list", check=True)
    assert names_in(root) == [f":{name}", name]
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert libct.list_containers(str(root)) == []
    assert names_in(root) == [f":{name}", name]
    libct_run("state", "another")
    assert names_in(root) == []


@requires("strace")
@pytest.mark.parametrize(
    "call", ["mkdir(at)?", "symlink(at)?", "rename(at)?", "unlink(at)?", "(rmdir|unlinkat)"]
)
def test_killed_at_any_call_that_makes_or_removes_a_name(tmp_path: Path, call: str) -> None:
    """Of libct's own: strace does not follow its children."""
    for count in range(1, 20):
        inject = ["strace", "-o", "/dev/null", "-e", f"inject=/^{call}$:signal=KILL:when={count}"]
        done = subprocess.run(
            [*inject, *libct_command("--root", tmp_path, "sandbox", "--", "true")],
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        assert wait_until(lambda: libct_run("--root", tmp_path, "list", "-q").stdout == "")
        assert wait_until(lambda: not names_in(tmp_path)), names_in(tmp_path)
    assert count > 1


def test_what_is_being_created_is_left_alone(config: libct.Config) -> None:
    """A directory without a record, where its maker holds the lock."""
    name, namespace = unique(), os.stat("/proc/self/ns/pid").st_ino
    directory = Directory(state_directory(), name)
    directory.make()
    mark = state_root() / f":{name}"
    mark.symlink_to(f"1234567 1 1 {namespace} - {name}")
    with directory.lock():
        libct_run("list", check=True)
        assert names_in(state_root()) == [mark.name, name]
    libct_run("list", check=True)
    assert names_in(state_root()) == []


def test_what_is_left_does_not_block_its_id(
    owner: tuple[str, int, int], config: libct.Config
) -> None:
    name, pid, _ = owner
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    with libct.create(state_directory(), name, config) as container:
        assert names_in(state_root()) == [name]
        assert container.status() == "stopped"


def test_a_mark_of_an_earlier_container_does_no_harm_to_a_later_one(config: libct.Config) -> None:
    name = unique()
    with libct.create(state_directory(), name, config) as container:
        process = libct.Process(["sleep", "1000"], env=[PATH], init=True)
        container.run(process)
        namespace = os.stat("/proc/self/ns/pid").st_ino
        os.symlink(f"1234567 1 1 {namespace} - {name}", state_root() / f":{name}")
        libct_run("list", check=True)
        assert names_in(state_root()) == [name]
        assert container.status() == "running"


def test_marks_that_mean_nothing_here_are_left_alone(config: libct.Config) -> None:
    """Those of another pid namespace, whose numbers are others."""
    name = unique()
    with libct.create(state_directory(), name, config) as container:
        process = reaped(container, "sleep", "1000")
        mark = state_root() / f":{name}"
        words = os.readlink(mark).split(" ")
        record = container._has.refresh()
        with Directory(state_directory(), name).lock() as held:
            record.mortal = [1234567, 1, 1, 1]
            held.write(record)
        mark.unlink()
        mark.symlink_to(" ".join(["1234567", "1", "1", "1", *words[4:]]))
        odd = state_root() / ":odd"
        odd.symlink_to("no mark at all")
        libct_run("list", check=True)
        odd.unlink()
        assert names_in(state_root()) == [mark.name, name]
        process.signal(0)


def test_it_outlives_libct_when_it_is_to(config: libct.Config) -> None:
    name = unique()
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        run_on(config, name, write, outlive=True)
        os.kill(os.getpid(), signal.SIGKILL)
    os.close(write)
    os.waitpid(pid, 0)
    assert os.read(read, 1) == b"\n"
    assert not select.select([read], [], [], 1)[0]
    assert libct_run("list", "--quiet").stdout == f"{name}\n"
    libct_run("delete", "--force", name, check=True)
    assert select.select([read], [], [], 20)[0]
    os.close(read)


# --- the reaper itself ---


def test_it_holds_next_to_nothing(config: libct.Config) -> None:
    with libct.create(state_directory(), unique(), config) as container:
        process = reaped(container, "sleep", "1000")
        pid = reaper_of(container)
        assert wait_until(lambda: status_of(pid)["Seccomp"] == "2")
        status = status_of(pid)
        assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0" * 16}
        assert status["NoNewPrivs"] == "1"
        assert int(status["SigCgt"], 16) == 0
        held = sorted(Path(f"/proc/{pid}/fd").iterdir())
        assert len(held) == 2
        assert all("pidfd" in os.readlink(fd) for fd in held)
        of = [Path(f"/proc/{pid}/fdinfo/{fd.name}").read_text() for fd in held]
        numbers = {int(text.partition("\nPid:")[2].split()[0]) for text in of}
        assert numbers == {os.getpid(), process.pid}
        assert os.getsid(pid) == pid
        assert Path(f"/proc/{pid}/cmdline").read_bytes().strip(b"\0") == b"libct:reaper"


@pytest.mark.skipif(not lined_up.available(), reason="with musl the interpreter waits")
def test_it_is_small(config: libct.Config) -> None:
    def pss(pid: int) -> int:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        return int(text.partition("\nPss:")[2].split()[0])

    with libct.create(state_directory(), unique(), config) as container:
        reaped(container, "sleep", "1000")
        pid = reaper_of(container)
        assert wait_until(lambda: 0 < pss(pid) < 700)


def test_it_goes_on_after_a_stop(config: libct.Config) -> None:
    """Its poll is begun again by another system call."""
    with libct.create(state_directory(), unique(), config) as container:
        process = reaped(container, "sleep", "1000")
        pid = reaper_of(container)
        assert wait_until(lambda: status_of(pid)["Seccomp"] == "2")
        os.kill(pid, signal.SIGSTOP)
        assert wait_until(lambda: status_of(pid)["State"].startswith("T"))
        os.kill(pid, signal.SIGCONT)
        with pytest.raises(TimeoutError):
            process.wait(0.5)


ATTACK = """
import ctypes, json, os
libc = ctypes.CDLL(None, use_errno=True)
done = []
def attempt(name, call):
    try:
        call()
    except OSError:
        return
    done.append(name)
for name in ("mem", "environ", "maps", "auxv", "stack", "syscall", "map_files", "ns/net"):
    attempt(name, lambda: open(f"/proc/1/{name}", "rb").read(1))
for name in ("root", "cwd", "exe", "fd/0", "fd/3"):
    attempt(name, lambda: os.readlink(f"/proc/1/{name}"))
attempt("root/", lambda: os.listdir("/proc/1/root/"))
def checked(result):
    if result == -1:
        raise OSError
attempt("attach", lambda: checked(libc.ptrace(16, 1, 0, 0)))
attempt("seize", lambda: checked(libc.ptrace(0x4206, 1, 0, 0)))
pidfd = os.pidfd_open(1)
for fd in range(64):
    attempt("getfd", lambda: checked(libc.syscall(438, pidfd, fd, 0)))
attempt("setns", lambda: checked(libc.setns(pidfd, 0x20000)))
for number in range(1, 65):
    attempt("kill", lambda: os.kill(1, number) if number != 32 and number != 33 else None)
done = [one for one in done if one != "kill"]
print(json.dumps(done), flush=True)
os._exit(9)
"""


@WHO
@pytest.mark.parametrize("more", [(), ("--keep-caps",)])
@pytest.mark.skipif(not os.access("/usr/bin/python3", os.X_OK), reason="no Python for the inside")
def test_the_command_gets_nothing_from_it(more: tuple[str, ...], *, user: bool) -> None:
    options = ("--seccomp", "unconfined", *more)
    done = libct_run("sandbox", *options, "--", "/usr/bin/python3", "-c", ATTACK, user=user)
    assert done.returncode == 9, done.stderr
    # CAP_PERFMON reads these of all processes, since Linux 6.13; there is nothing in them.
    harmless = {"auxv", "environ", "maps"} if more and not user else set()
    assert set(json.loads(done.stdout)) <= harmless


def test_nobody_inside_may_trace_it() -> None:
    trace = Capabilities(bounding=["CAP_SYS_PTRACE"])
    config = make_config(capabilities=trace)
    process = libct.Process(["true"], env=[PATH], init=True, reaper=True)
    with pytest.raises(libct.ConfigError, match=r"reaper: .*CAP_SYS_PTRACE"):
        libct.create(state_directory(), unique(), config, process=process)
    with (
        libct.create(state_directory(), unique(), config) as container,
        pytest.raises(libct.ConfigError, match=r"reaper: .*CAP_SYS_PTRACE"),
    ):
        container.run(process)
    with libct.create(state_directory(), unique(), make_config()) as container:
        first = reaped(container, "sleep", "1000")
        further = libct.Process(["true"], env=[PATH], capabilities=trace)
        with pytest.raises(libct.Error, match="cannot have CAP_SYS_PTRACE"):
            container.run(further)
        first.signal(0)
    spaces = (NEWNS, NEWPID, NEWUTS, NEWIPC, NEWNET, NEWUSER)
    config = make_config(namespaces=spaces, capabilities=trace)
    with libct.create(state_directory(), unique(), config) as container:
        assert reaped(container, "true").wait(20).success


def test_it_needs_a_pid_namespace_and_a_first_process() -> None:
    process = libct.Process(["true"], init=True, reaper=True)
    with pytest.raises(libct.ConfigError, match="reaper: it needs a pid namespace"):
        libct.create(state_directory(), unique(), make_config(namespaces=(NEWNS,)), process=process)
    with libct.create(state_directory(), unique(), make_config()) as container:
        reaped(container, "sleep", "1000")
        with pytest.raises(libct.ConfigError, match="reaper: only the first process"):
            container.run(libct.Process(["true"], reaper=True))


def test_the_server_is_in_its_own_pid_namespace_afterwards() -> None:
    """Which it has left to clone the two."""
    with libct.create(state_directory(), unique(), make_config()) as container:
        assert reaped(container, "true").wait(20).success
    plain = make_config(rootfs=shared_rootfs(), namespaces=(NEWNS,))
    with libct.create(state_directory(), unique(), plain) as container:
        process = libct.Process(["sleep", "1000"], env=[PATH], init=True)
        container.run(process)
        own = os.stat("/proc/self/ns/pid").st_ino
        assert os.stat(f"/proc/{process.pid}/ns/pid").st_ino == own


# --- whether it is what it should be ---


def refuse(*operations: int) -> None:
    """Have these of prctl(2) fail from here on, in this process and its children."""
    rules = [
        SeccompRule(["prctl"], "SCMP_ACT_ERRNO", args=[SeccompArg(0, one, 0, "SCMP_CMP_EQ")])
        for one in operations
    ]
    profile = Seccomp("SCMP_ACT_ALLOW", syscalls=rules)
    seccomp_set_mode_filter(Filter(compiled(profile, here())))


def in_place_of_a_reaper(lacks: str) -> int:
    """A process that is in all but one thing what a reaper should be, and waits."""
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            if lacks != "filter":
                refuse(PR_SET_SECCOMP)
            if lacks != "no new privileges":
                set_no_new_privs()
            if lacks != "capset":
                capset(0, 0, 0)
            os.write(told, b"x")
            signal.pause()
        finally:
            os._exit(1)
    os.read(ready, 1)
    os.close(ready)
    os.close(told)
    return pid


@pytest.mark.parametrize("lacks", ["", "capset", "no new privileges", "filter"])
def test_a_reaper_that_is_not_what_it_should_be_is_found(
    lacks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the caller is under a filter, which it inherits."""
    monkeypatch.setattr(reaper, "_SECONDS", 0.05)

    def body() -> None:
        if lacks == "filter":
            refuse(4095)
        pid = in_place_of_a_reaper(lacks)
        context = Context()
        context.values["reaper"] = pid
        try:
            if lacks == "filter":
                reaper.check_reaper(context, filtered=False)
            if lacks:
                with pytest.raises(StepProblem, match="has not given up its rights"):
                    reaper.check_reaper(context, filtered=True)
            else:
                reaper.check_reaper(context, filtered=True)
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        reaper.check_reaper(context, filtered=True)  # it has gone, and all with it

    forked(body)


@pytest.mark.skipif(not lined_up.available(), reason="with musl the interpreter would say it")
@pytest.mark.parametrize("user", [False, True], ids=["root", "user namespace"])
def test_a_reaper_that_is_not_what_it_should_be_costs_the_start(*, user: bool) -> None:
    def body() -> None:
        refuse(PR_SET_SECCOMP)
        with libct.create(state_directory(), unique(), make_config(namespaces=SPACES[user])) as one:
            with pytest.raises(libct.StepError, match="has not given up its rights") as caught:
                reaped(one, "touch", "/dev/executed")
            assert caught.value.op == "check_reaper"
            assert one.processes() == []
            assert one.status() in ("stopped", "creating")
        servers.stop_server()
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)

    shared_rootfs(), state_directory()
    forked(body)


@requires("user", "userns")
def test_where_proc_hides_it_a_user_can_have_one() -> None:
    """hidepid of proc(5): once it is not dumpable, it is no more to be seen."""

    def body() -> list[int]:
        mount("proc", "/proc", "proc", data="hidepid=2")
        command = ("sandbox", "--", "sh", "-c", "exit 5")
        return [libct_run(*command, user=True).returncode for _ in range(5)]

    assert in_namespaces(CLONE_NEWNS, body) == [5] * 5


def test_a_limit_of_processes_is_that_of_the_command() -> None:
    assert sandbox(["true"], pids=5)[0].cgroups.resources.pids_limit == 5  # type: ignore[union-attr]
