"""Level 5: nothing left open.

Namespaces say what a process can open.  What is open already goes on working, whatever it
leads to.  So all descriptors but the standard streams are closed, as the last thing before
the command: close_range(2).  (libct also opens everything with O_CLOEXEC.  Two locks: who adds
an open() to the runtime one day may forget one of them.)

New:      close_range(2)
To read:  close_range(2), open(2), "O_CLOEXEC"
Attack:   root makes himself a device node of the host's disk, and reads what he likes
Runs as:  root; an ordinary user can do all but the attack, as his devices do not open
"""

import os
import socket
import stat
from pathlib import Path

import lesson

from libct.syscalls.files import close_range
from libct.syscalls.namespaces import CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUTS
from libct.syscalls.uts import sethostname

four = lesson.level(4)

ROOT_FOR = ("attack",)
NAMESPACES = CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWNS


def enter(host):
    sethostname("level-5")  # level 1
    four.change_root(host)  # levels 2 and 4
    close_range(3)  # new
    host.exercise(host)


def attack(host):
    """Make a device node of the host's disk, and read from it.

    A device is a number: who may call mknod(2) may have them all.  From here on a file system's
    tools do the rest; the lesson reads one sector.  On machines whose disks are closed even to
    root, it reads the host's kernel log instead.
    """
    problem = None
    for name, kind, number in (*disks(), ("kmsg", stat.S_IFCHR, os.makedev(1, 11))):
        node = f"/tmp/{name}"
        try:
            os.mknod(node, 0o600 | kind, number)
            try:
                fd = os.open(node, os.O_RDONLY | os.O_NONBLOCK)
                return f"{len(os.read(fd, 512))} bytes of the host's {name}"
            finally:
                os.unlink(node)
        except OSError as error:
            problem = error
    raise problem


def disks():
    for line in Path("/proc/partitions").read_text().splitlines()[2:]:
        major, minor, _, name = line.split()
        yield name, stat.S_IFBLK, os.makedev(int(major), int(minor))


def exercise(host):
    """Sockets need not be open: the host listens on an abstract one. Keep the container off it.

    An abstract Unix socket has a name and no file, so no mount namespace hides it.  containerd had
    such a socket, and containers with the host's network talked to it (CVE-2020-15257).
    Man pages: unix(7), network_namespaces(7).
    """


def check(host):
    try:
        socket.socket(socket.AF_UNIX).connect(f"\0{host.name}")
    except ConnectionRefusedError:
        return
    raise AssertionError("the host's socket answers")


if __name__ == "__main__":
    lesson.main(__file__)
