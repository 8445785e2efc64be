"""What is planned for the rootfs: values in, steps out."""

from __future__ import annotations

from typing import Any

import pytest

import libct
from libct.cgroups import choose as cgroups
from libct.cgroups.layout import Hierarchy, Layout
from libct.config import MountIDMapping, RecAttr
from libct.config.mount_flags import (
    EXT_COPYUP,
    MOUNT_ATTR__ATIME,
    MOUNT_ATTR_NOATIME,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NODIRATIME,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_NOSYMFOLLOW,
    MOUNT_ATTR_RDONLY,
    MOUNT_ATTR_STRICTATIME,
    MS_BIND,
    MS_I_VERSION,
    MS_NOATIME,
    MS_NODEV,
    MS_NODIRATIME,
    MS_NOEXEC,
    MS_NOSUID,
    MS_POSIXACL,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_RELATIME,
    MS_REMOUNT,
    MS_SHARED,
    MS_SLAVE,
    MS_STRICTATIME,
    MS_SYNCHRONOUS,
    MS_UNBINDABLE,
)
from libct.life.host import Host
from libct.plan.cgroup_mounts import cgroup_mount_steps
from libct.plan.devices import device_steps
from libct.plan.held import Bases, hold_steps
from libct.plan.idmapped import idmapped_source_steps
from libct.plan.masks import masked_path_steps, read_only_path_steps
from libct.plan.mounts import (
    early_sources,
    is_late,
    lend_steps,
    lent_sources,
    mount_steps,
    read_only_steps,
    split_options,
    take_steps,
)
from libct.plan.paths import inside
from libct.plan.root import enter_steps, prepare_steps
from libct.plan.step import Step
from libct.rootfs.flags import attributes, named_attributes
from libct.rootfs.mountinfo import parse

NOTHING = (0, 0, ())
# All attributes of a mount but those of access times.
ALL = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC
ALL |= MOUNT_ATTR_NOSYMFOLLOW
TIMES = MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME


def brief(steps: list[Step]) -> list[tuple[Any, ...]]:
    return [(step.op, *step.args) for step in steps]


def config(*kinds: str, **fields: Any) -> libct.Config:
    namespaces = [libct.Namespace(kind) for kind in kinds or ("NEWNS",)]
    return libct.Config(rootfs="/images/one", namespaces=namespaces, **fields)


@pytest.mark.parametrize(
    ("flags", "cleared", "expected"),
    [
        (0, 0, (0, 0)),
        (
            MS_RDONLY | MS_NOSUID,
            MS_NODEV,
            (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV),
        ),
        (MS_NOEXEC, MS_NOEXEC, (MOUNT_ATTR_NOEXEC, 0)),
        (MS_NOATIME, 0, (MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME)),
        (MS_STRICTATIME, 0, (MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME)),
        (MS_STRICTATIME | MS_NOATIME, 0, (MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME)),
        (MS_RELATIME, 0, (0, MOUNT_ATTR__ATIME)),
        (0, MS_NOATIME, (0, MOUNT_ATTR__ATIME)),
        (MS_BIND | MS_REC | MS_SYNCHRONOUS, 0, (0, 0)),
    ],
)
def test_attributes(flags: int, cleared: int, expected: tuple[int, int]) -> None:
    assert attributes(flags, cleared) == expected


@pytest.mark.parametrize(
    ("flags", "cleared", "expected"),
    [
        (0, 0, (0, 0, 0)),  # nothing is named
        (MS_BIND | MS_REC | MS_REMOUNT, 0, (0, 0, 0)),
        (MS_NOSUID, 0, (MOUNT_ATTR_NOSUID, ALL & ~MOUNT_ATTR_NOSUID, 0)),
        (MS_SYNCHRONOUS, 0, (0, ALL, 0)),
        (0, MS_RDONLY, (0, ALL, MOUNT_ATTR_RDONLY)),
        (
            MS_NODEV,
            MS_NOEXEC | MS_RDONLY,
            (MOUNT_ATTR_NODEV, ALL & ~MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RDONLY),
        ),
        (MS_NOATIME, 0, (MOUNT_ATTR_NOATIME, ALL | TIMES, MOUNT_ATTR__ATIME)),
        (MS_RELATIME, 0, (0, ALL | TIMES, MOUNT_ATTR__ATIME)),
        (
            MS_NODIRATIME,
            0,
            (MOUNT_ATTR_NODIRATIME, ALL | MOUNT_ATTR__ATIME, MOUNT_ATTR_NODIRATIME),
        ),
        (0, MS_NODIRATIME, (0, ALL | MOUNT_ATTR_NODIRATIME, MOUNT_ATTR_NODIRATIME)),
        (0, MS_NOATIME, (0, ALL | MOUNT_ATTR__ATIME, MOUNT_ATTR__ATIME)),
    ],
)
def test_what_is_named_of_a_bind_is_all_that_it_has(
    flags: int, cleared: int, expected: tuple[int, int, int]
) -> None:
    assert named_attributes(flags, cleared) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("", ()),
        (",,mode=755,,", (("mode", "755"),)),
        ('context="a:b,c",noswap', (("context", "a:b,c"), ("noswap", None))),
        ("key=", (("key", ""),)),
        ("a=b=c", (("a", "b=c"),)),
        (r"lowerdir=/a\,b:/c,userxattr", (("lowerdir", r"/a\,b:/c"), ("userxattr", None))),
        (r"lowerdir=/a\\,x", (("lowerdir", r"/a\\"), ("x", None))),
    ],
)
def test_split_options(data: str, expected: tuple[tuple[str, str | None], ...]) -> None:
    assert split_options(data) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/proc", "/proc"),
        ("proc/", "/proc"),
        ("//proc//sys/.", "/proc/sys"),
        ("/../../etc/../proc", "/proc"),
        ("..", "/"),
    ],
)
def test_inside(path: str, expected: str) -> None:
    assert inside(path) == expected


def test_a_file_system_and_its_options() -> None:
    mount = libct.Mount("/tmp/", "none", "tmpfs", MS_NOSUID | MS_SYNCHRONOUS, data="size=1m,noswap")
    (step,) = mount_steps(mount, 4, opened=False)
    options = (("size", "1m"), ("noswap", None))
    flags = MS_NOSUID | MS_SYNCHRONOUS
    assert step.args == ("/tmp", "tmpfs", "none", options, flags, *NOTHING)
    assert step.why == "mounts[4]"
    assert step.title == "mount tmpfs on /tmp"
    assert step.calls == [
        'openat2("/tmp", O_PATH, RESOLVE_IN_ROOT)',
        'fsopen("tmpfs", FSOPEN_CLOEXEC)',
        'fsconfig(FSCONFIG_SET_STRING, "source", "none")',
        'fsconfig(FSCONFIG_SET_FLAG, "sync")',
        'fsconfig(FSCONFIG_SET_STRING, "size", "1m")',
        'fsconfig(FSCONFIG_SET_FLAG, "noswap")',
        "fsconfig(FSCONFIG_CMD_CREATE)",
        "fsmount(FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID)",
        'move_mount("", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)',
    ]


def test_long_options_iversion_and_acl_take_the_old_call() -> None:
    for data, flags in (("lowerdir=" + "/x:" * 100, 0), ("", MS_I_VERSION), ("", MS_POSIXACL)):
        (step,) = mount_steps(libct.Mount("/o", "", "overlay", flags, data=data), 0, opened=False)
        assert step.calls[1].startswith('mount("overlay", "overlay", ')


def test_an_escaped_comma_takes_the_old_call() -> None:
    """Which Linux before 6.5 understands, and fsconfig(2) there does not."""
    data = "lowerdir=/a\\,b:/c"
    (step,) = mount_steps(libct.Mount("/o", "", "overlay", data=data), 0, opened=False)
    assert step.calls[1].startswith('mount("overlay", "overlay", ')
    (step,) = mount_steps(libct.Mount("/o", "", "overlay", data="lowerdir=/a\\:b"), 0, opened=False)
    assert "fsopen" in step.calls[1]


def test_recursive_attributes_and_propagation_come_last() -> None:
    mount = libct.Mount(
        "/tree",
        "/host",
        "bind",
        MS_BIND | MS_REC | MS_NOSUID,
        cleared_flags=MS_NODEV,
        propagation_flags=[MS_SLAVE | MS_REC, MS_SHARED],
        rec_attr=RecAttr(MOUNT_ATTR_RDONLY, 0),
    )
    (step,) = mount_steps(mount, 0, opened=False)
    assert step.calls == [
        'open_tree(AT_FDCWD, "/host", OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC|AT_RECURSIVE)',
        'openat2("/tree", O_PATH, RESOLVE_IN_ROOT)',
        'mount_setattr("", AT_EMPTY_PATH, MOUNT_ATTR_NOSUID)',
        'move_mount("", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)',
        'mount_setattr("", AT_EMPTY_PATH|AT_RECURSIVE, MOUNT_ATTR_RDONLY)',
        'mount_setattr("", AT_EMPTY_PATH|AT_RECURSIVE, MS_SLAVE)',
        'mount_setattr("", AT_EMPTY_PATH, MS_SHARED)',
    ]
    (opened,) = mount_steps(mount, 3, opened=True)
    assert "source 3" in opened.args
    assert opened.calls == step.calls[1:]


def test_what_is_filled_later_is_read_only_at_the_end() -> None:
    mounts = [
        libct.Mount("/run", "tmpfs", "tmpfs", MS_RDONLY | MS_NODEV),
        libct.Mount("/dev", "devfs", "devfs", MS_RDONLY),
        libct.Mount("/proc", "proc", "proc", MS_RDONLY),
        libct.Mount("/data", "/data", "bind", MS_BIND | MS_RDONLY),
        libct.Mount("/run", "", "tmpfs", MS_REMOUNT | MS_RDONLY),
    ]
    flags = [mount_steps(at, 0, opened=False)[0].args[4] for at in mounts[:3]]
    assert flags == [MS_NODEV, 0, MS_RDONLY]
    late = read_only_steps(mounts)
    assert brief(late) == [
        ("remount", "/run", MOUNT_ATTR_RDONLY, 0, 0, *NOTHING),
        ("remount", "/dev", MOUNT_ATTR_RDONLY, 0, 0, *NOTHING),
    ]
    assert [step.why for step in late] == ["mounts[0].options", "mounts[1].options"]


def test_remounts() -> None:
    plain = libct.Mount("/x", "", "none", MS_REMOUNT | MS_RDONLY | MS_SYNCHRONOUS, data="size=2m")
    assert brief(mount_steps(plain, 0, opened=False)) == [
        ("remount", "/x", MOUNT_ATTR_RDONLY, ALL & ~MOUNT_ATTR_RDONLY, 0, *NOTHING),
        ("reconfigure", "/x", (("size", "2m"), ("sync", None))),
    ]
    bind = libct.Mount("/x", "", "none", MS_REMOUNT | MS_BIND | MS_NOEXEC | MS_SYNCHRONOUS)
    assert [step.op for step in mount_steps(bind, 0, opened=False)] == ["remount"]


def test_tmpcopyup_is_read_only_after_the_copy() -> None:
    flags = MS_NOEXEC | MS_RDONLY
    mount = libct.Mount("/etc", "tmpfs", "tmpfs", flags, extensions=EXT_COPYUP)
    calls = mount_steps(mount, 0, opened=False)[0].calls
    assert calls[-2] == "fsmount(FSMOUNT_CLOEXEC, MOUNT_ATTR_NOEXEC)"
    assert [step.op for step in read_only_steps([mount])] == ["remount"]


def test_sources_are_opened_early_but_for_those_that_are_mapped() -> None:
    maps = [libct.IDMap(0, 1000, 1)]
    mapping = MountIDMapping(True, "", maps, maps)
    mounts = [
        libct.Mount("/proc", "proc", "proc"),
        libct.Mount("/a", "/host/a", "bind", MS_BIND | MS_REC),
        libct.Mount("/b", "/host/b", "bind", MS_BIND, id_mapping=mapping),
        libct.Mount("/a", "", "none", MS_REMOUNT | MS_BIND | MS_RDONLY),
    ]
    made = config(mounts=mounts)
    assert brief(early_sources(made, {})) == [("open_source", "source 1", "/host/a", True)]
    # Who lends, lends them all.
    lent = lent_sources(made, everything=True)
    assert brief(early_sources(made, lent)) == [
        ("take_source", "source 1", "/host/a", True, 0),
        ("take_source", "source 2", "/host/b", False, 1),
    ]
    text = "0 1000 1\n"
    sources = (
        ("source 1", "/host/a", True, False, ()),
        ("source 2", "/host/b", False, False, (True, True, "", text, text)),
    )
    assert brief(lend_steps(lent)) == [("lend_sources", sources)]
    assert lend_steps(lent_sources(config(), everything=True)) == []
    assert lent_sources(made, everything=False) == {}
    assert idmapped_source_steps(made, lent) == []
    (mapped,) = idmapped_source_steps(config(mounts=mounts))
    assert mapped.args == ("source 2", "/host/b", False, True, True, "", text, text)
    assert mapped.why == "mounts[2]"
    assert mapped.calls[1] == "clone3({flags=CLONE_NEWUSER})"
    (shared,) = idmapped_source_steps(config(mounts=mounts, root_propagation=MS_SHARED))
    assert shared.args[3] is False


def test_sources_that_earlier_mounts_may_make_are_opened_late() -> None:
    maps = [libct.IDMap(0, 1000, 1)]
    mapping = MountIDMapping(True, "", maps, maps)
    mounts = [
        libct.Mount("/a", "tmpfs", "tmpfs"),
        libct.Mount("/b", "/images/one/a/sub", "bind", MS_BIND),
        libct.Mount("/c", "/images//./one", "bind", MS_BIND, id_mapping=mapping),
        libct.Mount("/d", "/images", "bind", MS_BIND | MS_REC),
        libct.Mount("/e", "/", "bind", MS_BIND | MS_REC),
        libct.Mount("/f", "/images", "bind", MS_BIND),
        libct.Mount("/g", "/images/one2", "bind", MS_BIND | MS_REC, id_mapping=mapping),
    ]
    made = config(mounts=mounts)
    assert [is_late(made, one) for one in mounts[1:]] == [True, True, True, True, False, False]
    assert brief(early_sources(made, {})) == [("open_source", "source 5", "/images", False)]
    lent = lent_sources(made, everything=True)
    assert list(lent) == [1, 2, 3, 4, 5, 6]
    assert [step.args[0] for step in early_sources(made, lent)] == ["source 5", "source 6"]
    assert take_steps(5, lent, late=True) == take_steps(0, lent, late=True) == []
    (late,) = take_steps(2, lent, late=True)
    assert (late.op, *late.args) == ("take_source", "source 2", "/images//./one", False, 1)
    # Without a user namespace, what is mapped alone.
    mapped = lent_sources(made, everything=False)
    assert list(mapped) == [2]
    assert [step.args[0] for step in idmapped_source_steps(made, mapped)] == ["source 6"]
    # What is a view of the host is not where the host's is.
    assert not is_late(config(mounts=mounts, rootfs_view="overlay"), mounts[1])


def test_an_id_mapping_without_one_of_its_own_is_the_container_s() -> None:
    mounts = [libct.Mount("/b", "/host/b", "bind", MS_BIND, id_mapping=MountIDMapping())]
    maps = [libct.IDMap(0, 5000, 10)]
    new = config("NEWNS", "NEWUSER", mounts=mounts, uid_mappings=maps, gid_mappings=maps)
    assert idmapped_source_steps(new)[0].args[-3:] == ("", "0 5000 10\n", "0 5000 10\n")
    joined = config(mounts=mounts)
    joined.namespaces.append(libct.Namespace("NEWUSER", "/proc/7/ns/user"))
    assert idmapped_source_steps(joined)[0].args[-3] == "/proc/7/ns/user"


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        (0, MS_SLAVE | MS_REC, 0),
        (MS_SLAVE, MS_SLAVE | MS_REC, 0),
        (MS_PRIVATE, MS_SLAVE | MS_REC, MS_PRIVATE),
        (MS_PRIVATE | MS_REC, MS_PRIVATE | MS_REC, 0),
        (MS_UNBINDABLE, MS_SLAVE | MS_REC, MS_UNBINDABLE),
        (MS_UNBINDABLE | MS_REC, MS_PRIVATE | MS_REC, MS_UNBINDABLE | MS_REC),
        (MS_SHARED, MS_SHARED, MS_SHARED),
        (MS_SHARED | MS_REC, MS_SHARED | MS_REC, MS_SHARED | MS_REC),
    ],
)
def test_propagation_of_the_root(wanted: int, first: int, last: int) -> None:
    made = config(root_propagation=wanted)
    before, after = brief(prepare_steps(made, [])), brief(enter_steps(made))
    assert before[0] == ("propagate", "/", first)
    unshared = [("unshare_parent", "/images/one")] if wanted & MS_SHARED else []
    assert before[1:] == [*unshared, ("bind_root", "/images/one")]
    assert after == [("pivot",), *([("propagate", "/", last)] if last else [])]


def test_other_ways_into_the_rootfs() -> None:
    bare = config("NEWPID", mounts=[], devices=list(libct.ALLOWED_DEVICES))
    assert brief(prepare_steps(bare, [])) == [("open_root", "/images/one")]
    assert brief(enter_steps(bare)) == [("change_root",)]
    assert device_steps(bare) == []
    assert brief(enter_steps(config(no_pivot_root=True))) == [("move_root",)]


def test_a_view_leaves_out_what_will_be_covered() -> None:
    places = ("/proc", "/dev/pts", "/dev", "home/me/", "/homes", "/home")
    mounts = [libct.Mount(place, "x", "tmpfs") for place in places]
    mounts.append(libct.Mount("/srv", "/srv", "bind", MS_BIND))
    made = config(rootfs_view="overlay", mounts=mounts)
    hidden = ("/dev", "/home", "/homes", "/proc")
    assert brief(prepare_steps(made, []))[1:] == [("view", "/images/one", "overlay", hidden)]


def test_devices_are_made_or_bound() -> None:
    devices = [
        libct.Device("/dev/null", "c", 1, 3),
        libct.Device("dev/../dev/sda", "b", 8, 0, file_mode=0o640, uid=1, gid=6),
        libct.Device("/dev/fifo", "p", -1, -1, file_mode=0o600),
        libct.Device("/dev/console", "c", 5, 1),
        libct.Device("/dev/ptmx", "c", 5, 2),
    ]
    made = device_steps(config(devices=devices))
    assert brief(made)[:4] == [
        ("make_device", "/dev/null", 0o20666, 1, 3, 0, 0, ""),
        ("make_device", "/dev/sda", 0o60640, 8, 0, 1, 6, ""),
        ("make_device", "/dev/fifo", 0o10600, 0, 0, 0, 0, ""),
        ("make_link", "/dev/fd", "/proc/self/fd", ""),
    ]
    assert made[0].calls == ['mknodat("null", S_IFCHR|0666, makedev(0x1, 0x3))']
    assert made[1].calls[-1] == "fchownat(1, 6)"
    assert made[2].calls == ['mknodat("fifo", S_IFIFO|0600)']
    links = {step.args[0]: step.args[1] for step in made[3:]}
    assert links["/dev/ptmx"] == "pts/ptmx"
    assert links["/dev/core"] == "/proc/kcore"
    bound = device_steps(config("NEWNS", "NEWUSER", devices=devices))
    assert [step.op for step in bound[:3]] == ["bind_device", "bind_device", "make_device"]
    assert bound[1].args == ("/dev/sda", 0o60000, 8, 0, "")
    assert bound[1].why == "linux.devices[1]"


def test_a_dev_that_is_bound_is_left_alone() -> None:
    mounts = [libct.Mount("dev/", "/my/dev", "bind", MS_BIND)]
    assert device_steps(config(devices=list(libct.ALLOWED_DEVICES), mounts=mounts)) == []


def test_paths_have_their_places() -> None:
    mounts = [libct.Mount("proc/", "proc", "proc")]
    made = config(readonly_paths=["/proc/sys", "proc/../irq"], mask_paths=["/proc/kcore"])
    made.mounts = mounts
    assert [(step.args, step.why) for step in read_only_path_steps(made)] == [
        (("/proc/sys", "/proc"), "linux.readonlyPaths[0]"),
        (("/irq", ""), "linux.readonlyPaths[1]"),
    ]
    (masked,) = masked_path_steps(made)
    assert (masked.op, masked.args, masked.why) == (
        *("mask", ("/proc/kcore", "/proc"), "linux.maskedPaths[0]"),
    )


@pytest.mark.parametrize(
    ("path", "base"),
    [
        ("/proc", "/proc"),
        ("/proc/sys/x", "/proc"),
        ("/process", ""),
        ("/a/b/c", "/a"),  # what covers /a, covers /a/b
        ("/dev/null", "/dev"),
        ("/dev/shm/x", "/dev/shm"),
        ("/tmp/x", ""),  # a remount makes none
    ],
)
def test_which_mount_a_path_lies_on(path: str, base: str) -> None:
    places = ("proc", "/a/b", "/a/", "/dev", "/x/../dev/shm")
    mounts = [libct.Mount(place, "x", "tmpfs") for place in places]
    mounts.append(libct.Mount("/tmp", "x", "none", MS_REMOUNT))
    assert Bases(mounts).base(path) == base


def test_the_mounts_that_are_held() -> None:
    places = ("/proc", "/sys", "/dev", "/dev/pts", "/run", "/srv", "/tmp")
    made = config(
        mounts=[libct.Mount(place, "x", "tmpfs") for place in places],
        mask_paths=["/proc/kcore", "/etc/x"],
        readonly_paths=["/sys"],
        devices=[libct.Device("/srv/null", "c", 1, 3)],
    )
    (step,) = hold_steps(made, ["/tmp"])
    assert step.args == (("/dev", "/proc", "/srv", "/sys", "/tmp"),)
    assert hold_steps(config(), []) == []


def test_no_device_is_made_on_a_bind() -> None:
    mounts = [
        libct.Mount("/dev", "tmpfs", "tmpfs"),
        libct.Mount("/dev/snd", "/dev/snd", "bind", MS_BIND),
        libct.Mount("/hostdev", "/dev", "none", MS_BIND),
        libct.Mount("/srv", "tmpfs", "tmpfs"),
    ]
    paths = ("/dev/snd/x", "/dev/../hostdev/deep/x", "/srv/x", "/x")
    for kinds in (("NEWNS",), ("NEWNS", "NEWUSER")):
        devices = [libct.Device(path, "c", 1, 3) for path in paths]
        steps = device_steps(config(*kinds, mounts=mounts, devices=devices))
        made = [(step.args[0], step.args[-1]) for step in steps if step.op != "make_link"]
        assert made == [("/srv/x", "/srv"), ("/x", "")]
        assert {step.args[-1] for step in steps if step.op == "make_link"} == {"/dev"}


V1 = Layout(
    "v1",
    {
        "cpu": Hierarchy("/sys/fs/cgroup/cpu,cpuacct", own="/mine"),
        "cpuacct": Hierarchy("/sys/fs/cgroup/cpu,cpuacct", own="/mine"),
        "pids": Hierarchy("/sys/fs/cgroup/pids", root="/outer", own="/outer/mine"),
        "name=systemd": Hierarchy("/sys/fs/cgroup/systemd"),
    },
)
V1_FLAGS = MS_NOSUID | MS_NODEV | MS_NOEXEC
V1_ATTRIBUTES = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC
V2 = Layout("v2", unified=Hierarchy("/sys/fs/cgroup", own="/mine"))


class FakeManager:
    cgroup = libct.Cgroup()

    def paths(self) -> dict[str, str]:
        return {"pids": "/sys/fs/cgroup/pids/box", "": "/sys/fs/cgroup/box"}


def cgroup_steps(
    layout: Layout, *kinds: str, manager: bool = False, euid: int = 0, kind: str = "cgroup"
) -> list[Step]:
    mount = libct.Mount("/sys/fs/cgroup", "cgroup", kind, MS_RDONLY | MS_NOSUID)
    host = Host(euid=euid, layout=layout)
    given: Any = FakeManager() if manager else None
    return cgroup_mount_steps(config("NEWNS", *kinds, mounts=[mount]), mount, 7, host, given)


def test_v1_hierarchies_in_a_namespace_of_their_own() -> None:
    flags = MS_RDONLY | V1_FLAGS
    steps = cgroup_steps(V1, "NEWCGROUP")
    assert {step.why for step in steps} == {"mounts[7]"}

    def fs(name: str, *options: tuple[str, str | None]) -> tuple[Any, ...]:
        target = f"/sys/fs/cgroup/{name}"
        return ("mount_filesystem", target, "cgroup", "cgroup", options, flags, *NOTHING)

    mode = (("mode", "755"),)
    tmpfs = ("/sys/fs/cgroup", "tmpfs", "tmpfs", mode, V1_FLAGS, *NOTHING)
    assert brief(steps) == [
        ("mount_filesystem", *tmpfs),
        fs("cpu,cpuacct", ("cpu", None), ("cpuacct", None)),
        ("make_link", "/sys/fs/cgroup/cpu", "cpu,cpuacct", "/sys/fs/cgroup"),
        ("make_link", "/sys/fs/cgroup/cpuacct", "cpu,cpuacct", "/sys/fs/cgroup"),
        fs("pids", ("pids", None)),
        fs("systemd", ("name", "systemd")),
        ("remount", "/sys/fs/cgroup", MOUNT_ATTR_RDONLY, 0, 0, *NOTHING),
    ]


def test_v1_parts_are_bound_without_a_namespace() -> None:
    attr = MOUNT_ATTR_RDONLY | V1_ATTRIBUTES
    for manager, pids in ((True, "/sys/fs/cgroup/pids/box"), (False, "/sys/fs/cgroup/pids/mine")):
        found = [step.args for step in cgroup_steps(V1, manager=manager) if step.op == "bind"]
        assert found == [
            (f"/sys/fs/cgroup/{name}", source, False, "", attr, 0, 0, *NOTHING)
            for name, source in (
                ("cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct/mine"),
                ("pids", pids),
                ("systemd", "/sys/fs/cgroup/systemd"),
            )
        ]


def test_v1_groups_that_an_ordinary_user_may_not_have_made() -> None:
    mount = libct.Mount("/sys/fs/cgroup", "cgroup", "cgroup")
    own = cgroups.new(libct.Cgroup(path="box", rootless=True), "box", V1)
    host = Host(userns=True, layout=V1)
    steps = cgroup_mount_steps(config("NEWNS", mounts=[mount]), mount, 0, host, own)
    assert [step.args for step in steps if step.op == "bind_group"] == [
        (f"/sys/fs/cgroup/{name}", source, runtime, V1_ATTRIBUTES, 0, 0)
        for name, source, runtime in (
            ("cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct/box", "/sys/fs/cgroup/cpu,cpuacct/mine"),
            ("pids", "/sys/fs/cgroup/pids/box", "/sys/fs/cgroup/pids/mine"),
            ("systemd", "/sys/fs/cgroup/systemd/box", "/sys/fs/cgroup/systemd"),
        )
    ]


def test_v2() -> None:
    attr = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID
    (own,) = cgroup_steps(V2, "NEWCGROUP", manager=True)
    assert (own.op, *own.args) == (
        *("mount_cgroup2", "/sys/fs/cgroup", "/sys/fs/cgroup/box", attr, 0, 0, *NOTHING, False),
    )
    (whole,) = cgroup_steps(V2, manager=True)
    assert (whole.op, whole.args[:2]) == ("bind", ("/sys/fs/cgroup", "/sys/fs/cgroup"))
    # By name, also where the host's limits are those of v1.
    (named,) = cgroup_steps(V1, "NEWCGROUP", kind="cgroup2")
    assert named.op == "mount_cgroup2"


def test_an_ordinary_user_cannot_write_to_the_host_s_groups() -> None:
    """CVE-2023-25809."""
    mount = libct.Mount("/sys/fs/cgroup", "cgroup", "cgroup")
    for host in (Host(euid=1000, layout=V2), Host(userns=True, layout=V2)):
        (step,) = cgroup_mount_steps(config(mounts=[mount]), mount, 0, host, None)
        assert step.op == "bind"
        assert step.args[2:5] == (True, "", MOUNT_ATTR_RDONLY)
        # And where it has a cgroup namespace, but no right to mount them.
        private = config("NEWCGROUP", mounts=[mount])
        (step,) = cgroup_mount_steps(private, mount, 0, host, None)
        assert (step.op, step.args[-1]) == ("mount_cgroup2", True)


def test_mountinfo() -> None:
    first = "36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 - ext3 /dev/root rw,errors=continue"
    second = "37 36 0:5 / /mnt\\0402/a\\134b\\012c rw shared:2 propagate_from:1 - proc proc rw"
    one, two = parse(f"{first}\n{second}\n")
    assert (one.root, one.point, one.fstype) == ("/mnt1", "/mnt 2", "ext3")
    assert (two.root, two.point, two.fstype) == ("/", "/mnt 2/a\\b\nc", "proc")
    assert two.is_below("/mnt 2")
    assert two.is_below("/")
    assert one.is_below("/mnt 2")
    assert not two.is_below("/mnt")
