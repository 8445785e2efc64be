"""What tests need of the machine, and whether it has it.

Each need is tried in a child process and not judged by versions or names.  A
test says what it wants with the decorator requires(); conftest.py skips it, or
with LIBCT_NO_SKIP=1 fails it, where something is missing.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from libct.syscalls.sharing import knows_machine

from .bundles import busybox
from .commands import DOCKER, as_user, user_account
from .disks import loop_device
from .names import unique
from .patience import patient
from .processes import (
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWTIME,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    in_namespaces,
    mount,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    Trial = Callable[[], object]

# Name of a need -> its trial, which raises or fails where the need is not met.
NEEDS: dict[str, Trial] = {}


def requires(*needs: str) -> pytest.MarkDecorator:
    """Decorator: the test needs all of these, which are keys of NEEDS."""
    unknown = [need for need in needs if need not in NEEDS]
    if unknown:
        raise ValueError(f"requires() knows no {', '.join(unknown)}; it knows {', '.join(NEEDS)}")
    return pytest.mark.requires(*needs)


def missing(*needs: str) -> list[str]:
    """Those of the needs that this machine does not meet."""
    return [need for need in needs if not _met(need)]


def no_skip() -> bool:
    """Whether what is missing is to be a failure."""
    return os.environ.get("LIBCT_NO_SKIP") == "1"


def lacked_by_nature() -> set[str]:
    """Needs that are not met on this kind of machine, and are not to be; tests/vm/lanes.py."""
    return set(os.environ.get("LIBCT_LACKS", "").split())


@functools.cache
def _met(need: str) -> bool:
    try:
        NEEDS[need]()
    except (Exception, pytest.fail.Exception):
        return False
    return True


def _need(trial: Trial) -> Trial:
    NEEDS[trial.__name__.strip("_")] = trial
    return trial


def _program(name: str, *args: str) -> None:
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if path is None:
        raise FileNotFoundError(name)
    subprocess.run([path, *args], stdin=subprocess.DEVNULL, capture_output=True, check=True)


def _programs() -> None:
    for name, args in {
        "chromium": ("--version",),
        "crun": ("--version",),
        "less": ("--version",),
        "nft": ("--version",),
        "pasta": ("--version",),
        "qemu-system-x86_64": ("--version",),
        "runc": ("--version",),
        "mmdebstrap": ("--version",),
        "slirp4netns": ("--version",),
        "vi": ("--version",),  # a vim, if a small one
        "strace": ("-o", "/dev/null", "true"),  # ptrace may be forbidden
    }.items():
        NEEDS[name] = functools.partial(_program, name, *args)


_programs()


@_need
def vm() -> None:
    """A machine of tests/vm, which tests may change as they like: it is thrown away."""
    if "LIBCT_VM" not in os.environ:
        raise LookupError("not in a virtual machine of ours")


@_need
def clock() -> None:
    """A processor that keeps up with the clock, for tests of how long something takes."""
    if patient(1) != 1:
        raise TimeoutError("the processor is emulated")


@_need
def flit() -> None:
    """flit_core, which builds the packages (pyproject.toml), and pip for a new environment."""
    import ensurepip  # noqa: F401

    from flit_core import __version__

    if tuple(map(int, __version__.split(".")[:2])) < (3, 11):
        raise LookupError(f"flit_core {__version__}")


@_need
def systemd() -> None:
    """systemd as process 1, with its bus."""
    _program("systemctl", "show", "--property=Version")


@_need
def apparmor() -> None:
    """AppArmor, and what loads a profile into the kernel."""
    Path("/sys/kernel/security/apparmor/.replace").stat()
    _program("apparmor_parser", "--version")


@_need
def selinux() -> None:
    """SELinux with a policy, enforced or not."""
    Path("/sys/fs/selinux/enforce").read_text()
    if Path("/proc/self/attr/current").read_text().strip("\0\n") == "kernel":
        raise LookupError("no policy is loaded")


@_need
def root() -> None:
    """Rights over the machine, and not only the number."""
    if os.geteuid() != 0:
        raise PermissionError(errno.EPERM, "not root")
    in_namespaces(
        CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC,
        lambda: mount("tmpfs", "/mnt", "tmpfs"),
    )


@_need
def sharing() -> None:
    """A machine on which starts share the server's memory; on others they are forked."""
    if not knows_machine:
        raise LookupError("no x86-64")


@_need
def pidfs() -> None:
    """Pidfds that have inode numbers of their own (Linux 6.9)."""
    inodes = {os.fstat(os.pidfd_open(pid)).st_ino for pid in (os.getpid(), os.getppid())}
    if len(inodes) < 2:
        raise OSError(errno.ENOSYS, "one inode for all pidfds")


@_need
def contexts() -> None:
    """A C library that has them, which makecontext(3) makes; musl has not."""
    ctypes.CDLL(None)["makecontext"]


@_need
def suid_dumpable() -> None:
    """The right to set what processes are whose ids have changed (proc_sys_fs(5))."""
    sysctl = Path("/proc/sys/fs/suid_dumpable")
    sysctl.write_text(sysctl.read_text())


@_need
def userns() -> None:
    """User namespaces, with mounts in them."""
    in_namespaces(CLONE_NEWUSER | CLONE_NEWNS, lambda: mount("tmpfs", "/mnt", "tmpfs"))


@_need
def user() -> None:
    """An ordinary user that may make user namespaces."""
    as_user("unshare", "--user", "--map-root-user", "--mount", "true", check=True)


@_need
def uidmap() -> None:
    """newuidmap and newgidmap, and ranges of subordinate ids for the ordinary user."""
    for name in ("newuidmap", "newgidmap"):
        if shutil.which(name) is None:
            raise FileNotFoundError(name)
    account = user_account()
    for path in ("/etc/subuid", "/etc/subgid"):
        owners = [line.split(":")[0] for line in Path(path).read_text().splitlines()]
        if account.pw_name not in owners and str(account.pw_uid) not in owners:
            raise LookupError(f"{path} has no range for {account.pw_name}")


@_need
def timens() -> None:
    in_namespaces(CLONE_NEWTIME | (CLONE_NEWUSER if os.geteuid() else 0), lambda: None)


@_need
def cgroup1() -> None:
    """A mounted cgroup v1 hierarchy where groups can be made."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        place, _, source = line.partition(" - ")
        if source.split()[0] == "cgroup" and "pids" in source.split()[-1].split(","):
            _make_group(place.split()[4])
            return
    raise FileNotFoundError("no cgroup v1 hierarchy with the pids controller")


@_need
def cgroup2() -> None:
    """cgroup v2, mounted or mountable, where groups can be made."""

    def body() -> None:
        mount("cgroup2", "/mnt", "cgroup2")
        _make_group("/mnt")

    in_namespaces(CLONE_NEWNS, body)


@_need
def hugetlb2() -> None:
    """cgroup v2 with the controller of huge pages of 2 MB."""

    def body() -> None:
        mount("cgroup2", "/mnt", "cgroup2")
        if "hugetlb" not in Path("/mnt/cgroup.controllers").read_text().split():
            raise FileNotFoundError("hugetlb")

    in_namespaces(CLONE_NEWNS, body)
    os.stat("/sys/kernel/mm/hugepages/hugepages-2048kB")


@_need
def rt_group() -> None:
    """cgroup v1 with real-time scheduling by groups, and some of it to give away."""
    if int(Path("/sys/fs/cgroup/cpu/cpu.rt_runtime_us").read_text()) <= 0:
        raise ValueError("no real-time")


@_need
def net_cls() -> None:
    """The controllers net_cls and net_prio, in no hierarchy yet.

    Before Linux 5.15 their use would take sockets from cgroup v2 until the next boot.
    """
    release = [int(part) for part in os.uname().release.split("-")[0].split(".")[:2]]
    free = {"net_cls", "net_prio"}
    for line in Path("/proc/cgroups").read_text().splitlines()[1:]:
        name, hierarchy, _, enabled = line.split("\t")
        if hierarchy == "0" and enabled == "1":
            free.discard(name)
    if free or release < [5, 15]:
        raise FileNotFoundError(f"{free or release}")


@_need
def loop() -> None:
    """Loop devices, with the BFQ scheduler."""
    with loop_device("bfq"):
        pass


@_need
def pids_peak() -> None:
    """A kernel that tells the most processes there were in a group (Linux 6.1)."""
    release = [int(part) for part in os.uname().release.split("-")[0].split(".")[:2]]
    if release < [6, 1]:
        raise FileNotFoundError("pids.peak")


@_need
def psi() -> None:
    """A kernel that measures pressure stall information."""
    Path("/proc/pressure/memory").read_text()


def _make_group(hierarchy: str) -> None:
    os.rmdir(tempfile.mkdtemp(prefix=unique("need"), dir=hierarchy))


@_need
def overlay() -> None:
    """overlay, in a user namespace if we are not root."""

    def body() -> None:
        mount("tmpfs", "/mnt", "tmpfs")
        for name in ("lower", "upper", "work", "merged"):
            os.mkdir(f"/mnt/{name}")
        layers = "lowerdir=/mnt/lower,upperdir=/mnt/upper,workdir=/mnt/work"
        mount("overlay", "/mnt/merged", "overlay", data=layers)

    in_namespaces(CLONE_NEWNS | (CLONE_NEWUSER if os.geteuid() else 0), body)


@_need
def idmapped_tmpfs() -> None:
    """Id-mapped mounts of tmpfs (Linux 6.3)."""
    open_tree, mount_setattr, at_fdcwd, at_empty_path = 428, 442, -100, 0x1000
    clone, idmap = 1, 0x00100000  # OPEN_TREE_CLONE, MOUNT_ATTR_IDMAP
    libc = ctypes.CDLL(None)

    def body() -> None:
        mount("tmpfs", "/mnt", "tmpfs")
        tree = libc.syscall(open_tree, at_fdcwd, b"/mnt", clone)
        words = ("unshare", "--user", "--map-root-user", "sh", "-c", "echo; exec sleep 60")
        with subprocess.Popen(words, stdout=subprocess.PIPE) as other:
            assert other.stdout
            other.stdout.read(1)
            spaces = os.open(f"/proc/{other.pid}/ns/user", os.O_RDONLY)
            other.kill()
        attr = (ctypes.c_uint64 * 4)(idmap, 0, 0, spaces)  # struct mount_attr
        size = ctypes.c_size_t(ctypes.sizeof(attr))
        if libc.syscall(mount_setattr, tree, b"", at_empty_path, attr, size):
            raise OSError(errno.EINVAL, "tmpfs cannot be id-mapped")

    in_namespaces(CLONE_NEWNS, body)


@_need
def landlock() -> None:
    """Landlock with all that libct has a rule for (Linux 6.12)."""
    create_ruleset, version = 444, 1
    if ctypes.CDLL(None).syscall(create_ruleset, None, 0, version) < 6:
        raise OSError(errno.EOPNOTSUPP, "no Landlock, or an old one")


@_need
def fuse() -> None:
    """File systems in user space."""
    os.close(os.open("/dev/fuse", os.O_RDWR))


@_need
def veth() -> None:
    """Pairs of virtual network devices."""
    link = ("link", "add", "need0", "type", "veth", "peer", "name", "need1")
    in_namespaces(CLONE_NEWNET, lambda: _program("ip", *link))


@_need
def bridge() -> None:
    """Virtual bridges."""
    in_namespaces(CLONE_NEWNET, lambda: _program("ip", "link", "add", "need0", "type", "bridge"))


@_need
def iproute2() -> None:
    _program("ip", "-Version")


@_need
def _busybox() -> None:
    subprocess.run([busybox(), "true"], check=True)


@_need
def dbus() -> None:
    """The daemon of D-Bus, and systemd's library that talks to it."""
    _program("dbus-daemon", "--version")
    ctypes.CDLL("libsystemd.so.0")["sd_bus_new"]


@_need
def podman() -> None:
    """podman with its monitor, and a process 1 that it puts into containers with --init."""
    for name in ("podman", "conmon", "catatonit"):
        _program(name, "--version")


@_need
def containerd() -> None:
    """containerd with its command and its shim, and the tools of namespaces."""
    for name in ("containerd", "ctr", "nsenter", "setpriv", "unshare"):
        _program(name, "--version")
    _program("containerd-shim-runc-v2", "-v")


@_need
def docker() -> None:
    """Docker of the place where Debian puts it, with its process 1, and containerd."""
    containerd()
    for name in ("dockerd", DOCKER, "docker-init"):
        _program(name, "--version")


@_need
def compiler() -> None:
    """A C compiler with the kernel's headers."""
    source = "#include <linux/mount.h>\n#include <sys/prctl.h>\nint main(void) { return 0; }\n"
    with tempfile.TemporaryDirectory(prefix=unique("need")) as directory:
        output = os.path.join(directory, "output")
        subprocess.run(
            ["cc", "-x", "c", "-o", output, "-"],
            input=source,
            text=True,
            capture_output=True,
            check=True,
        )
