"""Access times: each option of them, on each kind of mount."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

import libct
from libct.bootstrap.context import Context
from libct.config.mount_flags import MOUNT_ATTR_NOATIME, MOUNT_ATTR_STRICTATIME
from libct.rootfs import attach
from libct.rootfs.cgroup_v1_mounts import bind_group
from tests.support import CLONE_NEWNS, in_namespaces, mount as kernel_mount, requires, unique

from .rootfs_box import mount, mounted, mounts_of, run_box

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = requires("root", "busybox", "cgroup1", "cgroup2")

NOATIME, RELATIME, STRICT = {"noatime"}, {"relatime"}, set[str]()
KINDS_OF_TIME = NOATIME | RELATIME
# option -> what the mount shows of it
ONE: dict[str, set[str]] = {
    "atime": RELATIME,
    "diratime": RELATIME,
    "noatime": NOATIME,
    "nodiratime": RELATIME | {"nodiratime"},
    "norelatime": RELATIME,
    "nostrictatime": RELATIME,
    "relatime": RELATIME,
    "strictatime": STRICT,
}
TREE: dict[str, set[str]] = {
    "rnoatime": NOATIME,
    "rnodiratime": RELATIME | {"nodiratime"},
    "rrelatime": RELATIME,
    "rstrictatime": STRICT,
}
SPACES = ("NEWNS", "NEWPID", "NEWUTS", "NEWIPC", "NEWNET")


def mounts_with(option: str, source: Path, kinds: tuple[str, ...]) -> list[libct.Mount]:
    """One mount of each kind with this option, on /opt/OPTION/KIND."""
    made = []
    for kind in kinds:
        at = f"/opt/{option}/{kind}"
        if kind in ("bind", "rbind"):
            made.append(mount(at, "bind", str(source), kind, option))
        elif kind == "remount":
            made.append(mount(at, "bind", str(source), "bind"))
            made.append(mount(at, "", "", "remount", "bind", option))
        elif kind == "overlay":
            made.append(mount(at, kind, kind, f"lowerdir={source}/a:{source}/b", option))
        else:
            made.append(mount(at, kind, kind, option))
    return made


# What the kernel may refuse to a user namespace: a proc that shows other times than the host's.
OTHERS = ("tmpfs", "devpts", "mqueue", "overlay")
BINDS = ("bind", "rbind", "remount")


@pytest.mark.parametrize("private", [False, True])
def test_every_option_on_every_kind_of_mount(rootfs: Path, private: bool) -> None:
    source = rootfs / "home"
    for name in "ab":
        (source / name).mkdir(exist_ok=True)
    kinds = (*OTHERS, *BINDS, "proc", "sysfs", "cgroup", "cgroup2")
    seen = times(rootfs, {**ONE, **TREE}, source, kinds, private=private)
    for option, shown in {**ONE, **TREE}.items():
        for kind in kinds:
            assert seen[f"/opt/{option}/{kind}"] == shown, (option, kind)
        assert seen[f"/opt/{option}/cgroup/pids"] == shown, option


@pytest.mark.parametrize("private", [False, True])
def test_in_a_user_namespace_what_is_the_host_s_stays(rootfs: Path, private: bool) -> None:
    source = rootfs / "home"
    for name in "ab":
        (source / name).mkdir(exist_ok=True)
    groups = ("cgroup", "cgroup2")
    hosts = BINDS if private else (*BINDS, *groups)
    fields: dict[str, Any] = {"private": private, "user": True}
    seen = times(rootfs, ONE, source, (*OTHERS, *BINDS, *groups), **fields)
    for option, shown in ONE.items():
        for kind in (*OTHERS, *BINDS, *groups):
            if kind == "cgroup" and not private:  # the tmpfs is a new one
                assert seen[f"/opt/{option}/cgroup/pids"] == RELATIME, option
            else:
                there = RELATIME if kind in hosts else shown
                assert seen[f"/opt/{option}/{kind}"] == there, (option, kind)


def times(
    rootfs: Path,
    options: dict[str, set[str]],
    source: Path,
    kinds: tuple[str, ...],
    *,
    private: bool,
    user: bool = False,
) -> dict[str, set[str]]:
    """Mount point -> what it shows of access times."""
    spaces = (*SPACES, "NEWCGROUP") if private else SPACES
    mounts = [mount("/opt", "tmpfs")]
    for option in options:
        mounts += mounts_with(option, source, kinds)
    group = libct.Cgroup(path=f"/{unique('atime')}")
    run = run_box(
        rootfs, "cat /proc/self/mountinfo", mounts, kinds=spaces, user=user, cgroups=group
    )
    assert run.status == 0, run.text
    told = KINDS_OF_TIME | {"nodiratime"}
    return {point: set(at.options) & told for point, at in mounted(run.text).items()}


def test_a_bind_of_the_host_s_groups_is_told_to_be_locked(rootfs: Path) -> None:
    """So is a bind of anything else."""
    for kind in ("cgroup", "cgroup2"):
        asked = [mount("/mnt", kind, kind, "noatime")]
        run = run_box(rootfs, "true", asked, kinds=SPACES, user=True)
        assert run.status == 0
        assert run.warnings, kind
        for warning in run.warnings:
            assert warning.endswith(" stays relatime, which a user namespace has locked"), kind


@pytest.mark.parametrize("name", ["set_attributes", "remount_attached"])
def test_a_value_is_set_without_a_word_of_what_it_replaces(tmp_path: Path, name: str) -> None:
    """Whoever forgets to clear the field before: the kernel says EINVAL to that."""

    def body() -> None:
        kernel_mount("tmpfs", str(tmp_path), "tmpfs", flags=1 << 24)  # MS_STRICTATIME
        tree = os.open(tmp_path, os.O_PATH)
        fds = {"proc": os.open("/proc", os.O_PATH), "root": os.open("/", os.O_PATH)}
        for value, shown in ((MOUNT_ATTR_NOATIME, NOATIME), (MOUNT_ATTR_STRICTATIME, STRICT)):
            if name == "set_attributes":
                assert attach.set_attributes(tree, value, 0)
            else:
                attach.remount_attached(Context(fds), tree, value, 0)
            assert mounts_of(os.getpid())[str(tmp_path)].options & KINDS_OF_TIME == shown

    in_namespaces(CLONE_NEWNS, body)


def test_a_group_that_is_bound_has_them(tmp_path: Path) -> None:
    """By who may make no other, an ordinary user's runtime."""

    def body() -> None:
        root = os.open(tmp_path, os.O_PATH)
        fds = {"root": root, "proc": os.open("/proc", os.O_PATH)}
        own = "/sys/fs/cgroup/pids"
        for at, changes, shown in (
            ("/a", (MOUNT_ATTR_NOATIME, 0x70, 0x70), NOATIME),
            ("/b", (MOUNT_ATTR_STRICTATIME, 0x70, 0x70), STRICT),
            ("/c", (0, 0x70, 0x70), RELATIME),
        ):
            bind_group(Context(dict(fds)), at, "/no/such", own, *changes)
            found = mounts_of(os.getpid())[f"{tmp_path}{at}"]
            assert found.options & KINDS_OF_TIME == shown, at

    in_namespaces(CLONE_NEWNS, body)
