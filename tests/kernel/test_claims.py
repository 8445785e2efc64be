"""Who gets a control group that several want, and whose it is for an ordinary user."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import libct as library
from libct.bootstrap import servers
from libct.bootstrap.context import Context
from libct.cgroups import entry, killing, marks, steps
from libct.cgroups.ledger import Ledger
from libct.config import Cgroup
from libct.errors import StepProblem
from libct.life.creating import create
from libct.life.process import Process
from libct.syscalls import bpf

from .. import xattrs
from ..containers import PATH, make_config, state_directory
from ..ledgers import Paper, ledger_of, with_ledger
from ..ownership import (
    SHARED_PIDS,
    USUAL,
    existing,
    groups,
    hierarchies,
    on_both,
    path_of,
    refused,
    started,
    status_of,
    stranger,
    with_v1,
)
from ..support import (
    as_user,
    busybox_rootfs,
    change_config,
    libct,
    make_bundle,
    requires,
    session_directory,
    unique,
    user_account,
    user_python,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [requires("root", "busybox"), pytest.mark.usefixtures("nothing_left")]

ROUNDS = int(os.environ.get("LIBCT_ROUNDS", "8"))  # of several starts at the same time
ROOTLESS = [
    [space for space in [*spaces, {"type": "user"}] if space["type"] != "network"]
    for spaces in (USUAL, SHARED_PIDS)
]
REFUSED = ("container's cgroup is not empty", "another container is being started in")


@pytest.fixture(scope="module")
def rootfs() -> Path:
    return busybox_rootfs(Path(tempfile.mkdtemp(dir=session_directory())))


@pytest.fixture
def bundle(tmp_path: Path, rootfs: Path) -> Path:
    """Of a container that sleeps, in the group /UNIQUE/g."""
    return make_bundle(
        tmp_path,
        rootfs=rootfs,
        args=["sleep", "1000"],
        linux={"cgroupsPath": f"/{unique()}/g", "namespaces": USUAL},
    )


def here(name: str) -> str:
    """Where a group of this name is in the first hierarchy."""
    return f"{hierarchies()[0]}/{name}"


# --- an ordinary user ---------------------------------------------------------------------


@contextlib.contextmanager
def delegated(path: str, below: str = "") -> Iterator[None]:
    """A group that the ordinary user owns; in the tree of v2 we are below it meanwhile.

    below: the one below it that he owns, while he can neither make nor remove any in it.
    """
    uid = user_account().pw_uid
    with groups(path) as made, groups(f"{path}/{below}") if below else nullcontext(made) as given:
        for directory in [*made, *given]:
            for file in os.listdir(directory):
                if file != below:
                    os.chown(f"{directory}/{file}", uid, -1)
        for directory in given:
            os.chown(directory, uid, -1)
        # Who is not below it may not clone into what is.
        (unified,) = (one for one in made if os.path.exists(f"{one}/cgroup.subtree_control"))
        inside = f"{unified}/tests"
        os.mkdir(inside)
        try:
            Path(inside, "cgroup.procs").write_text(str(os.getpid()))
            yield
        finally:
            top = unified[: -len(path) - 1]
            Path(top, "cgroup.procs").write_text(str(os.getpid()))
            os.rmdir(inside)


@contextlib.contextmanager
def started_by_user(bundle: Path) -> Iterator[str]:
    name = unique()
    libct("run", "-d", "-b", bundle, name, user=True, check=True)
    try:
        yield name
    finally:
        libct("delete", "--force", name, user=True, check=True)


def user_status(name: str) -> str:
    status: str = json.loads(libct("state", name, user=True, check=True).stdout)["status"]
    return status


def theirs_in(user_path: Path, path: str) -> Path:
    """A bundle of the ordinary user's."""
    linux = {"cgroupsPath": f"/{path}"}
    return make_bundle(user_path, rootless=True, args=["sleep", "1000"], linux=linux)


def run_as_user(script: str) -> None:
    """What whoever may write to a group can do to it, from inside or outside."""
    functions = Path(xattrs.__file__).read_text()
    as_user(user_python(), "-c", f"{functions}\n{script}", check=True)


@requires("user")
@on_both
@pytest.mark.parametrize("above", [True, False], ids=["removable", "not removable"])
def test_what_a_user_has_left_and_taken_over_is_not_touched(
    on: Any, user_path: Path, *, above: bool
) -> None:
    """Also where the group is the one that was delegated, and can only be taken."""
    top_level = unique()
    path = f"{top_level}/g"
    theirs = theirs_in(user_path, path)
    # Without a pid namespace there is no /proc to be had.
    change_config(theirs, mounts=[])

    def body() -> None:
        for spaces in ROOTLESS:
            change_config(theirs, linux={"namespaces": spaces})
            for end in (["delete"], ["delete", "--force"]):
                with delegated(top_level, "" if above else "g"), started_by_user(theirs) as one:
                    procs = [Path(top, path, "cgroup.procs") for top in hierarchies()]
                    assert all(file.read_text() for file in procs)
                    libct("kill", one, "KILL", user=True, check=True)
                    assert wait_until(lambda one=one: user_status(one) == "stopped")  # type: ignore[misc]
                    assert wait_until(lambda files=procs: not any(f.read_text() for f in files))  # type: ignore[misc]
                    with started_by_user(theirs) as two:
                        assert all(file.read_text() for file in procs)
                        libct("kill", "--all", one, "KILL", user=True)
                        assert libct("pause", one, user=True).returncode == 1
                        libct(*end, one, user=True, check=True)
                        assert user_status(two) == "running"
                        assert all(file.read_text() for file in procs)

    on(body)


@requires("user")
@on_both
@pytest.mark.parametrize("mark", [None, "", "0123456789abcdef"])
def test_a_mark_that_is_changed_from_inside(on: Any, mark: str | None, user_path: Path) -> None:
    """The container has lost its groups then; nothing else happens to anybody."""
    top_level = unique()
    theirs = theirs_in(user_path, f"{top_level}/g")

    def body() -> None:
        with delegated(top_level), started_by_user(theirs) as other:
            change_config(theirs, linux={"cgroupsPath": f"/{top_level}/h"})
            with started_by_user(theirs) as one:
                made = [f"{top}/{top_level}/h" for top in hierarchies()]
                for directory in made:
                    if mark is None:
                        run_as_user(f"remove_attribute({directory!r}, 'user.libct')")
                        continue
                    run_as_user(f"set_attribute({directory!r}, 'user.libct', {mark.encode()!r})")
                    # And what is one's own mark says nothing about the group of another.
                    elsewhere = directory[:-1] + "g"
                    copied = xattrs.get_attribute(elsewhere, "user.libct").hex()
                    run_as_user(
                        f"set_attribute({directory!r}, 'user.libct', bytes.fromhex({copied!r}))"
                    )
                    run_as_user(f"set_attribute({directory!r}, 'user.libct', {mark.encode()!r})")
                assert libct("pause", one, user=True).returncode == 1
                done = libct("delete", "--force", one, user=True, check=True)
                for directory in made:
                    told = f"the control group {directory!r} stays: it does not have"
                    assert (told in done.stderr) == (mark != "0123456789abcdef")
                    os.rmdir(directory)
            assert user_status(other) == "running"

    on(body)


@requires("user", "cgroup1")
def test_root_takes_over_what_a_user_has_left(bundle: Path, user_path: Path) -> None:
    """Whose mark is gone then, so the user's container has nothing to do with it."""
    top_level = unique()
    theirs = theirs_in(user_path, f"{top_level}/g")
    change_config(bundle, linux={"cgroupsPath": f"/{top_level}/g"})
    with delegated(top_level), started_by_user(theirs) as one:
        libct("kill", one, "KILL", user=True, check=True)
        assert wait_until(lambda: user_status(one) == "stopped")
        for top in hierarchies():
            if not top.endswith("/devices"):  # where a new one takes rules only
                os.mkdir(f"{top}/{top_level}/g/below")  # so that it cannot be made anew
        try:
            with started(bundle) as two:
                libct("delete", "--force", one, user=True, check=True)
                assert status_of(two) == "running"
        finally:
            for top in existing(f"{top_level}/g/below"):
                os.rmdir(f"{top}/{top_level}/g/below")


# --- several starts -----------------------------------------------------------------------


@on_both
@pytest.mark.parametrize("there", [True, False], ids=["there", "not there"])
def test_several_processes_start_in_one_group(on: Any, bundle: Path, *, there: bool) -> None:
    path = path_of(bundle)

    def body() -> None:
        for _ in range(ROUNDS):
            with groups(path) if there else nullcontext():
                names = [unique() for _ in range(3)]
                with ThreadPoolExecutor(len(names)) as pool:
                    done = list(
                        pool.map(lambda name: libct("run", "-d", "-b", bundle, name), names)
                    )
                errors = [one.stderr for one in done]
                won = [name for name, one in zip(names, done) if one.returncode == 0]
                try:
                    assert len(won) == 1, errors
                    for error in filter(None, errors):
                        assert any(text in error for text in REFUSED), error
                    assert status_of(won[0]) == "running"
                    for name in names:
                        if name not in won:
                            libct("delete", "--force", name, check=True)
                    assert status_of(won[0]) == "running"
                finally:
                    for name in won:
                        libct("delete", "--force", name, check=True)
                assert existing(path) == []

    on(body)


@on_both
@pytest.mark.parametrize("there", [True, False], ids=["there", "not there"])
def test_several_threads_start_in_one_group(on: Any, rootfs: Path, *, there: bool) -> None:
    path = f"{unique()}/g"

    def body() -> None:
        before = None
        for _ in range(ROUNDS * 4):
            with groups(path) if there else nullcontext():
                config = make_config(rootfs, cgroups=Cgroup(path=f"/{path}"))
                made = [create(state_directory(), unique(), config) for _ in range(4)]
                errors: list[Exception] = []
                together = threading.Barrier(len(made))

                def start(
                    one: library.Container,
                    together: threading.Barrier = together,
                    errors: list[Exception] = errors,
                ) -> None:
                    together.wait()
                    try:
                        one.run(Process(["sleep", "1000"], env=[PATH], init=True))
                    except library.Error as problem:
                        errors.append(problem)

                threads = [threading.Thread(target=start, args=(one,)) for one in made]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                alive = [one for one in made if one.status() == "running"]
                for one in made:
                    if one not in alive:
                        one.destroy(force=True)
                try:
                    assert len(alive) == 1, errors
                    for error in errors:
                        assert any(text in str(error) for text in REFUSED), error
                    assert alive[0].status() == "running"
                    assert len(alive[0].processes()) == 1
                finally:
                    for one in alive:
                        one.destroy(force=True)
                assert existing(path) == []
            # Each server has two; there are more of them where starts are made at once.
            now = len(os.listdir("/proc/self/fd")) - 2 * len(servers._servers)
            assert before in (None, now)
            before = now

    on(body)


@on_both
def test_a_start_waits_for_another_one_in_the_same_group(on: Any) -> None:
    """Which has made it, and has not entered it yet; nothing is done to its group."""

    def body() -> None:
        top, name = hierarchies()[0], unique()
        first, second = with_ledger(), with_ledger()
        steps.cgroup_mkdir(first, top, name, 0)
        try:
            with pytest.raises(StepProblem, match="another container is being started in"):
                steps.cgroup_mkdir(second, top, name, 0)
            assert ledger_of(second).undo() == []
            assert ledger_of(first).own() == [here(name)]
            ledger_of(first).release()
            steps.cgroup_mkdir(second, top, name, 0)  # which makes it anew: that was left
            assert (ledger_of(first).own(), ledger_of(second).own()) == ([], [here(name)])
            assert ledger_of(first).undo() == []
        finally:
            assert ledger_of(second).undo() == []

    on(body)


@requires("user")
@on_both
def test_nobody_else_keeps_a_start_from_its_new_group(on: Any) -> None:
    """Who may read a group could lock it, so it is shut until it is locked."""

    def body() -> None:
        name, modes, lock = unique(), [], marks.lock

        def seen_first(path: str) -> int:
            modes.append(os.stat(path).st_mode & 0o777)
            return lock(path)

        context = with_ledger()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(marks, "lock", seen_first)
            steps.cgroup_mkdir(context, hierarchies()[0], name, 0)
        assert modes == [0o700]
        assert os.stat(here(name)).st_mode & 0o777 == 0o755
        assert ledger_of(context).undo() == []

    on(body)


@on_both
def test_a_group_is_entered_that_was_marked(on: Any) -> None:
    """Not the one that is at its path by then; and not at all once it is another's."""

    def body() -> None:
        top, name, context = hierarchies()[0], unique(), with_ledger()
        steps.cgroup_mkdir(context, top, name, 0)
        os.rmdir(here(name))
        os.mkdir(here(name))
        try:
            entry.cgroup_open_directory(context, here(name), 0)
            with pytest.raises(OSError, match=r"No such file|No such device"):
                Path(f"/proc/self/fd/{context.fds['cgroup']}/cgroup.procs").read_text()
            with pytest.raises(OSError, match=r"No such file|No such device"):
                entry.cgroup_open(context, (here(name),), ())
            assert ledger_of(context).own() == []
        finally:
            os.rmdir(here(name))
            context.release("cgroup")
            ledger_of(context).release()
        steps.cgroup_mkdir(context, top, name, 0)
        xattrs.set_attribute(here(name), "trusted.libct", b"0123456789abcdef")
        try:
            with pytest.raises(StepProblem, match="taken over meanwhile"):
                entry.cgroup_open(context, (here(name),), ())
            with pytest.raises(StepProblem, match="taken over meanwhile"):
                entry.cgroup_open_directory(context, here(name), 0)
            assert ledger_of(context).undo() == []
            assert os.path.isdir(here(name))
        finally:
            os.rmdir(here(name))

    on(body)


@on_both
@pytest.mark.parametrize("end", ["kill", "remove"])
def test_an_end_waits_for_the_start_that_takes_its_group(on: Any, end: str) -> None:
    """What that has in it, once it has taken it, is not killed."""

    def body() -> None:
        name, paper = unique(), Paper()
        one = Ledger(paper)
        assert one.make(here(name))
        one.release()
        (top,) = hierarchies()[:1]
        for file in ("cpuset.cpus", "cpuset.mems"):
            if os.path.exists(f"{here(name)}/{file}"):
                Path(here(name), file).write_text(Path(top, file).read_text())
        fd = marks.lock(here(name))
        assert fd >= 0
        ending = Ledger(paper)
        call = ending.kill if end == "kill" else lambda: ending.remove(by_force=True)
        thread = threading.Thread(target=call)
        thread.start()
        time.sleep(0.2)
        assert thread.is_alive()
        marks.write(fd, b"0123456789abcdef")
        with stranger(here(name)) as other:
            marks.unlock(fd)
            thread.join()
            time.sleep(0.1)
            assert other.poll() is None
        assert os.path.isdir(here(name))
        os.rmdir(here(name))

    on(body)


@on_both
def test_an_end_does_not_wait_for_ever_for_a_lock(on: Any) -> None:
    """Anybody may hold it; and a living container is ended without it, at once."""

    def body() -> None:
        for lives in (True, False):
            name, paper, context = unique(), Paper(), Context()
            one = context.values["ledger"] = Ledger(paper)
            steps.cgroup_mkdir(context, hierarchies()[0], name, 0)
            one.release()
            fd = os.open(here(name), os.O_RDONLY)
            fcntl.flock(fd, fcntl.LOCK_EX)
            process = subprocess.Popen(["sleep", "1000"])
            try:
                if lives and "cpuset" not in here(name):
                    Path(here(name), "cgroup.procs").write_text(str(process.pid))
                begun = time.monotonic()
                Ledger(paper).kill()
                took = time.monotonic() - begun
                assert took < 0.9 if lives else took < 3
                assert (process.wait(5) < 0) if lives else (process.poll() is None)
                assert Ledger(paper).remove(by_force=True) == []
                assert not os.path.exists(here(name))
            finally:
                os.close(fd)
                process.kill()
                process.wait()

    on(body)


# --- starts that fail ---------------------------------------------------------------------


@on_both
def test_what_hooks_have_left_in_a_group_that_was_taken(on: Any, bundle: Path) -> None:
    script = "setsid sleep 1000 </dev/null >/dev/null 2>&1 & sleep 0.2"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", script]}
    change_config(
        bundle,
        process={"args": ["/no"]},
        linux={"namespaces": SHARED_PIDS},
        hooks={"createContainer": [hook]},
    )

    def body() -> None:
        with groups(path_of(bundle)) as made:
            inodes = [os.stat(directory).st_ino for directory in made]
            for words in (["run", "-d"], ["create"]):
                assert "no such file" in refused(bundle, *words)
                assert killing.running(made) == []
                assert [os.stat(directory).st_ino for directory in made] == inodes
                assert [marks.read(directory) for directory in made] == [b""] * len(made)
                if on is not with_v1:
                    group = os.open(made[0], os.O_RDONLY)
                    assert bpf.prog_query(group)[1] == []
                    os.close(group)
            # And the next one can start in it.
            change_config(bundle, process={"args": ["sleep", "1000"]})
            with started(bundle):
                assert [os.stat(directory).st_ino for directory in made] == inodes

    on(body)


# --- frozen levels ------------------------------------------------------------------------


@on_both
@pytest.mark.parametrize("there", [True, False], ids=["there", "not there"])
def test_a_start_below_a_group_that_is_frozen(on: Any, bundle: Path, *, there: bool) -> None:
    """It would hang; the error says which is frozen."""
    path = path_of(bundle)
    top_level = path.partition("/")[0]
    change_config(bundle, linux={"cgroupsPath": f"/{path}/below"})

    def body() -> None:
        with groups(top_level) as made, groups(path):
            (frozen,) = [one for one in made if on is not with_v1 or "/freezer/" in one]
            file = "cgroup.freeze" if on is not with_v1 else "freezer.state"
            with groups(f"{path}/below") if there else nullcontext():
                Path(frozen, file).write_text("1" if on is not with_v1 else "FROZEN")
                try:
                    for words in (["run", "-d"], ["create"]):
                        said = refused(bundle, *words)
                        assert "container's cgroup unexpectedly frozen" in said
                        assert f"with the control group {frozen!r} above it (resume" in said
                finally:
                    Path(frozen, file).write_text("0" if on is not with_v1 else "THAWED")
        with started(bundle):
            pass

    on(body)
