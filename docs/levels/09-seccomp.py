"""Level 9: fewer system calls, by seccomp.

A filter is a small program that the kernel runs before each system call of the process.  It
sees the call's number and arguments, and says: go on, or fail with this error.  libct's own
profile lists the calls that programs use, and has the others fail; libct compiles it.

The kernel only takes a filter from who has CAP_SYS_ADMIN or no_new_privs, as a filter could
fool a set-user-ID program.  The latter also stops what level 6's exercise was about.

New:      prctl(PR_SET_NO_NEW_PRIVS), seccomp(2)
To read:  seccomp(2); Documentation/userspace-api/no_new_privs.rst; docs/seccomp.md
Attack:   user 0 in the container is user 0 of the host, in every file that they share
Runs as:  root
"""

import os
import stat
from pathlib import Path

import lesson

from libct.seccomp.architectures import here
from libct.seccomp.compiler import compile_profile
from libct.seccomp.default import default_profile
from libct.seccomp.instructions import encode
from libct.syscalls.files import close_range
from libct.syscalls.namespaces import CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUTS
from libct.syscalls.process import set_no_new_privs
from libct.syscalls.seccomp import Filter, seccomp_set_mode_filter
from libct.syscalls.uts import sethostname

four, six, seven, eight = (lesson.level(number) for number in (4, 6, 7, 8))

ROOT_FOR = ("container", "attack", "exercise")
NAMESPACES = CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWNS
afterwards = eight.afterwards


def filter_of(profile):
    return Filter(encode(compile_profile(profile, here())))


FILTER = filter_of(default_profile(here()))  # made before "/" is the container's


def outside(host, pid):
    eight.limit_and_join(eight.make_groups(host), pid)  # level 8


def enter(host):
    sethostname("level-9")  # level 1
    four.change_root(host)  # levels 2 and 4
    seven.cover()  # level 7
    close_range(3)  # level 5
    six.limit_rights()  # level 6
    set_no_new_privs()  # new
    seccomp_set_mode_filter(FILTER)  # new; last, as it forbids much of the above
    host.exercise(host)


def attack(host):
    """Leave a set-user-ID program of root in a directory that the host shares.

    An ordinary user of the host who runs it is root.  In the container it would give nothing.
    It takes no capability: a file belongs to the user who makes it, and he may set its mode.
    """
    Path("/data/tool").write_bytes(Path("/bin/cat").read_bytes())
    os.chmod("/data/tool", 0o4755)
    return "/data/tool, mode 4755"


def proof(host):
    found = os.stat(f"{host.data}/tool")
    os.unlink(f"{host.data}/tool")
    assert found.st_mode & stat.S_ISUID, "it has no set-user-ID bit"
    assert found.st_uid == 0, f"the file belongs to user {found.st_uid}, who is nobody here"
    return "the file belongs to root, and so does who runs it"


def exercise(host):
    """Forbid chmod(2) with the set-user-ID bit, and no other chmod(2), by a second filter.

    Of several filters the strictest answer counts, so the second allows all but that.  Its rule
    has a condition on an argument: SeccompArg(1, 0o4000, 0o4000, "SCMP_CMP_MASKED_EQ").  See the
    records of libct.config.seccomp, _ioctl() in libct/seccomp/default.py as an example, and
    filter_of() above.  chmod has siblings: fchmod, fchmodat, fchmodat2.
    """


def check(host):
    Path("/data/file").touch()
    os.chmod("/data/file", 0o755)  # is still allowed
    file = os.open("/data/file", os.O_RDONLY)
    for change, which in ((os.chmod, "/data/file"), (os.fchmod, file)):
        try:
            change(which, 0o4755)
        except PermissionError:
            continue
        raise AssertionError(f"{change.__name__} has made a set-user-ID file")


if __name__ == "__main__":
    lesson.main(__file__)
