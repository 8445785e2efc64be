"""What procfs tells of a process, for who looks at a container from outside (proc(5)).

A mount of it may hide processes that are not ours to trace (hidepid, proc(5)).  To an
ordinary user such is, of his own, what is not dumpable: what enters a container, until it
has executed its command.  A hidden process has not ended, which its pidfd tells.
"""

from __future__ import annotations

import posix

from ..errors import Error
from ..syscalls import pidfds, procfs

HIDDEN = -1  # in the place of a start
_boot = ""  # once it has been read


def name_of(pid: int) -> str | None:
    """What a process calls itself, at most 15 bytes; "" if it has ended, None if it is hidden."""
    text = _read(pid, "comm")
    return None if text is None else text.decode("ascii", "replace").rstrip()


def start_time(pid: int) -> int:
    """Field 22 of /proc/PID/stat: when the process started, in clock ticks.

    0 if it has ended, HIDDEN if it is hidden.
    """
    text = _read(pid, "stat")
    if text is None:
        return HIDDEN
    fields = text.rpartition(b")")[2].split()
    return int(fields[19]) if fields and fields[0] not in (b"Z", b"X") else 0


def marks_of(pid: int) -> tuple[int, int]:
    """What no later process of this number shares, until the kernel boots again.

    Its start, and the inode number of its pidfds, since Linux 6.9; 0 for what is not known.
    Both are 0 where it has ended.  Error where it lives, and nothing is known of it.
    """
    start = start_time(pid)
    if not start:
        return 0, 0
    inode = _inode(pid)
    if pid != posix.getpid() and inode == _inode(posix.getpid()):
        inode = 0  # that of all pidfds, before Linux 6.9
    if start == HIDDEN:
        start = 0
        if not inode and _is_there(pid):
            raise _hidden(pid)
    return start, inode


def is_same(pid: int, start: int, inode: int) -> bool:
    """Whether a process lives that these were the marks of; Error where that cannot be told."""
    if pid <= 0 or not (start or inode):
        return False
    found = start_time(pid)
    if found == 0:
        return False
    if start and found != HIDDEN:
        return found == start
    if inode:
        return _inode(pid) == inode
    raise _hidden(pid)


def _hidden(pid: int) -> Error:
    return Error(
        f"cannot tell whether process {pid} is the container's: /proc hides it (hidepid);"
        " mount /proc with gid= of a group that you are in, or be root"
    )


def _read(pid: int, name: str) -> bytes | None:
    """The beginning of a file of the process; b"" if that has ended, None if it is hidden."""
    try:
        fd = posix.open(procfs.path(pid, name), posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            return posix.read(fd, 4096)
        finally:
            posix.close(fd)
    except ProcessLookupError:
        return b""
    except (FileNotFoundError, PermissionError):
        return None if _is_there(pid) else b""


def _is_there(pid: int) -> bool:
    """Whether a process of this number lives, by what nothing hides."""
    pidfd = pidfds.find(pid)
    if pidfd < 0:
        return False
    import select  # for who is hidden, or has not been waited for

    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        return not poll.poll(0)  # readable once it has ended
    finally:
        posix.close(pidfd)


def _inode(pid: int) -> int:
    """The inode number of its pidfds; 0 where there is no such process."""
    pidfd = pidfds.find(pid)
    if pidfd < 0:
        return 0
    try:
        return pidfds.identity(pidfd)[1]
    finally:
        posix.close(pidfd)


def boot_id() -> str:
    """What tells this boot of the kernel from others; "" where /proc/sys is not there."""
    global _boot
    if not _boot:
        try:
            fd = posix.open("/proc/sys/kernel/random/boot_id", posix.O_RDONLY | posix.O_CLOEXEC)
        except OSError:
            return ""
        try:
            _boot = posix.read(fd, 64).decode("ascii").rstrip()
        finally:
            posix.close(fd)
    return _boot


def of_this_boot(noted: str) -> bool:
    """Whether what was noted with this boot_id() can be true still: numbers begin anew with a boot.

    It can where one of the two is not known, as in a file of an earlier version.
    """
    return not noted or boot_id() in ("", noted)


def pid_namespace(pid: int) -> list[int]:
    """Device and inode number of it; OSError where pid has ended, or is not ours to look at."""
    found = posix.stat(procfs.path(pid, "ns/pid"))
    return [found.st_dev, found.st_ino]


def in_pid_namespace(namespace: list[int]) -> list[int]:
    """All processes in there; somebody keeps it, or another one may get its number."""
    found = []
    for pid in procfs.numbers():
        try:
            if pid_namespace(pid) == namespace:
                found.append(pid)
        except OSError:
            continue
    return sorted(found)


def flock_holders(found: posix.stat_result) -> set[int]:
    """The processes that hold a flock(2) on the file found, as far as this pid namespace sees them.

    The device that /proc/locks has is the kernel's own, which stat(2) does not tell on btrfs
    or overlayfs.  So those that hold any are looked at: which of their descriptors is of
    this file, and locked (proc_pid_fdinfo(5)).
    """
    with open("/proc/locks", "rb", buffering=0) as file:
        words = [line.split() for line in file.readall().decode("ascii", "replace").splitlines()]
    # "1: FLOCK ADVISORY WRITE 359 00:13:11691 0 EOF"; with "->" it is one that waits.
    held = [(int(one[4]), one[5]) for one in words if one[1] == "FLOCK"]
    return {pid for pid, place in held if _has_locked(pid, place, found)}


def _has_locked(pid: int, place: str, found: posix.stat_result) -> bool:
    try:
        for name in posix.listdir(procfs.path(pid, "fd")):
            try:
                at = posix.stat(procfs.path(pid, f"fd/{name}"))
                if (at.st_dev, at.st_ino) != (found.st_dev, found.st_ino):
                    continue
                with open(procfs.path(pid, f"fdinfo/{name}"), "rb", buffering=0) as file:
                    if b" FLOCK " in file.readall():
                        return True
            except FileNotFoundError:
                continue  # closed meanwhile
    except OSError as error:
        # Another user's, perhaps hidden: the number of the inode has to do.  Where it has
        # ended a copy of its descriptor may have the lock still.
        if isinstance(error, PermissionError) or _is_there(pid):
            return place.rpartition(":")[2] == str(found.st_ino)
    return False
