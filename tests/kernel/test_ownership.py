"""Whose control groups are: only what is the container's own is undone after a start, and removed.

Each test compares what there is before and after: the processes, control groups and
states of this run of the tests, and what a list of containers has.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from libct.cgroups import files
from libct.cgroups.devices.program import assemble
from libct.cgroups.ledger import Ledger
from libct.config import Cgroup, Hook, Hooks
from libct.errors import StepError, notes
from libct.life.creating import create
from libct.life.process import Process
from libct.syscalls import bpf

from ..containers import PATH, make_config, state_directory
from ..killing import as_caller, kill_at
from ..ledgers import Paper
from ..ownership import (
    SHARED_PIDS,
    USUAL,
    assert_seen,
    existing,
    groups,
    hierarchies,
    make_groups,
    on_both,
    path_of,
    refused,
    seen,
    started,
    status_of,
    stranger,
    with_v1,
)
from ..support import (
    busybox_rootfs,
    change_config,
    default_spec,
    libct,
    make_bundle,
    mount,
    requires,
    session_directory,
    unique,
    wait_until,
)

if TYPE_CHECKING:
    pass

pytestmark = [requires("root", "busybox"), pytest.mark.usefixtures("nothing_left")]

MS_RDONLY, MS_REMOUNT, MS_BIND = 1, 32, 4096  # include/uapi/linux/mount.h


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


# --- groups in use ------------------------------------------------------------------------


@on_both
def test_the_group_of_another_container(on: Any, bundle: Path) -> None:
    def body() -> None:
        before = seen(bundle)
        with started(bundle) as one:
            for words in (["run", "-d"], ["run"], ["create"]):
                assert "container's cgroup is not empty: processes" in refused(bundle, *words)
                assert status_of(one) == "running"
                assert existing(path_of(bundle)) == hierarchies()
        assert_seen(bundle, before)

    on(body)


@on_both
def test_one_id_below_two_roots(on: Any, bundle: Path, tmp_path: Path) -> None:
    change_config(bundle, linux={"cgroupsPath": None})
    other = tmp_path / "other"

    def body() -> None:
        with started(bundle) as one:
            before = seen(bundle)
            done = libct("run", "-d", "-b", bundle, one, root=other)
            assert done.returncode == 1
            assert "container's cgroup is not empty: processes" in done.stderr
            assert_seen(bundle, before)
            assert libct("list", "-q", root=other, check=True).stdout == ""
            assert os.listdir(other) == []
            libct("delete", "--force", one, root=other, check=True)
            assert_seen(bundle, before)
            assert status_of(one) == "running"
            assert existing(one) == hierarchies()

    on(body)


@on_both
@pytest.mark.parametrize("where", [slice(None), slice(-1, None)], ids=["all", "the last"])
def test_a_process_of_the_host(on: Any, where: slice, bundle: Path) -> None:
    def body() -> None:
        path = path_of(bundle)
        if where.start is None:
            with groups(path) as made, stranger(*made):
                assert "is not empty" in refused(bundle, "run", "-d")
                assert existing(path) == hierarchies()
            return
        # Those before the last are made, or taken, and not the container's any more.
        (top,) = hierarchies()[where]
        os.makedirs(f"{top}/{path}")
        try:
            with stranger(f"{top}/{path}"):
                assert "is not empty" in refused(bundle, "run", "-d")
                assert existing(path) == [top]
        finally:
            os.rmdir(f"{top}/{path}")
            os.rmdir(os.path.dirname(f"{top}/{path}"))

    on(body)


@on_both
def test_a_process_of_the_host_in_a_group_below(on: Any, bundle: Path) -> None:
    def body() -> None:
        with groups(f"{path_of(bundle)}/below") as made, stranger(*made):
            assert "is not empty" in refused(bundle, "run", "-d")

    on(body)


# --- what was there and what is made ------------------------------------------------------


@on_both
def test_an_empty_group_is_taken_over_and_removed(on: Any, bundle: Path) -> None:
    def body() -> None:
        path = path_of(bundle)
        above = path.rpartition("/")[0]
        with groups(path):
            inodes = [os.stat(f"{top}/{path}").st_ino for top in hierarchies()]
            with started(bundle) as one:
                for top in hierarchies():
                    assert Path(top, path, "cgroup.procs").read_text().strip()
                # What somebody has set for it stays.
                assert [os.stat(f"{top}/{path}").st_ino for top in hierarchies()] == inodes
                libct("kill", one, "KILL", check=True)
                assert wait_until(lambda: status_of(one) == "stopped")
                libct("delete", one, check=True)
            assert existing(path) == []
            assert existing(above) == hierarchies()

    on(body)


@on_both
def test_an_empty_group_stays_after_a_start_that_failed(on: Any, bundle: Path) -> None:
    change_config(bundle, process={"args": ["/no"]})

    def body() -> None:
        with groups(path_of(bundle)) as made:
            inodes = [os.stat(directory).st_ino for directory in made]
            for words in (["run", "-d"], ["run"], ["create"]):
                assert "no such file" in refused(bundle, *words)
            # The next start takes them for nobody's, too.
            change_config(bundle, process={"args": ["sleep", "1000"]})
            with started(bundle):
                assert [os.stat(directory).st_ino for directory in made] == inodes

    on(body)


@on_both
def test_levels_above(on: Any, bundle: Path) -> None:
    """Those that were there stay, those that were made go, unless somebody uses them by then."""
    top_level = unique()
    change_config(bundle, linux={"cgroupsPath": f"/{top_level}/a/b/c"})

    def body() -> None:
        with groups(top_level):
            before = seen(bundle)
            with started(bundle):
                assert existing(f"{top_level}/a/b/c") == hierarchies()
            assert_seen(bundle, before)
            with started(bundle):
                used = make_groups(f"{top_level}/a/others")
            assert existing(f"{top_level}/a/b") == []
            assert existing(f"{top_level}/a") == hierarchies()
            for directory in used:
                os.rmdir(directory)
                os.rmdir(os.path.dirname(directory))

    on(body)


@on_both
def test_a_level_of_two_containers(on: Any, bundle: Path) -> None:
    """The one that leaves it last removes it, whichever of them has made it."""
    top_level = unique()

    def body() -> None:
        before = seen(bundle)
        change_config(bundle, linux={"cgroupsPath": f"/{top_level}/a/first"})
        with contextlib.ExitStack() as second:
            with started(bundle):
                change_config(bundle, linux={"cgroupsPath": f"/{top_level}/a/second"})
                second.enter_context(started(bundle))
            assert existing(f"{top_level}/a/first") == []
            assert existing(f"{top_level}/a/second") == hierarchies()
        assert_seen(bundle, before)
        assert existing(top_level) == []

    on(body)


@on_both
@pytest.mark.parametrize("end", ["delete", "delete --force"])
def test_groups_made_inside_go_with_it(on: Any, end: str, bundle: Path) -> None:
    script = (
        "for top in /sys/fs/cgroup /sys/fs/cgroup/pids /sys/fs/cgroup/freezer; do"
        " test -e $top/cgroup.procs || continue;"
        " mkdir -p $top/a/b && echo 0 >$top/a/b/cgroup.procs; done; exec sleep 1000"
    )
    change_config(
        bundle,
        process={"args": ["sh", "-c", script]},
        linux={"namespaces": [*USUAL, {"type": "cgroup"}]},
        mounts=[
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs"},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"},
        ],
    )

    def body() -> None:
        before, path = seen(bundle), path_of(bundle)
        with started(bundle) as one:
            expected = [top for top in hierarchies() if top.endswith(("/pids", "/freezer"))]
            expected = expected or hierarchies()
            assert wait_until(lambda: existing(f"{path}/a/b") == expected)
            for top in expected:
                procs = Path(top, path, "a/b/cgroup.procs")
                assert wait_until(lambda procs=procs: bool(procs.read_text()))  # type: ignore[misc]
            if end == "delete":
                libct("kill", one, "KILL", check=True)
                assert wait_until(lambda: status_of(one) == "stopped")
                libct("delete", one, check=True)
        assert_seen(bundle, before)

    on(body)


@on_both
@pytest.mark.parametrize("end", ["delete", "delete --force"])
def test_what_the_first_process_has_left_is_ended(on: Any, end: str, bundle: Path) -> None:
    """Without a pid namespace it lives on; with the container it goes."""
    args = ["sh", "-c", "sleep 1000 & sleep 1001 & exit 0"]
    change_config(bundle, process={"args": args}, linux={"namespaces": SHARED_PIDS})

    def body() -> None:
        before = seen(bundle)
        with started(bundle) as one:
            assert wait_until(lambda: status_of(one) == "stopped")
            left = json.loads(libct("ps", "-f", "json", one, check=True).stdout)
            assert len(left) == 2
            if end == "delete":
                libct("delete", one, check=True)
        assert_seen(bundle, before)
        assert not any(os.path.exists(f"/proc/{pid}/exe") for pid in left)

    on(body)


# --- groups that are another's now --------------------------------------------------------


@on_both
@pytest.mark.parametrize("spaces", [USUAL, SHARED_PIDS], ids=["own pids", "shared pids"])
def test_what_was_left_and_taken_over_is_not_touched(
    on: Any, spaces: list[dict[str, str]], bundle: Path
) -> None:
    change_config(bundle, linux={"namespaces": spaces})
    ends = (["delete"], ["delete", "--force"])

    def body() -> None:
        for end in ends:
            with groups(path_of(bundle).rpartition("/")[0]), started(bundle) as one:
                libct("kill", one, "KILL", check=True)
                assert wait_until(lambda one=one: status_of(one) == "stopped")  # type: ignore[misc]
                with started(bundle) as two:
                    both = seen(bundle)
                    assert libct("ps", "-f", "json", one).stdout in ("[]\n", "null\n")
                    libct("kill", "--all", one, "KILL", check=True)
                    assert_seen(bundle, both)
                    assert libct("kill", one, "KILL").returncode == 1
                    assert_seen(bundle, both)
                    for words in (["pause"], ["update", "--pids-limit", "1"]):
                        assert libct(words[0], *words[1:], one).returncode == 1
                    libct(*end, one, check=True)
                    alone = {text for text in both if one not in text}
                    assert len(both) - len(alone) == 2  # its state, and its line of the list
                    assert_seen(bundle, alone)
                    assert status_of(two) == "running"
                    assert existing(path_of(bundle)) == hierarchies()
                assert existing(path_of(bundle)) == []

    on(body)


@on_both
def test_a_group_that_somebody_else_has_made_anew_is_not_touched(on: Any, bundle: Path) -> None:
    def body() -> None:
        path = path_of(bundle)
        with started(bundle) as one:
            libct("kill", one, "KILL", check=True)
            assert wait_until(lambda: status_of(one) == "stopped")
            for top in hierarchies():
                os.rmdir(f"{top}/{path}")
            with groups(path) as made, stranger(*made):
                libct("kill", "--all", one, "KILL", check=True)
                libct("delete", "--force", one, check=True)
                assert existing(path) == hierarchies()

    on(body)


@requires("user", "cgroup1")
@pytest.mark.parametrize("alive", [True, False])
def test_an_ordinary_user_has_a_container_of_the_same_name(
    *, alive: bool, bundle: Path, user_path: Path
) -> None:
    change_config(bundle, linux={"cgroupsPath": None})
    theirs = make_bundle(user_path, rootless=True, args=["sh", "-c", "sleep 0.2; exit 4"])
    with started(bundle) as one:
        if not alive:
            libct("kill", one, "KILL", check=True)
            assert wait_until(lambda: status_of(one) == "stopped")
        before = seen(bundle)
        done = libct("run", "-b", theirs, one, user=True)
        assert (done.stderr, done.returncode) == ("", 4)
        assert_seen(bundle, before)
        change_config(theirs, process={"args": ["sleep", "1000"]})
        libct("run", "-d", "-b", theirs, one, user=True, check=True)
        assert libct("list", "-q", user=True, check=True).stdout == f"{one}\n"
        assert libct("exec", one, "sh", "-c", "exit 3", user=True).returncode == 3
        libct("kill", "--all", one, "KILL", user=True, check=True)
        libct("delete", "--force", one, user=True, check=True)
        assert libct("list", "-q", user=True, check=True).stdout == ""
        assert_seen(bundle, before)
        assert status_of(one) == ("running" if alive else "stopped")
        assert existing(one) == hierarchies()


@requires("user", "cgroup1")
def test_groups_that_were_not_to_be_had_are_not_looked_at(bundle: Path, user_path: Path) -> None:
    """A container is not paused for another one of its name that is."""
    change_config(bundle, linux={"cgroupsPath": None})
    theirs = make_bundle(user_path, rootless=True, args=["sleep", "1000"])
    with started(bundle) as one:
        libct("pause", one, check=True)
        libct("run", "-d", "-b", theirs, one, user=True, check=True)
        try:
            found = json.loads(libct("state", one, user=True, check=True).stdout)
            assert (found["status"], status_of(one)) == ("running", "paused")
            assert libct("resume", one, user=True).returncode == 1
        finally:
            libct("delete", "--force", one, user=True, check=True)
        assert status_of(one) == "paused"


@requires("cgroup1")
def test_one_below_the_group_of_another_that_is_paused(bundle: Path) -> None:
    """v1 lets nothing die in there until it is resumed, and that is the other's to do."""
    top_level = unique()
    change_config(bundle, linux={"cgroupsPath": f"/{top_level}"})
    with started(bundle) as above:
        change_config(bundle, linux={"cgroupsPath": f"/{top_level}/below"})
        with started(bundle) as below:
            libct("pause", above, check=True)
            try:
                done = libct("delete", "--force", below)
            finally:
                libct("resume", above, check=True)
            assert done.returncode == 1
            assert f"/{top_level}' above its own is frozen; resume" in done.stderr
            assert status_of(below) in ("running", "stopped")  # killed, as soon as it can be


@requires("user", "cgroup1")
def test_an_ordinary_user_asks_for_a_group_of_root_s(bundle: Path, user_path: Path) -> None:
    """A limit cannot be had then, and the error says why."""
    change_config(bundle, linux={"cgroupsPath": None})
    limits = {"resources": {"pids": {"limit": 50}}}
    theirs = make_bundle(user_path, rootless=True, args=["true"], linux=limits)
    with started(bundle) as one:
        before = seen(bundle)
        for words in (["run"], ["run", "-d"], ["create"]):
            done = libct(*words, "-b", theirs, one, user=True)
            assert done.returncode == 1
            (line,) = done.stderr.splitlines()
            assert f" {one} in " in line or f"/{one}'" in line
            assert "linux.cgroupsPath" in line
            assert "permission denied" in line or "is not empty" in line
            assert libct("list", "-q", user=True, check=True).stdout == ""
            assert_seen(bundle, before)


# --- starts that fail ---------------------------------------------------------------------


def make_read_only() -> None:
    for top in hierarchies():
        mount("none", top, flags=MS_REMOUNT | MS_BIND | MS_RDONLY)


@on_both
def test_control_groups_that_are_read_only(on: Any, bundle: Path, rootfs: Path) -> None:
    def body() -> None:
        make_read_only()
        for words in (["run", "-d"], ["run"], ["create"]):
            assert "the control groups are mounted read-only here" in refused(bundle, *words)
        container = create(state_directory(), unique(), make_config(rootfs, cgroups=Cgroup()))
        with pytest.raises(StepError, match="Read-only file system"):
            container.run(Process(["true"], env=[PATH], init=True))
        assert container.status() == "stopped"
        container.destroy()
        assert not Path(state_directory(), container.id).exists()

    on(body)


@on_both
def test_groups_that_are_there_and_read_only(on: Any, bundle: Path) -> None:
    path = path_of(bundle)

    def body() -> None:
        make_read_only()
        for words in (["run", "-d"], ["run"], ["create"]):
            assert "read-only file system" in refused(bundle, *words)
        assert existing(path) == hierarchies()

    if on is with_v1:
        with groups(path):
            on(body)
    else:
        top = next(top for top in hierarchies() if top.endswith("/unified"))
        os.makedirs(f"{top}/{path}")
        try:
            on(body)
        finally:
            os.rmdir(f"{top}/{path}")
            os.rmdir(os.path.dirname(f"{top}/{path}"))


def hook(kind: str, path: str = "/bin/false") -> dict[str, Any]:
    return {"hooks": {kind: [{"path": path}]}}


NOWHERE = {"destination": "/mnt", "type": "bind", "source": "/no/such", "options": ["bind"]}
LIMIT = {"type": "RLIMIT_NOFILE", "soft": 1 << 40, "hard": 1 << 40}
# What fails: (what is changed for that, what is said).
FAILURES: dict[str, tuple[dict[str, Any], str]] = {
    "a limit": ({"linux": {"resources": {"cpu": {"cpus": "4000"}}}}, "resources.cpu"),
    "a mount": ({"mounts": [*default_spec()["mounts"], NOWHERE]}, "/no/such"),
    "a working directory": ({"process": {"cwd": "/etc/passwd"}}, "process.cwd"),
    "prestart": (hook("prestart"), "hooks.prestart[0]"),
    "createRuntime": (hook("createRuntime"), "hooks.createRuntime[0]"),
    "createContainer": (hook("createContainer"), "hooks.createContainer[0]"),
    "a sysctl": ({"linux": {"sysctl": {"net.ipv4.no_such": "1"}}}, "linux.sysctl"),
    "a resource limit": ({"process": {"rlimits": [LIMIT]}}, "process.rlimits[0]"),
    "the command": ({"process": {"args": ["/no"]}}, "process.args"),
}
LATE = {
    "startContainer": (hook("startContainer"), "hooks.startContainer[0]"),
    "poststart": (hook("poststart"), "hooks.poststart[0]"),
}


@on_both
@pytest.mark.parametrize("spaces", [USUAL, SHARED_PIDS], ids=["own pids", "shared pids"])
@pytest.mark.parametrize("failure", FAILURES)
def test_a_start_that_fails(
    on: Any, failure: str, spaces: list[dict[str, str]], bundle: Path
) -> None:
    changes, text = FAILURES[failure]
    change_config(bundle, linux={"namespaces": spaces})
    change_config(bundle, **changes)

    def body() -> None:
        for words in (["run"], ["create"]):
            assert text in refused(bundle, *words)

    on(body)


@on_both
@pytest.mark.parametrize("spaces", [USUAL, SHARED_PIDS], ids=["own pids", "shared pids"])
@pytest.mark.parametrize("failure", ["startContainer", "poststart"])
def test_a_start_that_fails_after_create(
    on: Any, failure: str, spaces: list[dict[str, str]], bundle: Path
) -> None:
    changes, text = LATE[failure]
    change_config(bundle, linux={"namespaces": spaces}, **changes)

    def body() -> None:
        before = seen(bundle)
        for words in (["run"], ["run", "-d"]):
            assert text in refused(bundle, *words)
        name = unique()
        libct("create", "-b", bundle, name, check=True)
        done = libct("start", name)
        assert done.returncode == 1
        assert text in done.stderr
        assert_seen(bundle, before)

    on(body)


@on_both
@pytest.mark.parametrize("spaces", [USUAL, SHARED_PIDS], ids=["own pids", "shared pids"])
def test_device_rules_that_are_refused(on: Any, spaces: list[dict[str, str]], bundle: Path) -> None:
    above = path_of(bundle).rpartition("/")[0]
    change_config(bundle, linux={"namespaces": spaces})

    def body() -> None:
        with groups(above) as made:
            if on is with_v1:
                (devices,) = (directory for directory in made if "/devices/" in directory)
                Path(devices, "devices.deny").write_text("a")
            else:
                forbid_programs_below(*made)
            for words in (["run", "-d"], ["create"]):
                assert "linux.resources.devices" in refused(bundle, *words)

    on(body)


def forbid_programs_below(directory: str) -> None:
    group, program = os.open(directory, os.O_RDONLY), bpf.prog_load(assemble("allow", ()))
    bpf.prog_attach(group, program, flags=0)  # neither MULTI nor OVERRIDE
    os.close(program)
    os.close(group)


@on_both
def test_what_cannot_be_cleaned_up_is_told_after_the_first_error(on: Any, bundle: Path) -> None:
    def body() -> None:
        before, name = seen(bundle), unique()
        directory = f"{hierarchies()[0]}/{path_of(bundle)}"
        args = ["mount", "--bind", directory, directory]
        shell = {"path": "/bin/sh", "args": ["sh", "-c", f"{' '.join(args)}; exit 3"]}
        change_config(bundle, hooks={"createRuntime": [shell]})
        done = libct("run", "-b", bundle, name)
        assert done.returncode == 1
        first, second = done.stderr.splitlines()
        assert "exit status 3" in first
        assert first.endswith("from hooks.createRuntime[0]]")
        assert second == (
            f'libct: while cleaning up: cannot remove the control group: rmdir("{directory}"):'
            f" Device or resource busy: {directory!r}"
        )
        # What is left can be found and removed once nothing is in the way.
        assert status_of(name) == "stopped"
        assert libct("delete", name).returncode == 1
        subprocess.run(["umount", directory], check=True)
        libct("delete", name, check=True)
        assert_seen(bundle, before)

    on(body)


@on_both
def test_a_start_that_fails_leaves_a_container_without_groups(
    on: Any, bundle: Path, rootfs: Path
) -> None:
    """Before it is removed."""

    def body() -> None:
        config = make_config(rootfs, cgroups=Cgroup(path=f"/{path_of(bundle)}"))
        with create(state_directory(), unique(), config) as container:
            with pytest.raises(StepError, match="/no"):
                container.start(Process(["/no"], env=[PATH], init=True))
            assert existing(path_of(bundle).partition("/")[0]) == []
            assert not os.path.exists(f"{state_directory()}/{container.id}/exec.fifo")
            assert container.status() == "stopped"

    on(body)


@on_both
def test_what_a_start_could_not_undo_is_noted_in_its_error(
    on: Any, bundle: Path, rootfs: Path
) -> None:
    def body() -> None:
        directory = f"{hierarchies()[0]}/{path_of(bundle)}"
        script = f"mount --bind {directory} {directory}; exit 3"
        hooks = Hooks(create_runtime=[Hook("/bin/sh", ["sh", "-c", script])])
        config = make_config(rootfs, cgroups=Cgroup(path=f"/{path_of(bundle)}"), hooks=hooks)
        container = create(state_directory(), unique(), config)
        with pytest.raises(StepError, match="createRuntime") as caught:
            container.run(Process(["true"], env=[PATH], init=True))
        (text,) = notes(caught.value)
        assert text.endswith(f"Device or resource busy: {directory!r}")
        subprocess.run(["umount", directory], check=True)
        container.destroy()
        assert existing(path_of(bundle).partition("/")[0]) == []

    on(body)


@on_both
def test_a_group_that_another_has_made_since(on: Any) -> None:
    """One start was killed before it made a group, and another one has made it."""

    def body() -> None:
        path = f"{hierarchies()[0]}/{unique()}"
        killed, other = Paper(f"intended {'0' * 16} {path}\n"), Ledger(Paper())
        assert other.make(path)
        try:
            assert Ledger(killed).remove(by_force=True) == []
            assert other.own() == [path]
        finally:
            assert other.undo() == []

    on(body)


@on_both
def test_groups_below_one_that_is_made_anew(on: Any) -> None:
    """What a container has left is replaced, but not with what is another's in it."""

    def body() -> None:
        path = f"{hierarchies()[0]}/{unique()}"
        one, other = Ledger(Paper()), Ledger(Paper())
        assert one.make(path)
        one.release()
        os.mkdir(f"{path}/theirs")
        try:
            assert other.hold(path)
            assert not other.discard(path)
            assert os.path.isdir(f"{path}/theirs")
        finally:
            os.rmdir(f"{path}/theirs")
            assert other.discard(path)
            assert not os.path.exists(path)

    on(body)


@on_both
def test_what_is_not_there_needs_no_removing(on: Any) -> None:
    def body() -> None:
        make_read_only()
        with pytest.raises(OSError, match="Read-only file system"):
            os.rmdir(f"{hierarchies()[0]}/{unique()}")
        files.remove([f"{top}/{unique()}" for top in hierarchies()])

    on(body)


# --- starts that are killed ---------------------------------------------------------------


@on_both
@pytest.mark.parametrize(
    ("line", "entered"), [*((line, False) for line in range(1, 7)), (5, True), (6, True)]
)
def test_killed_between_the_levels(
    on: Any, line: int, *, entered: bool, bundle: Path, rootfs: Path
) -> None:
    """Before the line of the ledger is written; each of three levels has two lines.

    Somebody else may then be in the group that was intended.
    """
    top_level, name = unique(), unique()
    path = f"{top_level}/a/g"

    def call() -> None:
        kill_at(Ledger, "_write", "before", line)
        create(state_directory(), name, make_config(rootfs, cgroups=Cgroup(path=f"/{path}"))).run(
            Process(["true"], env=[PATH], init=True)
        )

    def body() -> None:
        before = seen(bundle)
        as_caller(call)
        top = hierarchies()[0]
        made = [top_level, f"{top_level}/a", path]
        assert [os.path.isdir(f"{top}/{one}") for one in made] == [
            line // 2 > level for level in range(3)
        ]
        assert status_of(name) == "stopped"
        if not entered:
            libct("delete", name, check=True)
            assert_seen(bundle, before)
            return
        with groups(path) as directories, stranger(*directories):
            with_them = seen(bundle)
            assert libct("ps", "-f", "json", name).stdout in ("[]\n", "null\n")
            libct("kill", "--all", name, "KILL")
            libct("delete", "--force", name, check=True)
            assert_seen(bundle, {text for text in with_them if name not in text})
            assert existing(path) == hierarchies()
        assert_seen(bundle, before)

    on(body)
