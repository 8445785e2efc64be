"""/proc/self/mountinfo (proc_pid_mountinfo(5)), read through the host's /proc."""

from __future__ import annotations

import posix

from ..loading.paths import fsdecode, rest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context


class MountPoint:
    """root: which directory of the file system is mounted; point: where, from our root.

    number: its own; parent: that of the mount that it is on.  mapped: are its ids?
    """

    __slots__ = ("bindable", "fstype", "mapped", "number", "parent", "point", "root")

    def __init__(self, line: str) -> None:
        before, _, after = line.partition(" - ")
        self.number, self.parent, _, root, point, options, *more = before.split(" ")
        self.root, self.point, self.fstype = unescape(root), unescape(point), after.split(" ")[0]
        self.bindable, self.mapped = "unbindable" not in more, "idmapped" in options.split(",")

    def is_below(self, path: str) -> bool:
        """Is it at path or somewhere below it?"""
        return self.point == path or self.point.startswith(path.rstrip("/") + "/")


def mount_points(context: Context) -> list[MountPoint]:
    """All mounts of our namespace that are reachable from our root, in order."""
    fd = posix.open("self/mountinfo", posix.O_RDONLY | posix.O_CLOEXEC, dir_fd=context.fds["proc"])
    try:
        return parse(fsdecode(rest(fd)))
    finally:
        posix.close(fd)


def parse(text: str) -> list[MountPoint]:
    return [MountPoint(line) for line in text.split("\n") if line]


def unescape(text: str) -> str:
    """Undo the octal escapes of space, tab, newline and backslash."""
    if "\\" not in text:
        return text
    first, *rest = text.split("\\")
    return first + "".join(chr(int(piece[:3], 8)) + piece[3:] for piece in rest)
