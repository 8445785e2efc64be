"""Level 2: processes of its own.

In a new pid namespace processes are counted from 1, and others have no number: what has no
number cannot be signalled or traced.  A process never changes its own number, so
unshare(CLONE_NEWPID) would only hold for its children; clone3(2) makes a process that is in
the namespace from the start, as process 1.  If process 1 ends, the kernel ends all others.

ps(1) reads /proc, which shows the pid namespace that it was mounted in.  So the container
mounts one of its own.  In a mount namespace, or the host would get it, too.  And a private
one: on most hosts "/" is shared, which passes new mounts on to all copies of it.

New:      clone3(2), mount(2)
To read:  pid_namespaces(7), mount_namespaces(7), proc(5)
Attack:   the container has all files of the host
Runs as:  root, or an ordinary user
"""

import os
import time
from pathlib import Path

import lesson

from libct.syscalls.constants import MS_PRIVATE, MS_REC
from libct.syscalls.mounts import mount
from libct.syscalls.namespaces import CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUTS
from libct.syscalls.uts import sethostname

ROOT_FOR = ()
NAMESPACES = CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWNS


def enter(host):
    sethostname("level-2")  # level 1
    mount(None, "/", flags=MS_REC | MS_PRIVATE)  # new; try it without
    mount("proc", "/proc", "proc")  # new
    host.exercise(host)


def attack(host):
    """Read a secret of the host."""
    return Path(host.secret).read_text()


def exercise(host):
    """Processes that lose their parent become children of process 1. Have it wait for them.

    Otherwise they stay as zombies when they end, and use up numbers.  Process 1 is the command,
    which knows nothing of them: so fork(2), let the child be the command, and wait in process 1
    for whatever ends, until the command does.  (`libct sandbox` does so, and docker run --init.)
    """


def check(host):
    read, write = os.pipe()
    if os.fork() == 0:  # a parent that ends before its child does
        if os.fork() == 0:
            os.close(read)
            time.sleep(0.1)
        os._exit(0)
    os.close(write)
    os.wait()
    os.read(read, 1)  # until the orphan has ended
    time.sleep(0.2)
    states = {
        path.parent.name: path.read_text().rpartition(")")[2].split()[0]
        for path in Path("/proc").glob("[0-9]*/stat")
    }
    assert "Z" not in states.values(), f"a zombie is left: {states}"
    assert os.getpid() != 1, "the command is still process 1"


if __name__ == "__main__":
    lesson.main(__file__)
