"""Control groups that are given away: to an ordinary user, and to a container's root."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from libct.cgroups.aside import LEAF, can_step_aside
from libct.cgroups.delegated import is_marked, reloaded_unit
from libct.cgroups.layout import detect
from libct.oci.automatic_maps import parse_ranges

from ..bundles import make_bundle, read_config
from ..commands import (
    libct,
    libct_command,
    libct_environment,
    run,
    user_account,
    user_environment,
    user_home,
    user_python,
)
from ..containers import with_v2
from ..support import requires, unique

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = requires("root", "cgroup2", "busybox")

_DELEGATED = ("cgroup.procs", "cgroup.subtree_control", "cgroup.threads")
SPACES = [{"type": name} for name in ("mount", "pid", "uts", "user", "cgroup")]
CGROUPS = {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"}
SYSFS = {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]}


@contextlib.contextmanager
def given(uid: int) -> Iterator[str]:
    """A group that has been delegated, and that is gone in the end with all below it."""
    path = f"/sys/fs/cgroup/{unique()}"
    os.mkdir(path)
    try:
        for name in ("", *_DELEGATED):
            os.chown(f"{path}/{name}", uid, -1)
        yield path
    finally:
        for directory, _, _ in os.walk(path, topdown=False):
            os.rmdir(directory)


def alone_in(group: str, command: list[str], *, user: bool) -> subprocess.CompletedProcess[str]:
    """Run a command that is the only process of a group, as the user or as root."""
    enter = 'echo $$ > "$0/cgroup.procs"; exec "$@"'
    account = user_account()
    become = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    return run(
        ["sh", "-c", enter, group, *(become if user else []), *command],
        env={**(user_environment() if user else {}), **libct_environment(user=user)},
        cwd=user_home() if user else None,
    )


def bundle_in(path: Path, script: str, *, rootless: bool, **linux: Any) -> Path:
    bundle = make_bundle(path, rootless=rootless, args=["sh", "-c", script])
    spec = read_config(bundle)
    keep = ("/proc", "/dev")
    spec["mounts"] = [one for one in spec["mounts"] if one["destination"] in keep]
    spec["mounts"] += [SYSFS, CGROUPS]
    spec["linux"] |= {"namespaces": SPACES, **linux}
    spec["linux"].pop("cgroupsPath", None)
    if not rootless:
        mapping = [{"containerID": 0, "hostID": 100000, "size": 65536}]
        spec["linux"] |= {"uidMappings": mapping, "gidMappings": mapping}
    (bundle / "config.json").write_text(json.dumps(spec))
    return bundle


# --- a command line in a group of its user's ------------------------------------------------


@requires("user")
def test_a_command_line_makes_room_in_the_group_that_it_is_alone_in(user_path: Path) -> None:
    bundle = bundle_in(user_path, "echo made in $(cat /proc/self/cgroup | grep ^0)", rootless=True)

    def body() -> None:
        with given(user_account().pw_uid) as group:
            name = unique()
            command = libct_command("run", "-b", bundle, name, user=True)
            planned = alone_in(
                group, libct_command("plan", "-b", bundle, name, user=True), user=True
            )
            assert f"below {group} " in planned.stdout, planned
            assert f"make the control group {group[15:]}/{name} in" in planned.stdout
            assert os.listdir(group).count(LEAF) == 0
            done = alone_in(group, command, user=True)
            assert done.stdout == "made in 0::/\n", done
            # What it had of controllers it has distributed.
            offered = Path(group, "cgroup.controllers").read_text()
            assert Path(group, "cgroup.subtree_control").read_text() == offered
            assert [one.name for one in os.scandir(group) if one.is_dir()] == [LEAF]

    with_v2(body)


@requires("user")
def test_what_the_command_line_has_made_for_itself_goes_with_the_container(
    user_path: Path,
) -> None:
    bundle = bundle_in(user_path, "sleep 1000", rootless=True)

    def body() -> None:
        with given(user_account().pw_uid) as group:
            name = unique()
            created = alone_in(
                group, libct_command("create", "-b", bundle, name, user=True), user=True
            )
            assert created.returncode == 0, created
            try:
                assert Path(group, name, "cgroup.procs").read_text()
                assert os.path.isdir(f"{group}/{LEAF}")
            finally:
                libct("delete", "--force", name, user=True, check=True)
            assert not [one.name for one in os.scandir(group) if one.is_dir()]

    with_v2(body)


@requires("user")
def test_nobody_else_is_moved(user_path: Path) -> None:
    """With a shell in the group the container goes without one, for want of limits."""
    bundle = bundle_in(user_path, "grep ^0 /proc/self/cgroup", rootless=True)

    def body() -> None:
        with given(user_account().pw_uid) as group:
            name = unique()
            command = libct_command("run", "-b", bundle, name, user=True)
            done = alone_in(group, ["sh", "-c", '"$0" "$@"; true', *command], user=True)
            assert done.stdout == "0::/\n", done
            assert not [one.name for one in os.scandir(group) if one.is_dir()]

    with_v2(body)


@requires("user")
@pytest.mark.parametrize(
    ("words", "before"),
    [
        (("events", "--stats"), ""),
        (("pause",), "cannot toggle freezer: cgroups not configured for container: "),
        (("update", "--pids-limit", "9"), "cannot set pids limit: "),
    ],
)
def test_who_has_been_given_none_is_told_how_to_get_one(
    user_path: Path, words: tuple[str, ...], before: str
) -> None:
    bundle = bundle_in(user_path, "sleep 1000", rootless=True)

    def body() -> None:
        name = unique()
        libct("run", "-d", "-b", bundle, name, user=True, check=True)
        try:
            done = libct(*words, name, user=True)
        finally:
            libct("delete", "--force", name, user=True, check=True)
        assert done.returncode == 1
        assert before in done.stderr
        assert (
            "it has no control group: its user could make none where it was started" in done.stderr
        )
        assert "systemd-run --user --scope -p Delegate=yes libct" in done.stderr

    with_v2(body)


PROGRAM = """
import sys, libct
print(open("/proc/self/cgroup").read().splitlines()[-1])
config, process = libct.from_bundle(sys.argv[1])
with libct.create("", "c", config) as container:
    container.run(process)
    print(process.wait().status, open("/proc/self/cgroup").read().splitlines()[-1])
"""


@requires("user")
def test_a_program_that_uses_the_library_is_not_moved(user_path: Path) -> None:
    bundle = bundle_in(user_path, "true", rootless=True)

    def body() -> None:
        with given(user_account().pw_uid) as group:
            done = alone_in(group, [user_python(), "-c", PROGRAM, str(bundle)], user=True)
            place = f"0::{group[14:]}"
            assert done.stdout == f"{place}\n0 {place}\n", done

    with_v2(body)


def in_group(group: str, body: Callable[[], object]) -> None:
    """What body asserts of a process in the group."""
    pid = os.fork()
    if pid == 0:
        try:
            Path(group, "cgroup.procs").write_text(str(os.getpid()))
            body()
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.parametrize("attribute", ["trusted.delegate", "user.delegate"])
def test_root_makes_room_where_systemd_says_that_it_may(attribute: str) -> None:
    """Elsewhere what is beside is as good, and its own group may be anybody's."""

    def body() -> None:
        with given(0) as group:

            def can(*ours: int) -> bool:
                unified = detect().unified
                assert unified is not None
                return can_step_aside(unified, ours)

            def inside() -> None:
                assert not is_marked(group)
                assert not can(os.getpid())
                os.setxattr(group, attribute, b"1")
                assert is_marked(group)
                assert can(os.getpid())
                assert not can()
                assert not can(1)
                os.setxattr(group, attribute, b"0")
                assert not can(os.getpid())

            in_group(group, inside)

    with_v2(body)


def test_nothing_is_moved_from_the_root_of_the_tree() -> None:
    def body() -> None:
        unified = detect().unified
        assert unified is not None
        unified.own = "/"
        assert not can_step_aside(unified, [os.getpid()])

    with_v2(body)


# --- what systemd takes away ----------------------------------------------------------------


def test_whose_reload_takes_limits_away() -> None:
    def body() -> None:
        top = "/sys/fs/cgroup"
        with given(0) as group:
            name = os.path.basename(group)
            made = [
                f"{group}/a.slice",
                f"{group}/a.slice/b.service",
                f"{group}/a.slice/b.service/c",
            ]
            for path in made:
                os.mkdir(path)

            def unit(path: str) -> str:
                return reloaded_unit(top, f"{top}/{name}/{path}")

            assert reloaded_unit(top, group) == unit("x") == "-.slice"
            assert unit("a.slice/x") == "a.slice"
            assert unit("a.slice/b.service/x") == unit("a.slice/b.service/c/x") == "b.service"
            os.setxattr(made[1], "trusted.delegate", b"1")
            assert unit("a.slice/b.service/x") == unit("a.slice/b.service/c/x") == ""
            assert unit("a.slice/x") == "a.slice"

    with_v2(body)


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("user.slice/user-5.slice/x", "user-5.slice"),
        ("user.slice/user-5.slice/user@5.service/x", "user@5.service"),
        ("user.slice/user-5.slice/user@5.service/app.slice/x", "app.slice"),
        ("user.slice/user-5.slice/user@5.service/app.slice/run-1.scope/x", ""),
        ("user.slice/user-5.slice/session-1.scope/x", "session-1.scope"),
    ],
)
def test_the_units_of_a_users_manager(path: str, unit: str) -> None:
    assert reloaded_unit("/sys/fs/cgroup", f"/sys/fs/cgroup/{path}") == unit


# --- a container's own group ----------------------------------------------------------------

DELEGATED = """
cd /sys/fs/cgroup
mkdir below && echo $$ > below/cgroup.procs && grep ^0 /proc/self/cgroup
stat -c '%u %n' . cgroup.procs cgroup.subtree_control cgroup.freeze cgroup.max.depth
"""


@pytest.mark.parametrize("owner", [0, 7])
def test_the_containers_process_manages_groups_below_its_own(user_path: Path, owner: int) -> None:
    bundle = bundle_in(user_path, DELEGATED, rootless=False)
    spec = read_config(bundle)
    spec["process"]["user"] = {"uid": owner, "gid": owner}
    (bundle / "config.json").write_text(json.dumps(spec))

    def body() -> None:
        done = libct("run", "-b", bundle, unique())
        assert done.stdout.splitlines() == [
            "0::/below",
            *(f"{owner} {name}" for name in (".", *_DELEGATED[:2])),
            "65534 cgroup.freeze",
            "65534 cgroup.max.depth",
        ], done

    with_v2(body)


def test_groups_that_are_mounted_read_only_stay_the_hosts(user_path: Path) -> None:
    bundle = bundle_in(user_path, "stat -c %u /sys/fs/cgroup", rootless=False)
    spec = read_config(bundle)
    spec["mounts"][-1]["options"] = ["ro"]
    (bundle / "config.json").write_text(json.dumps(spec))

    def body() -> None:
        done = libct("run", "-b", bundle, unique())
        assert done.stdout == "65534\n", done

    with_v2(body)


@requires("user", "uidmap")
def test_an_ordinary_user_gives_nothing_to_another_id(user_path: Path) -> None:
    """The container starts all the same; who is that id in there manages no groups."""
    script = "mkdir /sys/fs/cgroup/x 2>/dev/null || echo no; stat -c %u /sys/fs/cgroup"
    account, bundle = user_account(), bundle_in(user_path, script, rootless=True)
    spec = read_config(bundle)
    for ids, own, file in (("uid", account.pw_uid, "subuid"), ("gid", account.pw_gid, "subgid")):
        (first, count), *_ = parse_ranges(Path("/etc", file).read_text(), account.pw_name, own)
        spec["linux"][f"{ids}Mappings"] = [
            {"containerID": 0, "hostID": own, "size": 1},
            {"containerID": 1, "hostID": first, "size": count},
        ]
    spec["process"]["user"] = {"uid": 7, "gid": 7}
    (bundle / "config.json").write_text(json.dumps(spec))

    def body() -> None:
        with given(user_account().pw_uid) as group:
            command = libct_command("run", "-b", bundle, unique(), user=True)
            done = alone_in(group, command, user=True)
            assert done.stdout.splitlines() == ["no", "0"], done

    with_v2(body)
