"""sysfs in a user namespace: the host's, where the kernel lets a container have none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import libct

from ..support import requires
from .rootfs_box import bind, mount, mounted, new_rootfs, run_box

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = requires("root", "busybox")

KINDS = ("NEWNS", "NEWPID", "NEWUTS", "NEWIPC")
SYS = mount("/sys", "sysfs", "sysfs", "nosuid", "nodev", "noexec", "ro")


@pytest.fixture
def rootfs() -> Iterator[Path]:
    with new_rootfs() as place:
        yield place


def test_without_a_network_namespace_it_is_the_hosts_and_read_only(rootfs: Path) -> None:
    script = "cat /proc/self/mountinfo; ls /sys/class/net; ls -A /sys/fs/cgroup | wc -l"
    done = run_box(rootfs, script, [SYS], user=True, kinds=KINDS)
    assert done.status == 0, done.text
    found = mounted(done.text)
    assert found["/sys"].fstype == "sysfs"
    assert found.pop("/sys/fs/cgroup").fstype == "tmpfs"  # on the host's groups
    below = [one for point, one in found.items() if (point + "/").startswith("/sys/")]
    assert all({"ro", "nosuid", "nodev", "noexec"} <= one.options for one in below)
    assert "lo" in done.lines
    assert done.lines[-1] == "0"


def test_what_is_below_cannot_be_written_either(rootfs: Path) -> None:
    """Ids of the host's root, so that nothing but the mount keeps one from it."""
    maps = [libct.IDMap(0, 0, 65536)]
    script = """
        grep -q ' /sys/fs/cgroup/' /proc/self/mountinfo || exit 5
        umount /sys/fs/cgroup
        for at in $(ls -d /sys/fs/cgroup/*/); do mkdir $at/x; done 2>&1 | grep -v Read-only
    """
    done = run_box(
        rootfs, script, [SYS], user=True, full=True, uid_mappings=maps, gid_mappings=maps
    )
    assert done.lines == []
    assert done.status == 1  # of grep, which has found nothing else


def test_with_a_network_namespace_it_is_its_own(rootfs: Path) -> None:
    script = "ls /sys/class/net; cat /proc/self/mountinfo"
    done = run_box(rootfs, script, [SYS], user=True, kinds=(*KINDS, "NEWNET"))
    assert done.status == 0, done.text
    assert done.lines[0] == "lo"
    assert " - " in done.lines[1]
    assert "/sys/fs/cgroup" not in mounted(done.text)


def test_paths_in_it_are_masked(rootfs: Path) -> None:
    done = run_box(
        rootfs, "ls -A /sys/kernel | wc -l", [SYS], user=True, mask_paths=["/sys/kernel"]
    )
    assert done.lines == ["0"]


def test_a_mount_on_the_groups_is_what_the_container_sees(rootfs: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "mark").touch()
    mounts = [SYS, bind("/sys/fs/cgroup", tmp_path)]
    done = run_box(rootfs, "ls /sys/fs/cgroup", mounts, user=True)
    assert done.lines == ["mark"]


def test_one_that_is_to_be_writable_is_refused(rootfs: Path) -> None:
    writable = mount("/sys", "sysfs", "sysfs")
    with pytest.raises(libct.Error, match="sysfs in a user namespace needs a new network"):
        run_box(rootfs, "true", [writable], user=True)
