"""Which mounts and files of a container lead to its host: CRIU is told of each, and by what name.

A mount of a file system that CRIU writes down (proc, tmpfs, ...), or of something below the
container's root, it makes again itself.  Any other is "external": it is written down by its
place in the container, and what is mounted there at a restore is for us to say.

Source: proc_pid_mountinfo(5); criu.org, External bind mounts and Inheriting FDs on restore.
"""

from __future__ import annotations

from ..loading.paths import normal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..config.mount import Mount

# Of which CRIU makes a new instance, with what was in it where it is in memory alone.
_MADE_AGAIN = frozenset(
    ("proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2", "devtmpfs", "binfmt_misc")
)


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


def external(mounts: Iterable[Mounted]) -> list[str]:
    """The places of those that lead to the host, each once."""
    listed = list(mounts)
    roots = [one for one in listed if one.place == "/"]
    # The whole of a file system that is made again: parts of it that are bound are, too.
    whole = {one.device for one in listed if one.root == "/" and one.type in _MADE_AGAIN}
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


def file_key(mount: int, inode: int) -> str:
    """What CRIU calls a file that is open from outside of the container's mounts."""
    return f"file[{mount:x}:{inode:x}]"


def _below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(f"{directory.rstrip('/')}/")


def _unescaped(text: str) -> str:
    """With the characters that are written as \\040 in it."""
    first, *rest = text.split("\\")
    return first + "".join(chr(int(part[:3], 8)) + part[3:] for part in rest)
