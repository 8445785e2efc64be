"""Level 1: a host name of its own.

A namespace gives a process another view of one part of the system.  unshare(2) moves the
process that calls it into a new one.  The smallest is the UTS namespace: it holds the host
name.  A container is nothing else than a process with enough such views of its own.

New:      unshare(2), sethostname(2)
To read:  namespaces(7), uts_namespaces(7), unshare(2)
Attack:   all else is shared; the container sees the host's processes, and may kill them
Runs as:  root, or an ordinary user (in a user namespace that the lesson makes for you)
"""

import os
import signal
from pathlib import Path

import lesson

from libct.syscalls.namespaces import CLONE_NEWUTS, unshare
from libct.syscalls.uts import sethostname

ROOT_FOR = ()
NAMESPACES = 0


def enter(host):
    unshare(CLONE_NEWUTS)
    sethostname("level-1")  # the host keeps its name
    host.exercise(host)


def attack(host):
    """Look for a process of the host, and kill it.

    kill(2) asks who you are, not where you are: root may signal every process that it has
    a number for.
    """
    for process in Path("/proc").glob("[0-9]*"):
        if (process / "comm").read_text() == "victim\n":
            os.kill(int(process.name), signal.SIGKILL)
            return f"process {process.name}, 'victim', is dead"
    raise ProcessLookupError("no process here is called 'victim'")


def exercise(host):
    """The container can still attach the host's System V shared memory (shmat(2)). Stop that.

    Man page: ipc_namespaces(7).  libct.syscalls.namespaces has the flag that you need.
    """


def check(host):
    ours, its = os.readlink("/proc/self/ns/ipc"), os.readlink(f"/proc/{os.getppid()}/ns/ipc")
    assert ours != its, f"the container and the host are both in {its}"


if __name__ == "__main__":
    lesson.main(__file__)
