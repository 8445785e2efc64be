"""Where a container is on disk: a directory of its own below a root.

    <root>/<id>/state.json   the record (record.py), replaced atomically
    <root>/<id>/groups       the control groups that it has made (cgroups/ledger.py)
    <root>/<id>/exec.fifo    while the container is created and not started
    <root>/<id>/criu-root    while it is restored: its rootfs, bound there (restoring.py)
    <root>/<id>/hook         while a hook of the runtime's goes on: how to find it
    <root>/:<id>             of a container that ends with its maker (mortal.py)
    <root>/::<number>        the same, while the container is removed

Who changes the container holds a lock on the directory.  The record is written
before anything else of the container exists, so whatever instant the runtime
is killed at, the container can be found and removed.

Here, and wherever a look at a container leads, `posix` is used and not `os`,
which makes of it what else is needed: loading that takes 2 ms, a tenth of the
whole look.
"""

from __future__ import annotations

import errno
import fcntl
import posix

from ..errors import ContainerDamaged, ContainerExists, ContainerNotFound, Error, InvalidID
from ..loading.paths import absolute, beginning, environment, exists, split
from ..syscalls.interrupts import allowed
from ..syscalls.procfs import require_own_proc
from .proc import boot_id, flock_holders, marks_of, of_this_boot
from .record import Record, damaged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

STATE, GROUPS, FIFO, HOOK = "state.json", "groups", "exec.fifo", "hook"
CLASSES = "resctrl"  # what its start has made of resctrl groups
CRIU_ROOT = "criu-root"  # where a restore binds the rootfs; never one of _OURS, for it is no
# directory of ours that is mounted there: ending.py unmounts it
NOTIFY = "notify"  # the directory that cli/notify.py makes
RESOLV_CONF = "resolv.conf"  # what a sandbox with pasta has as such (sandbox/pasta.py)
MARK = ":"  # before the id: the name, in the root, of a mortal container's mark (mortal.py)
# All there is in a directory.
_OURS = frozenset((STATE, f".{STATE}", GROUPS, CLASSES, FIFO, HOOK, NOTIFY, RESOLV_CONF))
_ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.")
_LONGEST_ID = 255  # NAME_MAX: the id is the name of a directory
_LARGEST = 16 << 20  # bytes of a file of ours; what is larger is damaged
_REGULAR, _TYPE = 0o100000, 0o170000  # S_IFREG, S_IFMT
# To write where there should be a file of ours: never through a link, nor waiting for the
# reader of a FIFO.
_WRITING = posix.O_WRONLY | posix.O_CREAT | posix.O_NOFOLLOW | posix.O_NONBLOCK


def default_root() -> str:
    """/run/libct, or for an ordinary user $XDG_RUNTIME_DIR/libct.

    An ordinary user without the variable has a directory in /tmp, unless
    somebody else has made that one.  One who is root of a user namespace, as
    Podman's rootless containers are made by, is told from a root of the
    machine (who may have the variable, too) as runc does it; where /run/libct is not his, he
    has what an ordinary user has.
    """
    from ..syscalls.userns import in_user_namespace

    uid = posix.geteuid()
    if uid == 0 and not in_user_namespace():
        return "/run/libct"
    runtime = environment("XDG_RUNTIME_DIR")
    if uid == 0 and (not runtime or environment("USER") == "root") and _may_use("/run/libct"):
        return "/run/libct"
    if runtime:
        return f"{runtime}/libct"
    path = f"/tmp/libct-{_outer(uid) if in_user_namespace() else uid}"
    try:
        posix.mkdir(path, 0o700)
    except FileExistsError:
        import stat

        found = posix.lstat(path)
        if found.st_uid != uid or not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o022:
            raise Error(
                f"{path!r} is not a directory of this user alone: set XDG_RUNTIME_DIR, or choose"
                " another place with --root"
            ) from None
    return path


def _outer(uid: int) -> int:
    """What the id of a user is outside of our user namespace, where all have the one /tmp."""
    try:
        with open("/proc/self/uid_map", "rb") as file:
            for line in file:
                first, outside, count = map(int, line.split())
                if first <= uid < first + count:
                    return outside + uid - first
    except OSError:
        pass  # no /proc: the start is going to tell
    return uid


def _may_use(path: str) -> bool:
    """Whether we may make files in a directory, which need not be there yet."""
    return posix.access(path if exists(path) else split(path)[0], posix.W_OK)


def check_id(container_id: str) -> None:
    if not container_id:
        raise InvalidID("invalid container ID format: it is empty")
    if container_id in (".", "..") or not _ALLOWED.issuperset(container_id):
        text = f"{container_id!r}: letters, digits and _ + - . are allowed"
        raise InvalidID(f"invalid container ID format: {text}")
    if len(container_id) > _LONGEST_ID:
        text = f"it is longer than {_LONGEST_ID} characters"
        raise InvalidID(f"invalid container ID format: {text}")


class Directory:
    """The directory of one container; root is absolute."""

    __slots__ = ("id", "path", "root")

    def __init__(self, root: str, container_id: str) -> None:
        check_id(container_id)
        require_own_proc()
        self.root, self.id = absolute(root), container_id
        self.path = f"{self.root.rstrip('/')}/{self.id}"

    def make(self) -> None:
        """Make it; ContainerExists when the id is in use."""
        try:
            self._in_root(posix.mkdir, self.path, 0o711)
        except FileExistsError:
            raise ContainerExists(
                f"container with given ID already exists: {self.id!r} in {self.root}"
            ) from None
        except OSError as error:
            raise self._failure("make the state directory", self.path, error) from error

    def _in_root(self, call: Callable[..., None], *args: object) -> None:
        """Make the call, and the root for it where that is missing."""
        try:
            call(*args)
        except FileNotFoundError:
            import os

            os.makedirs(self.root, 0o700, exist_ok=True)
            call(*args)

    def has_record(self) -> bool:
        return exists(f"{self.path}/{STATE}")

    def read(self, known: Record | None = None) -> Record:
        """The record; known itself when the file is still the one that known is of.

        Raises ContainerNotFound when there is none, ContainerDamaged when it is no record.
        """
        require_own_proc()  # again, for this may be a forked copy in another pid namespace
        path = f"{self.path}/{STATE}"
        try:
            if known is not None:
                found = posix.stat(path, follow_symlinks=False)
                if known._stamp == _stamp(found):
                    return known
            text, found = _contents(path)
        except (FileNotFoundError, NotADirectoryError):
            raise self.not_found() from None
        except OSError as error:
            raise Error(f"cannot read {path!r}: {error.strerror}") from error
        record = Record.parse(text, path)
        if record.id != self.id:
            raise damaged(path, f"it is of container {record.id!r}")
        record._stamp = _stamp(found)
        return record

    def read_prepared(self) -> Record | None:
        """What is to become the record of a container that is just being created."""
        try:
            record = Record.parse(_contents(f"{self.path}/.{STATE}")[0], self.path)
        except (OSError, ContainerDamaged):
            return None
        return record if record.id == self.id else None

    def not_found(self) -> ContainerNotFound:
        return ContainerNotFound(f"container does not exist: {self.id!r} in {self.root}")

    def text(self, name: str) -> str:
        """All that is in a small file of ours; "" where there is none.

        Raises ContainerDamaged when it is not a file that libct has written.
        """
        try:
            return _contents(f"{self.path}/{name}")[0].decode("utf-8", "surrogateescape")
        except (FileNotFoundError, NotADirectoryError):
            return ""

    def append(self, name: str, text: str) -> None:
        """Add to a small file of ours."""
        self._write(name, text.encode("utf-8", "surrogateescape"), posix.O_APPEND)

    def _write(self, name: str, data: bytes, flags: int) -> posix.stat_result:
        try:
            fd = self._open(name, _WRITING | flags)
            try:
                while data:
                    data = data[posix.write(fd, data) :]
                return posix.fstat(fd)
            finally:
                posix.close(fd)
        except FileNotFoundError:
            raise ContainerNotFound(
                f"container {self.id!r} in {self.root} has been removed meanwhile"
            ) from None
        except OSError as error:
            raise self._failure("write", f"{self.path}/{name}", error) from error

    # --- the lock ---

    def lock(self) -> Held:
        """Hold the container's lock, when nobody else does any more."""
        held = self.try_lock()
        if held is None:
            held = self._lock(fcntl.LOCK_EX)
            assert held is not None
        return held

    def try_lock(self) -> Held | None:
        """Hold the container's lock; None where somebody else does."""
        return self._lock(fcntl.LOCK_EX | fcntl.LOCK_NB)

    def locked(self) -> bool:
        """Whether somebody holds the lock."""
        # Shared with others who ask, so that they are not mistaken for a holder.
        held = self._lock(fcntl.LOCK_SH | fcntl.LOCK_NB)
        if held is None:
            return True
        held.release()
        return False

    def _lock(self, kind: int) -> Held | None:
        while True:
            try:
                fd = posix.open(self.path, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
            except (FileNotFoundError, NotADirectoryError):
                raise self.not_found() from None
            except OSError as error:
                raise self._failure("open", self.path, error) from error
            try:
                if kind & fcntl.LOCK_NB:
                    fcntl.flock(fd, kind)
                else:
                    with allowed():
                        fcntl.flock(fd, kind)
                if self._is(fd):
                    return Held(self, fd)
                posix.close(fd)  # removed while we waited; perhaps there is a new one
            except BlockingIOError:
                posix.close(fd)
                return None
            except BaseException:
                posix.close(fd)
                raise

    def _is(self, fd: int) -> bool:
        ours = posix.fstat(fd)
        try:
            found = posix.stat(self.path)
        except FileNotFoundError:
            return False
        return (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino)

    def holders(self) -> set[int]:
        """Those that hold the lock, as far as this pid namespace sees them."""
        try:
            return flock_holders(posix.stat(self.path))
        except OSError:
            return set()

    @property
    def fifo(self) -> str:
        return f"{self.path}/{FIFO}"

    # --- hooks ---

    def note_hook(self, stdin: int, pid: int) -> None:
        """Have hook() find the hook that goes on, should we be killed.

        stdin: what it has as standard input, which no other process has.
        pid: its number, 0 while that is not known.
        """
        found = posix.fstat(stdin)
        start, inode = marks_of(pid) if pid else (0, 0)
        noted = (found.st_dev, found.st_ino, pid, start, inode, boot_id().encode())
        try:
            fd = self._open(HOOK, _WRITING)
            try:
                # Always of the same length.
                posix.write(fd, b"%20d %20d %20d %20d %20d %-36b" % noted)
            finally:
                posix.close(fd)
        except FileNotFoundError:
            pass  # a poststart hook has had the container removed
        except OSError as error:
            raise self._failure("write", f"{self.path}/{HOOK}", error) from error

    def forget_hook(self) -> None:
        try:
            self._unlink(HOOK)
        except OSError:
            pass  # it has ended, and nothing is found by what is noted of it

    def hook(self) -> tuple[tuple[int, int], int, tuple[int, int]] | None:
        """What was noted of a hook whose runtime was killed while it went on.

        Device and inode of its standard input, its number, and its marks (proc.py).
        """
        try:
            words = self.text(HOOK).split()
            if len(words) < 5 or not words[4].isdigit():
                words.insert(4, "0")  # of an earlier version
            device, file, pid, start, inode = map(int, words[:5])
        except (ValueError, ContainerDamaged):
            return None  # not what note_hook() writes
        if not of_this_boot(" ".join(words[5:])):
            return None
        return (device, file), pid, (start, inode)

    # --- marks (mortal.py) ---

    @property
    def mark(self) -> str:
        """The name of the mark, in the root."""
        return (MARK + self.id)[:_LONGEST_ID]

    def add_mark(self, text: str) -> None:
        """FileExistsError when there is one."""
        path = f"{self.root.rstrip('/')}/{self.mark}"
        try:
            self._in_root(posix.symlink, text, path)
        except FileExistsError:
            raise
        except OSError as error:
            raise self._failure("make", path, error) from error

    def _rename_mark(self) -> str:
        """Give the mark a name that no other container's has; returns its path, "" of none.

        Once the directory has gone, what bears the id's name is the next one's.
        """
        root = self.root.rstrip("/")
        path = f"{root}/{MARK}{MARK}{posix.urandom(8).hex()}"
        try:
            posix.rename(f"{root}/{self.mark}", path)
        except FileNotFoundError:
            return ""
        return path

    # --- removing ---

    def remove(self) -> None:
        """Remove all that is libct's in it, and then itself; what is gone already is fine.

        The record goes last, and the mark after the directory: as long as there is anything,
        it can be found.

        Nothing is removed where there is anything that is not libct's, or where
        a link leads elsewhere: any directory is below some root.
        """
        try:
            flags = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
            fd = posix.open(self.path, flags)
            try:
                self._empty(fd)
                if self._is(fd):
                    mark = self._rename_mark()
                    posix.rmdir(self.path)
                    if mark:
                        posix.unlink(mark)
            finally:
                posix.close(fd)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise Error(f"cannot remove {self.path!r}: {error.strerror}") from error

    def _empty(self, fd: int) -> None:
        names = posix.listdir(fd)
        for name in names:
            if name not in _OURS:
                raise Error(f"cannot remove {self.path!r}: no container's, it has {name!r} in it")
        for name in sorted(names, key=STATE.__eq__):
            try:
                posix.unlink(name, dir_fd=fd)
            except IsADirectoryError:
                _remove_tree(name, fd)
            except FileNotFoundError:
                continue

    # --- helpers ---

    def _open(self, name: str, flags: int) -> int:
        return posix.open(f"{self.path}/{name}", flags | posix.O_CLOEXEC, 0o600)

    def _unlink(self, name: str) -> None:
        try:
            posix.unlink(f"{self.path}/{name}")
        except FileNotFoundError:
            pass

    @staticmethod
    def _failure(verb: str, path: str, error: OSError) -> Error:
        remedy = ""
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            remedy = " (choose another place with --root)"
        elif error.errno in (errno.ENOSPC, errno.EDQUOT):
            remedy = " (the file system is full: free space or choose another place with --root)"
        return Error(f"cannot {verb} {path!r}: {error.strerror}{remedy}")


class Held(Directory):
    """A directory whose lock is held, until it is released or its holder ends (flock(2)).

    Only then the container changes.  Whatever is written goes by a descriptor: should
    the container be removed by force meanwhile, and another one be made by that
    name, it is not that one's files that change.
    """

    __slots__ = ("_fd",)

    def __init__(self, directory: Directory, fd: int) -> None:
        self.root, self.id, self.path = directory.root, directory.id, directory.path
        self._fd = fd

    def release(self) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_UN)  # also for copies that a fork has made
        posix.close(self._fd)

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def write(self, record: Record) -> None:
        """Replace state.json.  It is never written in place: a new state is a new inode."""
        self.prepare(record)
        self.publish()

    def prepare(self, record: Record) -> None:
        """Write what publish() will make the state."""
        data = record.dump().encode("utf-8", "surrogateescape")
        found = self._write(f".{STATE}", data, posix.O_TRUNC)
        record._stamp = _stamp(found)

    def publish(self) -> None:
        try:
            posix.rename(f".{STATE}", STATE, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        except OSError as error:
            raise self._failure("write", f"{self.path}/{STATE}", error) from error

    def discard(self) -> None:
        """Remove what prepare() has written, and nobody is to publish."""
        self._unlink(f".{STATE}")

    def make_fifo(self) -> int:
        """Make exec.fifo and return an O_PATH descriptor of it."""
        self.remove_fifo()  # of a start that was killed
        try:
            posix.mkfifo(FIFO, 0o600, dir_fd=self._fd)
            return self._open(FIFO, posix.O_PATH)
        except OSError as error:
            raise self._failure("make", f"{self.path}/{FIFO}", error) from error

    def open_fifo(self, flags: int) -> int:
        return self._open(FIFO, flags)

    def remove_fifo(self) -> None:
        self._unlink(FIFO)

    def _open(self, name: str, flags: int) -> int:
        return posix.open(name, flags | posix.O_CLOEXEC, 0o600, dir_fd=self._fd)

    def _unlink(self, name: str) -> None:
        try:
            posix.unlink(name, dir_fd=self._fd)
        except (FileNotFoundError, IsADirectoryError):
            pass  # what is no file of ours goes with the container


def _stamp(found: posix.stat_result) -> tuple[int, int]:
    return found.st_ino, found.st_mtime_ns


def _remove_tree(path: str, parent: int) -> None:
    """Remove a directory that a container may have written to; no link in it is followed.

    parent: descriptor of the directory that path is in.
    """
    import os

    for _, directories, files, fd in os.fwalk(path, topdown=False, dir_fd=parent):
        for name in directories + files:
            try:
                posix.unlink(name, dir_fd=fd)
            except IsADirectoryError:
                posix.rmdir(name, dir_fd=fd)
    posix.rmdir(path, dir_fd=parent)


def _contents(path: str) -> tuple[bytes, posix.stat_result]:
    """All that is in a file of ours, and which file that was.

    It is looked at before it is opened: a FIFO would have us wait, and a device do
    something.  A link is not ours.  Raises OSError, and ContainerDamaged.
    """
    place = posix.open(path, posix.O_PATH | posix.O_NOFOLLOW | posix.O_CLOEXEC)
    try:
        found = posix.fstat(place)
        if found.st_mode & _TYPE != _REGULAR:
            raise damaged(path, "it is not a regular file")
        if found.st_size > _LARGEST:
            raise damaged(path, f"it is larger than {_LARGEST >> 20} MiB")
        fd = posix.open(f"/proc/self/fd/{place}", posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            # As much as was there; it is replaced and not written to, or added to.
            return beginning(fd, found.st_size), found
        finally:
            posix.close(fd)
    finally:
        posix.close(place)
