"""A /proc that is of another pid namespace than ours, or that hides processes (proc(5))."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import libct as library
from libct.bootstrap.becoming import has_executed
from libct.errors import Error
from libct.life import proc
from libct.life.record import Record
from libct.syscalls import procfs
from tests.containers import (
    PATH,
    make_config,
    run_in,
    running,
    state_directory,
)
from tests.support import (
    CLONE_NEWNS,
    CLONE_NEWPID,
    change_config,
    forked,
    in_namespaces,
    libct,
    make_bundle,
    mount,
    requires,
    state_root,
    unique,
    unshare,
    user_account,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OTHER = "/proc does not show the pid namespace that this process is in"

LOOKING: dict[str, Callable[[library.Container], object]] = {
    "load": lambda one: library.load(state_directory(), one.id),
    "list": lambda one: library.list_containers(state_directory()),
    "create": lambda one: library.create(state_directory(), unique(), make_config()),
    "start": lambda one: one.start(sleep(init=True)),
    "a further process": lambda one: one.run(sleep()),
    "exec": lambda one: one.exec(),
    "status": lambda one: one.status(),
    "state": lambda one: one.state(),
    "signal": lambda one: one.signal(signal.SIGTERM),
    "kill": lambda one: one.signal(signal.SIGKILL),
    "kill all": lambda one: one.signal(signal.SIGKILL, all=True),
    "processes": lambda one: one.processes(),
    "destroy": lambda one: one.destroy(),
    "destroy by force": lambda one: one.destroy(force=True),
}


def sleep(*, init: bool = False) -> library.Process:
    return library.Process(["sleep", "60"], init=init, env=[PATH])


# --- another pid namespace's ------------------------------------------------------------------


@requires("root")
@pytest.mark.parametrize("look", LOOKING)
def test_nothing_is_done_by_the_numbers_of_another_pid_namespace(look: str) -> None:
    """Neither by what is loaded there, nor by a copy that a fork has made."""

    def body() -> None:
        with pytest.raises(Error, match=OTHER):
            LOOKING[look](one)

    with running(make_config()) as one:
        before = os.listdir(state_directory())
        in_namespaces(CLONE_NEWPID, body)
        assert os.listdir(state_directory()) == before
        assert one.status() == "running"


@requires("root")
@pytest.mark.parametrize(
    "words",
    [
        ["state", "ID"],
        ["list"],
        ["ps", "ID"],
        ["kill", "ID", "KILL"],
        ["delete", "--force", "ID"],
        ["exec", "ID", "true"],
        ["run", "-b", "BUNDLE", "NEW"],
        ["create", "-b", "BUNDLE", "NEW"],
        ["sandbox", "true"],
    ],
    ids=lambda words: words[0],
)
@pytest.mark.parametrize("kind", ["another", "none", "a container's"])
def test_a_command_says_what_is_wrong_with_proc(
    tmp_path: Path, rootfs: Path, words: list[str], kind: str
) -> None:
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["sleep", "60"])

    def body() -> None:
        if kind == "none":
            mount("tmpfs", "/proc", "tmpfs")
        elif kind == "a container's":
            in_namespaces(CLONE_NEWPID, lambda: mount("proc", "/proc", "proc"))
        names = {"ID": one.id, "BUNDLE": str(bundle), "NEW": unique()}
        done = libct(*(names.get(word, word) for word in words))
        assert done.returncode != 0
        assert done.stderr.startswith(f"libct: {OTHER}: mount a proc of this pid namespace")
        assert done.stderr.count("\n") == 1
        assert not (state_root() / names["NEW"]).exists()

    with running(make_config()) as one:
        in_namespaces(CLONE_NEWNS | (CLONE_NEWPID if kind == "another" else 0), body)
        assert one.status() == "running"


@requires("root")
def test_it_is_of_another_pid_namespace_though_our_number_is_the_same() -> None:
    """Numbers are given out again and again, so both namespaces may give the same."""

    def body() -> int:
        number = next(n for n in range(30000, 20000, -1) if not Path(f"/proc/{n}").exists())
        pid = clone_as(number)
        if pid == 0:
            same = os.readlink("/proc/self") == str(os.getpid())
            try:
                procfs.require_own_proc()
            except Error:
                os._exit(10 + same)
            os._exit(same)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    procfs.require_own_proc()
    assert in_namespaces(CLONE_NEWPID, body) == 11


def clone_as(number: int) -> int:
    """fork(2), with this number in our pid namespace and in the one around it (clone3(2))."""
    both = (ctypes.c_int * 2)(number, number)
    args = (ctypes.c_uint64 * 11)()
    args[4], args[8], args[9] = signal.SIGCHLD, ctypes.addressof(both), 2
    syscall = ctypes.PyDLL(None, use_errno=True).syscall
    pid: int = syscall(435, ctypes.byref(args), ctypes.sizeof(args))
    assert pid >= 0, os.strerror(ctypes.get_errno())
    return pid


@requires("root")
def test_containers_run_where_the_pid_namespace_has_its_proc() -> None:
    def body() -> None:
        mount("proc", "/proc", "proc")
        with running(make_config(oom_score_adj=555)) as one:
            assert one.state()["pid"] < 1000
            assert run_in(one, "cat", "/proc/self/oom_score_adj").output == "555\n"

    in_namespaces(CLONE_NEWNS | CLONE_NEWPID, body)


@requires("root")
@pytest.mark.parametrize("inhabited", [True, False])
def test_nothing_is_started_where_children_are_in_another_pid_namespace(inhabited: bool) -> None:
    """After unshare(2): the caller would take the numbers of there for those of its /proc."""

    def body() -> None:
        with library.create(state_directory(), unique(), make_config()) as one:
            unshare(CLONE_NEWPID)
            if inhabited:
                keeper = os.fork()
                if keeper == 0:
                    signal.pause()
            with pytest.raises(Error, match="the children of this process are in another pid"):
                one.run(sleep(init=True))
            assert one.status() == "stopped"
            if inhabited:
                os.kill(keeper, signal.SIGKILL)

    forked(body)


# --- processes that it hides ------------------------------------------------------------------


@contextlib.contextmanager
def created(bundle: Path, name: str) -> Iterator[int]:
    """A container of the ordinary user's; its first process, which is hidden from him.

    It is while its steps are timed, for then the interpreter waits itself.
    """
    libct("create", "--trace", "/dev/null", "-b", bundle, name, user=True, check=True)
    record = json.loads((state_root(user=True) / name / "state.json").read_text())
    pidfd = os.pidfd_open(record["pid"])
    try:
        assert record["inode"] > 0
        yield record["pid"]
    finally:
        try:
            libct("delete", "--force", name, user=True, check=True)
        finally:  # and where that leaves it
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)


def state_of(name: str) -> str:
    state = libct("state", name, user=True, check=True).stdout
    (listed,) = json.loads(libct("list", "-f", "json", user=True, check=True).stdout)
    found = json.loads(state)
    assert (listed["status"], listed["pid"]) == (found["status"], found["pid"])
    return str(found["status"])


HIDING = pytest.mark.parametrize("level", ["1", "2", "4"])


def where_processes_are_hidden(level: str, body: Callable[[], None]) -> None:
    def enter() -> None:
        mount("proc", "/proc", "proc", data=f"hidepid={level}")
        body()

    in_namespaces(CLONE_NEWNS, enter, timeout=120)


def user_bundle(user_path: Path, *args: str) -> Path:
    return make_bundle(user_path, rootless=True, args=args or ["sleep", "1000"])


@requires("user", "pidfs")
@HIDING
def test_an_ordinary_user_runs_containers_where_processes_are_hidden(
    user_path: Path, level: str
) -> None:
    bundle, name = user_bundle(user_path, "echo", "hi"), unique()

    def body() -> None:
        for _ in range(3):
            done = libct("run", "-b", bundle, unique(), user=True)
            assert (done.returncode, done.stdout, done.stderr) == (0, "hi\n", "")
        change_config(bundle, process={"args": ["sleep", "1000"]})
        with created(bundle, name) as pid:
            assert state_of(name) == "created"
            assert json.loads(libct("ps", "-f", "json", name, user=True).stdout) == [pid]
            refused = libct("exec", name, "true", user=True)
            assert "as an ordinary user before it is started" in refused.stderr
            libct("start", name, user=True, check=True)
            assert state_of(name) == "running"
            for _ in range(3):
                done = libct("exec", name, "echo", "ho", user=True)
                assert (done.returncode, done.stdout, done.stderr) == (0, "ho\n", "")
            libct("kill", name, "KILL", user=True, check=True)
            assert wait_until(lambda: state_of(name) == "stopped")

    where_processes_are_hidden(level, body)


@requires("user", "pidfs")
@pytest.mark.parametrize("words", [["delete", "--force"], ["delete"], ["kill"]])
@HIDING
def test_what_is_hidden_does_end(user_path: Path, level: str, words: list[str]) -> None:
    bundle, name = user_bundle(user_path), unique()

    def body() -> None:
        with created(bundle, name) as pid:
            libct(*words, name, user=True, check=True)
            assert wait_until(lambda: proc.start_time(pid) == 0)
            if words == ["kill"]:
                assert state_of(name) == "stopped"

    where_processes_are_hidden(level, body)


@requires("user", "pidfs")
@HIDING
def test_nothing_is_removed_where_it_is_not_known_what_lives(user_path: Path, level: str) -> None:
    """As before Linux 6.9, where pidfds have no inode numbers of their own."""
    bundle, name = user_bundle(user_path), unique()
    place = state_root(user=True) / name

    def body() -> None:
        with created(bundle, name) as pid:
            text = (place / "state.json").read_text()
            (place / "state.json").write_text(json.dumps({**json.loads(text), "inode": 0}))
            for words in (["state"], ["start"], ["kill"], ["delete"], ["delete", "--force"]):
                done = libct(*words, name, user=True)
                assert done.returncode != 0
                assert done.stderr == (
                    f"libct: cannot tell whether process {pid} is the container's: /proc hides it"
                    " (hidepid); mount /proc with gid= of a group that you are in, or be root\n"
                )
            assert proc.start_time(pid) > 0
            # As the error has it.
            if level != "4":  # "ptraceable", which has no exception
                gid = user_account().pw_gid
                mount("proc", "/proc", "proc", data=f"hidepid={level},gid={gid}")
                assert state_of(name) == "created"
            (place / "state.json").write_text(text)

    where_processes_are_hidden(level, body)


@requires("user", "pidfs")
@HIDING
def test_a_hidden_process_is_known_by_its_marks(level: str) -> None:
    """What an ordinary user sees of root's processes."""

    def body() -> None:
        account = user_account()
        pid = os.fork()
        if pid == 0:
            signal.pause()
        start, inode = proc.marks_of(pid)
        assert min(start, inode) > 0

        def look() -> None:
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
            assert proc.start_time(pid) == proc.HIDDEN
            assert proc.name_of(pid) is None
            assert proc.marks_of(pid) == (0, inode)
            assert proc.is_same(pid, start, inode)
            assert proc.is_same(pid, 0, inode)
            assert not proc.is_same(pid, start, inode + 1)
            assert not proc.is_same(pid, 0, 0)
            with pytest.raises(Error, match="hides it"):
                proc.is_same(pid, start, 0)
            record = object.__new__(Record)
            record.pid, record.start, record.inode, record.boot = pid, start, inode, ""
            assert record.alive
            assert proc.start_time(1 << 22) == 0

        forked(look)
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        # Not waited for yet: its pidfd says that it has ended.
        forked(lambda: ended(pid, start, inode))
        os.waitpid(pid, 0)

    def ended(pid: int, start: int, inode: int) -> None:
        os.setgid(user_account().pw_gid)
        os.setuid(user_account().pw_uid)
        assert proc.start_time(pid) == 0
        assert proc.marks_of(pid) == (0, 0)
        assert not proc.is_same(pid, start, inode)
        assert not proc.is_same(pid, 0, inode)

    where_processes_are_hidden(level, body)


@requires("user")
@HIDING
def test_what_is_hidden_has_not_executed(level: str) -> None:
    """It lives, that is to say; of what has ended no more is known than it has said."""

    def body() -> None:
        pid = os.fork()
        if pid == 0:
            signal.pause()
        pidfd = os.pidfd_open(pid)

        def look() -> bool:
            os.setgid(user_account().pw_gid)
            os.setuid(user_account().pw_uid)
            return has_executed(pidfd)

        assert forked(look) is False
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert forked(look) is True
        os.waitpid(pid, 0)
        assert forked(look) is True

    where_processes_are_hidden(level, body)
