"""What is read out of /proc about control groups; the files are given as text."""

from __future__ import annotations

import pytest

from libct.cgroups.layout import Hierarchy, Layout, detect, layout_of, parse_own
from libct.cgroups.mounted import parse_mounts

V1_MOUNTS = """\
31 23 0:28 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/systemd rw,nosuid shared:10 - cgroup cgroup rw,xattr,name=systemd
33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:11 - cgroup cgroup rw,cpu,cpuacct
34 31 0:31 / /sys/fs/cgroup/memory rw,nosuid shared:12 - cgroup cgroup rw,memory
35 31 0:32 / /sys/fs/cgroup/cpuset rw,nosuid shared:13 - cgroup cgroup rw,cpuset,noprefix
"""
V1_OWN = """\
4:cpuset:/
3:memory:/user.slice
2:cpu,cpuacct:/user.slice
1:name=systemd:/user.slice/session-1.scope
0::/user.slice
"""
UNIFIED_BESIDE = "36 31 0:33 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n"
V2_MOUNTS = "26 22 0:23 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V2_OWN = "0::/user.slice/user-1000.slice/session-3.scope\n"

# Docker's on a v1 host, in the host's cgroup namespace: groups of the host's are bound.
CONTAINER_MOUNTS = """\
600 599 0:50 / /sys/fs/cgroup rw,nosuid - tmpfs tmpfs rw,mode=755
601 600 0:31 /docker/4e1 /sys/fs/cgroup/memory ro,nosuid master:12 - cgroup cgroup rw,memory
602 600 0:34 /docker/4e1 /sys/fs/cgroup/pids ro,nosuid master:14 - cgroup cgroup rw,pids
"""
CONTAINER_OWN = "3:pids:/docker/4e1\n2:memory:/docker/4e1\n1:devices:/docker/4e1\n"


def layout(mounts: str, own: str) -> Layout:
    return layout_of(parse_mounts(mounts), parse_own(own))


def test_v1_hierarchies_are_found_by_their_controllers() -> None:
    found = layout(V1_MOUNTS, V1_OWN)
    cpu = Hierarchy("/sys/fs/cgroup/cpu,cpuacct", "/", "/user.slice")
    assert found == Layout(
        "v1",
        {
            "name=systemd": Hierarchy("/sys/fs/cgroup/systemd", "/", "/user.slice/session-1.scope"),
            "cpu": cpu,
            "cpuacct": cpu,
            "memory": Hierarchy("/sys/fs/cgroup/memory", "/", "/user.slice"),
            "cpuset": Hierarchy("/sys/fs/cgroup/cpuset", "/", "/", noprefix=True),
        },
    )


def test_a_v2_tree_beside_v1_makes_the_layout_hybrid() -> None:
    found = layout(V1_MOUNTS + UNIFIED_BESIDE, V1_OWN)
    assert found.mode == "hybrid"
    assert found.unified == Hierarchy("/sys/fs/cgroup/unified", "/", "/user.slice")
    assert "memory" in found.controllers


def test_v2_is_what_is_mounted_on_the_usual_place() -> None:
    found = layout(V2_MOUNTS, V2_OWN)
    own = "/user.slice/user-1000.slice/session-3.scope"
    assert found == Layout("v2", {}, Hierarchy("/sys/fs/cgroup", "/", own))


def test_v2_over_v1_hides_it() -> None:
    """The v1 mounts that it covers are still listed."""
    assert layout(V1_MOUNTS + V2_MOUNTS, V1_OWN).mode == "v2"


def test_v2_mounted_elsewhere_counts_where_there_is_nothing_else() -> None:
    mounts = V2_MOUNTS.replace("/sys/fs/cgroup", "/cgroup")
    assert layout(mounts, V2_OWN).mode == "v2"


def test_in_a_container_groups_are_mounted_and_not_roots() -> None:
    found = layout(CONTAINER_MOUNTS, CONTAINER_OWN)
    assert found.mode == "v1"
    assert set(found.controllers) == {"memory", "pids"}  # devices is not mounted
    assert found.controllers["pids"].root == "/docker/4e1"
    assert found.controllers["pids"].own_below == ""


def test_a_second_mount_elsewhere_is_not_preferred() -> None:
    bound = "20 1 0:31 / /var/lib/jail/memory rw - cgroup cgroup rw,memory\n"
    found = layout(bound + V1_MOUNTS, V1_OWN)
    assert found.controllers["memory"].mount == "/sys/fs/cgroup/memory"


def test_without_mounts_there_is_none() -> None:
    assert layout("22 1 0:21 / /sys rw - sysfs sysfs rw\n", V2_OWN) == Layout("none")


def test_mounts_of_other_file_systems_are_not_taken_for_cgroups() -> None:
    line = "40 1 0:40 / /mnt/a\\040-\\040b rw - fuse.cgroupfs cgroupfs rw\n"
    assert parse_mounts(line) == []
    assert parse_mounts("41 1 0:41 / /mnt rw - cgroupx cgroup rw\n") == []


def test_escapes_of_mount_points_are_undone() -> None:
    line = "40 1 0:40 /a\\134b /mnt/a\\040b rw - cgroup cgroup rw,pids\n"
    (mount,) = parse_mounts(line)
    assert (mount.root, mount.point) == ("/a\\b", "/mnt/a b")


@pytest.mark.parametrize(
    ("root", "own", "below"),
    [
        ("/", "/", ""),
        ("/", "/a/b", "a/b"),
        ("/a", "/a", ""),
        ("/a", "/a/b", "b"),
        ("/a", "/ab", None),
        ("/", "/../other", None),
    ],
)
def test_our_own_group_below_the_mount(root: str, own: str, below: str | None) -> None:
    assert Hierarchy("/mnt", root, own).own_below == below


def test_a_group_name_may_have_a_colon() -> None:
    assert parse_own("0::/a:b\n") == {"": "/a:b"}


def test_detect_reads_this_machine() -> None:
    found = detect()
    assert found.mode in ("v1", "v2", "hybrid", "none")
    assert (found.unified is not None) == (found.mode in ("v2", "hybrid"))


def test_detect_finds_nothing_without_proc() -> None:
    assert detect("/nonexistent") == Layout()
