"""The state of a container on disk: a directory of its own below a root.

    <root>/<id>/state.json   the record, replaced atomically
    <root>/<id>/exec.fifo    while the container is created and not started
    <root>/<id>/hook         while a hook of the runtime's goes on: how to find it

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
import time

from ..errors import ContainerDamaged, ContainerExists, ContainerNotFound, Error, InvalidID
from ..loading import jsontext
from ..loading.paths import absolute, environment, exists

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..config import Config

STATE, FIFO, HOOK = "state.json", "exec.fifo", "hook"
NOTIFY = "notify"  # the directory that cli/notify.py makes
_OURS = frozenset((STATE, f".{STATE}", FIFO, HOOK, NOTIFY))  # all there is in a directory
_ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.")
_LONGEST_ID = 255  # NAME_MAX: the id is the name of a directory


def default_root() -> str:
    """/run/libct, or for an ordinary user $XDG_RUNTIME_DIR/libct.

    An ordinary user without the variable has a directory in /tmp, unless
    somebody else has made that one.  One who is root of a user namespace, as
    Podman's rootless containers are made by, is told from a root of the
    machine (who may have the variable, too) as runc does it.
    """
    from ..syscalls.userns import in_user_namespace

    uid = posix.geteuid()
    if uid == 0 and not in_user_namespace():
        return "/run/libct"
    runtime = environment("XDG_RUNTIME_DIR")
    if uid == 0 and (not runtime or environment("USER") == "root"):
        return "/run/libct"
    if runtime:
        return f"{runtime}/libct"
    path = f"/tmp/libct-{uid}"
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


def check_id(container_id: str) -> None:
    if not container_id:
        raise InvalidID("the container id is empty")
    if container_id in (".", "..") or not _ALLOWED.issuperset(container_id):
        raise InvalidID(
            f"invalid container id {container_id!r}: letters, digits and _ + - . are allowed"
        )
    if len(container_id) > _LONGEST_ID:
        raise InvalidID(f"the container id is longer than {_LONGEST_ID} characters")


class Record:
    """What state.json holds.

    status: "creating", "created" (or started: the fifo tells), or "stopped".
    pid, start: of the first process, in the pid namespace of who created it;
        start is field 22 of /proc/PID/stat, which no later process of the same
        number shares.
    annotations, rootfs, version, own_pids, hooks: of the configuration, which is
        read only when it is asked for: who looks at a container needs no more.
        hooks are the fields of Hooks that have any.
    last_step: the number, in the plan of the start, of the one that executes
        the command.
    """

    __slots__ = (
        "_config",
        "_config_text",
        "_path",
        "_stamp",
        "_values",
        "annotations",
        "bundle",
        "cgroup_paths",
        "created",
        "exit_status",
        "hooks",
        "id",
        "last_step",
        "own_pids",
        "owner",
        "pid",
        "rootfs",
        "start",
        "status",
        "version",
    )

    def __init__(self, container_id: str, config: Config, bundle: str = "") -> None:
        self.id, self.bundle = container_id, bundle
        self._config: Config | None = config
        self._values: dict[str, Any] = {}  # of a configuration that has not been read
        self._path = ""
        self.annotations = dict(label.partition("=")[::2] for label in config.labels)
        self.annotations.pop("bundle", None)
        self.rootfs, self.version = config.rootfs, config.version
        self.own_pids = any(
            space.type == "NEWPID" and not space.path for space in config.namespaces
        )
        self.hooks = list(config.hooks.to_dict()) if config.hooks is not None else []
        self.status = "creating"
        self.pid = self.start = self.last_step = 0
        self.created = _now()
        self.owner = posix.geteuid()
        self.exit_status: int | None = None
        self.cgroup_paths: dict[str, str] | None = None
        self._config_text = ""
        self._stamp = (0, 0)  # inode and time of the file that this was read from, or written to

    @property
    def config(self) -> Config:
        if self._config is None:
            from ..config import Config

            try:
                self._config = Config.from_dict(self._values)
            except (TypeError, ValueError, AttributeError) as error:
                raise _damaged(self._path, str(error)) from None
        return self._config

    @config.setter
    def config(self, config: Config) -> None:
        self._config, self._config_text = config, ""

    def dump(self) -> str:
        """As JSON.  The configuration, its largest part, is converted once."""
        if not self._config_text:
            values = self._values if self._config is None else self._config.to_dict()
            self._config_text = jsontext.dumps(values)
        head = {name: getattr(self, name) for name in _PLAIN}
        return jsontext.dumps(head)[:-1] + ',"config":' + self._config_text + "}\n"

    @classmethod
    def parse(cls, text: bytes, path: str) -> Record:
        record = object.__new__(cls)
        record._config, record._config_text, record._path, record._stamp = None, "", path, (0, 0)
        try:
            found: dict[str, Any] = jsontext.loads(text, STATE)
            for name in _PLAIN:
                setattr(record, name, found[name])
            record._values = found["config"]
            if not isinstance(record._values, dict):
                raise TypeError("config is no object")
        except (Error, KeyError, TypeError, ValueError) as error:
            raise _damaged(path, f"no {error}" if isinstance(error, KeyError) else error) from None
        return record


_PLAIN = tuple(name for name in Record.__slots__ if not name.startswith("_"))


def _damaged(path: str, why: object) -> ContainerDamaged:
    return ContainerDamaged(f"{path} is damaged: {why} (delete it by force)")


def _now() -> str:
    """RFC 3339 in UTC, with nanoseconds."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{nanoseconds:09}Z"


def _stamp(found: posix.stat_result) -> tuple[int, int]:
    return found.st_ino, found.st_mtime_ns


class Directory:
    """The directory of one container; root is absolute."""

    __slots__ = ("id", "path", "root")

    def __init__(self, root: str, container_id: str) -> None:
        check_id(container_id)
        self.root, self.id = absolute(root), container_id
        self.path = f"{self.root.rstrip('/')}/{self.id}"

    def make(self) -> None:
        """Make it; ContainerExists when the id is in use."""
        try:
            try:
                posix.mkdir(self.path, 0o711)
            except FileNotFoundError:
                import os

                os.makedirs(self.root, 0o700, exist_ok=True)
                posix.mkdir(self.path, 0o711)
        except FileExistsError:
            raise ContainerExists(
                f"container with given ID already exists: {self.id!r} in {self.root}"
            ) from None
        except OSError as error:
            raise Error(
                f"cannot make the state directory {self.path!r}: {error.strerror}"
                + _remedy(error.errno)
            ) from error

    def has_record(self) -> bool:
        return exists(f"{self.path}/{STATE}")

    def write(self, record: Record) -> None:
        """Replace state.json.  It is never written in place: a new state is a new inode."""
        self.prepare(record)
        self.publish()

    def prepare(self, record: Record) -> None:
        """Write what publish() will make the state."""
        path = f"{self.path}/.{STATE}"
        data = record.dump().encode("utf-8", "surrogateescape")
        try:
            fd = posix.open(
                path, posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC, 0o600
            )
            try:
                while data:
                    data = data[posix.write(fd, data) :]
                record._stamp = _stamp(posix.fstat(fd))
            finally:
                posix.close(fd)
        except OSError as error:
            raise Error(
                f"cannot write {path!r}: {error.strerror}" + _remedy(error.errno)
            ) from error

    def publish(self) -> None:
        path = f"{self.path}/{STATE}"
        try:
            posix.rename(f"{self.path}/.{STATE}", path)
        except OSError as error:
            raise Error(f"cannot write {path!r}: {error.strerror}") from error

    def read(self, known: Record | None = None) -> Record:
        """The record; known itself when the file is still the one that known is of.

        Raises ContainerNotFound when there is none.
        """
        path = f"{self.path}/{STATE}"
        try:
            if known is not None and known._stamp == _stamp(posix.stat(path)):
                return known
            with open(path, "rb", buffering=0) as file:
                record = Record.parse(file.readall(), path)
                if record.id != self.id:
                    raise _damaged(path, f"it is of container {record.id!r}")
                record._stamp = _stamp(posix.fstat(file.fileno()))
                return record
        except (FileNotFoundError, NotADirectoryError):
            raise self.not_found() from None
        except OSError as error:
            raise Error(f"cannot read {path!r}: {error.strerror}") from error

    def not_found(self) -> ContainerNotFound:
        return ContainerNotFound(f"container does not exist: {self.id!r} in {self.root}")

    def lock(self) -> Lock:
        """Hold the container's lock, when nobody else does any more."""
        lock = self._lock(fcntl.LOCK_EX)
        assert lock is not None
        return lock

    def locked(self) -> bool:
        """Whether somebody holds the lock."""
        # Shared with others who ask, so that they are not mistaken for a holder.
        lock = self._lock(fcntl.LOCK_SH | fcntl.LOCK_NB)
        if lock is None:
            return True
        lock.release()
        return False

    def _lock(self, kind: int) -> Lock | None:
        while True:
            try:
                fd = posix.open(self.path, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
            except (FileNotFoundError, NotADirectoryError):
                raise self.not_found() from None
            except OSError as error:
                text = f"cannot open {self.path!r}: {error.strerror}" + _remedy(error.errno)
                raise Error(text) from error
            try:
                fcntl.flock(fd, kind)
                if self._is(fd):
                    return Lock(fd)
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

    @property
    def fifo(self) -> str:
        return f"{self.path}/{FIFO}"

    def make_fifo(self) -> int:
        """Make exec.fifo and return an O_PATH descriptor of it."""
        self.remove_fifo()  # of a start that was killed
        try:
            posix.mkfifo(self.fifo, 0o600)
            return posix.open(self.fifo, posix.O_PATH | posix.O_CLOEXEC)
        except OSError as error:
            text = f"cannot make {self.fifo!r}: {error.strerror}" + _remedy(error.errno)
            raise Error(text) from error

    def remove_fifo(self) -> None:
        try:
            posix.unlink(self.fifo)
        except FileNotFoundError:
            pass

    def note_hook(self, stdin: int, pid: int) -> None:
        """Have hook() find the hook that goes on, should we be killed.

        stdin: what it has as standard input, which no other process has.
        pid: its number, 0 while that is not known.
        """
        path = f"{self.path}/{HOOK}"
        found = posix.fstat(stdin)
        numbers = (found.st_dev, found.st_ino, pid, start_time(pid) if pid else 0)
        try:
            fd = posix.open(path, posix.O_WRONLY | posix.O_CREAT | posix.O_CLOEXEC, 0o600)
            try:
                posix.write(fd, b"%20d %20d %20d %20d" % numbers)  # always of the same length
            finally:
                posix.close(fd)
        except FileNotFoundError:
            pass  # a poststart hook has had the container removed
        except OSError as error:
            raise Error(
                f"cannot write {path!r}: {error.strerror}" + _remedy(error.errno)
            ) from error

    def forget_hook(self) -> None:
        try:
            posix.unlink(f"{self.path}/{HOOK}")
        except FileNotFoundError:
            pass

    def hook(self) -> tuple[int, int, int, int] | None:
        """What was noted of a hook whose runtime was killed while it went on.

        Device and inode of its standard input, its number and start.
        """
        try:
            with open(f"{self.path}/{HOOK}", "rb", buffering=0) as file:
                device, inode, pid, start = map(int, file.read().split())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        return device, inode, pid, start

    def remove(self) -> None:
        """Remove all that is libct's in it, and then itself; what is gone already is fine.

        The record goes last: as long as there is anything, it can be found.

        Nothing is removed where there is anything that is not libct's, or where
        a link leads elsewhere: any directory is below some root.
        """
        try:
            flags = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
            fd = posix.open(self.path, flags)
            try:
                self._empty(fd)
            finally:
                posix.close(fd)
            posix.rmdir(self.path)
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


class Lock:
    """A container's lock, released when closed or when its holder ends (flock(2))."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def release(self) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_UN)  # also for copies that a fork has made
        posix.close(self._fd)

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _remedy(code: int | None) -> str:
    if code in (errno.EACCES, errno.EPERM, errno.EROFS):
        return " (choose another place with --root)"
    if code in (errno.ENOSPC, errno.EDQUOT):
        return " (the file system is full: free space or choose another place with --root)"
    return ""


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
