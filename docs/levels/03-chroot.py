"""Level 3: files of its own, by chroot.

chroot(2) changes where "/" leads for a process and its children.  The host's files have no
path any more: ".." of the root directory is the root directory.

New:      chroot(2), chdir(2)
To read:  chroot(2), path_resolution(7)
Attack:   chroot(2) is not made to keep anybody in who may call it himself
Runs as:  root, or an ordinary user
"""

import os
from pathlib import Path

import lesson

from libct.syscalls.constants import MS_PRIVATE, MS_REC
from libct.syscalls.mounts import mount
from libct.syscalls.namespaces import CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUTS
from libct.syscalls.uts import sethostname

ROOT_FOR = ()
NAMESPACES = CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWNS


def enter(host):
    sethostname("level-3")  # level 1
    mount(None, "/", flags=MS_REC | MS_PRIVATE)  # level 2
    mount("proc", f"{host.rootfs}/proc", "proc")
    os.chroot(host.rootfs)  # new
    os.chdir("/")  # new: the working directory is not changed by chroot(2)
    host.exercise(host)


def attack(host):
    """Move the root below the working directory, then walk up.

    ".." stops at the root and nowhere else.  Whoever is outside of the root never meets it.
    The man page has this escape, under NOTES.
    """
    os.mkdir("/tmp/below")
    os.chroot("/tmp/below")  # we are in "/" still, which is above the root now
    for _ in range(64):
        os.chdir("..")
    os.chroot(".")
    return Path(host.secret).read_text()


def exercise(host):
    """Stop the attack all the same, by a right that the container gives up.

    Man page: capabilities(7); the call is capset(2), in libct.syscalls.credentials.  It is the
    second of two locks: containers have both.  What must go besides the obvious one?
    """


def check(host):
    try:
        attack(host)
    except PermissionError:
        return
    raise AssertionError("the attack still works")


if __name__ == "__main__":
    lesson.main(__file__)
