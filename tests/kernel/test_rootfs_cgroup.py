"""Mounts of type cgroup, as seen from inside."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

import libct
from libct.bootstrap.context import Context
from libct.rootfs.cgroup_mounts import mount_cgroup2
from libct.rootfs.cgroup_v1_mounts import bind_group
from tests.containers import mount_v2
from tests.support import (
    CLONE_NEWCGROUP,
    CLONE_NEWNS,
    CLONE_NEWUSER,
    in_namespaces,
    requires,
    unique,
)

from .rootfs_box import Outcome, make_config, mount, mounted, run_box, run_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = requires("root", "busybox")

KINDS = ("NEWNS", "NEWPID", "NEWUTS", "NEWIPC", "NEWNET")
PRIVATE = (*KINDS, "NEWCGROUP")


def mounts(*options: str, kind: str = "cgroup") -> list[libct.Mount]:
    sys = mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", "ro")
    return [sys, mount("/sys/fs/cgroup", kind, "cgroup", "nosuid", "noexec", "nodev", *options)]


def group() -> libct.Cgroup:
    return libct.Cgroup(path=f"/{unique('mounts')}")


def roots(run: Outcome) -> dict[str, str]:
    """Mount point -> which directory of its file system is mounted there, for cgroups."""
    lines = [line.split() for line in run.lines if " - cgroup" in line]
    return {line[4]: line[3] for line in lines}


def hierarchies() -> list[str]:
    """Names of the directories that v1 hierarchies are mounted on."""
    with open("/proc/self/mountinfo") as file:
        found = mounted(file.read()).values()
    return [os.path.basename(at.point) for at in found if at.fstype == "cgroup"]


SHOW = """
    cat /proc/self/mountinfo; cat /sys/fs/cgroup/pids/cgroup.procs | tr '\\n' ' '; echo
    mkdir /sys/fs/cgroup/pids/x 2>&1 | sed 's/.*: //'; touch /sys/fs/cgroup/x 2>&1 | sed 's/.*: //'
"""


@requires("cgroup1")
@pytest.mark.parametrize("user", [False, True])
def test_v1_with_a_cgroup_namespace(rootfs: Path, user: bool) -> None:
    fields: dict[str, Any] = {"kinds": PRIVATE, "user": user, "cgroups": group()}
    run = run_box(rootfs, SHOW, mounts("ro"), **fields)
    found = roots(run)
    assert set(found) == {f"/sys/fs/cgroup/{name}" for name in hierarchies()}
    assert set(found.values()) == {"/"}
    at = mounted(run.text)
    assert at["/sys/fs/cgroup"].fstype == "tmpfs"
    for point in ("/sys/fs/cgroup", *found):
        assert {"ro", "nosuid", "noexec", "nodev"} <= at[point].options, point
    processes, *refused = run.lines[-3:]
    assert "1" in processes.split()
    assert refused == ["Read-only file system"] * 2
    # The same file systems, mounted on the host, stay as they are.
    with open("/proc/self/mountinfo") as file:
        assert "rw" in mounted(file.read())["/sys/fs/cgroup/pids"].super_options


@requires("cgroup1")
def test_v1_writable(rootfs: Path) -> None:
    script = "mkdir /sys/fs/cgroup/pids/x && rmdir /sys/fs/cgroup/pids/x && echo made"
    for kinds in (KINDS, PRIVATE):
        run = run_box(rootfs, script, mounts(), kinds=kinds, cgroups=group(), full=True)
        assert run.lines == ["made"]


@requires("cgroup1")
def test_v1_shows_the_container_s_own_part_alone(rootfs: Path) -> None:
    own = group()
    run = run_box(rootfs, SHOW, mounts("ro"), kinds=KINDS, cgroups=own)
    found = roots(run)
    assert found["/sys/fs/cgroup/pids"] == own.path
    assert set(found) == {f"/sys/fs/cgroup/{name}" for name in hierarchies()}
    assert run.lines[-2:] == ["Read-only file system"] * 2
    # Without a group of its own it is in the runtime's.
    plain = run_box(rootfs, SHOW, mounts("ro"), kinds=KINDS)
    with open("/proc/self/cgroup") as file:
        mine = {line.split(":")[1]: line.split(":")[2].strip() for line in file}
    for controller in ("pids", "memory", "devices"):
        assert roots(plain)[f"/sys/fs/cgroup/{controller}"] == mine[controller]


@requires("cgroup1")
@pytest.mark.parametrize("user", [False, True])
@pytest.mark.parametrize("kinds", [KINDS, PRIVATE])
def test_v1_is_always_nosuid_nodev_and_noexec(
    rootfs: Path, kinds: tuple[str, ...], user: bool
) -> None:
    """Whatever the options, as with runc."""
    for options in ((), ("ro",), ("suid", "dev", "exec")):
        run = run_box(
            rootfs,
            "cat /proc/self/mountinfo",
            [mount("/mnt", "cgroup", "cgroup", *options)],
            kinds=kinds,
            user=user,
        )
        at = mounted(run.text)
        for point in ("/mnt", *(f"/mnt/{name}" for name in hierarchies())):
            assert {"nosuid", "noexec", "nodev"} <= at[point].options, (point, options)
            assert ("ro" in at[point].options) is (options == ("ro",)), (point, options)


@requires("cgroup1")
def test_v1_more_options(rootfs: Path) -> None:
    run = run_box(rootfs, "cat /proc/self/mountinfo", mounts("rro", "shared"), kinds=PRIVATE)
    at = mounted(run.text)
    assert "shared" in at["/sys/fs/cgroup"].propagation
    assert "ro" in at["/sys/fs/cgroup/pids"].options


@requires("cgroup2")
@pytest.mark.parametrize("user", [False, True])
@pytest.mark.parametrize("kinds", [KINDS, PRIVATE])
def test_cgroup2_by_name(rootfs: Path, kinds: tuple[str, ...], user: bool) -> None:
    run = run_box(
        rootfs,
        "cat /proc/self/mountinfo; ls /sys/fs/cgroup/cgroup.procs",
        mounts("ro", kind="cgroup2"),
        kinds=kinds,
        user=user,
    )
    at = mounted(run.text)["/sys/fs/cgroup"]
    assert at.fstype == "cgroup2"
    assert {"ro", "nosuid", "noexec", "nodev"} <= at.options
    assert run.status == 0


def on_v2(body: Callable[[], Any]) -> Any:
    """Run body where /sys/fs/cgroup is cgroup v2."""

    def covered() -> Any:
        mount_v2()
        return body()

    return in_namespaces(CLONE_NEWNS, covered)


@requires("cgroup2")
@pytest.mark.parametrize("user", [False, True])
def test_v2(rootfs: Path, user: bool) -> None:
    script = """
        cat /proc/self/mountinfo; cat /proc/self/cgroup | grep ^0; ls /sys/fs/cgroup | grep -c procs
        mkdir /sys/fs/cgroup/x 2>&1 | sed 's/.*: //'; cat /sys/fs/cgroup/cgroup.procs | head -1
    """

    def body() -> None:
        for own in (group(), None):
            fields: dict[str, Any] = {"user": user, "cgroups": own}
            run = run_box(
                rootfs, script, mounts("ro", "rnoatime", "private"), kinds=PRIVATE, **fields
            )
            assert roots(run) == {"/sys/fs/cgroup": "/"}
            assert {"ro", "nosuid", "noatime"} <= mounted(run.text)["/sys/fs/cgroup"].options
            last = run.lines[-4:]
            assert last[:3] == ["0::/", "1", "Read-only file system"]
            if own is not None:
                assert last[3] == "1"  # and not those of the host
            # Without a cgroup namespace it is the host's, as it is.
            run = run_box(rootfs, script, mounts("ro"), kinds=KINDS, **fields)
            assert roots(run) == {"/sys/fs/cgroup": "/"}
            assert "ro" in mounted(run.text)["/sys/fs/cgroup"].options

    on_v2(body)


@requires("cgroup2")
def test_v2_writable(rootfs: Path) -> None:
    def body() -> None:
        script = "mkdir /sys/fs/cgroup/x && ls -d /sys/fs/cgroup/x && rmdir /sys/fs/cgroup/x"
        run = run_config(
            make_config(rootfs, mounts(), kinds=PRIVATE, cgroups=group(), full=True), script
        )
        assert run.lines == ["/sys/fs/cgroup/x"]

    on_v2(body)


def test_where_none_can_be_shown_the_place_is_covered(tmp_path: Path) -> None:
    """CVE-2023-25809: what is below may be the host's, and writable."""

    def body() -> None:
        (tmp_path / "sys/fs/cgroup/of-the-host").mkdir(parents=True)
        root = os.open(tmp_path, os.O_PATH)
        # Without rights over its cgroup namespace, and without the host's mount.
        args = 0, 0, 0, 0, 0, (), False
        mount_cgroup2(Context({"root": root}), "/sys/fs/cgroup", "/no/such", *args)
        assert list((tmp_path / "sys/fs/cgroup").iterdir()) == []
        with pytest.raises(OSError, match="Read-only file system"):
            (tmp_path / "sys/fs/cgroup/new").mkdir()

    in_namespaces(CLONE_NEWUSER | CLONE_NEWNS, body)


@pytest.mark.parametrize("protected", [False, True])
def test_where_a_mount_is_refused_the_host_s_is_bound(tmp_path: Path, protected: bool) -> None:
    """CVE-2023-25809, once more: of a user who has no group of the container's."""
    (tmp_path / "host").mkdir()
    (tmp_path / "root").mkdir()

    def body() -> None:
        context = Context({"root": os.open(tmp_path / "root", os.O_PATH)})
        mount_cgroup2(context, "/groups", str(tmp_path / "host"), 0, 0, 0, 0, 0, (), protected)
        if not protected:
            (tmp_path / "root/groups/new").mkdir()
            return
        with pytest.raises(OSError, match="Read-only file system"):
            (tmp_path / "root/groups/new").mkdir()

    in_namespaces(CLONE_NEWUSER | CLONE_NEWNS, body)
    assert (tmp_path / "host/new").exists() is not protected


@pytest.mark.parametrize("source", ["", "missing"])
@pytest.mark.parametrize("protected", [False, True])
def test_the_group_of_the_runtime_is_read_only(
    tmp_path: Path, source: str, protected: bool
) -> None:
    """Others of the same user are in there, whom it could freeze, or kill by cgroup.kill."""
    (tmp_path / "root").mkdir()

    def body() -> bool:
        context = Context({"root": os.open(tmp_path / "root", os.O_PATH)})
        where = str(tmp_path / source)
        mount_cgroup2(context, "/groups", where, 0, 0, 0, 0, 0, (), protected)
        assert (tmp_path / "root/groups/cgroup.procs").exists()
        return bool(os.statvfs(tmp_path / "root/groups").f_flag & os.ST_RDONLY)

    own = source == "" and not protected  # there is one, and it was made
    assert in_namespaces(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWCGROUP, body) is not own


@pytest.mark.parametrize("own", [True, False])
def test_so_it_is_with_v1(tmp_path: Path, own: bool) -> None:
    for name in ("root", "runtime", *(["own"] if own else [])):
        (tmp_path / name).mkdir()

    def body() -> bool:
        context = Context({"root": os.open(tmp_path / "root", os.O_PATH)})
        places = str(tmp_path / "own"), str(tmp_path / "runtime")
        bind_group(context, "/groups", *places, 0, 0, 0)
        return bool(os.statvfs(tmp_path / "root/groups").f_flag & os.ST_RDONLY)

    assert in_namespaces(CLONE_NEWUSER | CLONE_NEWNS, body) is not own


@requires("cgroup1")
def test_v1_without_rights_over_the_cgroup_namespace(rootfs: Path) -> None:
    """The container's own groups are bound, where their file systems cannot be mounted."""
    own = group()
    (rootfs / "sys").mkdir(exist_ok=True)
    config = make_config(rootfs, mounts("ro"), kinds=KINDS, user=True, cgroups=own)
    config.namespaces.append(libct.Namespace("NEWCGROUP", "/proc/self/ns/cgroup"))
    run = run_config(config, SHOW)
    found = roots(run)
    assert found["/sys/fs/cgroup/pids"] == own.path
    assert set(found) == {f"/sys/fs/cgroup/{name}" for name in hierarchies()}
    assert run.lines[-2:] == ["Read-only file system"] * 2
