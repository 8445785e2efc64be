"""Level 8: limits, by a control group.

A control group counts what its processes use, all of them together, and stops them where you
say.  The host makes the group and puts the container's first process in before that begins:
its children cannot leave, for the files of the group are not in the container.

cgroup v2 has one tree of groups; v1 has one for each controller.  libct's manager knows which
files there are, and writes to them: pids.max, memory.max or memory.limit_in_bytes, cgroup.procs.

New:      a control group: mkdir(2), and writing to its files
To read:  cgroups(7); Documentation/admin-guide/cgroup-v2.rst of the kernel
Attack:   the kernel has 400 system calls, and some know no namespaces, such as keyctl(2)
Runs as:  root
"""

import os
import signal

import lesson

from libct.bootstrap.context import Context
from libct.cgroups import choose, files
from libct.cgroups.layout import detect
from libct.cgroups.perform import perform
from libct.config.cgroup import Cgroup, Resources
from libct.syscalls.files import close_range
from libct.syscalls.keys import KEY_SPEC_SESSION_KEYRING, keyctl_describe
from libct.syscalls.namespaces import CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUTS
from libct.syscalls.uts import sethostname

four, six, seven = lesson.level(4), lesson.level(6), lesson.level(7)

ROOT_FOR = ("container", "attack", "exercise")
NAMESPACES = CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWNS


def outside(host, pid):
    """New: what the host does while the container's first process waits."""
    groups = make_groups(host)
    host.exercise(groups)
    limit_and_join(groups, pid)


def limit_and_join(groups, pid):
    context = Context()  # what the steps share; joining needs to know who
    context.pid = pid
    perform(groups.limit_steps(Resources(pids_limit=20)))
    perform(groups.join_steps(), context)


def make_groups(host):
    layout = detect()
    if layout.mode == "v2":
        top = layout.unified.mount
        for name in {"pids", "memory"}.difference(
            files.read(f"{top}/cgroup.subtree_control").split()
        ):
            files.write(f"{top}/cgroup.subtree_control", f"+{name}")
        paths = {"": f"{top}/{host.name}"}
    else:
        mounts = {name: layout.controllers[name].mount for name in ("pids", "memory")}
        paths = {name: f"{mount}/{host.name}" for name, mount in mounts.items()}
    for path in paths.values():
        os.makedirs(path, exist_ok=True)
    return choose.load(Cgroup(), paths)


def afterwards(host):
    files.remove(make_groups(host).directories())


def enter(host):
    sethostname("level-8")  # level 1
    four.change_root(host)  # levels 2 and 4
    seven.cover()  # level 7
    close_range(3)  # level 5
    six.limit_rights()  # level 6


def attack(host):
    """Look into the keyring of whoever started the container.

    Keys (of Kerberos, of encrypted disks) belong to a user and a session, wherever its processes
    are.  And what is reachable may have a bug: by this call CVE-2016-0728 made any user root.
    """
    return keyctl_describe(KEY_SPEC_SESSION_KEYRING)


def exercise(groups):
    """Limit the memory to 64 MiB, too.

    It is called in outside(), with the manager of the groups, before the process joins them.
    libct.config.cgroup.Resources has the name of the limit, which is in bytes.
    """


def check(host):
    pid = os.fork()
    if pid == 0:
        bytearray(b"x") * (256 << 20)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL, "a process has got 256 MiB"


if __name__ == "__main__":
    lesson.main(__file__)
