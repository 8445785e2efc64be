"""Reaching the files of control groups.

Every file is opened without following a symbolic link, and is then verified to
be on a cgroup file system, so a mount point that is not what it was taken for
fails, and is not written to.
"""

from __future__ import annotations

import errno
import posix

from ..errors import CgroupError, Error
from ..loading.clock import backoff
from ..loading.paths import is_directory, rest, split
from ..syscalls import procfs
from ..syscalls.constants import CGROUP2_SUPER_MAGIC, CGROUP_SUPER_MAGIC
from ..syscalls.filesystems import fstatfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MAGICS = (CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC)

# Not allowed, or the file system is read-only, as in containers.
REFUSALS = (errno.EACCES, errno.EPERM, errno.EROFS)

# How an ordinary user gets a group.
DELEGATE = "systemd-run --user --scope -p Delegate=yes libct ..."

# For how long a group that is still busy is tried again: processes leave their
# group a moment after they have died.
_REMOVE_SECONDS = 1.0
# And a join that fails with EINVAL: the process is exiting, or changing to
# a real-time policy.
_JOIN_SECONDS = 0.15


def open_file(path: str, flags: int, *, group: int | None = None) -> int:
    """Open a file or directory of a control group; the descriptor is the caller's.

    group: a descriptor of the directory that it is in, which the path is not resolved for.

    Raises OSError; errno EXDEV for what is on no cgroup file system.
    """
    try:
        name = path if group is None else split(path)[1]
        fd = posix.open(name, flags | posix.O_CLOEXEC | posix.O_NOFOLLOW, dir_fd=group)
    except OSError as error:
        raise explained(error, f'openat("{path}")', path) from None
    if not on_cgroup_filesystem(fd):
        posix.close(fd)
        raise OSError(errno.EXDEV, f'openat("{path}"): not on a cgroup file system', path)
    return fd


def on_cgroup_filesystem(fd: int) -> bool:
    """Whether the file fd is on a cgroup file system of either version."""
    return fstatfs(fd).type in _MAGICS


def read(path: str) -> str:
    """The whole of a file."""
    fd = open_file(path, posix.O_RDONLY)
    try:
        return rest(fd).decode()
    except OSError as error:
        raise explained(error, "read()", path) from None
    finally:
        posix.close(fd)


def write(path: str, *values: str) -> None:
    """Write each value with one write(2); the kernel takes one setting a call."""
    fd = open_file(path, posix.O_WRONLY)
    try:
        for value in values:
            try:
                posix.write(fd, value.encode())
            except OSError as error:
                raise explained(error, f'write("{value}")', path) from None
    finally:
        posix.close(fd)


def write_pid(path: str, pid: int) -> None:
    """Move a process into the group whose cgroup.procs is path."""
    waiting = backoff(_JOIN_SECONDS)
    while True:
        try:
            return write(path, str(pid))
        except OSError as error:
            if error.errno != errno.EINVAL or not next(waiting):
                raise


def read_count(path: str, key: str) -> int:
    """A number out of a file of lines "key number"; 0 if there is none.

    Raises CgroupError.
    """
    try:
        for line in read(path).splitlines():
            name, _, value = line.partition(" ")
            if name == key:
                return int(value)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENODEV):
            raise failure(f"read {key}", error) from error
    return 0


def pids(directory: str) -> list[int]:
    """The processes in one group, those in groups below it left out.

    A group of threads alone (cgroup.type "threaded") does not list them.
    """
    try:
        listed = read(f"{directory}/cgroup.procs")
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        listed = read(f"{directory}/cgroup.threads")
        return list(dict.fromkeys(_process_of(int(word)) for word in listed.split()))
    return [int(word) for word in listed.split()]


def _process_of(thread: int) -> int:
    """The process of a thread; the thread where that cannot be told, which is as good to kill."""
    try:
        fd = posix.open(procfs.path(thread, "status"), posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            text = posix.read(fd, 512)
        finally:
            posix.close(fd)
        return int(text.partition(b"\nTgid:")[2].split()[0])
    except (OSError, Error, IndexError):
        return thread  # it has ended, or is hidden, or is not in the pid namespace of /proc


def tree(directory: str) -> Iterator[str]:
    """The group and all below it, the lower ones first.

    A container may have made them as deep as it likes, so this does not recurse.
    """
    found, left = [], [directory]
    while left:
        path = left.pop()
        try:
            # A directory has a link more for each one in it: most groups need no listing.
            if posix.lstat(path).st_nlink != 2:
                with posix.scandir(path) as entries:
                    left += [one.path for one in entries if one.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            continue  # it went meanwhile
        found.append(path)
    yield from reversed(found)


def tree_pids(directory: str) -> list[int]:
    """The processes in a group and in those below it."""
    found: dict[int, None] = {}
    for path in tree(directory):
        try:
            found.update(dict.fromkeys(pids(path)))
        except OSError as error:
            # ENODEV: the group went between open and read.
            if error.errno not in (errno.ENOENT, errno.ENODEV):
                raise
    return list(found)


def remove(directories: Iterable[str]) -> None:
    """Remove groups, and those below them; those that are not there are fine.

    Waits up to a second for processes that are on their way out.
    Raises OSError with errno EBUSY if there are processes after that.
    """
    waiting = backoff(_REMOVE_SECONDS)
    left = list(directories)
    while left := [directory for directory in left if not _tree_removed(directory)]:
        if not next(waiting):
            raise explained(OSError(errno.EBUSY, ""), f'rmdir("{left[0]}")', left[0])


def _tree_removed(directory: str) -> bool:
    if _removed(directory):  # most groups have none below them
        return True
    busy = [path for path in tree(directory) if not _removed(path)]
    return not busy


def _removed(directory: str) -> bool:
    try:
        posix.rmdir(directory)
    except OSError as error:
        if not is_directory(directory):
            return True  # whatever the reason given: a read-only file system says EROFS
        if error.errno in (errno.EBUSY, errno.ENOTEMPTY):
            return False
        raise explained(error, f'rmdir("{directory}")', directory) from None
    return True


def explained(error: OSError, call: str, path: str) -> OSError:
    """The same error with the call it is of."""
    assert error.errno is not None
    return OSError(error.errno, f"{call}: {posix.strerror(error.errno)}", path)


def failure(what: str, error: OSError) -> CgroupError:
    """What the methods of managers raise of an error of ours."""
    return CgroupError(f"cannot {what}: {error.strerror}: {error.filename!r}")


def hinted(error: OSError, hint: str) -> OSError:
    """error, with what to do about it (bootstrap/performer.py reads that)."""
    error.hint = hint  # type: ignore[attr-defined]  # none of ours, and not to be a subclass
    return error
