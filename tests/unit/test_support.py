"""The tests' own helpers, where a mistake would let other tests pass for nothing."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import needs
from tests.support import (
    CHECKOUT,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    Snapshot,
    busybox,
    forked,
    in_namespaces,
    merge,
    missing,
    mount,
    requires,
    run_mark,
    session_directory,
    state_root,
    unique,
    wait_until,
)

from ..needs import no_skip

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_a_forked_body_returns_its_value() -> None:
    parent = os.getpid()
    assert forked(lambda: os.getppid()) == parent
    assert forked(lambda: "x" * 1_000_000) == "x" * 1_000_000


def test_a_failure_in_a_forked_body_is_the_tests_own() -> None:
    def body() -> None:
        assert 1 + 1 == 3, "arithmetic"

    with pytest.raises(pytest.fail.Exception, match=r"(?s)in body.*arithmetic"):
        forked(body)


def test_a_skip_in_a_forked_body_is_the_tests_own() -> None:
    with pytest.raises(pytest.skip.Exception, match="not today"):
        forked(lambda: pytest.skip("not today"))


def test_a_forked_body_that_dies_fails_the_test() -> None:
    with pytest.raises(pytest.fail.Exception, match="no answer"):
        forked(lambda: os._exit(0))


def test_a_forked_body_has_limited_time() -> None:
    start = time.monotonic()
    with pytest.raises(pytest.fail.Exception, match="no answer"):
        forked(lambda: time.sleep(60), timeout=0.2)
    assert time.monotonic() - start < 30


@requires("userns")
def test_namespaces_are_new_and_failures_come_out_of_them() -> None:
    def body() -> tuple[int, int]:
        mount("tmpfs", "/mnt", "tmpfs")
        Path("/mnt/mark").touch()
        return os.getpid(), os.geteuid()

    def failing() -> None:
        pytest.fail("from inside")

    assert in_namespaces(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID, body) == (1, 0)
    assert not Path("/mnt/mark").exists()
    with pytest.raises(pytest.fail.Exception, match="from inside"):
        in_namespaces(CLONE_NEWUSER | CLONE_NEWPID, failing)


def test_an_unknown_need_is_an_error() -> None:
    with pytest.raises(ValueError, match="knows no unicorn"):
        requires("unicorn")


def test_a_need_is_missing_when_its_trial_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError("no such thing")

    monkeypatch.setitem(needs.NEEDS, "something", lambda: None)
    monkeypatch.setitem(needs.NEEDS, "nothing", fail)
    assert missing("something", "nothing") == ["nothing"]
    needs._met.cache_clear()


# --- what a test has left ---


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.leaks._PATIENCE", 0.1)


@pytest.fixture
def hierarchy() -> str:
    """Where a cgroup hierarchy is mounted on this machine."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if line.partition(" - ")[2].startswith("cgroup"):
            return line.split()[4]
    (pytest.fail if no_skip() else pytest.skip)("this machine lacks: cgroups")


@contextlib.contextmanager
def orphan(*command: str) -> Iterator[int]:
    """The process id of a command that is no child of ours, and has not our environment.

    It is given when the command has become a sleep.
    """
    script = 'env -i "$@" >/dev/null 2>&1 & echo $!'
    shell = ["setsid", "sh", "-c", script, "sh", *command]
    pid = int(subprocess.run(shell, stdout=subprocess.PIPE, check=True).stdout)
    try:
        assert wait_until(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n")
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        assert wait_until(lambda: ended(pid))


def ended(pid: int) -> bool:
    """Whether a process has left its control groups, too."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


@pytest.mark.usefixtures("impatient")
def test_a_snapshot_sees_descriptors_and_processes() -> None:
    before = Snapshot()
    assert before.left_since() == []
    with open("/dev/null"), subprocess.Popen(["sleep", "1000"]) as child:
        try:
            left = before.left_since()
        finally:
            child.kill()
    assert [line for line in left if "/dev/null" in line]
    assert [line for line in left if f"process {child.pid} sleep 1000" in line]
    assert before.left_since() == []


@pytest.mark.usefixtures("impatient")
def test_a_snapshot_sees_processes_that_have_but_the_mark_of_the_run() -> None:
    before = Snapshot()
    with orphan("env", f"LIBCT_TEST_MARK={run_mark()}", "sleep", "1000") as pid:
        assert before.left_since() == [f"process {pid} sleep 1000"]
    assert before.left_since() == []


@requires("busybox")
@pytest.mark.usefixtures("impatient")
def test_a_snapshot_sees_processes_that_have_but_a_name_in_their_command(tmp_path: Path) -> None:
    program = tmp_path / "sleep"
    program.symlink_to(busybox())
    before = Snapshot(tmp_path)
    with orphan(str(program), "1000") as pid:
        assert before.left_since() == [f"process {pid} {program} 1000"]
    assert before.left_since() == []


@requires("root")
@pytest.mark.usefixtures("impatient")
def test_a_snapshot_sees_processes_that_have_but_mounts_of_the_run(tmp_path: Path) -> None:
    for directory in (tmp_path, session_directory()):
        before = Snapshot(tmp_path)
        script = f"mount -t tmpfs none {directory} && exec sleep 1000"
        with orphan("/usr/bin/unshare", "--mount", "/bin/sh", "-c", script) as pid:
            assert before.left_since() == [f"process {pid} sleep 1000"]
        assert before.left_since() == []


@requires("root")
@pytest.mark.usefixtures("impatient")
def test_a_snapshot_sees_groups_and_the_processes_in_them(hierarchy: str) -> None:
    group = Path(hierarchy, unique(), "below")
    before = Snapshot()
    group.mkdir(parents=True)
    try:
        left = before.left_since()
        assert left == [f"cgroup {group.parent}", f"cgroup {group}"]
        with orphan("sleep", "1000") as pid:
            assert before.left_since() == left
            (group / "cgroup.procs").write_text(str(pid))
            assert before.left_since() == [*left, f"process {pid} sleep 1000"]
    finally:
        group.rmdir()
        group.parent.rmdir()
    assert before.left_since() == []


@pytest.mark.usefixtures("impatient")
def test_a_snapshot_sees_states() -> None:
    before = Snapshot()
    machines = Path("/run/libct")
    roots = [state_root(), state_root(user=True)]
    if os.geteuid() == 0:
        machines.mkdir(mode=0o700, exist_ok=True)
        roots.append(machines)
    states = [root / (unique() if root == machines else "any") for root in roots]
    try:
        for state in states:
            state.mkdir()
        assert before.left_since() == sorted(f"state {state}" for state in states)
    finally:
        for state in states:
            state.rmdir()
    assert before.left_since() == []


@requires("root")
@pytest.mark.usefixtures("impatient")
def test_a_snapshot_sees_mounts(tmp_path: Path) -> None:
    def body() -> None:
        before = Snapshot(tmp_path)
        place = session_directory() / "place"
        place.mkdir()
        mount("tmpfs", str(place), "tmpfs")
        mount(str(tmp_path), "/mnt", flags=4096)  # MS_BIND
        mount("tmpfs", str(tmp_path), "tmpfs")
        left = before.left_since()
        assert [line.split()[:2] for line in left] == [
            ["mount", "/mnt"],
            *sorted(["mount", str(place)] for place in (tmp_path, place)),
        ]

    try:
        in_namespaces(CLONE_NEWNS, body)
    finally:
        (session_directory() / "place").rmdir()


@requires("root")
@pytest.mark.usefixtures("impatient")
def test_a_snapshot_sees_nothing_of_others(tmp_path: Path, hierarchy: str) -> None:
    """Of another run of the tests, say: its names differ from ours by the mark."""
    other = unique().replace(run_mark(), "0" * len(run_mark()))
    group, state = Path(hierarchy, f"libct-{other}"), Path("/run/libct", other)

    def body() -> list[str]:
        before = Snapshot(tmp_path)
        state.mkdir(parents=True)
        group.mkdir()
        try:
            mount("tmpfs", "/mnt", "tmpfs")
            Path("/mnt", other).mkdir()
            mount("tmpfs", f"/mnt/{other}", "tmpfs")
            with orphan("unshare", "--mount", "sleep", "1000") as pid:
                (group / "cgroup.procs").write_text(str(pid))
                return before.left_since()
        finally:
            group.rmdir()
            state.rmdir()

    assert in_namespaces(CLONE_NEWNS, body) == []


def test_merge_goes_into_objects_and_removes_by_none() -> None:
    target = {"a": {"b": 1, "c": [1, 2]}, "d": 4}
    assert merge(target, {"a": {"b": None, "c": [3]}, "e": {"f": 5}}) == {
        "a": {"c": [3]},
        "d": 4,
        "e": {"f": 5},
    }


def test_names_are_unique() -> None:
    assert unique("a") != unique("a")
    assert re.fullmatch(r"[\w+.-]+", unique("a"))


def test_what_the_readme_says_is_what_is_run() -> None:
    commands = [
        line.removeprefix("    ")
        for line in (CHECKOUT / "README.md").read_text().splitlines()
        if line.startswith("    python3 -m venv")
    ]
    assert len(commands) == 1
    assert (CHECKOUT / ".ci/run").read_text().splitlines()[-1] == commands[0]
