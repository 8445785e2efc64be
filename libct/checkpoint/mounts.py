"""Which mounts and files of a container lead to its host: CRIU is told of each, and by what name.

A mount of a file system that CRIU writes down (proc, tmpfs, ...), or of something below the
container's root, it makes again itself.  Any other is "external": it is written down by its
place in the container, and what is mounted there at a restore is for us to say.  So is a tmpfs
of the host that is bound into the container.

Source: proc_pid_mountinfo(5); criu.org, External bind mounts and Inheriting FDs on restore.
"""

from __future__ import annotations

from ..loading.paths import normal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..config import Config
    from ..config.mount import Mount

# Of which CRIU makes a new instance, with what was in it where it is in memory alone.
_MADE_AGAIN = frozenset(
    ("proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2", "devtmpfs", "binfmt_misc")
)

# Of these, an instance that the host has mounted, too, is the host's: a new one would have
# nothing of what is in it.
_WITH_CONTENTS = frozenset(("tmpfs", "devpts"))


class Mounted:
    """One line of mountinfo: number, device, root (what of its file system), place, type."""

    __slots__ = ("device", "number", "place", "root", "type")

    def __init__(self, line: str) -> None:
        words = line.split(" ")
        self.number, self.device = int(words[0]), words[2]
        self.root, self.place = _unescaped(words[3]), _unescaped(words[4])
        self.type = words[words.index("-") + 1]


def parse(text: str) -> list[Mounted]:
    return [Mounted(line) for line in text.splitlines() if line]


def external(mounts: Iterable[Mounted], host: Iterable[Mounted]) -> list[str]:
    """The places of those that lead to the host, each once.

    host: the mounts there.
    """
    listed = list(mounts)
    roots = [one for one in listed if one.place == "/"]
    shared = {one.device for one in host if one.type in _WITH_CONTENTS}
    # The whole of a file system that is made again: parts of it that are bound are, too.
    whole = {one.device for one in listed if one.root == "/" and one.type in _MADE_AGAIN} - shared
    found = []
    for one in listed:
        if one.place == "/" or one.device in whole or one.type in ("cgroup", "cgroup2"):
            continue
        if any(one.device == root.device and _below(one.root, root.root) for root in roots):
            continue
        found.append(one.place)
    return list(dict.fromkeys(found))


def sources(mounts: Iterable[Mount], host: Iterable[Mounted]) -> dict[str, str]:
    """What is mounted at each place that a configuration binds something of the host to.

    mounts: with destinations in their shortest form.
    host: the mounts there, those below a source included: these go along (rbind).
    """
    listed, found = list(host), {}
    for mount in mounts:
        if mount.device != "bind":
            continue
        place, source = mount.destination, normal(mount.source)
        found[place] = source
        for other in listed:
            if other.place != source and _below(other.place, source):
                found[f"{place.rstrip('/')}/{other.place[len(source) :].lstrip('/')}"] = other.place
    return found


def own_sources(config: Config) -> dict[str, str]:
    """The same of what a start binds by itself: masks of files, and devices of the host.

    The latter in a user namespace alone, where none can be made.
    """
    found = {normal(device.path): normal(device.path) for device in config.devices}
    return {**found, **dict.fromkeys(map(normal, config.mask_paths), "/dev/null")}


def file_key(mount: int, inode: int) -> str:
    """What CRIU calls a file that is open from outside of the container's mounts."""
    return f"file[{mount:x}:{inode:x}]"


def terminal_key(rdev: int, dev: int) -> str:
    """What CRIU calls a terminal that is not of the container's own devpts (stat(2))."""
    return f"tty[{rdev:x}:{dev:x}]"


def _below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(f"{directory.rstrip('/')}/")


def _unescaped(text: str) -> str:
    """With the characters that are written as \\040 in it."""
    first, *rest = text.split("\\")
    return first + "".join(chr(int(part[:3], 8)) + part[3:] for part in rest)
