"""A /proc that is of another pid namespace than ours."""

from __future__ import annotations

import ctypes
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import libct as library
from libct.errors import Error
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
    forked,
    in_namespaces,
    libct,
    make_bundle,
    mount,
    requires,
    state_root,
    unique,
    unshare,
)

if TYPE_CHECKING:
    from collections.abc import Callable

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
