"""Level 7: masked and read-only paths.

/proc is a door to the kernel.  What may be read only gets a read-only bind mount on itself.
What may not even be read is covered: a file by /dev/null, a directory by an empty tmpfs.  The
container cannot take the covers off, as that needs CAP_SYS_ADMIN, which level 6 took away.  So
the order counts: covers first, then capabilities.

New:      mount_setattr(2), and libct's performers of these steps, in libct/rootfs/masks.py
To read:  the runtime-spec's config-linux.md, "Masked Paths" and "Readonly Paths"; proc(5)
Attack:   nothing limits how much the container takes: it makes processes without end
Runs as:  root, or an ordinary user
"""

import os
import signal
from pathlib import Path

import lesson

from libct.bootstrap.context import Context
from libct.rootfs.masks import make_read_only, mask
from libct.syscalls.files import close_range
from libct.syscalls.namespaces import CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUTS
from libct.syscalls.uts import sethostname

four, six = lesson.level(4), lesson.level(6)

ROOT_FOR = ()
NAMESPACES = CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWNS
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
MASKED = ("/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/scsi", "/proc/timer_list")


def enter(host):
    sethostname("level-7")  # level 1
    four.change_root(host)  # levels 2 and 4
    cover()  # new
    host.exercise(host)
    close_range(3)  # level 5
    six.limit_rights()  # level 6


def cover():
    context = Context()  # what the steps of a start share; these need the root and /proc
    context.keep("root", os.open("/", os.O_PATH))
    context.keep("proc", os.open("/proc", os.O_PATH))
    for path in READ_ONLY:
        make_read_only(context, path, "")
    for path in MASKED:
        mask(context, path, "")


def attack(host):
    """A fork bomb, of 200 processes.

    A real one does not stop there: the machine does.
    """
    made = []
    try:
        while len(made) < 200:
            pid = os.fork()
            if pid == 0:
                signal.pause()
            made.append(pid)
        return "200 processes"
    finally:
        for pid in made:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def exercise(host):
    """Give the container other facts: have it believe that the machine has 1 GB of memory.

    /proc/meminfo is the host's, and a program that sizes its caches by it takes too much.  LXCFS
    covers the file by one of its own.  So can you: write /tmp/meminfo with the line "MemTotal:
    1048576 kB", and put it over the kernel's by a bind mount.
    """


def check(host):
    first = Path("/proc/meminfo").read_text().splitlines()[0]
    assert first.split() == ["MemTotal:", "1048576", "kB"], f"it still says: {first}"


if __name__ == "__main__":
    lesson.main(__file__)
