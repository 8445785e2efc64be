"""What a process is: prctl(2), personality(2), prlimit(2), pidfds.

None of the system calls here waits but wait_usage(); os.waitid does, for pidfds too (pidfds.py).
"""

from __future__ import annotations

from .c import (
    POINTER,
    Structure,
    addressof,
    byref,
    c_char_p,
    c_int,
    c_size_t,
    c_uint,
    c_uint64,
    c_ulong,
    c_void_p,
    create_string_buffer,
    pointer,
)
from .constants import (
    PER_LINUX as PER_LINUX,
    PER_LINUX32 as PER_LINUX32,
    PIDFD_NONBLOCK as PIDFD_NONBLOCK,
    PIDFD_THREAD as PIDFD_THREAD,
    PR_CAP_AMBIENT,
    PR_CAP_AMBIENT_CLEAR_ALL,
    PR_CAP_AMBIENT_RAISE,
    PR_CAPBSET_DROP,
    PR_CAPBSET_READ,
    PR_GET_DUMPABLE,
    PR_SET_DUMPABLE,
    PR_SET_KEEPCAPS,
    PR_SET_NAME,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG,
    RLIM_INFINITY as RLIM_INFINITY,
    RLIMITS as RLIMITS,
    SECBIT_KEEP_CAPS as SECBIT_KEEP_CAPS,
    SECBIT_KEEP_CAPS_LOCKED as SECBIT_KEEP_CAPS_LOCKED,
    SECBIT_NO_CAP_AMBIENT_RAISE as SECBIT_NO_CAP_AMBIENT_RAISE,
    SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED as SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED,
    SECBIT_NO_SETUID_FIXUP as SECBIT_NO_SETUID_FIXUP,
    SECBIT_NO_SETUID_FIXUP_LOCKED as SECBIT_NO_SETUID_FIXUP_LOCKED,
    SECBIT_NOROOT as SECBIT_NOROOT,
    SECBIT_NOROOT_LOCKED as SECBIT_NOROOT_LOCKED,
)
from .core import bind, bind_syscall, cstring, fail, number
from .flags import PIDFD_NAMES, capability_name, names, quote, rlimit_name

# prctl(2) is variadic, and the kernel looks at all of its five words: many
# operations refuse unused ones that are not 0.
_prctl = bind(
    "prctl",
    c_int,
    c_int,
    c_ulong,
    c_ulong,
    c_ulong,
    c_ulong,
)


def set_pdeathsig(signal: int) -> None:
    """Have the kernel send us signal when the thread that made us ends; 0 for none.

    Forgotten when we gain rights: a set-user-id program, and any change of our
    effective or file system ids or capabilities, so set it after those.  Not
    inherited by children.  A parent that ended before this call is not noticed.

    Raises OSError with errno EINVAL for a bad signal.
    Source: prctl(2), PR_SET_PDEATHSIG.
    """
    if _prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0) == -1:
        fail(f"prctl(PR_SET_PDEATHSIG, {signal})")


def set_dumpable(dumpable: bool) -> None:
    """Let other processes of our user trace us and read our /proc/PID, or not.

    execve and a change of the effective ids, or to another user namespace, set it anew, the
    latter to what fs.suid_dumpable says.  The files of /proc/PID of a process that is not
    dumpable belong to root.

    Source: prctl(2), PR_SET_DUMPABLE; ptrace(2).
    """
    if _prctl(PR_SET_DUMPABLE, dumpable, 0, 0, 0) == -1:
        fail(f"prctl(PR_SET_DUMPABLE, {int(dumpable)})")


def get_dumpable() -> int:
    """0, 1, or 2: readable by root alone.  Source: prctl(2), PR_GET_DUMPABLE."""
    value: int = _prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)
    if value == -1:
        fail("prctl(PR_GET_DUMPABLE)")
    return value


def set_no_new_privs() -> None:
    """Make execve give us and our children no rights ever more; no way back.

    Source: prctl(2), PR_SET_NO_NEW_PRIVS; no_new_privs.rst of the kernel.
    """
    if _prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1:
        fail("prctl(PR_SET_NO_NEW_PRIVS, 1)")


def set_keepcaps(keep: bool) -> None:
    """Keep the permitted capabilities, or not, when all user ids become other than 0.

    The effective ones go all the same.  execve turns it off.

    Raises OSError with errno EPERM: locked by SECBIT_KEEP_CAPS_LOCKED.
    Source: prctl(2), PR_SET_KEEPCAPS; capabilities(7).
    """
    if _prctl(PR_SET_KEEPCAPS, keep, 0, 0, 0) == -1:
        fail(f"prctl(PR_SET_KEEPCAPS, {int(keep)})")


def set_name(name: str | bytes) -> None:
    """Name this thread, as /proc/PID/comm has it; the kernel keeps 15 bytes.

    Source: prctl(2), PR_SET_NAME.
    """
    text = create_string_buffer(cstring(name))
    if _prctl(PR_SET_NAME, addressof(text), 0, 0, 0) == -1:
        fail(f"prctl(PR_SET_NAME, {quote(name)})")


_ALL_CPUS = b"\xff" * 1024  # bytes: 8192 bits, the most CPUs that Linux can be made for
_sched_setaffinity = bind("sched_setaffinity", c_int, c_int, c_size_t, c_char_p)


def run_on_all_cpus() -> None:
    """Let this thread run on every CPU that its cpuset has, now and when that is changed.

    Source: sched_setaffinity(2), cpuset(7).
    """
    if _sched_setaffinity(0, len(_ALL_CPUS), _ALL_CPUS) == -1:
        fail(f"sched_setaffinity(0, {len(_ALL_CPUS)}, [all])")


def capbset_read(capability: int) -> bool:
    """Whether the bounding set has the capability.

    Raises OSError with errno EINVAL for one that the kernel does not know.
    Source: prctl(2), PR_CAPBSET_READ.
    """
    value: int = _prctl(PR_CAPBSET_READ, capability, 0, 0, 0)
    if value == -1:
        fail(f"prctl(PR_CAPBSET_READ, {capability_name(capability)})")
    return value == 1


def capbset_drop(capability: int) -> None:
    """Take a capability out of this thread's bounding set for good.

    Raises OSError with errno
        EINVAL  the kernel does not know it;
        EPERM   no CAP_SETPCAP.

    Source: prctl(2), PR_CAPBSET_DROP.
    """
    if _prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == -1:
        fail(f"prctl(PR_CAPBSET_DROP, {capability_name(capability)})")


def cap_ambient_raise(capability: int) -> None:
    """Put a capability into the ambient set, which execve keeps.

    Raises OSError with errno
        EINVAL  the kernel does not know it;
        EPERM   it is not both permitted and inheritable, or
                SECBIT_NO_CAP_AMBIENT_RAISE is set.

    Source: prctl(2), PR_CAP_AMBIENT.
    """
    if _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) == -1:
        fail(f"prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, {capability_name(capability)})")


def cap_ambient_clear_all() -> None:
    """Empty the ambient set.  Source: prctl(2), PR_CAP_AMBIENT."""
    if _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == -1:
        fail("prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)")


class Rlimit64(Structure):
    """struct rlimit64, include/uapi/linux/resource.h: soft limit, hard limit."""

    _fields_ = (("soft", c_uint64), ("hard", c_uint64))


# glibc calls it prlimit64 or prlimit, musl prlimit: the system call has one name.
_NR_PRLIMIT64 = number("prlimit64")
_prlimit64 = bind_syscall(c_int, c_uint, POINTER(Rlimit64), POINTER(Rlimit64))


def prlimit(pid: int, resource: int, soft: int = -1, hard: int = -1) -> tuple[int, int]:
    """Set a resource limit of a process; return the former (soft, hard).

    pid: 0 for ourselves.  resource: a number of RLIMITS.
    soft, hard: in the units of getrlimit(2), 64 bits wide; RLIM_INFINITY for
        none.  Without them the limit stays as it is.

    Raises OverflowError for what is no such number.

    Raises OSError with errno
        EINVAL  no such resource, or the soft limit is above the hard one;
        EPERM   the hard limit would rise without CAP_SYS_RESOURCE, RLIMIT_NOFILE
                would exceed /proc/sys/fs/nr_open, or the process is another user's;
        ESRCH   no such process.

    Source: prlimit(2).
    """
    former = Rlimit64()
    ask = soft == hard == -1
    for value in () if ask else (soft, hard):
        if not 0 <= value <= RLIM_INFINITY:  # ctypes would take it modulo 2**64
            raise OverflowError(f"not a limit: {value}")
    new = None if ask else pointer(Rlimit64(soft, hard))
    if _prlimit64(_NR_PRLIMIT64, pid, resource, new, byref(former)) == -1:
        asked = f"{{rlim_cur={_limit(soft)}, rlim_max={_limit(hard)}}}" if new else "NULL"
        fail(f"prlimit64({pid}, {rlimit_name(resource)}, {asked})")
    return former.soft, former.hard


def _limit(value: int) -> str:
    return "RLIM64_INFINITY" if value == RLIM_INFINITY else str(value)


_NR_RT_SIGACTION = number("rt_sigaction")
_rt_sigaction = bind_syscall(c_int, c_void_p, c_void_p, c_size_t)
_SIGNAL_SET = 8  # bytes


def default_signal(signal: int) -> None:
    """Give a signal its default action.

    For the signals that the C library has for itself, which its sigaction(3)
    refuses and posix_spawn(3) of glibc leaves ignored.

    Raises OSError with errno EINVAL: no such signal, or SIGKILL or SIGSTOP.
    Source: sigaction(2), C library/kernel differences.
    """
    action = create_string_buffer(64)  # longer than any; SIG_DFL, no flag and no mask are 0
    where = addressof(action)
    if _rt_sigaction(_NR_RT_SIGACTION, signal, where, None, _SIGNAL_SET) == -1:
        fail(f"rt_sigaction({signal}, SIG_DFL)")


# glibc wraps these since 2.36, Python has pidfd_open from 3.9 on and needs
# Linux headers of 5.3 for it when it is built.
_NR_PIDFD_OPEN = number("pidfd_open")
_pidfd_open = bind_syscall(c_int, c_uint)


def pidfd_open(pid: int, flags: int = 0) -> int:
    """Return a descriptor of a process, the caller's, close-on-exec.

    It becomes readable, for poll(2), when the process ends.
    flags: PIDFD_NONBLOCK (Linux 5.10) for waitid(2); PIDFD_THREAD (Linux 6.9).

    Raises OSError with errno
        EINVAL  an unknown flag; or pid is a thread, but not the first of its process;
        ESRCH   no such process;
        ENOSYS  hidden by a seccomp filter, or Linux before 5.3.

    Source: pidfd_open(2).
    """
    fd: int = _pidfd_open(_NR_PIDFD_OPEN, pid, flags)
    if fd == -1:
        fail(f"pidfd_open({pid}, {names(flags, PIDFD_NAMES)})", since="5.3")
    return fd


_NR_PIDFD_SEND_SIGNAL = number("pidfd_send_signal")
_pidfd_send_signal = bind_syscall(c_int, c_int, c_void_p, c_uint)


def pidfd_send_signal(pidfd: int, signal: int, flags: int = 0) -> None:
    """Send a signal to the process of a pidfd; 0 only asks whether that is possible.

    Raises OSError with errno
        EINVAL  a bad signal or flag; or the process is in no pid namespace of ours;
        EPERM   no right to;
        ESRCH   it has ended and been waited for;
        ENOSYS  hidden by a seccomp filter, or Linux before 5.1.

    Source: pidfd_send_signal(2).
    """
    if _pidfd_send_signal(_NR_PIDFD_SEND_SIGNAL, pidfd, signal, None, flags) == -1:
        fail(f"pidfd_send_signal({pidfd}, {signal}, NULL, {names(flags, ())})", since="5.1")


_NR_PIDFD_GETFD = number("pidfd_getfd")
_pidfd_getfd = bind_syscall(c_int, c_int, c_uint)


def pidfd_getfd(pidfd: int, fd: int) -> int:
    """Return a duplicate of another process's descriptor, the caller's, close-on-exec.

    Raises OSError with errno
        EBADF   one of them is not open;
        EPERM   no right to trace the process (PTRACE_MODE_ATTACH_REALCREDS);
        ESRCH   it has ended and been waited for;
        ENOSYS  hidden by a seccomp filter, or Linux before 5.6.

    Source: pidfd_getfd(2).
    """
    duplicate: int = _pidfd_getfd(_NR_PIDFD_GETFD, pidfd, fd, 0)
    if duplicate == -1:
        fail(f"pidfd_getfd({pidfd}, {fd}, 0)", since="5.6")
    return duplicate
