"""The cgroup file systems inside a container (mounts of type cgroup and cgroup2)."""

from __future__ import annotations

from ..config.mount_flags import (
    MOUNT_ATTR_NODIRATIME,
    MOUNT_ATTR_RDONLY,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_RDONLY,
)
from ..config.namespace import NEWCGROUP, NEWUSER
from ..loading.paths import join, split
from ..rootfs.flags import ATIME, attributes
from .devices import make_link
from .mounts import after, bind, finish_calls, mount_filesystem, remount, setattr_call
from .paths import inside
from .step import Performers, Step, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..cgroups.layout import Hierarchy
    from ..cgroups.manager import Manager
    from ..config import Config, Mount
    from ..life.host import Host
    from ..rootfs import cgroup_mounts, cgroup_v1_mounts
    from ..rootfs.flags import Options
else:
    cgroup_v1_mounts = Performers("rootfs.cgroup_v1_mounts")
    cgroup_mounts = Performers("rootfs.cgroup_mounts")

_ALWAYS = MS_NOSUID | MS_NODEV | MS_NOEXEC  # of v1, whatever the options, as runc has it
_NOTHING: tuple[int, int, tuple[int, ...]] = (0, 0, ())


def cgroup_mount_steps(
    config: Config, mount: Mount, index: int, host: Host, manager: Manager | None
) -> list[Step]:
    """One mount of type cgroup or cgroup2.

    With v2 (or asked for by name) that is the one tree.  With v1 it is a tmpfs
    with a directory for each hierarchy, as systemd lays it out on a host; in
    the container's cgroup namespace each is mounted anew, else the container's
    own part is bound.
    """
    private = any(space.type == NEWCGROUP for space in config.namespaces)
    if host.layout.mode == "v2" or mount.device == "cgroup2":
        return [_v2_step(mount, index, host, manager, private=private)]
    return _v1_steps(config, mount, index, host, manager, private=private)


def _v2_step(
    mount: Mount, index: int, host: Host, manager: Manager | None, *, private: bool
) -> Step:
    target, why = inside(mount.destination), f"mounts[{index}]"
    attr_set, *changes = _changes(mount.flags, mount.cleared_flags)
    unified = host.layout.unified
    ordinary = host.euid != 0 or host.userns
    source = unified.mount if unified is not None else "/sys/fs/cgroup"
    if private:
        own = manager.paths().get("") if manager is not None else None
        # The whole of the host's tree would be writable to it (CVE-2023-25809).
        more = (*changes, *after(mount), own is None and ordinary)
        return mount_cgroup2(target, own or source, attr_set, *more, why=why)
    # A new mount from the first cgroup namespace would show the same tree, and
    # set its options (favordynmods) for the whole host.
    if ordinary:
        attr_set |= MOUNT_ATTR_RDONLY
    return bind(target, source, True, "", attr_set, *changes, *after(mount), why=why)


def _v1_steps(
    config: Config,
    mount: Mount,
    index: int,
    host: Host,
    manager: Manager | None,
    *,
    private: bool,
) -> list[Step]:
    target, why = inside(mount.destination), f"mounts[{index}]"
    protected = mount.flags | _ALWAYS
    changes = _changes(protected, mount.cleared_flags)
    paths = manager.paths() if manager is not None else {}
    # Who has no rights over the cgroup namespace may not mount its hierarchies.
    user = host.userns or any(space.type == NEWUSER for space in config.namespaces)
    options: Options = (("mode", "755"),)
    if config.mount_label:
        from .labels import context_options

        options += context_options(config)
    flags = protected & ~MS_RDONLY
    steps = [mount_filesystem(target, "tmpfs", "tmpfs", options, flags, *_NOTHING, why=why)]
    together: dict[str, list[str]] = {}  # mount point -> its controllers
    for controller, hierarchy in host.layout.controllers.items():
        together.setdefault(hierarchy.mount, []).append(controller)
    for point, controllers in together.items():
        name = split(point)[1]
        below = f"{target}/{name}"
        runtime = _own_group(host.layout.controllers[controllers[0]])
        own = paths.get(controllers[0], runtime)
        if private:
            keys = tuple(_controller_option(controller) for controller in controllers)
            if user:
                more = (keys, protected, own, runtime)
                steps.append(mount_hierarchy(below, *more, why=why))
            else:
                rest = (keys, protected, *_NOTHING)
                steps.append(mount_filesystem(below, "cgroup", "cgroup", *rest, why=why))
        else:
            if manager is not None and manager.cgroup.rootless:
                steps.append(bind_group(below, own, runtime, *changes, why=why))
            else:
                steps.append(bind(below, own, False, "", *changes, *_NOTHING, why=why))
        for controller in controllers:
            alias = controller.partition("=")[2] or controller
            if alias != name:
                steps.append(make_link(f"{target}/{alias}", name, target, why=why))
    # Now that all is in its place.
    attr_set = changes[0] & MOUNT_ATTR_RDONLY
    if attr_set or after(mount) != _NOTHING:
        steps.append(remount(target, attr_set, 0, 0, *after(mount), why=why))
    return steps


def _changes(flags: int, cleared: int) -> tuple[int, int, int]:
    """(attr_set, attr_clr, asked) as for a bind; of the host's only access times are cleared."""
    attr_set, attr_clr = attributes(flags, cleared)
    attr_clr &= ATIME
    return attr_set, attr_clr, attr_clr | attr_set & MOUNT_ATTR_NODIRATIME


def _controller_option(controller: str) -> tuple[str, str | None]:
    name, equals, value = controller.partition("=")
    return (name, value if equals else None)


def _own_group(hierarchy: Hierarchy) -> str:
    """The group of a container that has been given none: the runtime's."""
    return join(hierarchy.mount, hierarchy.own_below or "").rstrip("/")


@operation(cgroup_v1_mounts.bind_group, "bind the control group {1} on {0}")
def bind_group(
    target: str, own: str, runtime: str, attr_set: int, attr_clr: int, asked: int
) -> list[str]:
    return [
        f'openat2("{target}", O_PATH, RESOLVE_IN_ROOT)',
        f'open_tree(AT_FDCWD, "{own}", OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC)',
        *([setattr_call(attr_set, attr_clr)] if attr_set or attr_clr else []),
        'move_mount("", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)',
    ]


@operation(
    cgroup_v1_mounts.mount_hierarchy, "mount cgroup on {0}, or else bind the control group {3}"
)
def mount_hierarchy(
    target: str, controllers: Options, flags: int, own: str, runtime: str
) -> list[str]:
    return [f'openat2("{target}", O_PATH, RESOLVE_IN_ROOT)', 'fsopen("cgroup", FSOPEN_CLOEXEC)']


@operation(cgroup_mounts.mount_cgroup2, "mount cgroup2 on {0}")
def mount_cgroup2(
    target: str,
    source: str,
    attr_set: int,
    attr_clr: int,
    asked: int,
    rec_set: int,
    rec_clr: int,
    propagation: tuple[int, ...],
    protected: bool,
) -> list[str]:
    return [
        f'openat2("{target}", O_PATH, RESOLVE_IN_ROOT)',
        'fsopen("cgroup2", FSOPEN_CLOEXEC)',
        "fsconfig(FSCONFIG_CMD_CREATE)",
        "fsmount(FSMOUNT_CLOEXEC)",
        *([setattr_call(attr_set, attr_clr)] if attr_set or attr_clr else []),
        'move_mount("", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)',
        *finish_calls(rec_set, rec_clr, propagation),
    ]
