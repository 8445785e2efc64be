"""The options of a sandbox: what the keywords of run(), Popen() and Sandbox() mean.

read() makes values of one kind of what a caller gives ("256M", a Path, a tuple), and judges
them.  All that is wrong is told at once, each by the keyword that it was given as; nothing has
been made by then.  The command line gives its options by these names, too (cli/sandbox.py).
"""

from __future__ import annotations

import os

from ..config.record import Record
from ..errors import ConfigError, Finding
from .readers import (
    Wrong,
    kind_of,
    read_binds,
    read_bool,
    read_count,
    read_cpu_time,
    read_directories,
    read_files,
    read_filled,
    read_filter,
    read_host_path,
    read_id,
    read_items,
    read_landlock,
    read_limit,
    read_links,
    read_manager,
    read_net,
    read_number,
    read_own,
    read_paths,
    read_rlimits,
    read_size as _size,
    read_text,
    read_texts,
    read_tmpfs,
    read_user,
    read_variables,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
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
        dir: Sequence[Path]
        symlink: Sequence[tuple[Path, Path]]
        file: Mapping[Path, str | bytes | os.PathLike[str]]
        dev: Sequence[Path]
        rootfs: Path
        empty: bool
        proc: str
        sys: str
        overlay: bool
        home: bool
        net: Path
        env: Mapping[str, str]
        clear_env: bool
        unset: Sequence[str]
        cwd: Path
        user: str | int
        uid: int
        gid: int
        userns: bool
        subids: bool
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
    All these are mounted with outer places before inner ones, whatever their order.
    dir: directories to make inside.
    symlink: what a link leads to, and the path of the link.
    file: files to make inside: path -> content; a PathLike is a host file that is copied.
        These three are made after the mounts, where there is nothing else yet.
    dev: device nodes of the host to see, at the same place.
    rootfs: the directory that is seen as /, instead of the host's.
    empty: / is empty but for what is asked for, and the sandbox's own /proc, /dev, /tmp, ...
    proc, sys: "own", or "none" for an empty directory.
    overlay: / is writable, and what is written is lost at the end.
    home: the home directory is the host's, read-only, instead of an empty one.
    net: "none" (a loopback device alone), "host", or the path of a network namespace.  Root's may
        be "veth", a pair of devices, one here and one on the host; "veth:10.0.3.2/24" has this
        address, and with ",bridge=br0" the other end is a port of that bridge.  An ordinary user's
        may be "pasta": pasta or slirp4netns makes the connections.  See docs/network.md.
    env: added to the few variables that come from the caller.
    clear_env: none comes from the caller.  unset: names that do not come from him.
    cwd: "" is the caller's directory, where the sandbox has it, or else /.
    user: "name", "uid", "uid:gid"; "" is the caller.  An ordinary user is the one user there
        is, whatever id he takes.
    uid, gid: the same by numbers alone; -1 is not given.
    userns: root's sandbox has a user namespace, too: he is root there, with no rights outside.
    subids: the user namespace has the caller's subordinate ids (subuid(5)), too.
    hostname: what the sandbox is called inside.
    memory: bytes; pids: processes; cpus: as many CPUs' time.
    rlimits: name as "NOFILE" -> soft and hard limit (getrlimit(2)); -1 is no limit.
    cpu_time: seconds of CPU time that a process may use.
        Of these four, 0 is not given, and an error where it is.
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
    dir: list[str] = []
    symlink: list[tuple[str, str]] = []
    file: list[tuple[str, str]] = []
    dev: list[str] = []
    rootfs: str = ""
    empty: bool = False
    proc: str = "own"
    sys: str = "own"
    overlay: bool = False
    home: bool = False
    net: str = "none"
    env: dict[str, str] = {}
    clear_env: bool = False
    unset: list[str] = []
    cwd: str = ""
    user: str = ""
    uid: int = -1
    gid: int = -1
    userns: bool = False
    subids: bool = False
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


def read(given: Mapping[str, Any], called: str = "sandbox") -> Options:
    """The options that were given by keyword to a function of that name; None is not given.

    Raises TypeError for a keyword that there is not, ConfigError with all that is wrong else.
    """
    refuse_unknown(given, called)
    values: dict[str, Any] = {}
    findings: list[Finding] = []
    for name, value in given.items():
        if value is None:
            continue  # not given, as for subprocess
        try:
            values[name] = _READERS[name](value)
        except (Wrong, ValueError) as error:
            findings.append(Finding(name, str(error)))
    if findings:
        raise ConfigError(findings)
    return Options(**values)


def refuse_unknown(given: Iterable[str], called: str) -> None:
    """Raise TypeError for a keyword that there is not, of a function of that name."""
    for name in given:
        if name not in _READERS:
            from ..config.nearest import did_you_mean

            hint = did_you_mean(name, _READERS)
            raise TypeError(f"{called}() got an unexpected keyword argument {name!r}{hint}")


def command(args: Any) -> list[str]:
    """The command and its arguments, as given."""
    if isinstance(args, (str, bytes, os.PathLike)):
        example = args.split() if isinstance(args, str) else [os.fsdecode(args)]
        text = f"one {kind_of(args)} where a list is expected: {args!r} (write {example!r})"
        raise ConfigError([Finding("args", text)])
    try:
        found = [read_text(one) for one in read_items(args, "a list of strings")]
    except Wrong as error:
        raise ConfigError([Finding("args", str(error))]) from None
    if not found:
        raise ConfigError([Finding("args", "empty: a command is needed")])
    return found


def read_size(name: str, value: Any) -> int:
    """Bytes, of a number or a text as "256M"; name: the keyword that it was given as."""
    try:
        return _size(value)
    except (Wrong, ValueError) as error:
        raise ConfigError([Finding(name, str(error))]) from None


_READERS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("ro", "rw", "ro_try", "rw_try", "dev"), read_paths),
    **dict.fromkeys(("bind", "bind_try"), read_binds),
    "tmpfs": read_tmpfs,
    "dir": read_directories,
    "symlink": read_links,
    "file": read_files,
    "rootfs": read_host_path,
    **dict.fromkeys(("proc", "sys"), read_own),
    **dict.fromkeys(
        ("overlay", "empty", "home", "clear_env", "keep_caps", "userns", "subids"), read_bool
    ),
    **dict.fromkeys(("as_pid_1", "outlive"), read_bool),
    "net": read_net,
    "cgroups": read_manager,
    "env": read_variables,
    "unset": read_texts,
    "cwd": read_text,
    "user": read_user,
    **dict.fromkeys(("uid", "gid"), read_id),
    "hostname": read_filled,
    "memory": read_limit(_size),
    "pids": read_limit(lambda value: read_count(value, "processes")),
    "cpus": read_limit(lambda value: read_number(value, "CPUs", 1 << 20)),
    "rlimits": read_rlimits,
    "cpu_time": read_limit(read_cpu_time),
    "seccomp": read_filter,
    "landlock": read_landlock,
    "root": read_host_path,
}
