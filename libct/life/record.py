"""What is remembered of a container: the contents of its state.json."""

from __future__ import annotations

import posix
import time

from ..config.status import CREATED, CREATING, STOPPED
from ..errors import ContainerDamaged, Error
from ..loading import jsontext
from ..loading.paths import is_plain_path
from .proc import is_same, of_this_boot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..config import Config, ProcessDefaults


class Record:
    """What state.json holds.

    status: CREATING, CREATED (or started: the fifo tells), or STOPPED.
    pid, start, inode: of the first process: its number in the pid namespace of who
        created it, and what no later one of that number shares (proc.py, marks_of).
    boot: the kernel's boot_id at that time.
    messenger, reaper: the same three of the process that brings it the word of its start, and of
        process 1 of its pid namespace where that is another one; or none.
    mortal: of the process that it is to end with (mortal.py): the same three, and the inode
        number of its pid namespace; or none.
    annotations, rootfs, version, own_pids, hooks: of the configuration, which is
        read only when it is asked for: who looks at a container needs no more.
        hooks are the fields of Hooks that have any.
    last_step: the number, in the plan of the start, of the one that executes
        the command.
    process: the fields of its ProcessDefaults, kept here for a bundle may be changed or
        removed at any time; None before the start, and where an earlier version has
        made the container.
    tracers: a process in it was given CAP_SYS_PTRACE, which the configuration may not give.
    namespaces: of the first process, by their names in /proc/PID/ns: device and inode
        number, as its start has made or joined them; those that are known.
    landlock: by the paths of Landlock rules, what they led it to (security/landlock.py).
    mounts: those added while it runs: the destination, the path that this has led to, and
        the kernel's number of the mount, as text.
    cgroup_paths: its own control groups, by controller; None where it has none
        (yet).  What else its start has made of groups, cgroups/ledger.py knows.
    """

    __slots__ = (
        "_config",
        "_config_text",
        "_path",
        "_stamp",
        "annotations",
        "boot",
        "bundle",
        "cgroup_paths",
        "created",
        "exit_status",
        "hooks",
        "id",
        "inode",
        "landlock",
        "last_step",
        "messenger",
        "mortal",
        "mounts",
        "namespaces",
        "own_pids",
        "owner",
        "pid",
        "process",
        "reaper",
        "rootfs",
        "start",
        "status",
        "tracers",
        "version",
    )

    def __init__(self, container_id: str, config: Config, bundle: str = "") -> None:
        self.id, self.bundle = container_id, bundle
        self._config: Config | None = config
        self._path = ""
        self.annotations = dict(label.partition("=")[::2] for label in config.labels)
        self.annotations.pop("bundle", None)
        self.rootfs, self.version = config.rootfs, config.version
        self.own_pids = any(
            space.type == "NEWPID" and not space.path for space in config.namespaces
        )
        self.hooks = list(config.hooks.to_dict()) if config.hooks is not None else []
        self.status = CREATING
        self.pid = self.start = self.inode = self.last_step = 0
        self.boot = ""
        self.messenger: list[int] = []
        self.reaper: list[int] = []
        self.mortal: list[int] = []
        self.created = _now()
        self.owner = posix.geteuid()
        self.exit_status: int | None = None
        self.namespaces: dict[str, list[int]] = {}
        self.landlock: dict[str, str] = {}
        self.mounts: list[list[str]] = []
        self.tracers = False
        self.process: dict[str, Any] | None = None
        self.cgroup_paths: dict[str, str] | None = None
        self._config_text = ""
        self._stamp = (0, 0)  # inode and time of the file that this was read from, or written to

    @property
    def alive(self) -> bool:
        """Whether the first process is there, and not a later one of the same number.

        One without marks had ended before anybody could look.  Error where that cannot be told.
        """
        return is_same(self.pid, self.start, self.inode) and of_this_boot(self.boot)

    @property
    def config(self) -> Config:
        if self._config is None:
            from ..config import Config

            self._config = self._read(Config, self._values(), "config")
        return self._config

    @config.setter
    def config(self, config: Config) -> None:
        self._config, self._config_text = config, ""

    @property
    def has_links(self) -> bool:
        """Whether pairs of network devices are made for it."""
        if self._config is not None:
            return any(network.type == "veth" for network in self._config.networks)
        found = self._values().get("networks")
        return isinstance(found, list) and any(
            isinstance(one, dict) and one.get("type") == "veth" for one in found
        )

    @property
    def defaults(self) -> ProcessDefaults | None:
        from ..config import ProcessDefaults

        if self.process is None:
            return None
        found: ProcessDefaults = self._read(ProcessDefaults, self.process, "process")
        return found

    def _read(self, kind: type[Any], values: dict[str, Any], name: str) -> Any:
        """The record of these values of the file; ContainerDamaged where they do not fit."""
        from ..config.field_types import wrong_types

        try:
            found = kind.from_dict(values)
            wrong = wrong_types(found)
        except (TypeError, ValueError, AttributeError) as error:
            raise damaged(self._path, str(error)) from None
        if wrong:
            raise damaged(self._path, f"{name}.{wrong[0]}")
        return found

    def _values(self) -> dict[str, Any]:
        """Those of a configuration that has not been read."""
        try:
            found = jsontext.loads(self._config_text, self._path.rpartition("/")[2])
            if not isinstance(found, dict):
                raise TypeError("config is not an object")
        except (Error, TypeError) as error:
            raise damaged(self._path, error) from None
        return found

    def dump(self) -> str:
        """As JSON, whose last line is the configuration, its largest part: it is converted once."""
        if not self._config_text:
            self._config_text = jsontext.dumps(self.config.to_dict())
        head = {name: getattr(self, name) for name in _PLAIN}
        return jsontext.dumps(head)[:-1] + _CONFIG + self._config_text + "}\n"

    @classmethod
    def parse(cls, text: bytes, path: str) -> Record:
        record = object.__new__(cls)
        record._config, record._config_text, record._path, record._stamp = None, "", path, (0, 0)
        try:
            text, config = _split(text)
            found: dict[str, Any] = jsontext.loads(text, path.rpartition("/")[2])
            found = {**_ADDED, **found}
            for name in _PLAIN:
                if not _fits(name, found[name]):
                    raise ValueError(f"{name} cannot be {found[name]!r}")
                setattr(record, name, found[name])
            # What few ask for is read when somebody does.
            record._config_text = config or jsontext.dumps(found["config"])
            if not record._config_text.startswith("{"):
                raise TypeError("config is not an object")
        except (Error, KeyError, TypeError, ValueError) as error:
            raise damaged(path, f"no {error}" if isinstance(error, KeyError) else error) from None
        return record


# Between the two lines.  No text has a line break in JSON.
_CONFIG = ',\n"config":'


def _split(text: bytes) -> tuple[bytes, str]:
    """A record's text without the configuration, and that; or all of it, and "".

    Earlier versions have written one line.
    """
    head, found, config = text.partition(_CONFIG.encode())
    if not found or not config.endswith(b"}}\n"):
        return text, ""
    return head + b"}", config[:-2].decode("utf-8", "surrogateescape")


_PLAIN = tuple(name for name in Record.__slots__ if not name.startswith("_"))
# Those that an earlier version does not write.
_ADDED = {
    "boot": "",
    "inode": 0,
    "landlock": {},
    "messenger": [],
    "mortal": [],
    "mounts": [],
    "namespaces": {},
    "process": None,
    "reaper": [],
    "tracers": False,
}
# The largest number that a field may have.
_LARGEST = {
    "pid": 2**31 - 1,
    "start": 2**64 - 1,
    "inode": 2**64 - 1,
    "last_step": 2**31 - 1,
    "owner": 2**32 - 2,
}
_LONGEST_REASON = 200  # characters: the file may say anything


def _fits(name: str, value: Any) -> bool:
    """Whether a field may have this value."""
    if name in _LARGEST:
        return type(value) is int and 0 <= value <= _LARGEST[name]
    if name == "exit_status":
        return value is None or (type(value) is int and 0 <= value <= 255)
    if name in ("own_pids", "tracers"):
        return type(value) is bool
    if name in ("messenger", "reaper", "mortal"):
        kinds = ("pid", "start", "inode", *(("inode",) if name == "mortal" else ()))
        fits = type(value) is list and len(value) in (0, len(kinds))
        return fits and all(map(_fits, kinds, value))
    if name == "namespaces":
        return type(value) is dict and all(map(_is_inode, value.values()))
    if name == "mounts":
        return type(value) is list and all(map(_is_mount, value))
    if name == "status":
        return value in (CREATING, CREATED, STOPPED)
    if name == "hooks":
        return type(value) is list and all(map(_is_text, value))
    if name == "process":
        return value is None or type(value) is dict
    if name in ("annotations", "landlock"):
        return type(value) is dict and all(type(text) is str for text in value.values())
    if name == "cgroup_paths":
        return value is None or (type(value) is dict and all(map(is_plain_path, value.values())))
    return _is_text(value)


def _is_inode(value: object) -> bool:
    """Device and number."""
    return (
        type(value) is list
        and len(value) == 2
        and all(type(one) is int and 0 <= one < 2**64 for one in value)
    )


def _is_mount(value: object) -> bool:
    """Destination, path and number."""
    texts = type(value) is list and len(value) == 3 and all(map(_is_text, value))
    return texts and value[2].isascii() and value[2].isdigit()  # type: ignore[index]


def _is_text(value: object) -> bool:
    return type(value) is str and "\0" not in value


def damaged(path: str, why: object) -> ContainerDamaged:
    reason = str(why)
    if len(reason) > _LONGEST_REASON:
        reason = reason[:_LONGEST_REASON] + "..."
    return ContainerDamaged(f"{path} is damaged: {reason} (delete it by force)")


def _now() -> str:
    """RFC 3339 in UTC, with nanoseconds."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{nanoseconds:09}Z"
