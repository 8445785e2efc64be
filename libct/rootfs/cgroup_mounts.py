"""The cgroup file systems inside a container (mounts of type cgroup and cgroup2)."""

from __future__ import annotations

import errno
import os

from ..config.mount_flags import MOUNT_ATTR_RDONLY, MS_RDONLY
from ..config.namespace import NEWCGROUP
from ..plan.step import Step, operation
from ..syscalls.flags import MOUNT_ATTR_NAMES, names
from ..syscalls.mounts import fsconfig_create, fsmount, fsopen
from .attach import attach, attributes
from .devices import make_link
from .mounts import bind, clone_tree, mount_filesystem, remount
from .paths import inside, make_in_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context
    from ..cgroups.manager import Manager
    from ..config import Config, Mount
    from ..plan.host import Host


def cgroup_mount_steps(
    config: Config, mount: Mount, index: int, host: Host, manager: Manager | None
) -> list[Step]:
    """One mount of type cgroup or cgroup2.

    With v2 (or asked for by name) that is the one tree.  With v1 it is a tmpfs
    with a directory for each hierarchy, as systemd lays it out on a host; in
    the container's cgroup namespace each is mounted anew, else the container's
    own part is bound.
    """
    place = f"mounts[{index}]"
    target = inside(mount.destination)
    attr_set, _ = attributes(mount.flags, mount.cleared_flags)
    private = any(space.type == NEWCGROUP for space in config.namespaces)
    layout = host.layout
    if layout.mode == "v2" or mount.device == "cgroup2":
        source = _own_tree(host, manager, private=private)
        if host.euid != 0 and not private:
            # The whole of the host's tree would be writable to it (CVE-2023-25809).
            attr_set |= MOUNT_ATTR_RDONLY
        return [mount_cgroup2(target, source, attr_set, why=place)]
    options = (("mode", "755"),)
    writable = attr_set & ~MOUNT_ATTR_RDONLY
    nothing = (0, 0, ())
    steps = [
        mount_filesystem(target, "tmpfs", "tmpfs", options, writable, False, *nothing, why=place)
    ]
    directories: dict[str, list[str]] = {}
    for controller, hierarchy in layout.controllers.items():
        directories.setdefault(hierarchy.mount, []).append(controller)
    for point, controllers in directories.items():
        name = os.path.basename(point)
        below = f"{target}/{name}"
        if private:
            keys = tuple(_controller_option(controller) for controller in controllers)
            steps.append(
                mount_filesystem(below, "cgroup", "cgroup", keys, attr_set, False, *nothing, why=place)
            )
        else:
            own = manager.paths().get(controllers[0]) if manager is not None else None
            steps.append(bind(below, own or point, False, "", attr_set, 0, *nothing, why=place))
        for controller in controllers:
            alias = controller.partition("=")[2] or controller
            if alias != name:
                steps.append(make_link(f"{target}/{alias}", name, why=place))
    if mount.flags & MS_RDONLY:
        steps.append(remount(target, MOUNT_ATTR_RDONLY, 0, *nothing, why=place))
    return steps


def _controller_option(controller: str) -> tuple[str, str | None]:
    name, equals, value = controller.partition("=")
    return (name, value if equals else None)


def _own_tree(host: Host, manager: Manager | None, *, private: bool) -> str:
    """What to bind where the file system itself cannot be mounted."""
    own = manager.paths().get("") if manager is not None else None
    if own and private:
        return own
    unified = host.layout.unified
    return unified.mount if unified is not None else "/sys/fs/cgroup"


@operation("mount cgroup2 on {0}")
def mount_cgroup2(context: Context, target: str, source: str, attr_set: int) -> None:
    """The v2 tree; where its mounting is refused (no cgroup namespace), source of the host."""
    place = make_in_root(context.fds["root"], target, directory=True)
    try:
        try:
            tree = _new_mount(attr_set)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EBUSY):
                raise
            tree = clone_tree(source, recursive=True)
        try:
            attach(context, tree, place, target, attr_set=attr_set)
        finally:
            os.close(tree)
    finally:
        os.close(place)


@mount_cgroup2.calls
def _(target: str, source: str, attr_set: int) -> list[str]:
    return [
        f'openat2("{target}", O_PATH, RESOLVE_IN_ROOT)',
        'fsopen("cgroup2", FSOPEN_CLOEXEC)',
        "fsconfig(FSCONFIG_CMD_CREATE)",
        f"fsmount(FSMOUNT_CLOEXEC, {names(attr_set, MOUNT_ATTR_NAMES)})",
        'move_mount("", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)',
    ]


def _new_mount(attr_set: int) -> int:
    fs = fsopen("cgroup2")
    try:
        fsconfig_create(fs)
        return fsmount(fs, attr_set)
    finally:
        os.close(fs)
