"""Level 6: fewer rights, by capabilities.

The kernel splits what root may do into some forty capabilities.  The container keeps those
that programs in it need.  The bounding set is cut first: it limits what execve(2) can ever
give back, and to root it gives all that is left there.  CAP_MKNOD is not kept, so there are no
devices but the nodes that are there.

New:      prctl(PR_CAPBSET_DROP), capset(2), by libct's own two performers of these steps
To read:  capabilities(7), "Transformation of capabilities during execve()"
Attack:   root without a capability still is user 0, and the kernel's own files are user 0's
Runs as:  root; an ordinary user can make the container, but not try attack and exercise
"""

import os
import shutil
from pathlib import Path

import lesson

from libct.security.capabilities import drop_bounding, set_capabilities
from libct.syscalls.constants import CAPABILITIES
from libct.syscalls.files import close_range
from libct.syscalls.namespaces import CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUTS
from libct.syscalls.uts import sethostname

four = lesson.level(4)

ROOT_FOR = ("attack", "exercise")
NAMESPACES = CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWNS
KEPT = ("CAP_CHOWN", "CAP_FOWNER", "CAP_KILL", "CAP_SETUID", "CAP_SETGID", "CAP_NET_BIND_SERVICE")


def enter(host):
    sethostname("level-6")  # level 1
    four.change_root(host)  # levels 2 and 4
    close_range(3)  # level 5
    limit_rights()  # new; after all that needs rights
    host.exercise(host)


def limit_rights():
    keep = sum(1 << CAPABILITIES[name] for name in KEPT)
    drop_bounding(None, keep)  # None: these two need nothing of what a start shares
    set_capabilities(None, keep, keep, 0)


def attack(host):
    """Open /proc/sys/kernel/core_pattern for writing.

    It says which program the kernel starts when a process crashes: on the host, as root, with
    all rights.  Being open is proof enough; nothing is written.  See core(5), and for runtimes
    that could be led to leave it open, CVE-2025-31133 and CVE-2025-52881.
    """
    with open("/proc/sys/kernel/core_pattern", "r+") as file:
        return f"core_pattern, open for writing: {file.read().strip()!r}"


def exercise(host):
    """An ordinary user becomes root again by a set-user-ID program. Stop that with one call.

    The program is a copy of cat(1) that belongs to root, as su(1) and sudo(8) do.  The call is
    of prctl(2), and in libct.syscalls.process.
    """


def check(host):
    shutil.copy(os.path.realpath("/bin/cat"), "/tmp/cat")
    os.chmod("/tmp/cat", 0o4755)
    Path("/tmp/secret").write_text("root's secret")
    os.chmod("/tmp/secret", 0o600)
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setresgid(1000, 1000, 1000)
        os.setresuid(1000, 1000, 1000)
        os.execv("/tmp/cat", ["cat", "/tmp/secret"])
    assert os.waitpid(pid, 0)[1] != 0, "user 1000 has read what only root may read"


if __name__ == "__main__":
    lesson.main(__file__)
