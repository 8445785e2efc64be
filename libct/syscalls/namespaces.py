"""Processes in new namespaces: clone3(2), clone(2), unshare(2), setns(2).

Documents: the man pages named, namespaces(7).
"""

from __future__ import annotations

from .c import (
    POINTER,
    Structure,
    addressof,
    byref,
    c_int,
    c_int32,
    c_long,
    c_size_t,
    c_uint64,
    get_errno,
    sizeof,
)
from .constants import (
    CLONE_CLEAR_SIGHAND as CLONE_CLEAR_SIGHAND,
    CLONE_FILES as CLONE_FILES,
    CLONE_FS as CLONE_FS,
    CLONE_INTO_CGROUP as CLONE_INTO_CGROUP,
    CLONE_NEWCGROUP as CLONE_NEWCGROUP,
    CLONE_NEWIPC as CLONE_NEWIPC,
    CLONE_NEWNET as CLONE_NEWNET,
    CLONE_NEWNS as CLONE_NEWNS,
    CLONE_NEWPID as CLONE_NEWPID,
    CLONE_NEWTIME as CLONE_NEWTIME,
    CLONE_NEWUSER as CLONE_NEWUSER,
    CLONE_NEWUTS as CLONE_NEWUTS,
    CLONE_PARENT as CLONE_PARENT,
    CLONE_PARENT_SETTID as CLONE_PARENT_SETTID,
    CLONE_PIDFD as CLONE_PIDFD,
    CLONE_SYSVSEM as CLONE_SYSVSEM,
    CLONE_THREAD as CLONE_THREAD,
    CLONE_VFORK as CLONE_VFORK,
    CLONE_VM as CLONE_VM,
)
from .core import bind, bind_syscall, fail, machine, number
from .flags import clone_names

# The types of Config.namespaces, and the flag that makes or joins one of each.
NAMESPACE_FLAGS: dict[str, int] = {
    "NEWNS": CLONE_NEWNS,
    "NEWCGROUP": CLONE_NEWCGROUP,
    "NEWUTS": CLONE_NEWUTS,
    "NEWIPC": CLONE_NEWIPC,
    "NEWUSER": CLONE_NEWUSER,
    "NEWPID": CLONE_NEWPID,
    "NEWNET": CLONE_NEWNET,
    "NEWTIME": CLONE_NEWTIME,
}


class CloneArgs(Structure):
    """struct clone_args, include/uapi/linux/sched.h; third published version."""

    _fields_ = (
        ("flags", c_uint64),
        ("pidfd", c_uint64),
        ("child_tid", c_uint64),
        ("parent_tid", c_uint64),
        ("exit_signal", c_uint64),
        ("stack", c_uint64),
        ("stack_size", c_uint64),
        ("tls", c_uint64),
        ("set_tid", c_uint64),
        ("set_tid_size", c_uint64),
        ("cgroup", c_uint64),
    )


_NR_CLONE3 = number("clone3")
_clone3 = bind_syscall(POINTER(CloneArgs), c_size_t, locked=True)

_before_fork = bind("PyOS_BeforeFork", None, locked=True)
_after_fork_parent = bind("PyOS_AfterFork_Parent", None, locked=True)
_after_fork_child = bind("PyOS_AfterFork_Child", None, locked=True)
for _hook in (_before_fork, _after_fork_parent, _after_fork_child):
    _hook.restype, _hook.argtypes = None, ()


def clone3(
    flags: int,
    exit_signal: int = 0,
    cgroup: int = -1,
    set_tid: tuple[int, ...] = (),
    number_at: int = 0,
) -> tuple[int, int]:
    """Make a child process, as fork(2) with namespaces.  Return (pid, pidfd).

    In the child both have other values: (0, -1).  The process must have one
    thread, for no other would be in the child to release what it holds.  As
    os.fork does, this runs the functions of os.register_at_fork.

    flags: CLONE_* bits.  None that share memory or a stack: CLONE_VM,
        CLONE_VFORK, CLONE_THREAD, CLONE_SETTLS.  pidfd is -1 without CLONE_PIDFD;
        otherwise it is the caller's, and close-on-exec.
    exit_signal: sent to the parent at the end, SIGCHLD as a rule; must be 0
        with CLONE_PARENT, which inherits the caller's.
    cgroup: a descriptor of a cgroup v2 directory, borrowed; CLONE_INTO_CGROUP
        is added to flags.
    set_tid: the pid to have, in the innermost pid namespace first.
    number_at: an address that the kernel writes the pid to before the child runs, as
        pid_t; 0 for none.  CLONE_PARENT_SETTID is added to flags.

    Raises OSError with errno
        EAGAIN      RLIMIT_NPROC, pids.max of the cgroup or kernel.threads-max;
        EACCES, EPERM  no right to put a process into the cgroup;
        EBUSY       the cgroup has controllers enabled for its children;
        EEXIST      a pid of set_tid is taken;
        EINVAL      flags that exclude each other, or without kernel support;
        ENOSPC      more namespaces than /proc/sys/user/max_*_namespaces allows,
                    or more than 32 nested;
        EOPNOTSUPP  the cgroup is in the state "domain invalid";
        EPERM       namespaces without CAP_SYS_ADMIN, or CLONE_NEWUSER in a chroot;
        EUSERS      as ENOSPC, before Linux 4.9;
        ENOSYS      a seccomp filter hides the call, or Linux is older than 5.3.

    Source: clone(2), The clone3() system call.
    """
    pidfd = c_int(-1)
    args = CloneArgs(flags=flags, exit_signal=exit_signal)
    if flags & CLONE_PIDFD:
        args.pidfd = addressof(pidfd)
    if cgroup >= 0:
        args.flags |= CLONE_INTO_CGROUP
        args.cgroup = cgroup
    if number_at:
        args.flags |= CLONE_PARENT_SETTID
        args.parent_tid = number_at
    tids = (c_int32 * len(set_tid))(*set_tid)  # pid_t
    if set_tid:
        args.set_tid, args.set_tid_size = addressof(tids), len(set_tid)
    size = sizeof(args)
    pointer = byref(args)
    _before_fork()
    pid = _clone3(_NR_CLONE3, pointer, size)
    if pid == 0:
        _after_fork_child()
        return 0, -1
    code = get_errno()  # the functions run next may call others
    _after_fork_parent()
    if pid == -1:
        into = f", cgroup={cgroup}" if cgroup >= 0 else ""
        tid = f", set_tid={list(set_tid)}" if set_tid else ""
        text = f"clone3({{flags={clone_names(args.flags)}, exit_signal={exit_signal}{into}{tid}}})"
        fail(text, code=code, since="5.3")
    return pid, pidfd.value


_NR_CLONE = number("clone")
_clone = bind_syscall(*[c_long] * 5, locked=True)
_STACK_FIRST = machine() == "s390x"


def clone(flags: int, number_at: int = 0) -> int:
    """As clone3() without its other arguments: for who is under a seccomp filter.

    Filters hide clone3, whose flags they cannot see, or know it not; and look at clone's.

    flags: CLONE_* bits, as for clone3(), and in the lowest byte the signal that is sent to
        the parent at the end.  Not CLONE_PIDFD, which has its place where number_at has.
    number_at: as for clone3().

    Raises OSError as clone3() does, and with what a filter returns.

    Source: clone(2); C library/kernel differences has the order of the arguments.
    """
    if number_at:
        flags |= CLONE_PARENT_SETTID
    first, second = (0, flags) if _STACK_FIRST else (flags, 0)
    _before_fork()
    pid: int = _clone(_NR_CLONE, first, second, number_at, 0, 0)
    if pid == 0:
        _after_fork_child()
        return 0
    code = get_errno()  # the functions run next may call others
    _after_fork_parent()
    if pid == -1:
        fail(f"clone({clone_names(flags)})", code=code)
    return pid


_unshare = bind("unshare", c_int, c_int)


def unshare(flags: int) -> None:
    """Move this process into new namespaces, or stop sharing CLONE_FS or CLONE_FILES.

    CLONE_NEWPID and CLONE_NEWTIME are only for the children made afterwards.

    Raises OSError with errno
        EINVAL  an unknown flag; or CLONE_NEWUSER with more than one thread;
        ENOSPC  more namespaces than /proc/sys/user/max_*_namespaces allows,
                or more than 32 nested;
        EPERM   no CAP_SYS_ADMIN; or CLONE_NEWUSER in a chroot, or by an id
                that the user namespace does not map.

    Source: unshare(2).
    """
    if _unshare(flags) == -1:
        fail(f"unshare({clone_names(flags)})")


_setns = bind("setns", c_int, c_int, c_int)


def setns(fd: int, flags: int = 0) -> None:
    """Move this process into a namespace; a pid or time namespace, its children.

    fd: a namespace file (/proc/PID/ns/...), or a pidfd of the process whose
        namespaces are to be joined (Linux 5.8).  Borrowed.
    flags: the type that a namespace file has to be of, 0 for any; with a pidfd,
        all types to join, at once or not at all.

    Raises OSError with errno
        EINVAL  fd is of another type; or more than one thread, or a shared
                CLONE_FS, with a user, mount or time namespace; or it is our
                own user namespace;
        EPERM   no CAP_SYS_ADMIN there, and for a mount namespace no CAP_SYS_CHROOT;
        ESRCH   the process of the pidfd is gone.

    Source: setns(2).
    """
    if _setns(fd, flags) == -1:
        fail(f"setns({fd}, {clone_names(flags)})")
