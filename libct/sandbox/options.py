"""The options of a sandbox: what the keywords of run(), Popen() and Sandbox() mean.

read() makes values of one kind of what a caller gives ("256M", a Path, a tuple), and judges
them.  All that is wrong is told at once, each by the keyword that it was given as; nothing has
been made by then.  The command line gives its options by these names, too (cli/sandbox.py).
"""

from __future__ import annotations

import os

from ..config.record import Record
from ..config.sizes import parse_size
from ..errors import ConfigError, Finding
from ..syscalls.constants import RLIMITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, Union

    # Type checkers know it without an installation; at run time it is not read.
    from typing_extensions import TypedDict

    from ..config import Landlock
    from ..config.seccomp import Seccomp

    Path = Union[str, "os.PathLike[str]"]
    Size = Union[int, str]
    Limit = Union[Size, "tuple[Size, Size]"]

    class Given(TypedDict, total=False):
        """What may be given, by keyword: see Options for the meanings."""

        ro: Sequence[Path]
        rw: Sequence[Path]
        ro_try: Sequence[Path]
        rw_try: Sequence[Path]
        bind: Sequence[tuple[Path, Path] | tuple[Path, Path, str]]
        bind_try: Sequence[tuple[Path, Path] | tuple[Path, Path, str]]
        tmpfs: Sequence[Path | tuple[Path, Size]]
        overlay: bool
        home: bool
        net: str
        env: Mapping[str, str]
        clear_env: bool
        unset: Sequence[str]
        cwd: Path
        user: str | int
        hostname: str
        memory: Size
        pids: int
        cpus: float
        rlimits: Mapping[str, Limit]
        cpu_time: float
        keep_caps: bool
        seccomp: Seccomp | Path
        landlock: Landlock
        cgroups: str
        as_pid_1: bool
        outlive: bool
        root: Path


class Options(Record):
    """The options, as read() makes them: paths are absolute, sizes are bytes.

    ro, rw: host paths to see, or to write to, at the same place.
    ro_try, rw_try: the same, where the path exists.
    bind: host path, path inside, and whether it is read-only there.  bind_try: where it exists.
    tmpfs: paths inside, each an empty directory in memory; and its size, 0 for the kernel's.
    overlay: / is writable, and what is written is lost at the end.
    home: the home directory is the host's, read-only, instead of an empty one.
    net: "none" (a loopback device alone) or "host".
    env: added to the few variables that come from the caller.
    clear_env: none comes from the caller.  unset: names that do not come from him.
    cwd: "" is the caller's directory, where the sandbox has it, or else /.
    user: "name", "uid", "uid:gid"; "" is the caller.  An ordinary user is the one user there
        is, whatever id he takes.
    hostname: what the sandbox is called inside.
    memory: bytes; pids: processes; cpus: as many CPUs' time; 0 sets no limit.
    rlimits: name as "NOFILE" -> soft and hard limit (getrlimit(2)); -1 is no limit.
    cpu_time: seconds of CPU time that a process may use; 0 sets no limit.
    keep_caps: the caller's capabilities stay as they are; of root's, CAP_SYS_PTRACE only with
        as_pid_1.
    seccomp: which system calls may be made: by "default" libct's own profile, with what the
        capabilities allow; "unconfined" is all; a path is that of a file with an engine's
        profile, or with a configuration that has one.
    landlock: what it may do with the files that it sees, and with TCP.
    cgroups: who makes the control group that limits of memory, pids and cpus need: "cgroupfs",
        libct itself; "systemd"; "disabled", nobody, and such limits are refused; "", libct
        where the caller may write to the tree, and else systemd.
    as_pid_1: the command is process 1 of its pid namespace.  Otherwise that is a reaper of
        libct's, and the sandbox ends when the caller's process does.  outlive: but for that.
    root: the directory of states; "" is the user's own.
    """

    ro: list[str] = []
    rw: list[str] = []
    ro_try: list[str] = []
    rw_try: list[str] = []
    bind: list[tuple[str, str, bool]] = []
    bind_try: list[tuple[str, str, bool]] = []
    tmpfs: list[tuple[str, int]] = []
    overlay: bool = False
    home: bool = False
    net: str = "none"
    env: dict[str, str] = {}
    clear_env: bool = False
    unset: list[str] = []
    cwd: str = ""
    user: str = ""
    hostname: str = "sandbox"
    memory: int = 0
    pids: int = 0
    cpus: float = 0.0
    rlimits: dict[str, tuple[int, int]] = {}
    cpu_time: int = 0
    keep_caps: bool = False
    seccomp: Seccomp | str = "default"
    landlock: Landlock | None = None
    cgroups: str = ""
    as_pid_1: bool = False
    outlive: bool = False
    root: str = ""


class _Wrong(Exception):
    """What a value is not."""


def read(given: Mapping[str, Any], called: str = "sandbox") -> Options:
    """The options that were given by keyword to a function of that name.

    Raises TypeError for a keyword that there is not, ConfigError with all that is wrong else.
    """
    values: dict[str, Any] = {}
    findings: list[Finding] = []
    for name, value in given.items():
        reader = _READERS.get(name)
        if reader is None:
            raise TypeError(f"{called}() got an unexpected keyword argument {name!r}{_near(name)}")
        try:
            values[name] = reader(value)
        except (_Wrong, ValueError) as error:
            findings.append(Finding(name, str(error)))
    if findings:
        raise ConfigError(findings)
    return Options(**values)


def _near(name: str) -> str:
    import difflib

    found = difflib.get_close_matches(name, _READERS, 1)
    return f" (did you mean {found[0]!r}?)" if found else ""


def command(args: Any) -> list[str]:
    """The command and its arguments, as given."""
    if isinstance(args, (str, bytes, os.PathLike)):
        example = args.split() if isinstance(args, str) else [os.fsdecode(args)]
        text = f"one {_kind(args)} where a list is wanted: {args!r} (write {example!r})"
        raise ConfigError([Finding("args", text)])
    try:
        found = [_text(one) for one in _items(args, "a list of texts")]
    except _Wrong as error:
        raise ConfigError([Finding("args", str(error))]) from None
    if not found:
        raise ConfigError([Finding("args", "empty: a command is wanted")])
    return found


def read_size(name: str, value: Any) -> int:
    """Bytes, of a number or a text as "256M"; name: the keyword that it was given as."""
    try:
        return _size(value)
    except (_Wrong, ValueError) as error:
        raise ConfigError([Finding(name, str(error))]) from None


# --- readers ---


def _kind(value: Any) -> str:
    return "text" if isinstance(value, str) else type(value).__name__


def _items(value: Any, wanted: str) -> list[Any]:
    if isinstance(value, (str, bytes, os.PathLike)):
        raise _Wrong(f"one {_kind(value)} where a list is wanted: {value!r} (write [{value!r}])")
    if isinstance(value, dict) or not hasattr(value, "__iter__"):
        raise _Wrong(f"not {wanted}: {value!r}")
    return list(value)


def _text(value: Any) -> str:
    found = os.fspath(value) if isinstance(value, os.PathLike) else value
    if isinstance(found, bytes):
        found = os.fsdecode(found)
    if not isinstance(found, str):
        raise _Wrong(f"not a text: {value!r}")
    if "\0" in found:
        raise _Wrong(f"has a NUL: {value!r}")
    return found


def _path(value: Any) -> str:
    text = _text(value)
    if not text:
        raise _Wrong("an empty path")
    return text


def _host_path(value: Any) -> str:
    return os.path.abspath(_path(value))


def _inside(value: Any) -> str:
    path = _path(value)
    if not path.startswith("/"):
        raise _Wrong(f"not absolute: {path!r}")
    return path


def _paths(value: Any) -> list[str]:
    return [_host_path(one) for one in _items(value, "a list of paths")]


def _binds(value: Any) -> list[tuple[str, str, bool]]:
    found = []
    for one in _items(value, "a list of pairs of paths"):
        if not isinstance(one, (tuple, list)) or len(one) not in (2, 3):
            raise _Wrong(f"not (host path, path inside): {one!r}")
        mode = one[2] if len(one) == 3 else "rw"
        if mode not in ("ro", "rw"):
            raise _Wrong(f"neither 'ro' nor 'rw': {mode!r}")
        found.append((_host_path(one[0]), _inside(one[1]), mode == "ro"))
    return found


def _tmpfs(value: Any) -> list[tuple[str, int]]:
    found = []
    for one in _items(value, "a list of paths"):
        path, size = one if isinstance(one, tuple) and len(one) == 2 else (one, 0)
        found.append((_inside(path), _size(size)))
    return found


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Wrong(f"neither True nor False: {value!r}")
    return value


def _net(value: Any) -> str:
    if value not in ("none", "host"):
        raise _Wrong(f"neither none nor host: {value!r}")
    return str(value)


def _cgroups(value: Any) -> str:
    if value not in ("", "cgroupfs", "systemd", "disabled"):
        raise _Wrong(f"not cgroupfs, systemd or disabled: {value!r}")
    return str(value)


def _variables(value: Any) -> dict[str, str]:
    if not hasattr(value, "items"):
        raise _Wrong(f"not a mapping of names to values: {value!r}")
    found = {_text(name): _text(text) for name, text in value.items()}
    for name in found:
        if not name or "=" in name:
            raise _Wrong(f"not a name of a variable: {name!r}")
    return found


def _texts(value: Any) -> list[str]:
    return [_text(one) for one in _items(value, "a list of texts")]


def _user(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return str(value)
    return _text(value)


def _size(value: Any) -> int:
    """Bytes; 0 is none given."""
    if isinstance(value, str):
        return parse_size(value)
    return _count(value, "bytes, or a text like '256M'")


def _count(value: Any, wanted: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _Wrong(f"not a number of {wanted}: {value!r}")
    if value < 0:
        raise _Wrong(f"negative: {value}")
    return value


def _number(value: Any, wanted: str, most: float) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise _Wrong(f"not a number of {wanted}: {value!r}")
    if not 0 <= value < most:  # nor what is no number
        raise _Wrong(f"negative: {value}" if value < 0 else f"not a number of {wanted}: {value!r}")
    return float(value)


def _cpu_time(value: Any) -> int:
    seconds = _number(value, "seconds", 1 << 40)
    return int(seconds) + (seconds > int(seconds))  # the kernel counts whole ones


def _rlimits(value: Any) -> dict[str, tuple[int, int]]:
    if not hasattr(value, "items"):
        raise _Wrong(f"not a mapping of names to limits: {value!r}")
    found = {}
    for given, limit in value.items():
        name = _text(given).upper()
        name = name if name.startswith("RLIMIT_") else f"RLIMIT_{name}"
        if name not in RLIMITS:
            known = ", ".join(known[7:] for known in RLIMITS)
            raise _Wrong(f"unknown limit: {given!r} (known: {known})")
        pair = limit if isinstance(limit, tuple) and len(limit) == 2 else (limit, limit)
        soft, hard = (-1 if one == -1 else _size(one) for one in pair)
        if hard != -1 and (soft == -1 or soft > hard):
            raise _Wrong(f"the soft limit of {given} is above the hard one: {limit!r}")
        found[name] = soft, hard
    return found


def _filter(value: Any) -> Any:
    from ..config.seccomp import Seccomp

    return value if isinstance(value, Seccomp) else _path(value)


def _landlock(value: Any) -> Any:
    from ..config import Landlock

    if value is not None and not isinstance(value, Landlock):
        raise _Wrong(f"not a libct.Landlock: {value!r}")
    return value


_READERS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("ro", "rw", "ro_try", "rw_try"), _paths),
    **dict.fromkeys(("bind", "bind_try"), _binds),
    "tmpfs": _tmpfs,
    **dict.fromkeys(("overlay", "home", "clear_env", "keep_caps", "as_pid_1", "outlive"), _bool),
    "net": _net,
    "cgroups": _cgroups,
    "env": _variables,
    "unset": _texts,
    "cwd": _text,
    "user": _user,
    "hostname": _text,
    "memory": _size,
    "pids": lambda value: _count(value, "processes"),
    "cpus": lambda value: _number(value, "CPUs", 1 << 20),
    "rlimits": _rlimits,
    "cpu_time": _cpu_time,
    "seccomp": _filter,
    "landlock": _landlock,
    "root": _host_path,
}
