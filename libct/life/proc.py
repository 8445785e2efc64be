"""What procfs tells of a process, for who looks at a container from outside (proc(5))."""

from __future__ import annotations

import posix

from ..syscalls import procfs


def name_of(pid: int) -> str:
    """What a process calls itself, at most 15 bytes of it; "" if it has ended."""
    try:
        with open(procfs.path(pid, "comm"), "rb", buffering=0) as file:
            return file.read().decode("ascii", "replace").rstrip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def start_time(pid: int) -> int:
    """Field 22 of /proc/PID/stat: when the process started, in clock ticks; 0 if it has ended."""
    try:
        with open(procfs.path(pid, "stat"), "rb", buffering=0) as file:
            fields = file.read(4096).rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0 if fields[0] in (b"Z", b"X") else int(fields[19])


def boot_id() -> str:
    """What tells this boot of the kernel from others; "" where /proc/sys is not there."""
    try:
        fd = posix.open("/proc/sys/kernel/random/boot_id", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return posix.read(fd, 64).decode("ascii").rstrip()
    finally:
        posix.close(fd)


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
    except PermissionError:
        # Another user's: the number of the inode has to do.
        return place.rpartition(":")[2] == str(found.st_ino)
    except OSError:
        pass  # it has ended; a copy of its descriptor may have the lock still
    return False
