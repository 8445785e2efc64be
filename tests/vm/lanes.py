"""The lanes: which system is booted, how, and what is run there."""

from __future__ import annotations

from typing import NamedTuple

_TOOLS = (
    *("systemd", "systemd-sysv", "dbus", "dbus-user-session", "libpam-systemd", "udev", "kmod"),
    *("python3", "python3-pytest", "iproute2", "procps", "strace", "uidmap", "util-linux"),
    *("busybox-static", "catatonit", "conmon", "containerd", "criu", "crun", "docker.io"),
    *("fuse-overlayfs", "linux-image-amd64", "podman", "runc"),
    *("nftables", "passt", "slirp4netns"),
)
_APPARMOR = ("apparmor",)
_SELINUX = ("selinux-policy-default", "policycoreutils", "selinux-utils")
# For an image of packages that are unpacked and no more, to which none is essential.
_UNPACKED = (
    *("base-files", "base-passwd", "bash", "coreutils", "dash", "diffutils", "findutils", "grep"),
    *("gzip", "hostname", "libc-bin", "mawk", "mount", "ncurses-base", "perl-base", "sed", "tar"),
    *("python3", "python3-pytest", "iproute2", "procps", "strace", "uidmap", "util-linux"),
    *("busybox-static", "catatonit", "crun", "runc"),
)


class Image(NamedTuple):
    """A disk with a Debian.

    suite: the release's code name.  packages: what it has beside the essential ones.
    architecture: Debian's name of it.  Of another machine than amd64, packages are unpacked and
        no more, as none of their programs can run where the image is made: process 1 is a script.
    """

    name: str
    suite: str
    packages: tuple[str, ...]
    architecture: str = "amd64"


class Lane(NamedTuple):
    """A way to boot an image, and the tests that are run there.

    arguments: added to the kernel's command line.
    lacks: needs (tests/needs.py) that are not met there by its nature.  The tests that
        have them are skipped there also where nothing else may be; test_boot.py checks
        that the needs are really not met.
    quick, every: arguments of pytest, for `tox -e vm` and for `tox -e vm-all`.
    longest: seconds that the quick tests may take on a busy host; `every` may take
        sixteen times as long: some thousand tests, of which most take seconds.
    """

    name: str
    image: Image
    arguments: tuple[str, ...]
    lacks: tuple[str, ...]
    quick: tuple[str, ...]
    every: tuple[str, ...]
    longest: int = 1800


DEBIAN_12 = Image("debian12", "bookworm", (*_TOOLS, *_APPARMOR))
DEBIAN_13 = Image("debian13", "trixie", (*_TOOLS, *_APPARMOR, "docker-cli", "systemd-cryptsetup"))
ARM64_12 = Image("debian12-arm64", "bookworm", (*_UNPACKED, "linux-image-arm64"), "arm64")
SELINUX_12 = Image("debian12-selinux", "bookworm", (*_TOOLS, *_SELINUX))

_PURE_V1 = (
    "systemd.unified_cgroup_hierarchy=0",
    "systemd.legacy_systemd_cgroup_controller=1",
)
_SELINUX_ON = ("security=selinux", "selinux=1", "enforcing=0")

# Needs that no lane meets: the processor is emulated, and the images are small.
_NOWHERE = (
    "chromium",
    "clock",
    "compiler",
    "flit",
    "less",
    "mmdebstrap",
    "qemu-system-x86_64",
    "vi",
)
_BEFORE_6_12 = ("idmapped_tmpfs", "landlock", "pidfs")

# What depends on v2 most; the host of the tests may have it without controllers.
_ON_V2 = tuple(
    f"tests/kernel/test_{name}.py"
    for name in ("cgroups_v2", "exec_cgroup", "rootfs_cgroup", "statistics")
)

LANES = {
    lane.name: lane
    for lane in (
        Lane(
            name="debian12",
            image=DEBIAN_12,
            arguments=(),
            lacks=("cgroup1", "rt_group", "selinux", *_NOWHERE, *_BEFORE_6_12),
            quick=("tests/vm", *_ON_V2),
            every=("tests/vm", "tests/kernel"),
        ),
        Lane(
            name="debian12-v1",
            image=DEBIAN_12,
            arguments=_PURE_V1,
            lacks=("hugetlb2", "net_cls", "rt_group", "selinux", *_NOWHERE, *_BEFORE_6_12),
            quick=("tests/vm", "tests/kernel/test_cgroups_v1.py"),
            every=("tests/vm", "tests/kernel"),
        ),
        Lane(
            name="debian13",
            image=DEBIAN_13,
            arguments=(),
            lacks=("cgroup1", "rt_group", "selinux", *_NOWHERE),
            quick=("tests/vm",),
            every=("tests/vm", "tests/kernel"),
        ),
        Lane(
            name="selinux",
            image=SELINUX_12,
            arguments=_SELINUX_ON,
            lacks=("apparmor", "cgroup1", "rt_group", *_NOWHERE, *_BEFORE_6_12),
            quick=("tests/vm/test_boot.py", "tests/vm/test_selinux.py"),
            every=("tests/vm/test_boot.py", "tests/vm/test_selinux.py"),
        ),
        Lane(
            name="arm64",
            image=ARM64_12,
            arguments=(),
            lacks=(*_NOWHERE, *_BEFORE_6_12),
            quick=("tests/vm/test_boot.py", "tests/unit"),
            every=("tests/vm/test_boot.py", "tests/unit"),
        ),
    )
}

# What `tox -e vm` and .ci/run take; all others only `tox -e vm-all`.
USUAL = ("debian12", "debian12-v1")
