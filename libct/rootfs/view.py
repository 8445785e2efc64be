"""A directory of the host, / as a rule, as a rootfs (Config.rootfs_view): for `libct sandbox`.

The rootfs is a new tmpfs with a place for each entry of the directory: links are
made anew, and the rest is mounted, as a read-only bind or as an overlay whose
writes go to another tmpfs and with it away.

What the mounts of the configuration are going to cover (/proc, a home directory)
is left out, and an empty directory made for it.  If it were only covered, a
command with CAP_SYS_ADMIN could unmount what covers it, and look at the host's.

One overlay of all of / would not do, for overlayfs refuses a lower layer with
mounts below it that came with it from a more privileged namespace
(mount_namespaces(7); fs/namespace.c, clone_private_mount()).  So neither bind
nor overlay is made of a directory with a mount point or something to leave out
below it, but of the entries of it.

An ordinary user may change what the host lets him change, and make, replace and
remove entries in a directory that an overlay lies on, /usr or /etc, for its
uppermost layer is his.  In the directories below (/usr/lib) only their owners may
do that, of whom no other is mapped in his user namespace, so that he has no rights
over them there either.  What has mounts below it in a directory that he may not
list, which overlayfs refuses, is a read-only bind.
"""

from __future__ import annotations

import _stat as stat
import posix

from ..config.mount_flags import MOUNT_ATTR_RDONLY
from ..loading.paths import split
from ..syscalls.constants import (
    AT_FDCWD,
    AT_NO_AUTOMOUNT,
    AT_RECURSIVE,
    AT_SYMLINK_NOFOLLOW,
    MNT_DETACH,
    MOVE_MOUNT_F_EMPTY_PATH,
    MOVE_MOUNT_T_EMPTY_PATH,
    OPEN_TREE_CLONE,
)
from ..syscalls.mounts import move_mount, open_tree, umount2
from .attach import remount_attached, set_attributes
from .copyup import copy_entry, keep_attributes
from .filesystems import make_filesystem
from .mountinfo import MountPoint, mount_points
from .paths import open_in_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..bootstrap.context import Context

_LARGEST_COPY = 1 << 20  # bytes
_READ_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
_ONTO = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH


def _is_below(path: str, others: set[str]) -> bool:
    return any(path.startswith(other + "/") for other in others)


def view(context: Context, path: str, kind: str, hidden: tuple[str, ...]) -> None:
    """Hold the new rootfs under "root".

    kind: "read-only", "overlay", or "empty", which has nothing of path.
    hidden: what is left out, absolute in path.
    """
    if kind == "empty":
        context.keep("root", _tmpfs_on_root("755"))
        return
    source = posix.open(path, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    try:
        points = [at for at in mount_points(context) if at.is_below(path) and at.point != path]
        view = _View(context, path, kind == "overlay", hidden, points)
        view.fill(source, view.root, "", posix.listdir(source))
    finally:
        posix.close(source)
    view.finish()


class _View:
    """A view while it is made.  root: the descriptor of its root directory."""

    def __init__(
        self,
        context: Context,
        path: str,
        overlay: bool,
        hidden: tuple[str, ...],
        points: list[MountPoint],
    ) -> None:
        base = path.rstrip("/")
        self.context, self.base, self.overlay = context, base, overlay
        self.hidden = {base + place for place in hidden}
        self.points = {at.point for at in points}
        apart = set(self.hidden)
        if overlay:
            # Other file systems are bound, each with all that is mounted below it.
            whole = {point for point in self.points if not _leads_to(point, self.hidden)}
            apart |= {point for point in whole if not _is_below(point, whole)}
        # The directories of which an entry needs a treatment of its own.
        self.parents = {parent for place in apart for parent in _parents(place)}
        self.layers, self.count = -1, 0
        self.root = _tmpfs_on_root("755")
        context.keep("root", self.root)
        if overlay:
            self.layers = _tmpfs_on_root("700")
            self.xattr = (("userxattr", None),) if not _in_first_user_namespace(context) else ()

    def fill(self, source: int, place: int, path: str, names: Iterable[str]) -> None:
        """Put entries of the directory source into place.  path: theirs, from the root."""
        for name in names:
            try:
                found = posix.stat(name, dir_fd=source, follow_symlinks=False)
                self._entry(source, place, name, f"{path}/{name}", found)
            except FileNotFoundError:
                if _is_there(source, name):
                    raise
                # It has gone meanwhile, as files do on a host.

    def _entry(
        self, source: int, place: int, name: str, inner: str, found: posix.stat_result
    ) -> None:
        here = self.base + inner
        if stat.S_ISLNK(found.st_mode):
            posix.symlink(posix.readlink(name, dir_fd=source), name, dir_fd=place)
        elif not stat.S_ISDIR(found.st_mode):
            self._file(source, place, name, inner, found)
        elif here in self.hidden:
            posix.mkdir(name, 0o755, dir_fd=place)
            keep_attributes(place, name, found)
        elif here in self.parents and self._is_made_of_entries(source, name, here):
            self._enter(source, place, name, inner, found)
        else:
            posix.mkdir(name, 0o755, dir_fd=place)
            # No overlay of what has mounts below it that we cannot leave out.
            if self.overlay and here not in self.points and here not in self.parents:
                self._lay_over(source, place, name, found)
            else:
                self._bind(source, place, name, inner)

    def finish(self) -> None:
        """The root is like the directory it is a view of."""
        found = posix.stat(self.base or "/")
        posix.chmod(".", stat.S_IMODE(found.st_mode), dir_fd=self.root)
        if self.layers >= 0:
            # The overlays have them.  On top of the new root they would be what `/..` leads to,
            # and what others have for a root that enter the mount namespace.
            umount2(f"/proc/self/fd/{self.layers}", MNT_DETACH)
            posix.close(self.layers)

    def _is_made_of_entries(self, source: int, name: str, here: str) -> bool:
        """Whether we may list it; or enter it, and have something to leave out of it."""
        if posix.access(name, posix.R_OK | posix.X_OK, dir_fd=source, effective_ids=True):
            return True
        enter = posix.access(name, posix.X_OK, dir_fd=source, effective_ids=True)
        return enter and _leads_to(here, self.hidden)

    def _enter(
        self, source: int, place: int, name: str, inner: str, found: posix.stat_result
    ) -> None:
        """Make a directory of the entries of this one.

        Where we may not list it, of those that lead to what is left out: others may be known
        by name, but bound with the whole what is left out would be there, too.
        """
        try:
            below = posix.open(name, _READ_DIRECTORY, dir_fd=source)
            names = posix.listdir(below)
        except PermissionError:
            below = posix.open(name, posix.O_PATH | _READ_DIRECTORY, dir_fd=source)
            here = self.base + inner + "/"
            led = {place[len(here) :] for place in self.hidden if place.startswith(here)}
            names = sorted({place.partition("/")[0] for place in led})
        try:
            posix.mkdir(name, 0o755, dir_fd=place)
            made = posix.open(name, _READ_DIRECTORY, dir_fd=place)
            try:
                self.fill(below, made, inner, names)
            finally:
                posix.close(made)
        finally:
            posix.close(below)
        keep_attributes(place, name, found)

    def _file(
        self, source: int, place: int, name: str, inner: str, found: posix.stat_result
    ) -> None:
        if self.overlay and stat.S_ISREG(found.st_mode) and found.st_size <= _LARGEST_COPY:
            try:
                if copy_entry(source, place, self.context.fds["proc"], name, found):
                    return
            except PermissionError:
                pass  # not readable for us, and not in the sandbox either
        flags = posix.O_CREAT | posix.O_EXCL | posix.O_WRONLY | posix.O_CLOEXEC
        posix.close(posix.open(name, flags, 0o644, dir_fd=place))
        self._bind(source, place, name, inner)

    def _bind(self, source: int, place: int, name: str, inner: str) -> None:
        """What is mounted below comes along."""
        flags = OPEN_TREE_CLONE | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT
        tree = open_tree(source, name, flags)
        try:
            late = not set_attributes(tree, MOUNT_ATTR_RDONLY, 0, recursive=True)
            _move(tree, place, name)
        finally:
            posix.close(tree)
        if late:
            self._remount_below(inner)

    def _remount_below(self, inner: str) -> None:
        """One by one, for Linux 5.10 and 5.11."""
        here = self.base + inner
        below = [point for point in self.points if point.startswith(here + "/")]
        for point in [here, *sorted(below)]:
            tree = open_in_root(self.root, point[len(self.base) :])
            try:
                remount_attached(self.context, tree, MOUNT_ATTR_RDONLY, 0)
            finally:
                posix.close(tree)

    def _lay_over(self, source: int, place: int, name: str, found: posix.stat_result) -> None:
        """An overlay of this one directory."""
        self.count += 1
        upper, work = f"upper{self.count}", f"work{self.count}"
        for made in (upper, work):
            posix.mkdir(made, 0o755, dir_fd=self.layers)
        # The directory itself looks like its uppermost layer.
        keep_attributes(self.layers, upper, found)
        lower = posix.open(name, posix.O_PATH | _READ_DIRECTORY, dir_fd=source)
        try:
            # overlayfs takes paths; and these need no escapes, and are short.
            layers = f"/proc/self/fd/{self.layers}"
            options = (
                ("lowerdir", f"/proc/self/fd/{lower}"),
                ("upperdir", f"{layers}/{upper}"),
                ("workdir", f"{layers}/{work}"),
            )
            tree = make_filesystem("overlay", "overlay", options + self.xattr)
        finally:
            posix.close(lower)
        try:
            _move(tree, place, name)
        finally:
            posix.close(tree)


def _is_there(directory: int, name: str) -> bool:
    try:
        posix.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _leads_to(path: str, places: set[str]) -> bool:
    return any(place.startswith(path + "/") for place in places)


def _parents(path: str) -> list[str]:
    """All directories that lead to path."""
    found = []
    while len(path) > 1:
        path = split(path)[0]
        found.append(path)
    return found


def _tmpfs_on_root(mode: str) -> int:
    """A new tmpfs on top of /: paths go on leading below it, so none is hidden by it."""
    tree = make_filesystem("tmpfs", "tmpfs", (("mode", mode),))
    move_mount(tree, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH)
    return tree


def _move(tree: int, place: int, name: str) -> None:
    at = posix.open(name, posix.O_PATH | posix.O_NOFOLLOW | posix.O_CLOEXEC, dir_fd=place)
    try:
        move_mount(tree, "", at, "", _ONTO)
    finally:
        posix.close(at)


def _in_first_user_namespace(context: Context) -> bool:
    """trusted.* attributes, overlayfs' own, are for the first user namespace alone."""
    fd = posix.open("self/uid_map", posix.O_RDONLY | posix.O_CLOEXEC, dir_fd=context.fds["proc"])
    try:
        return posix.read(fd, 64).split() == [b"0", b"0", b"4294967295"]
    finally:
        posix.close(fd)
