"""What a sandbox sees of the host, and what it has of its own.

Its root is the host's /, read-only down to the last mount, or below an overlay that takes
the writes and is thrown away; or another directory; or an empty one.  /proc, /dev, /sys,
/tmp, /run and the home directory are the sandbox's own.  On that comes what is asked for,
outer places before inner ones, in whatever order they are given.
"""

from __future__ import annotations

import os
from stat import S_ISBLK, S_ISCHR

from ..config import IDMap, Mount
from ..config.entry import Entry
from ..config.mount import RecAttr
from ..config.mount_flags import (
    MOUNT_ATTR_RDONLY,
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_RDONLY,
    MS_REC,
    MS_STRICTATIME,
)
from ..errors import ConfigError, Finding
from .readers import RESOLV_CONF, network_kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .options import Options

    # Option, host path, path inside, and whether it is read-only.
    Bind = tuple[str, str, str, bool]

_QUIET = MS_NOSUID | MS_NODEV


class Seen:
    """The file systems of a sandbox.

    mounts, entries: of its Config.  origins: place in that -> option.
    home: the home directory, or "".  cwd: where the command starts.
    owner: user and group that the home directory belongs to.

    Raises ConfigError for what is not there, or cannot be.
    """

    def __init__(self, options: Options, owner: tuple[int, int]) -> None:
        binds = _binds(options)
        self.home = _home(options)
        self.cwd, shown = _directory(options, [inside for _, _, inside, _ in binds])
        asked = [("tmpfs", _memory(path, size)) for path, size in options.tmpfs]
        # In front of what was asked for, which may be in there.
        before = [("cwd", _shown(self.cwd))] if shown else []
        before += [("net", _bind(path, path, True)) for path in _name_service(options)]
        asked += [(name, _bind(source, inside, ro)) for name, source, inside, ro in binds]
        _refuse_twice(asked)
        taken = {mount.destination for _, mount in asked}
        asked += [one for one in before if one[1].destination not in taken]
        # An outer mount would hide what has been mounted below it.
        asked.sort(key=lambda one: one[1].destination.count("/"))
        self.mounts = _own(options, owner)
        first = len(self.mounts)
        self.mounts += [mount for _, mount in asked]
        made = _entries(options)
        self.entries = [entry for _, entry in made]
        self.origins = {f"mounts[{first + at}]": name for at, (name, _) in enumerate(asked)}
        self.origins.update((f"entries[{at}]", name) for at, (name, _) in enumerate(made))
        self.origins["root.path"] = "rootfs"
        if options.proc == "own":
            self.origins["mounts[0]"] = "proc"
        if network_kind(options.net) == "path":
            self.origins["linux.namespaces"] = "net"
        self.origins["networks"] = "net"


def _binds(options: Options) -> list[Bind]:
    found: list[Bind] = []
    findings = []
    for name in ("ro", "ro_try", "rw", "rw_try", "dev", "bind", "bind_try"):
        given = getattr(options, name)
        if not name.startswith("bind"):
            given = [(path, path, name.startswith("ro")) for path in given]
        for source, inside, read_only in given:
            inside = os.path.normpath(inside)
            if inside == "/":
                findings.append(Finding(name, "/ cannot be bound, only what is below it"))
            elif not os.path.exists(source):
                if not name.endswith("_try"):
                    findings.append(Finding(name, f"no such file or directory: {source!r}"))
            elif name == "dev" and not _is_device(source):
                findings.append(Finding(name, f"not a device: {source!r}"))
            else:
                found.append((name, source, inside, read_only))
    for name in ("tmpfs", "dir", "symlink", "file"):
        for value in getattr(options, name):
            path = value[1] if name == "symlink" else value if name == "dir" else value[0]
            if os.path.normpath(path) == "/":
                findings.append(Finding(name, "/ cannot be covered, only what is below it"))
    if options.rootfs and options.empty:
        findings.append(Finding("empty", "cannot be used together with rootfs"))
    if options.overlay and options.empty:
        findings.append(Finding("empty", "cannot be used together with overlay"))
    if options.rootfs and not os.path.isdir(options.rootfs):
        findings.append(Finding("rootfs", f"no such directory: {options.rootfs!r}"))
    if findings:
        raise ConfigError(findings)
    return found


def _is_device(path: str) -> bool:
    mode = os.stat(path).st_mode
    return S_ISCHR(mode) or S_ISBLK(mode)


def _refuse_twice(asked: Sequence[tuple[str, Mount]]) -> None:
    taken: dict[str, str] = {}
    findings = []
    for name, mount in asked:
        path = mount.destination
        if path in taken:
            also = "" if taken[path] == name else f", and by {taken[path]}"
            findings.append(Finding(name, f"something is mounted on {path!r} twice{also}"))
        taken[path] = name
    if findings:
        raise ConfigError(findings)


def _entries(options: Options) -> list[tuple[str, Entry]]:
    # What the host has there is left out.
    made = [(name, Entry(f"/{name}", "empty")) for name in _left_out(options)]
    made += [("dir", Entry(path)) for path in options.dir]
    made += [("file", Entry(path, "file", content)) for path, content in options.file]
    made += [("symlink", Entry(path, "link", target)) for target, path in options.symlink]
    return sorted(made, key=lambda one: os.path.normpath(one[1].path).count("/"))


def _left_out(options: Options) -> list[str]:
    return [name for name in ("proc", "sys") if getattr(options, name) == "none"]


def _home(options: Options) -> str:
    """The home directory in the sandbox, as an existing path other than /, or ""."""
    found = _homes(options)
    return found[0] if found else ""


def _homes(options: Options) -> list[str]:
    """The caller's home directory by $HOME, and by the users of the host.

    A service, or what has an environment of its own, may lack the variable; its files in
    there are to be hidden all the same.
    """
    if options.empty or options.rootfs:
        home = os.path.normpath(os.environ.get("HOME", ""))
        there = options.empty or os.path.isdir(options.rootfs + home)
        return [home] if home.startswith("/") and home != "/" and there else []
    found: list[str] = []
    for given in (os.environ.get("HOME", ""), _home_of_user()):
        home = os.path.realpath(given) if given.startswith("/") else "/"
        if home not in ("/", *found) and os.path.isdir(home):
            found.append(home)
    return found


def _home_of_user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return ""


def _own(options: Options, owner: tuple[int, int]) -> list[Mount]:
    """What the sandbox has of its own."""
    homes = [] if options.home else sorted(_homes(options))
    terminals = "newinstance,ptmxmode=0666,mode=0620"
    if os.geteuid() == 0 and (options.subids or _is_mapped(5)):
        terminals += ",gid=5"  # tty; an ordinary user's alone is not mapped
    mounts = [
        Mount("/proc", "proc", "proc", _QUIET | MS_NOEXEC),
        Mount("/dev", "tmpfs", "tmpfs", MS_NOSUID | MS_STRICTATIME, data="mode=755,size=65536k"),
        Mount("/dev/pts", "devpts", "devpts", MS_NOSUID | MS_NOEXEC, data=terminals),
        Mount("/dev/shm", "shm", "tmpfs", _QUIET | MS_NOEXEC, data="mode=1777"),
        Mount("/dev/mqueue", "mqueue", "mqueue", _QUIET | MS_NOEXEC),
        Mount("/tmp", "tmpfs", "tmpfs", _QUIET, data="mode=1777"),
        Mount("/run", "tmpfs", "tmpfs", _QUIET, data="mode=755"),
    ]
    if options.proc == "none":
        del mounts[0]
    if options.sys == "own" and network_kind(options.net) not in ("host", "path"):
        # The host's would show its network devices; in its own namespace alone
        # the sandbox may mount one.
        mounts.append(Mount("/sys", "sysfs", "sysfs", _QUIET | MS_NOEXEC | MS_RDONLY))
    data = f"mode=700,uid={owner[0]},gid={owner[1]}"
    for index, home in enumerate(homes):
        if not _is_below(home, ["/tmp", "/run", *homes[:index]]) or index == 0:
            mounts.append(Mount(home, "tmpfs", "tmpfs", _QUIET, data=data))
    return mounts


def own_maps(kind: str) -> list[IDMap]:
    """All ids of our own user namespace, each as itself; kind: "uid" or "gid"."""
    with open(f"/proc/self/{kind}_map", encoding="ascii") as file:
        lines = [line.split() for line in file]
    return [IDMap(int(first), int(first), int(count)) for first, _, count in lines]


def _is_mapped(gid: int) -> bool:
    try:
        maps = own_maps("gid")
    except FileNotFoundError:
        return True  # without a /proc, which the start is going to tell of
    return any(0 <= gid - one.container_id < one.size for one in maps)


def _name_service(options: Options) -> list[str]:
    """Where the list of name servers is bound, if anywhere.

    What /etc/resolv.conf leads to in a directory that is the sandbox's own; with pasta, which
    brings a list, wherever it leads.
    """
    pasta = options.net == "pasta"
    if options.rootfs or options.empty:
        there = options.empty or os.path.isfile(options.rootfs + RESOLV_CONF)
        return [RESOLV_CONF] if pasta and there else []
    if options.net == "none":
        return []
    path = os.path.realpath(RESOLV_CONF)
    if pasta and os.path.isfile(path):
        return [path]
    return [path] if os.path.isfile(path) and _is_below(path, hidden_paths(options)) else []


def _memory(path: str, size: int) -> Mount:
    data = "mode=1777" + (f",size={size}" if size else "")
    return Mount(os.path.normpath(path), "tmpfs", "tmpfs", _QUIET, data=data)


def _shown(path: str) -> Mount:
    """Read-only, without what is mounted below: of a whole tree only Linux 5.12 makes it so."""
    return Mount(path, path, "bind", MS_BIND | MS_RDONLY)


def _bind(source: str, inside: str, read_only: bool) -> Mount:
    return Mount(
        inside,
        source,
        "bind",
        MS_BIND | MS_REC,
        rec_attr=RecAttr(MOUNT_ATTR_RDONLY, 0) if read_only else None,
    )


def hidden_paths(options: Options) -> list[str]:
    """What the sandbox has of its own in the place of the host's."""
    return ["/tmp", "/run"] + ([] if options.home else _homes(options))


def elsewhere(options: Options) -> str:
    """Why the command does not start in the caller's directory, in a line; "" where it does."""
    if options.cwd or options.rootfs or options.empty:
        return ""
    directory, _ = _directory(options, [bind[2] for bind in _binds(options)])
    here = current_directory()
    if directory == here:
        return ""
    return f"{here!r} is not shown in the sandbox (--rw . shows it): starting in {directory!r}"


def read_only_directory(options: Options) -> str:
    """The caller's directory, where the command starts in it and may not write, unasked; or ""."""
    if options.cwd or options.rootfs or options.empty:
        return ""
    asked = [bind[2] for bind in _binds(options)] + [path for path, _ in options.tmpfs]
    here = current_directory()
    directory, shown = _directory(options, asked)
    if directory != here or _is_below(here, asked):
        return ""
    # Else it is that of /, or in an empty home.
    visible = not options.overlay and not _is_below(here, hidden_paths(options))
    return here if shown or visible else ""


def _directory(options: Options, shared: Sequence[str]) -> tuple[str, bool]:
    """Where the command starts, and whether that is to be shown, read-only.

    In the caller's directory, unless the sandbox hides that as a whole: it has an empty one
    in its place then, the home directory, if there is one.  Another root has not got it.
    """
    here = current_directory()
    hidden = hidden_paths(options)
    if options.cwd:
        made = [*shared, *hidden, *options.dir, *[path for path, _ in options.tmpfs]]
        of_host = not (options.rootfs or options.empty or _is_below(options.cwd, made))
        if of_host and not os.path.isdir(options.cwd):
            raise ConfigError([Finding("cwd", f"{options.cwd!r} is not a directory")])
        return options.cwd, False
    if _is_below(here, shared):
        return here, False
    if options.rootfs or options.empty:
        return _home(options) or "/", False
    if not _is_below(here, hidden):
        return here, False
    if here not in hidden and not any(_is_below(path, [here]) for path in hidden):
        return here, True
    return _home(options) or "/", False


def _is_below(path: str, others: Sequence[str]) -> bool:
    """Whether it is one of the others, or in one."""
    return any(path == other or path.startswith(other.rstrip("/") + "/") for other in others)


def current_directory() -> str:
    """The caller's; ConfigError where that has been removed."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        what = "the directory that this is called in has been removed: give another, or go there"
        raise ConfigError([Finding("cwd", what)]) from None
