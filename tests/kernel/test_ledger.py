"""The ledger of control groups, where a start is killed, overtaken, or cannot write a line."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import libct as library
from libct.cgroups import files, marks, steps
from libct.cgroups.ledger import Ledger
from libct.config import Cgroup, Hook, Hooks
from libct.errors import StepError, StepProblem, notes
from libct.life import ending
from libct.life.creating import create
from libct.life.directory import Directory, Held
from libct.life.process import Process

from ..containers import PATH, make_config, state_directory
from ..killing import as_caller, kill_at
from ..ledgers import Paper, ledger_of, with_ledger
from ..ownership import (
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
)
from ..support import (
    busybox_rootfs,
    change_config,
    libct,
    make_bundle,
    mount,
    requires,
    session_directory,
    unique,
    wait_until,
)
from ..xattrs import attributes, get_attribute, set_attribute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [requires("root", "busybox"), pytest.mark.usefixtures("nothing_left")]

ANOTHER = "0123456789abcdef"  # a mark
OWNER = 1234  # of groups that were there


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


@contextlib.contextmanager
def theirs(path: str, number: int = 99) -> Iterator[list[str]]:
    """Empty groups of somebody else's, with an owner and a mode, in so many hierarchies."""
    tops = [top for top in hierarchies() if not top.endswith("/cpuset")][:number]
    made = [f"{top}/{path}" for top in tops]
    for directory in made:
        os.makedirs(directory)
        os.chmod(directory, 0o700)
        os.chown(directory, OWNER, OWNER)
    try:
        yield made
    finally:
        for directory in made:
            while directory not in tops:
                with contextlib.suppress(FileNotFoundError):
                    os.rmdir(directory)
                directory = os.path.dirname(directory)


def looks(directories: list[str]) -> list[tuple[int, int, int, bytes]]:
    """What is to be the same after a start that has failed."""
    found = [(os.stat(one), marks.read(one)) for one in directories]
    return [(at.st_ino, at.st_mode, at.st_uid, mark) for at, mark in found]


def before_line(kind: str, act: Callable[[], None]) -> None:
    """Have the first line of a kind written only after act()."""
    append = Directory.append
    done: list[str] = []

    def wrapped(self: Directory, name: str, text: str) -> None:
        if text.startswith(kind) and not done:
            done.append(text)
            act()
        append(self, name, text)

    Directory.append = wrapped  # type: ignore[method-assign]  # in a child of ours, or undone


def kill_us() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def stop_us() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def container_in(path: str, rootfs: Path, name: str, **config: Any) -> library.Container:
    config = {"cgroups": Cgroup(path=f"/{path}"), **config}
    return create(state_directory(), name, make_config(rootfs, **config))


def run(container: library.Container, *args: str) -> None:
    container.run(Process(list(args or ("sleep", "1000")), env=[PATH], init=True))


# --- starts that are killed ---------------------------------------------------------------


@on_both
@pytest.mark.parametrize("line", ["taking", "taken"])
@pytest.mark.parametrize("end", ["delete", "delete --force", "none"])
def test_killed_while_a_group_is_taken(
    on: Any, line: str, end: str, bundle: Path, rootfs: Path
) -> None:
    """Before that line: the group is not the container's, and nobody has made it but its owner."""
    path, name = path_of(bundle), unique()

    def call() -> None:
        before_line(line, kill_us)
        run(container_in(path, rootfs, name))

    def body() -> None:
        with theirs(path) as made:
            as_they_were = looks(made)
            as_caller(call)
            marked = [one for one in made if marks.read(one)]
            assert marked == (made[:1] if line == "taken" else [])
            if end != "none":
                with stranger(made[0]):
                    libct(*end.split(), name, check=True)
                    assert looks(made) == as_they_were
            # And for a start that fails they are as they were.
            now = looks(made)
            assert [one[:3] for one in now] == [one[:3] for one in as_they_were]
            change_config(bundle, process={"args": ["/no"]})
            assert "no such file" in refused(bundle, "run")
            assert looks(made) == now
            if end == "none":
                libct("delete", name, check=True)
                assert looks(made) == as_they_were

    on(body)


@on_both
def test_killed_while_a_group_is_given_back(on: Any, rootfs: Path) -> None:
    """It has its mark before it has no line."""
    path, name = f"{unique()}/g", unique()

    def call() -> None:
        before_line("left", kill_us)
        run(container_in(path, rootfs, name), "/no")

    def body() -> None:
        with theirs(path) as made:
            as_they_were = looks(made)
            as_caller(call)
            assert looks(made)[0] == as_they_were[0]
            libct("delete", "--force", name, check=True)
            assert os.path.isdir(made[0])

    on(body)


@on_both
def test_killed_before_a_new_group_is_marked(on: Any, bundle: Path, rootfs: Path) -> None:
    """Who starts in it has one that others may look into, and that goes when the start fails."""
    path, name = path_of(bundle), unique()

    def call() -> None:
        kill_at(marks, "claim", "before")
        run(container_in(path, rootfs, name))

    def body() -> None:
        as_caller(call)
        (top,) = existing(path)
        directory = f"{top}/{path}"
        assert (os.stat(directory).st_mode & 0o777, marks.read(directory)) == (0o700, b"")
        with started(bundle):
            assert os.stat(directory).st_mode & 0o7777 == 0o755
        assert existing(path) == []
        libct("delete", name, check=True)

    on(body)


# --- starts that cannot write -------------------------------------------------------------


@on_both
@pytest.mark.parametrize("there", [2, 0], ids=["taken", "made"])
@pytest.mark.parametrize("lasting", [True, False], ids=["from then on", "once"])
def test_a_line_that_cannot_be_written(on: Any, there: int, rootfs: Path, *, lasting: bool) -> None:
    """Whichever it is: the error says so, and all else is undone."""
    path = f"{unique()}/g"

    def fail_at(number: int, patch: pytest.MonkeyPatch) -> None:
        append, calls = Directory.append, itertools.count(1)

        def full(self: Directory, name: str, text: str) -> None:
            call = next(calls)
            if call == number or (lasting and call > number):
                error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                raise self._failure("write", f"{self.path}/{name}", error)
            append(self, name, text)

        patch.setattr(Directory, "append", full)

    def body() -> None:
        told: set[bool] = set()
        for number in itertools.count(1):
            with theirs(path, there) as made, container_in(path, rootfs, unique()) as one:
                as_they_were = looks(made)
                with pytest.MonkeyPatch.context() as patch:
                    fail_at(number, patch)
                    failed = None
                    try:
                        run(one)
                    except StepError as error:
                        failed = error
                if failed is None:
                    break
                assert failed.op == "cgroup_mkdir"
                assert "cannot write" in str(failed)
                assert "No space left on device" in str(failed)
                told.update("No space left on device" in text for text in notes(failed))
                assert looks(made) == as_they_were
                assert [f"{top}/{path}" for top in existing(path)] == made
                assert len(existing(os.path.dirname(path))) == len(made)
        assert number > 2 * len(made) + 4 * (len(hierarchies()) - len(made))
        # What could not be written down on the way back is told after the error.
        assert told == ({True} if lasting and made and len(hierarchies()) > 1 else set())

    on(body)


def overtaken(line: str, path: str, rootfs: Path) -> list[str]:
    """Start a container that is removed by force before that line is written: what is said."""
    name = unique()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            before_line(line, stop_us)
            run(container_in(path, rootfs, name))
        except library.Error as error:
            os.write(writer, "\n".join([str(error), *notes(error)]).encode())
        finally:
            os._exit(0)
    os.close(writer)
    try:
        assert os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ending, "_SECONDS", 0.1)  # that it waits for who has stopped
            library.load(state_directory(), name).destroy(force=True)
    finally:
        os.kill(pid, signal.SIGCONT)
    os.waitpid(pid, 0)
    with open(reader) as said:
        lines = said.read().splitlines()
    assert f"container {name!r} in {state_directory()} has been removed meanwhile" in lines[0]
    return lines[1:]


@on_both
@pytest.mark.parametrize("line", ["intended", "above", "made", "taking", "taken"])
def test_a_start_that_is_overtaken(on: Any, line: str, rootfs: Path) -> None:
    path = f"{unique()}/g"

    def body() -> None:
        with theirs(path, 1 if line.startswith("tak") else 0) as made:
            as_they_were = looks(made)
            assert overtaken(line, path, rootfs) == []
            assert looks(made) == as_they_were
            assert [f"{top}/{path}" for top in existing(path)] == made
            assert len(existing(os.path.dirname(path))) == len(made)

    on(body)


@requires("cgroup1")
def test_a_start_that_is_overtaken_and_has_taken_a_group(rootfs: Path) -> None:
    """Which is removed with the container; there is no ledger to be written any more."""
    path = f"{unique()}/g"
    with theirs(path, 1) as made:
        assert overtaken("made", path, rootfs) == []
        assert existing(path) == []
        assert len(existing(os.path.dirname(path))) == len(made)


@on_both
def test_files_that_cannot_be_removed_keep_no_group(on: Any, rootfs: Path, tmp_path: Path) -> None:
    """The state directory becomes read-only during the start."""

    def body() -> None:
        mount("none", str(tmp_path), fstype="tmpfs")
        path = f"{unique()}/g"
        # The hook itself is noted there, with its number when it has been started.
        number = f'set -- $(cat {tmp_path}/*/hook); [ "${{3:-0}}" != 0 ]'
        noted = f"until {number}; do sleep 0.01; done"
        script = f"{noted}; until mount -o remount,ro {tmp_path}; do sleep 0.01; done; exit 3"
        hooks = Hooks(create_runtime=[Hook("/bin/sh", ["sh", "-c", script])])
        config = make_config(rootfs, cgroups=Cgroup(path=f"/{path}"), hooks=hooks)
        with theirs(path, 1) as made:
            as_they_were = looks(made)
            container = create(str(tmp_path), unique(), config)
            with pytest.raises(StepError, match="status 3") as caught:
                run(container)
            assert any("Read-only file system" in text for text in notes(caught.value))
            assert looks(made) == as_they_were
            assert [f"{top}/{path}" for top in existing(path)] == made
            subprocess.run(["mount", "-o", "remount,rw", str(tmp_path)], check=True)
            container.destroy()

    on(body)


@on_both
def test_a_group_that_another_has_made_first(on: Any) -> None:
    """It stays, also where that it is another's cannot be written."""

    class FullPaper(Paper):
        def append(self, name: str, text: str) -> None:
            if text.startswith("left"):
                raise library.Error("no space")
            super().append(name, text)

    def body() -> None:
        path, ledger, make = f"{hierarchies()[0]}/{unique()}", Ledger(FullPaper()), marks.make

        def make_late(path: str) -> None:
            os.mkdir(path)
            make(path)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(marks, "make", make_late)
            assert not ledger.make(path)
        assert ledger.undo() == ["no space"]
        os.rmdir(path)

    on(body)


@on_both
def test_a_group_that_can_be_neither_marked_nor_removed(on: Any) -> None:
    """The first error is told, and the group goes when it can."""

    def body() -> None:
        path, ledger = f"{hierarchies()[0]}/{unique()}", Ledger(Paper())

        def refuse(path: str, mark: str) -> int:
            os.mkdir(f"{path}/below")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(marks, "claim", refuse)
            with pytest.raises(OSError, match="No space left"):
                ledger.make(path)
        os.rmdir(f"{path}/below")
        assert ledger.undo() == []
        assert not os.path.exists(path)

    on(body)


# --- whose they are -----------------------------------------------------------------------


@on_both
def test_a_level_that_somebody_else_has_made_anew(on: Any, bundle: Path) -> None:
    top_level = unique()
    change_config(bundle, linux={"cgroupsPath": f"/{top_level}/a/g"})

    def body() -> None:
        with started(bundle) as one:
            libct("kill", one, "KILL", check=True)
            assert wait_until(lambda: status_of(one) == "stopped")
            for top in hierarchies():
                os.rmdir(f"{top}/{top_level}/a/g")
                os.rmdir(f"{top}/{top_level}/a")
                os.mkdir(f"{top}/{top_level}/a")
        assert existing(f"{top_level}/a") == hierarchies()
        for top in hierarchies():
            os.rmdir(f"{top}/{top_level}/a")
            os.rmdir(f"{top}/{top_level}")

    on(body)


@on_both
def test_levels_that_cannot_be_marked(on: Any) -> None:
    """Who has made them removes them."""

    def body() -> None:
        path, ledger = f"{hierarchies()[0]}/{unique()}", Ledger(Paper())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(marks, "mark_above", lambda path: False)
            ledger.make_above(path)
            ledger.make_above(f"{path}/a")
        assert marks.read(path) == b""
        assert ledger.undo() == []
        assert not os.path.exists(path)

    on(body)


@on_both
@pytest.mark.parametrize("name", ["user.libct", "trusted.libct"])
@pytest.mark.parametrize("mark", [ANOTHER, f"taken-{ANOTHER}", "above"])
def test_a_mark_is_given_back_as_it_was(on: Any, name: str, mark: str) -> None:
    """An ordinary user's, too, who sees no other."""

    def body() -> None:
        path, paper = f"{hierarchies()[0]}/{unique()}", Paper()
        os.mkdir(path)
        set_attribute(path, name, mark.encode())
        for again in (False, True):  # by the ledger as it was written, too
            ledger = Ledger(paper)
            assert ledger.hold(path)
            ledger.take(path)
            assert ledger.own() == [path]
            if again:
                ledger.release()
                ledger = Ledger(paper)
                assert ledger.hold(path)
                ledger.take(path)
            assert ledger.undo() == []
            found = {one: get_attribute(path, one) for one in attributes(path) if "libct" in one}
            assert found == {name: mark.encode()}
        os.rmdir(path)

    on(body)


@on_both
def test_a_container_is_started_again_in_a_group_that_it_took(on: Any, rootfs: Path) -> None:
    """Which is not made anew, and is as it was when the second start fails."""
    path = f"{unique()}/g"

    def body() -> None:
        with theirs(path) as made, container_in(path, rootfs, unique()) as one:
            as_they_were = looks(made)
            for _ in range(2):
                process = Process(["sleep", "1000"], env=[PATH], init=True)
                one.run(process)
                assert [look[0] for look in looks(made)] == [look[0] for look in as_they_were]
                one.signal(signal.SIGKILL)
                assert process.wait().signal == signal.SIGKILL
            with pytest.raises(StepError, match="no such file"):
                run(one, "/no")
            assert looks(made) == as_they_were

    on(body)


@on_both
def test_a_lock_is_of_the_group_that_is_there(on: Any) -> None:
    """And not of one that was removed before it was locked."""

    def body() -> None:
        path = f"{hierarchies()[0]}/{unique()}"
        os.mkdir(path)

        def open_first(*args: Any, **values: Any) -> int:
            fd = opened(*args, **values)
            os.rmdir(path)
            os.mkdir(path)
            return fd

        opened = files.open_file
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(files, "open_file", open_first)
            assert marks.lock(path) == -1
        os.rmdir(path)

    on(body)


@on_both
def test_a_group_is_looked_into_once_it_is_locked(on: Any) -> None:
    """A start that has let go of its lock may be inside by then."""

    def body() -> None:
        name, context = unique(), with_ledger()
        with groups(name) as made, pytest.MonkeyPatch.context() as patch:
            hold = Ledger.hold
            inside = contextlib.ExitStack()

            def hold_late(self: Ledger, path: str) -> bool:
                inside.enter_context(stranger(path))
                return hold(self, path)

            patch.setattr(Ledger, "hold", hold_late)
            with inside:
                with pytest.raises(StepProblem, match="is not empty"):
                    steps.cgroup_mkdir(context, hierarchies()[0], name, 0)
                assert ledger_of(context).undo() == []
            assert marks.read(made[0]) == b""

    on(body)


@on_both
def test_a_group_that_another_has_marked_first(on: Any) -> None:
    """Between our mkdir(2) and our lock; it has let go of its own by then."""

    def body() -> None:
        path, ledger, lock = f"{hierarchies()[0]}/{unique()}", Ledger(Paper()), marks.lock

        def lock_late(path: str) -> int:
            set_attribute(path, "trusted.libct", ANOTHER.encode())
            return lock(path)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(marks, "lock", lock_late)
            assert not ledger.make(path)
        assert marks.read(path) == ANOTHER.encode()
        assert ledger.undo() == []
        os.rmdir(path)

    on(body)


# --- removing by force --------------------------------------------------------------------


def test_a_first_process_that_hangs_before_it_is_recorded(rootfs: Path) -> None:
    """Without control groups only what is about to become the record says which it is."""
    name = unique()
    prepare = Held.prepare

    def prepare_and_stop(self: Held, record: Any) -> None:
        prepare(self, record)
        if record.pid:
            os.kill(record.pid, signal.SIGSTOP)

    pid = os.fork()
    if pid == 0:
        try:
            Held.prepare = prepare_and_stop  # type: ignore[method-assign]
            with contextlib.suppress(library.Error):
                process = Process(["true"], env=[PATH], init=True)
                container_in("", rootfs, name, cgroups=None).start(process)
        finally:
            os._exit(0)
    directory = Directory(state_directory(), name)

    def prepared() -> bool:
        record = directory.read_prepared()
        return record is not None and record.pid > 0 and stopped(record.pid)

    try:
        assert wait_until(prepared)
        record = directory.read_prepared()
        assert record is not None
        libct("delete", "--force", name, check=True)
        assert not os.path.exists(f"/proc/{record.pid}/exe")
        assert wait_until(lambda: os.waitpid(pid, os.WNOHANG)[0] == pid)
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def stopped(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except FileNotFoundError:
        return False
