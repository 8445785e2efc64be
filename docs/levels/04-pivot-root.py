"""Level 4: a root mount of its own, by pivot_root.

pivot_root(2) works on the mount namespace and not on one process: the container's files
become the root mount, and the old root is unmounted.  Then there is nothing outside to walk
to: the host's files are in no mount of this namespace.

The new root has to be a mount, hence the bind mount of the directory on itself.  By
pivot_root(".", ".") the old root ends up on top of the new one, and is unmounted from there,
so no directory is needed to put it.

New:      pivot_root(2), umount2(2), a bind mount
To read:  pivot_root(2), "pivot_root(".", ".")"; mount(2), "Creating a bind mount"
Attack:   a descriptor that was opened before leads out (CVE-2024-21626, CVE-2016-9962)
Runs as:  root, or an ordinary user
"""

import os
from pathlib import Path

import lesson

from libct.syscalls.constants import MNT_DETACH, MS_BIND, MS_PRIVATE, MS_REC
from libct.syscalls.mounts import mount, pivot_root, umount2
from libct.syscalls.namespaces import CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUTS
from libct.syscalls.uts import sethostname

ROOT_FOR = ()
NAMESPACES = CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWNS


def enter(host):
    sethostname("level-4")  # level 1
    change_root(host)
    host.exercise(host)


def change_root(host):
    mount(None, "/", flags=MS_REC | MS_PRIVATE)  # level 2
    mount(host.rootfs, host.rootfs, flags=MS_BIND | MS_REC)  # new
    mount("proc", f"{host.rootfs}/proc", "proc")  # level 2
    os.chdir(host.rootfs)
    pivot_root(".", ".")  # new
    umount2(".", MNT_DETACH)  # new
    os.chdir("/")


def attack(host):
    """Look for a directory of the host that somebody has forgotten to close.

    runc 1.1.11 had one open, of /sys/fs/cgroup.  An image whose working directory was
    /proc/self/fd/7 began its life on the host.
    """
    for fd in os.listdir("/proc/self/fd"):
        try:
            os.chdir(f"/proc/self/fd/{fd}")
            return Path(f".{host.secret}").read_text() + f", by /proc/self/fd/{fd}"
        except OSError:
            continue  # no directory, or none of the host
    raise FileNotFoundError("no descriptor leads out")


def exercise(host):
    """Make the root read-only, and give the container a /tmp that it may write to.

    So nobody can change the programs that others run next.  Two calls: mount(2) with a tmpfs, and
    mount_setattr(2), which is in libct.syscalls.mounts.
    """


def check(host):
    try:
        Path("/etc/new").touch()
    except OSError as error:
        Path("/tmp/new").touch()
        assert os.stat("/tmp").st_dev != os.stat("/").st_dev, "/tmp is on the root still"
        return print(f"  {error}")
    raise AssertionError("/etc can be written to")


if __name__ == "__main__":
    lesson.main(__file__)
