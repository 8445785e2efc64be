"""tmpcopyup: a tmpfs that starts with a copy of the directory it covers."""

from __future__ import annotations

import _stat as stat
import errno
import posix

from ..errors import StepProblem
from .files import open_regular
from .filesystems import mount_new

_CHUNK = 1 << 24  # bytes asked of one copy, for signals are served only between two
_DEEPEST = 256  # levels: two descriptors are open for each
_READ_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context
    from .flags import Options

    # (device, inode) of a file with several links -> path of its copy
    Linked = dict[tuple[int, int], str]


def mount_copied(
    context: Context,
    target: str,
    source: str,
    options: Options,
    flags: int,
    rec_set: int,
    rec_clr: int,
    propagation: tuple[int, ...],
) -> None:
    """mount_filesystem() of a tmpfs, with a copy of what it covers."""

    def fill(place: int, tree: int) -> None:
        copy_tree(place, tree, context.fds["proc"])

    more = (source, options, flags, rec_set, rec_clr, propagation)
    mount_new(context, target, "tmpfs", *more, fill)


def copy_tree(source: int, tree: int, proc: int) -> None:
    """Copy what is in the directory source (a descriptor) into tree, which nobody else has yet.

    Modes, owners, times, holes, symbolic and hard links, fifos and device nodes
    are kept, extended attributes are not.  Nothing is followed, and no other
    file system entered: the image decides what is there, and while it is copied, too.
    proc: a descriptor of the host's /proc.
    """
    # O_PATH descriptors can be neither listed nor read: open "." of them.
    below = posix.open(".", _READ_DIRECTORY, dir_fd=source)
    try:
        copy = posix.open(".", _READ_DIRECTORY, dir_fd=tree)
        try:
            _copy_directory(below, copy, proc, copy, "", 0, {})
            _keep_times(posix.fstat(below), copy)
        finally:
            posix.close(copy)
    finally:
        posix.close(below)


def _copy_directory(
    source: int, copy: int, proc: int, top: int, path: str, depth: int, linked: Linked
) -> None:
    """path: of the directory copy, from the directory top of the whole copy."""
    if depth > _DEEPEST:
        raise StepProblem(f"directories nested deeper than {_DEEPEST}")
    device = posix.fstat(source).st_dev
    for name in posix.listdir(source):
        found = posix.stat(name, dir_fd=source, follow_symlinks=False)
        inode = found.st_dev, found.st_ino
        if inode in linked:
            posix.link(linked[inode], name, src_dir_fd=top, dst_dir_fd=copy, follow_symlinks=False)
            continue
        if stat.S_ISDIR(found.st_mode):
            inner = posix.open(name, _READ_DIRECTORY, dir_fd=source)
            try:
                found = posix.fstat(inner)  # of what it is by now
                # Only a directory tells: the files of an overlay have other devices.
                if found.st_dev != device:
                    continue
                posix.mkdir(name, 0o700, dir_fd=copy)
                made = posix.open(name, _READ_DIRECTORY, dir_fd=copy)
                try:
                    _copy_directory(inner, made, proc, top, f"{path}{name}/", depth + 1, linked)
                finally:
                    posix.close(made)
            finally:
                posix.close(inner)
            keep_attributes(copy, name, found)
        elif copy_entry(source, copy, proc, name, found) and found.st_nlink > 1:
            linked[inode] = f"{path}{name}"


def copy_entry(source: int, copy: int, proc: int, name: str, found: posix.stat_result) -> bool:
    """Copy anything but a directory; False for what makes no sense to copy."""
    kind = stat.S_IFMT(found.st_mode)
    if kind == stat.S_IFLNK:
        posix.symlink(posix.readlink(name, dir_fd=source), name, dir_fd=copy)
    elif kind == stat.S_IFREG:
        if not _copy_file(source, copy, proc, name):
            return False  # it is no file any more
    elif kind == stat.S_IFSOCK:
        return False  # it means nothing without its server
    else:
        try:
            posix.mknod(name, found.st_mode, found.st_rdev, dir_fd=copy)
        except PermissionError:
            return False  # a device, in a user namespace: it could not be opened either
    keep_attributes(copy, name, found)
    return True


def _copy_file(source: int, copy: int, proc: int, name: str) -> bool:
    flags = posix.O_NOFOLLOW | posix.O_CLOEXEC
    place = posix.open(name, posix.O_PATH | flags, dir_fd=source)
    try:
        read = open_regular(proc, place)
    finally:
        posix.close(place)
    if read < 0:
        return False
    try:
        flags |= posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL
        write = posix.open(name, flags, 0o600, dir_fd=copy)
        try:
            size = posix.fstat(read).st_size
            _copy_data(read, write, size)
            posix.ftruncate(write, size)  # a hole at the end
        finally:
            posix.close(write)
    finally:
        posix.close(read)
    return True


def _copy_data(read: int, write: int, size: int) -> None:
    """Copy all that is no hole, each part to the offset it has; what is added now is left."""
    end = 0
    while end < size:
        try:
            start = posix.lseek(read, end, posix.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return  # no data from there on
        end = min(posix.lseek(read, start, posix.SEEK_HOLE), size)
        posix.lseek(write, start, 0)
        while start < end:
            copied = posix.sendfile(write, read, start, min(end - start, _CHUNK))
            if not copied:
                return  # the file has been cut off meanwhile
            start += copied


def keep_attributes(copy: int, name: str, found: posix.stat_result) -> None:
    """Give name in the directory copy the owner, the mode and the times that found has."""
    try:
        posix.chown(name, found.st_uid, found.st_gid, dir_fd=copy, follow_symlinks=False)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # Not mapped in our user namespace, where nobody could use it as the owner.
    if not stat.S_ISLNK(found.st_mode):
        posix.chmod(name, stat.S_IMODE(found.st_mode), dir_fd=copy)
    posix.utime(name, ns=(found.st_atime_ns, found.st_mtime_ns), dir_fd=copy, follow_symlinks=False)


def _keep_times(found: posix.stat_result, copy: int) -> None:
    posix.utime(copy, ns=(found.st_atime_ns, found.st_mtime_ns))
