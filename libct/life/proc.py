"""What procfs tells of a process, for who looks at a container from outside (proc(5))."""

from __future__ import annotations

import posix


def name_of(pid: int) -> str:
    """What a process calls itself, at most 15 bytes of it; "" if it has ended."""
    try:
        with open(f"/proc/{pid}/comm", "rb", buffering=0) as file:
            return file.read().decode("ascii", "replace").rstrip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def start_time(pid: int) -> int:
    """Field 22 of /proc/PID/stat: when the process started, in clock ticks; 0 if it has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
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
    found = posix.stat(f"/proc/{pid}/ns/pid")
    return [found.st_dev, found.st_ino]


def in_pid_namespace(namespace: list[int]) -> list[int]:
    """All processes in there; somebody keeps it, or another one may get its number."""
    found = []
    for name in filter(str.isdigit, posix.listdir("/proc")):
        try:
            if pid_namespace(int(name)) == namespace:
                found.append(int(name))
        except OSError:
            continue
    return sorted(found)
