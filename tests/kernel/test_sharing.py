"""Starts that share the server's memory (bootstrap/sharing.py), and what may happen to them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import re
import resource
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
from libct.cgroups.layout import detect
from libct.config import (
    NEWNET,
    NEWNS,
    NEWPID,
    NEWTIME,
    NEWUSER,
    NEWUTS,
    Capabilities,
    Cgroup,
    Hook,
    Hooks,
    IDMap,
    Personality,
    Resources,
    Rlimit,
    TimeOffset,
)
from libct.config.seccomp import Seccomp, SeccompArg, SeccompRule
from libct.plan.namespaces import SHARING
from libct.syscalls.constants import CAPABILITIES, CLONE_VFORK

from ..containers import (
    PATH,
    USUAL,
    make_config,
    run,
    run_in,
    running,
    shared_rootfs,
    state_directory,
    with_v2,
)
from ..fuse import Held
from ..leaks import wait_until
from ..patience import patient
from ..support import (
    as_user,
    busybox_rootfs,
    copy_of_libct,
    forked,
    libct_environment,
    requires,
    unique,
    user_checkout,
    user_python,
)
from .test_bootstrap_server import children, numbered_children

if TYPE_CHECKING:
    from collections.abc import Iterator

    from libct.plan.step import Plan

pytestmark = [requires("root", "busybox", "contexts"), pytest.mark.usefixtures("own_servers")]

TIMES = int(os.environ.get("LIBCT_ATTACKS", "1"))
CLONES = ("clone_stage", "clone_init")
DONE = "ProcessState(exit_code=0)"  # how a command ends that has nothing to do


@pytest.fixture
def own_servers(nothing_left: None) -> Iterator[None]:
    """No server before and none after; no descriptor, process, group or state more."""
    shared_rootfs(), state_directory()
    servers.stop_server()
    detect()  # which keeps a descriptor (cgroups/mounted.py)
    before = set(os.listdir("/proc/self/fd"))
    yield
    servers.stop_server()
    assert wait_until(lambda: not servers._leaving or not _leave())
    assert set(os.listdir("/proc/self/fd")) == before
    assert children() == []


def _leave() -> list[Any]:
    servers._leaving[:] = [one for one in servers._leaving if not one.reap_ended()]
    return servers._leaving


def shares(plan: Plan | None) -> bool:
    """Whether the plan's clones share memory: all, or none (but for what others can see)."""
    assert plan is not None
    found = {step.args[0] & SHARING == SHARING for step in plan if step.op in CLONES}
    assert len(found) == 1
    return found == {True}


def start(config: Any, *args: str, further: libct.Container | None = None, **values: Any) -> Any:
    """A start's plan, and what has come of it: how its process ended, or the error."""
    values = {"env": [PATH], **values}
    if further is not None:
        return _started(further, libct.Process(args, **values))
    with libct.create(state_directory(), unique(), config) as container:
        return _started(container, libct.Process(args, init=True, **values))


def _started(container: libct.Container, process: libct.Process) -> tuple[Plan | None, str]:
    try:
        container.run(process)
        return container.plan, str(process.wait(patient(60)))
    except libct.Error as error:
        return container.plan, str(error)


def works() -> bool:
    return run(make_config(), "true").state.success


def named(*names: str) -> list[int]:
    return [pid for pid, name in numbered_children().items() if name in names]


# --- a clone that is stuck -----------------------------------------------------------------


class Stuck:
    """A start, or an exec, that waits for a file system while it shares memory."""

    def __init__(self, place: Path, *, further: bool) -> None:
        self.rootfs = busybox_rootfs(place)
        (self.rootfs / "held").mkdir()
        self.results: list[Any] = []
        self.first: Any = None
        self.config = make_config(self.rootfs)
        if further:
            self.first = libct.create(state_directory(), unique(), self.config)
            # (Not before there is the mount, of which the container has a copy.)
        self.held = Held(self.rootfs / "held")
        self.clone = 0
        self.thread = threading.Thread(target=self._start)
        try:
            self._begin(further)
        except BaseException:
            self.close()
            raise

    def _begin(self, further: bool) -> None:
        if further:
            self.first.run(libct.Process(["sleep", "600"], init=True, env=[PATH]))
        known = set(numbered_children())
        self.thread.start()
        what = "libct:stage" if further else "libct:init"
        assert wait_until(lambda: bool(set(named(what)) - known))
        (self.clone,) = set(named(what)) - known
        # It waits in the file system, and the server for it.
        assert wait_until(lambda: state_of(self.clone) == "S" or state_of(self.clone) == "D")
        assert wait_until(lambda: any(state_of(pid) == "D" for pid in named("libct:server")))

    def _start(self) -> None:
        values = {"further": self.first, "cwd": "/held/x"}
        self.results.append(start(self.config, "true", **values))

    def finish(self) -> str:
        self.held.answer()
        self.thread.join(patient(20))
        assert not self.thread.is_alive()
        plan, how = self.results[0]
        assert shares(plan)
        return str(how)

    def close(self) -> None:
        if self.clone:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.clone, signal.SIGCONT)
        self.held.close()
        if self.thread.is_alive():
            self.thread.join(patient(20))
        if self.first is not None:
            self.first.destroy(force=True)


def state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


@pytest.fixture(params=["first", "further"])
def stuck(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stuck]:
    made = Stuck(tmp_path, further=request.param == "further")
    yield made
    made.close()


def assert_others_start(seconds: float = 4) -> None:
    for _ in range(3):
        begun = time.monotonic()
        assert works()
        assert time.monotonic() - begun < patient(seconds)


def test_one_that_waits_for_a_file_system_holds_up_nobody(stuck: Stuck) -> None:
    assert_others_start()
    assert len(named("libct:server")) >= 2
    assert stuck.finish() == DONE
    assert works()


def test_one_that_is_stopped_holds_up_nobody(stuck: Stuck) -> None:
    os.kill(stuck.clone, signal.SIGSTOP)
    stuck.held.answer()
    assert wait_until(lambda: state_of(stuck.clone) == "T")
    assert_others_start()
    assert stuck.results == []
    os.kill(stuck.clone, signal.SIGCONT)
    stuck.thread.join(patient(20))
    assert [how for _, how in stuck.results] == [DONE]
    assert works()


@contextlib.contextmanager
def group(*, version: int, controller: str = "freezer") -> Iterator[Path]:
    top = Path("/sys/fs/cgroup", controller if version == 1 else "unified")
    place = top / unique()
    place.mkdir()
    try:
        yield place
    finally:
        assert wait_until(lambda: not (place / "cgroup.procs").read_text())
        place.rmdir()


@requires("cgroup1", "cgroup2")
@pytest.mark.parametrize("version", [1, 2])
def test_one_whose_group_is_frozen_holds_up_nobody(stuck: Stuck, version: int) -> None:
    with group(version=version) as place:
        (place / "cgroup.procs").write_text(str(stuck.clone))
        name, on, off = (
            ("freezer.state", "FROZEN", "THAWED") if version == 1 else ("cgroup.freeze", "1", "0")
        )
        (place / name).write_text(on)
        try:
            stuck.held.answer()
            assert_others_start()
            assert stuck.results == []
        finally:
            (place / name).write_text(off)
        stuck.thread.join(patient(20))
        assert [how for _, how in stuck.results] == [DONE]


@requires("cgroup1")
def test_one_with_next_to_no_processor_time_holds_up_nobody(stuck: Stuck) -> None:
    with group(version=1, controller="cpu") as place:
        (place / "cpu.cfs_period_us").write_text("1000000")
        (place / "cpu.cfs_quota_us").write_text("1000")
        (place / "cgroup.procs").write_text(str(stuck.clone))
        stuck.held.answer()
        assert_others_start()
        (place / "cpu.cfs_quota_us").write_text("-1")
        stuck.thread.join(patient(20))
        assert [how for _, how in stuck.results] == [DONE]


def test_many_that_are_stuck_hold_up_nobody(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        many = []
        for number in range(4):
            (tmp_path / str(number)).mkdir()
            many.append(Stuck(tmp_path / str(number), further=False))
            stack.callback(many[-1].close)
        assert_others_start()
        assert len(named("libct:server")) >= 5
        for one in many:
            assert one.finish() == DONE


def test_a_server_with_a_stuck_start_is_let_go(stuck: Stuck) -> None:
    """Who ends the servers does not wait for it, and it ends when it can."""
    begun = time.monotonic()
    servers.stop_server()
    assert time.monotonic() - begun < patient(4)
    assert named("libct:server")
    assert works()
    assert stuck.finish() == DONE
    servers.stop_server()
    assert wait_until(lambda: not _leave())
    assert named("libct:server") == []


def test_a_stuck_start_is_interrupted(stuck: Stuck) -> None:
    """Killed, as `delete --force` has it; no word of how its server is."""
    os.kill(stuck.clone, signal.SIGKILL)
    stuck.thread.join(patient(20))
    assert ["killed" in how for _, how in stuck.results] == [True]
    assert works()


# --- one that is killed --------------------------------------------------------------------

# What a start may say whose process, or server, was killed.
KILLED = re.compile(
    r"its process was killed|process ended unexpectedly|the bootstrap server ended"
    r"|ProcessState\(signal=9\)|ProcessState\(exit_code=0\)"
)


@pytest.mark.longest(300)
@pytest.mark.parametrize(
    ("what", "victim"),
    # A first start has no stage.
    [("first", victim) for victim in ("clone", "server", "any")]
    + [("further", victim) for victim in ("clone", "server", "stage", "any")],
)
def test_killed_at_any_instant(what: str, victim: str) -> None:
    """A start goes on, or says what has happened; and the next one works."""
    names = {"clone": ["libct:init"], "server": ["libct:server"], "stage": ["libct:stage"]}
    targets = names.get(victim, ["libct:init", "libct:stage", "libct:server"])
    chance = random.Random(victim + what)
    outcomes: dict[str, int] = {}
    config = make_config()
    with running(config) as other:
        for _ in range(50 * TIMES):
            killer = threading.Thread(target=kill_after, args=(chance.random() * 0.008, targets))
            killer.start()
            plan, how = start(config, "true", further=other if what == "further" else None)
            killer.join()
            assert KILLED.search(how), how
            assert shares(plan)
            outcomes[how] = outcomes.get(how, 0) + 1
            assert works()
            assert set(children()) <= {"libct:server", "sleep"}
    assert sum(outcomes.values()) == 50 * TIMES


def kill_after(seconds: float, targets: list[str]) -> None:
    """The next of these that is there, from that time on; they are our own children."""
    until = time.monotonic() + 0.03
    time.sleep(seconds)
    while time.monotonic() < until:
        for pid, name in numbered_children().items():
            if name not in targets:
                continue
            try:
                pidfd = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            try:
                if numbered_children().get(pid) == name:
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                    return
            except ProcessLookupError:
                pass
            finally:
                os.close(pidfd)


def test_one_that_is_killed_in_the_middle_ends_its_server(stuck: Stuck) -> None:
    """Which has an interpreter that nobody can tell anything of."""
    (server,) = (pid for pid in named("libct:server") if state_of(pid) == "D")
    pidfd = os.pidfd_open(server)
    try:
        os.kill(stuck.clone, signal.SIGKILL)
        ended = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOWAIT)
    finally:
        os.close(pidfd)
    assert ended is not None
    # The clone waits without the interpreter's lock; see sharing.py.
    assert (ended.si_code, ended.si_status) == (os.CLD_EXITED, signal.SIGSEGV)


@pytest.mark.parametrize(
    "does",
    ["posix._exit(9)", "1 / 0", "[].__setitem__(0, 1)", "raise KeyboardInterrupt"],
    ids=["ends", "mistake", "another", "interrupt"],
)
def test_one_that_ends_in_the_middle_ends_its_server(tmp_path: Path, does: str) -> None:
    """Whatever it is that has not come to its end; here it has the interpreter's lock."""
    copy = copy_of_libct(tmp_path / "copy/libct")
    file = copy / "bootstrap/sharing.py"
    place = '            own.tell(("cloned", number))\n'
    assert file.read_text().count(place) == 1
    file.write_text(file.read_text().replace(place, f"            {does}\n"))
    script = f"""
import os, sys
sys.path[:0] = [{str(copy.parent)!r}, {os.getcwd()!r}]
import libct
from libct.bootstrap import servers
from tests.containers import make_config, run
try:
    run(make_config(), "true")
except libct.StepError as error:
    print(error.strerror)
(server,) = servers._servers
ended = os.waitid(os.P_PIDFD, server.pidfd, os.WEXITED | os.WNOWAIT)
print(ended.si_code == os.CLD_EXITED, ended.si_status)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=libct_environment(),
        capture_output=True,
        text=True,
        timeout=patient(30),
    )
    assert done.stdout == "its process ended unexpectedly\nTrue 70\n", done.stderr


def test_a_server_that_is_killed_leaves_the_start_as_it_is(stuck: Stuck) -> None:
    (server,) = (pid for pid in named("libct:server") if state_of(pid) == "D")
    os.kill(server, signal.SIGKILL)
    assert stuck.finish() == DONE
    assert works()


@requires("cgroup1")
def test_one_that_is_killed_for_want_of_memory() -> None:
    """Whatever becomes of its server."""
    limited = make_config(cgroups=Cgroup(name=unique(), resources=Resources(memory=128 << 10)))
    for _ in range(5):
        _, how = start(limited, "sh", "-c", "head -c 4m /dev/zero | tail > /dev/null")
        assert "ProcessState" in how or "killed" in how or "memory" in how, how
        assert works()


# --- what the server has afterwards ---------------------------------------------------------


@pytest.mark.usefixtures("one_server")
def test_the_server_is_as_it_was() -> None:
    """Its descriptors, its place, and what it can still load."""
    assert works()
    (server,) = named("libct:server")

    def look() -> dict[str, Any]:
        wait_until(lambda: state_of(server) == "S")
        status = Path(f"/proc/{server}/status").read_text().splitlines()
        kept = ("Umask", "Uid", "Gid", "Groups", "Cap", "Sig", "Shd", "NoNew", "Secc", "NSpid")
        return {
            "fds": {fd: os.readlink(f"/proc/{server}/fd/{fd}") for fd in _fds(server)},
            "status": [line for line in status if line.startswith(kept)],
            "limits": Path(f"/proc/{server}/limits").read_text(),
            "spaces": {
                name: os.readlink(f"/proc/{server}/ns/{name}")
                for name in os.listdir(f"/proc/{server}/ns")
            },
            "cwd": os.readlink(f"/proc/{server}/cwd"),
            "root": os.readlink(f"/proc/{server}/root"),
            "oom": Path(f"/proc/{server}/oom_score_adj").read_text(),
            "personality": Path(f"/proc/{server}/personality").read_text(),
            "dumped": Path(f"/proc/{server}/coredump_filter").read_text(),
            "maps": sum(line.endswith("s 00000000") for line in _maps(server)),
        }

    before = look()
    config = make_config(
        hostname="box",
        oom_score_adj=500,
        personality=Personality(8),  # PER_LINUX32
        no_new_privileges=True,
        mask_paths=["/proc/keys"],
        sysctl={"net.ipv4.ip_forward": "1"},
        namespaces=(*USUAL, NEWUSER),
        uid_mappings=[IDMap(0, 100000, 65536)],
        gid_mappings=[IDMap(0, 100000, 65536)],
        seccomp=Seccomp("SCMP_ACT_ALLOW"),
        rlimits=[Rlimit(7, 100, 100), Rlimit(3, 1 << 20, 1 << 20)],
    )
    for number in range(30):
        plan, how = start(config, "true", user="1000:1000", umask=0o27)
        assert shares(plan)
        assert how == DONE
        if number % 3 == 0:
            assert "no such command" in start(config, "no such command")[1]
    assert works()
    assert named("libct:server") == [server]
    assert look() == before


def _fds(pid: int) -> list[str]:
    """But for a network namespace that is kept ready."""
    found = os.listdir(f"/proc/{pid}/fd")
    return [fd for fd in found if not os.readlink(f"/proc/{pid}/fd/{fd}").startswith("net:")]


def _maps(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/maps").read_text().splitlines()


@pytest.mark.parametrize("what", ["first", "further", "staged", "told of"])
def test_a_start_that_fails_costs_no_server(tmp_path: Path, what: str) -> None:
    """Nobody kills what is about to end, in the middle of that; here it takes a while."""
    copy = copy_of_libct(tmp_path / "copy/libct")
    file = copy / "bootstrap/sharing.py"
    place = "            posix._exit(1)  # a mistake of ours"
    before, found, after = file.read_text().partition(place)
    assert found
    line, _, rest = after.partition("\n")
    file.write_text(f"{before}{found}{line}\n        time.sleep(0.008)\n{rest}")
    script = f"""
import os, sys
sys.path[:0] = [{str(copy.parent)!r}, {os.getcwd()!r}]
import libct
from libct.bootstrap import servers
from tests.containers import make_config, run, run_in, running
servers._most = lambda: 1
config = make_config()
if {what in ("staged", "told of")!r}:  # with a stage
    joined = ("NEWUTS", "/proc/self/ns/uts")
    config = make_config(namespaces=("NEWNS", "NEWPID", joined))
if {what == "told of"!r}:  # the runtime hears of it before it lets the process go
    config.hooks = libct.config.Hooks()
with running(make_config(), "sleep", "600") as container:
    (server,) = servers._servers
    for _ in range(5):
        for command in ("no such command", "/etc/passwd"):
            try:
                run_in(container, command) if {what == "further"!r} else run(config, command)
            except libct.StepError as error:
                print(error.op)
    run(config, "true")
    print(servers._servers == [server])
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=libct_environment(),
        capture_output=True,
        text=True,
        timeout=patient(60),
    )
    assert done.stdout == "find_command\n" * 10 + "True\n", done.stderr


@pytest.mark.usefixtures("one_server")
def test_the_door_to_imports_is_open_again() -> None:
    """What performs a step that nobody has asked for before is loaded then."""
    assert works()
    (server,) = named("libct:server")
    plan, how = start(make_config(sysctl={"kernel.domainname": "x"}), "true")
    assert (shares(plan), how) == (True, DONE)
    assert named("libct:server") == [server]


def test_what_a_core_dump_has_is_nobody_elses_to_say(stuck: Stuck) -> None:
    """Root in a container may write that file of a process that enters, and it is the memory's."""
    Path(f"/proc/{stuck.clone}/coredump_filter").write_text("0x7f")
    (server,) = (pid for pid in named("libct:server") if state_of(pid) == "D")
    before = Path("/proc/self/coredump_filter").read_text()
    assert Path(f"/proc/{server}/coredump_filter").read_text() != before
    assert stuck.finish() == DONE
    shown = "/proc/self/coredump_filter"
    found = {run(make_config(), "cat", shown).output for _ in range(4)}
    assert found == {before}


@pytest.mark.longest(300)
@pytest.mark.usefixtures("one_server")
def test_the_server_does_not_grow() -> None:
    """In hundreds of starts, some of which fail."""
    config = make_config()

    def cycle(count: int) -> int:
        with running(config, "sleep", "6000") as other:
            for number in range(count):
                assert works()
                start(config, "no such command")
                start(config, "true", further=other)
                if number % 4 == 0:
                    start(config, "/etc/passwd", further=other)
        (server,) = named("libct:server")
        fields = Path(f"/proc/{server}/statm").read_text().split()
        return int(fields[5]) * resource.getpagesize()  # data and stacks

    first = cycle(20)
    assert cycle(60 * TIMES) - first < 1 << 20


# --- whether it may be looked at -----------------------------------------------------------


@requires("strace")
@pytest.mark.parametrize("user", ["", "1000:1000"])
def test_the_servers_memory_of_root_is_shown_to_nobody(tmp_path: Path, user: str) -> None:
    """Not by a stage either, which has a user's ids when it goes on."""
    script = f"""
import sys
sys.path.insert(0, {os.getcwd()!r})
from tests.containers import make_config, run_in, running
with running(make_config()) as container:
    run_in(container, "true", user={user!r})
"""
    log = tmp_path / "log"
    strace = ["strace", "-f", "-o", str(log), "-e", "trace=prctl,execve,clone,clone3"]
    subprocess.run([*strace, sys.executable, "-c", script], check=True, timeout=patient(60))
    text = log.read_text()
    assert text.count("CLONE_VM|CLONE_VFORK|CLONE_PARENT") >= 2
    assert "PR_SET_DUMPABLE, SUID_DUMP_DISABLE" in text
    assert "PR_SET_DUMPABLE, SUID_DUMP_USER" not in text


@requires("user", "userns")
def test_a_users_server_is_his_to_look_at_again() -> None:
    """Or the maps of his next container could not be written."""
    script = f"""
import os, sys
sys.path.insert(0, {str(user_checkout())!r})
import libct
from libct.bootstrap import client, servers
from libct.config import IDMap, Mount, Namespace
rootfs, states = sys.argv[1:]
kinds = ["NEWNS", "NEWPID", "NEWUSER", "NEWUTS"]
config = libct.Config(
    rootfs=rootfs, namespaces=[Namespace(kind) for kind in kinds],
    uid_mappings=[IDMap(0, os.geteuid(), 1)], gid_mappings=[IDMap(0, os.getegid(), 1)],
    mounts=[Mount("/proc", "proc", "proc"), Mount("/dev", "tmpfs", "tmpfs")],
)
for number in range(10):
    with libct.create(states, f"{unique()}-{{number}}", config) as container:
        process = libct.Process(["sleep", "60"], env=["PATH=/bin"], init=True)
        container.run(process)
        assert any("CLONE_VM" in call for step in container.plan for call in step.calls)
        for _ in range(2):
            further = libct.Process(["true"], env=["PATH=/bin"])
            container.run(further)
            assert further.wait().success
            assert any("CLONE_VM" in call for step in container.plan for call in step.calls)
        process.signal(9)
        process.wait()
(server,) = servers._servers
print(os.stat(f"/proc/{{server.pid}}/environ").st_uid == os.geteuid())
"""
    states = f"/tmp/{unique()}"
    done = as_user(user_python(), "-c", script, str(shared_rootfs()), states)
    as_user("rm", "-rf", states)
    assert (done.stdout, done.stderr[-200:]) == ("True\n", "")


# Whether a process that appears can be looked into.  It is stopped first, where that is allowed.
LOOKER = r"""
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    int newest = getpid();
    write(1, "READY\n", 6);
    for (;;) {
        int pid = 0, found = 0;
        char path[64], comm[32] = "", again[32] = "", text[64];
        for (int one = newest + 1; one < newest + 8 && !found; one++)
            if (kill(one, SIGSTOP) == 0)
                found = pid = one;
        if (!found)
            continue;
        newest = pid;
        snprintf(path, sizeof path, "/proc/%d/comm", pid);
        int fd = open(path, O_RDONLY);
        read(fd, comm, sizeof comm - 1), close(fd);
        int got = 0;
        snprintf(path, sizeof path, "/proc/%d/mem", pid);
        if ((fd = open(path, O_RDWR)) >= 0)
            got |= 1, close(fd);
        snprintf(path, sizeof path, "/proc/%d/maps", pid);
        if ((fd = open(path, O_RDONLY)) >= 0) {
            if (read(fd, text, 8) > 0)
                got |= 2;
            close(fd);
        }
        struct iovec here = {text, 8}, there = {(void *)0x400000, 8};
        if (process_vm_readv(pid, &here, 1, &there, 1, 0) >= 0)
            got |= 4;
        if (ptrace(PTRACE_SEIZE, pid, 0, 0) == 0)
            got |= 8, ptrace(PTRACE_INTERRUPT, pid, 0, 0), waitpid(pid, 0, __WALL),
                ptrace(PTRACE_DETACH, pid, 0, 0);
        snprintf(path, sizeof path, "/proc/%d/comm", pid);
        fd = open(path, O_RDONLY);
        read(fd, again, sizeof again - 1), close(fd);
        kill(pid, SIGCONT);
        comm[strcspn(comm, "\n")] = again[strcspn(again, "\n")] = 0;
        dprintf(1, "%s %s %d\n", comm, again, got);
    }
}
"""


@requires("compiler")
@pytest.mark.longest(300)
def test_root_of_a_user_namespace_looks_into_nothing_that_enters(tmp_path: Path) -> None:
    """With all capabilities over it: the memory is the host's."""
    rootfs = busybox_rootfs(tmp_path)
    compiler = ["cc", "-O2", "-static", "-w", "-x", "c", "-", "-o", str(rootfs / "bin/looker")]
    subprocess.run(compiler, input=LOOKER, text=True, check=True)
    every = list(CAPABILITIES)
    rights = Capabilities(bounding=every, effective=every, permitted=every)
    config = make_config(rootfs, namespaces=(*USUAL, NEWUSER), capabilities=rights)
    output = tmp_path / "output"
    with output.open("wb") as file, running(config, "sleep", "600") as container:
        container.run(libct.Process(["looker"], env=[PATH], stdout=file))
        assert wait_until(lambda: "READY" in output.read_text())
        for number in range(1000 * TIMES):
            plan, how = start(config, "sleep", "0.005", further=container)
            assert shares(plan)
            assert how == DONE
            lines = output.read_text().rpartition("\n")[0].splitlines()[1:]
            seen = [line.split() for line in lines]
            entering = {int(got) for before, after, got in seen if before == after == "libct:init"}
            executed = {got for before, after, got in seen if before == after == "sleep"}
            if number >= 100 * TIMES and entering and executed & {"11", "15"}:
                break
    assert entering == {0}  # it was fast enough in some
    # And that says something: it can look into what has executed its command.
    assert executed & {"11", "15"}


_NR_KCMP, _KCMP_VM = 312, 1  # of x86-64; kcmp(2)


def same_memory(one: int, other: int) -> bool:
    answer = ctypes.CDLL(None).syscall(_NR_KCMP, one, other, _KCMP_VM, 0, 0)
    assert answer >= 0
    return bool(answer == 0)


@pytest.mark.parametrize("what", ["first", "further", "no pid namespace"])
def test_what_appears_among_others_has_its_own_memory(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody may have joined them who is there to debug, with CAP_SYS_PTRACE, unknown to us."""
    seen = []
    go = client._Run._let_go_ahead

    def look_and_go(run: client._Run, number: int) -> None:
        assert run.server is not None
        seen.append(same_memory(run.started.pid, run.server.pid))
        go(run, number)

    monkeypatch.setattr(client._Run, "_let_go_ahead", look_and_go)
    config = make_config(namespaces=(NEWNS,)) if what == "no pid namespace" else make_config()
    with running(config, "sleep", "600") as container:
        if what != "first":
            seen.clear()
            assert run_in(container, "true").state.success
    assert seen == [what != "further"]


# --- who is forked -------------------------------------------------------------------------


TRACERS = Capabilities(
    bounding=["CAP_SYS_PTRACE"], effective=["CAP_SYS_PTRACE"], permitted=["CAP_SYS_PTRACE"]
)


def test_a_first_process_shares_and_so_does_a_further_one() -> None:
    with running(make_config()) as container:
        assert shares(container.plan)
        assert run_in(container, "true").state.success
        assert shares(container.plan)


def test_with_groups_of_either_version() -> None:
    def body() -> None:
        with running(make_config(cgroups=Cgroup(name=unique()))) as container:
            assert shares(container.plan)
            assert run_in(container, "true").state.success
            assert shares(container.plan)
            assert container.manager is not None
            groups = container.manager.directories()
            (init, *_) = container.processes()
            assert str(init) in Path(groups[0], "cgroup.procs").read_text().split()

    body()
    with_v2(body)


def test_nobody_shares_memory_who_may_be_traced() -> None:
    with running(make_config(capabilities=TRACERS)) as container:
        assert run_in(container, "true").state.success
        assert not shares(container.plan)
    with running(make_config()) as container:
        assert run_in(container, "true", capabilities=TRACERS).state.success
        assert not shares(container.plan)
        assert run_in(container, "true").state.success
        assert not shares(container.plan)


@pytest.mark.parametrize("users", [False, True], ids=["", "userns"])
def test_nobody_shares_memory_in_a_joined_pid_namespace(users: bool) -> None:
    """Who may trace in there is not known: root of the host's user namespace, perhaps."""
    more = (NEWUSER,) if users else ()
    with running(make_config(), "sleep", "600") as other:
        path = f"/proc/{other.state()['pid']}/ns/pid"
        spaces = (NEWNS, NEWUTS, *more, (NEWPID, path))
        with running(make_config(namespaces=spaces, mounts=[])) as container:
            assert not shares(container.plan)
            assert run_in(container, "true").state.success
            assert not shares(container.plan)


def test_with_a_joined_pid_and_user_namespace() -> None:
    with running(make_config(namespaces=(*USUAL, NEWUSER)), "sleep", "600") as other:
        pid = other.state()["pid"]
        joined = [(NEWPID, f"/proc/{pid}/ns/pid"), (NEWUSER, f"/proc/{pid}/ns/user")]
        with running(make_config(namespaces=(NEWNS, *joined), mounts=[])) as container:
            assert not shares(container.plan)
            assert run_in(container, "true").state.success
            assert not shares(container.plan)


def test_what_waits_is_forked() -> None:
    with libct.create(state_directory(), unique(), make_config()) as container:
        process = libct.Process(["true"], env=[PATH], init=True)
        container.start(process)
        assert not shares(container.plan)
        assert [state_of(pid) for pid in named("libct:server")] == ["S"]
        container.exec()
        assert process.wait(30).success
    for hooks in (
        Hooks(create_runtime=[Hook("/bin/true")]),
        Hooks(create_container=[Hook("/bin/true")]),
        Hooks(start_container=[Hook("/bin/true")]),
        Hooks(prestart=[Hook("/bin/true")]),
    ):
        plan, how = start(make_config(hooks=hooks), "true")
        assert (shares(plan), how) == (False, DONE)
    plan, how = start(make_config(hooks=Hooks(poststop=[Hook("/bin/true")])), "true")
    assert (shares(plan), how) == (True, DONE)


@requires("timens")
def test_what_enters_a_time_namespace_is_forked() -> None:
    offsets = {"boottime": TimeOffset(1000, 0)}
    with running(make_config(namespaces=(*USUAL, NEWTIME), time_offsets=offsets)) as container:
        assert not shares(container.plan)
        assert run_in(container, "true").state.success
        assert not shares(container.plan)


@pytest.mark.parametrize("early", [False, True], ids=["late", "early"])
@pytest.mark.parametrize(
    ("rule", "shared"),
    [
        (SeccompRule(["no_such_call"], "SCMP_ACT_ALLOW"), True),
        (SeccompRule(["rt_sigprocmask"], "SCMP_ACT_ERRNO"), False),
        (SeccompRule(["rt_sigprocmask"], "SCMP_ACT_LOG"), False),
    ],
    ids=["any", "no mask", "mask is logged"],
)
def test_a_filter_that_lined_up_calls_do_not_get_through(
    rule: SeccompRule, shared: bool, early: bool
) -> None:
    seccomp = Seccomp("SCMP_ACT_ALLOW", syscalls=[rule])
    with running(make_config(seccomp=seccomp, no_new_privileges=not early)) as container:
        assert shares(container.plan) == shared
        assert run_in(container, "true").state.success
        assert shares(container.plan) == shared


def test_a_filter_of_what_a_clone_may_be() -> None:
    """Of the stage: what it clones is cloned under it, and is forked anyway."""
    vfork = SeccompArg(0, CLONE_VFORK, CLONE_VFORK, "SCMP_CMP_MASKED_EQ")
    rule = SeccompRule(["clone"], "SCMP_ACT_ERRNO", args=[vfork])
    seccomp = Seccomp("SCMP_ACT_ALLOW", syscalls=[rule])
    with running(make_config(seccomp=seccomp), "sleep", "600") as container:
        assert shares(container.plan)
        assert run_in(container, "true").state.success
        assert shares(container.plan)


def test_libct_fork_has_all_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIBCT_FORK", "1")
    with running(make_config()) as container:
        assert not shares(container.plan)
        assert run_in(container, "true").state.success
        assert not shares(container.plan)


# --- the same as with fork -------------------------------------------------------------------


def failing(rootfs: Path) -> dict[str, tuple[list[str], dict[str, Any]]]:
    """Commands that execve(2) refuses."""
    programs = {
        "none": "#!/no/such/interpreter\n",
        "format": "no program",
        "denied": "#!/etc/passwd\n",
        "itself": "#!/bin\n",
        "busy": "\x7fELF",
    }
    for name, text in programs.items():
        (rootfs / "bin" / name).write_text(text)
        (rootfs / "bin" / name).chmod(0o755)
    long = ["x" * 100000] * 40
    return {
        **{name: ([name], {}) for name in programs},
        "long": (["true", *long], {}),
        "stack": (["true", *long[:10]], {"rlimits": [Rlimit(3, 1 << 20, 1 << 20)]}),
        "missing": (["no such command"], {}),
    }


def test_what_execve_says_is_told_in_the_same_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rootfs = busybox_rootfs(tmp_path)
    commands = failing(rootfs)
    config = make_config(rootfs)
    said: dict[str, list[str]] = {}
    busy = os.open(rootfs / "bin/busy", os.O_WRONLY)
    for way in ("", "1"):
        monkeypatch.setenv("LIBCT_FORK", way)
        with running(config) as container:
            for name, (args, values) in commands.items():
                for further in (None, container):
                    plan, how = start(config, *args, further=further, **values)
                    assert shares(plan) == (not way)
                    how = re.sub(r"step \d+ of \d+", "step", how)
                    said.setdefault(name, []).append(how)
    os.close(busy)
    for name, found in said.items():
        assert found[:2] == found[2:], name
        assert found[0] != DONE, name
    reasons = {
        "none": "no/such/interpreter",
        "format": "xec format error",
        "denied": "ermission denied",
        "busy": "ext file busy",
        "long": "rgument list too long",
        "stack": "rgument list too long",
    }
    for name, reason in reasons.items():
        assert reason in said[name][0]


@pytest.mark.parametrize(
    "limit",
    [
        Rlimit(9, 8 << 20, 8 << 20),  # RLIMIT_AS
        Rlimit(9, 1 << 12, 1 << 12),
        Rlimit(2, 1 << 12, 1 << 12),  # RLIMIT_DATA
        Rlimit(3, 1 << 16, 1 << 16),  # RLIMIT_STACK
        Rlimit(7, 3, 3),  # RLIMIT_NOFILE
        Rlimit(6, 0, 0),  # RLIMIT_NPROC
        Rlimit(1, 0, 0),  # RLIMIT_FSIZE
    ],
    ids=lambda limit: f"{limit.type}-{limit.soft}",
)
@pytest.mark.parametrize("further", [False, True], ids=["first", "further"])
def test_limits_of_the_process_come_to_the_same(
    limit: Rlimit, further: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    with running(make_config()) as container:
        for way in ("", "1"):
            monkeypatch.setenv("LIBCT_FORK", way)
            values: Any = {"rlimits": [limit], "user": "1000:1000"}
            if further:
                values["further"] = container
            plan, how = start(make_config(), "true", **values)
            assert shares(plan) == (not way)
            found.append(how)
            assert works()
    assert found[0] == found[1]


def test_threads_at_once() -> None:
    results: list[Any] = []

    def thread() -> None:
        with running(make_config()) as container:
            for number in range(10):
                other = container if number % 2 else None
                results.append(start(make_config(), "true", further=other))

    threads = [threading.Thread(target=thread) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(results) == 80
    assert {(shares(plan), how) for plan, how in results} == {(True, DONE)}


def test_a_fork_of_the_program_while_a_start_is_stuck(stuck: Stuck) -> None:
    """Its copy has servers of its own."""
    assert forked(works, timeout=20)
    assert stuck.finish() == DONE
    assert forked(works, timeout=20)
    assert works()


def test_a_stage_that_waits_while_much_is_told() -> None:
    """More than a pipe holds: nobody would hear it while the stage is waited for."""
    joined = ("NEWUTS", "/proc/self/ns/uts")
    config = make_config(
        namespaces=(NEWNS, NEWPID, NEWNET, joined),
        mask_paths=[f"/proc/no/{number}" for number in range(4000)],
    )
    with libct.create(state_directory(), unique(), config) as container:
        container.trace = True
        process = libct.Process(["true"], env=[PATH], init=True)
        container.run(process)
        assert shares(container.plan)
        assert process.wait(30).success
        assert len(container.traces) > 4000


INTERPRETERS = [
    pytest.param(path, id=path.parent.parent.name)
    for path in sorted(Path(sys.base_prefix).parent.glob("3.*/bin/python3"))
    if tuple(map(int, re.findall(r"\d+", path.parent.parent.name)[:2])) >= (3, 9)
]


@pytest.mark.parametrize("python", INTERPRETERS)
@pytest.mark.parametrize("part", ["server", "program"])
def test_other_versions_of_python(python: Path, part: str) -> None:
    script = f"""
import sys
sys.path[:0] = {[os.getcwd()]!r}
import libct
from libct.config import Mount, Namespace
if {part == "server"!r}:
    libct.interpreter = {str(python)!r}
kinds = ["NEWNS", "NEWPID", "NEWUTS", "NEWNET"]
config = libct.Config(
    rootfs={str(shared_rootfs())!r}, namespaces=[Namespace(kind) for kind in kinds],
    mounts=[Mount("/proc", "proc", "proc")],
)
with libct.create({state_directory()!r}, {unique()!r}, config) as container:
    container.trace = True
    first = libct.Process(["sleep", "60"], env=["PATH=/bin"], init=True)
    container.run(first)
    for number in range(20):
        args = ["true"] if number % 2 else ["/etc/passwd"]
        further = libct.Process(args, env=["PATH=/bin"])
        try:
            container.run(further)
            assert further.wait().success
        except libct.StepError as error:
            assert "ermission denied" in str(error), error
        clones = [n for n, step in enumerate(container.plan, 1) if step.op.startswith("clone_")]
        print({{result for n, *_, result in container.traces if n in clones}})
    first.signal(9)
"""
    program = str(python) if part == "program" else sys.executable
    done = subprocess.run(
        [program, "-c", script],
        env={**libct_environment(), "LIBCT_FORK": ""},
        capture_output=True,
        text=True,
        timeout=patient(60),
    )
    forks = tuple(map(int, re.findall(r"\d+", python.parent.parent.name)[:2])) >= (3, 14)
    assert done.stderr == ""
    assert set(done.stdout.splitlines()) == {"{'ok, by fork'}" if forks else "{'ok'}"}


@pytest.mark.usefixtures("one_server")
def test_a_sandbox_with_its_reaper() -> None:
    for _ in range(3):
        done = libct.run(["sh", "-c", "echo $$; exit 5"], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (5, "2\n")
    assert len(named("libct:server")) == 1
