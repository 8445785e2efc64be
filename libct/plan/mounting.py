"""The plans of a mount that is made in a running container, and of one that is removed again.

The host's files are opened in a copy of the caller's mounts and put in their place in the
container's mount namespace, by one process, the stage: it never appears in the container's
pid namespace, and no path of the container is looked up anywhere but in there.
"""

from __future__ import annotations

from ..config.mount import destination_inside
from ..config.mount_flags import EXT_LINKS, MS_REC, MS_REMOUNT, MS_SLAVE
from ..syscalls.constants import CLONE_NEWNS, CLONE_NEWUSER
from . import idmapped, mounts, namespaces as ns
from .chroot import open_root
from .held import hold_mounts
from .paths import inside
from .procfs import open_proc
from .root import propagate
from .step import RUNTIME, SERVER, STAGE, Performers, Plan, Step, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap import created
    from ..config import Config, Mount
    from ..life.host import Host
    from ..rootfs import mounting
else:
    mounting = Performers("rootfs.mounting")
    created = Performers("bootstrap.created")

# What shows a namespace that the stage is not in, or control groups.
_NOT_LATER = ("cgroup", "cgroup2", "mqueue", "proc", "sysfs")


def refused(mount: Mount) -> str:
    """Why it cannot be made in a running container, or ""."""
    if mount.flags & MS_REMOUNT:
        return "a mount is added, and none is changed"
    if mount.device in _NOT_LATER and not mounts.is_bind(mount):
        return f"{mount.device} cannot be added to a running container"
    if mount.extensions & EXT_LINKS:
        # Its source is opened when it is made, and that would be the container's.
        return "a mount with regard to links cannot be added to a running container"
    return ""


def plan_add(config: Config, mount: Mount, host: Host, joined: dict[int, int]) -> Plan:
    """joined: CLONE_NEW* of the container's namespaces that the runtime is not in, and inodes."""
    config = config.copy(mounts=[mount.copy()])
    (mount,) = config.mounts
    mount.destination = destination_inside(config.rootfs, mount.destination)
    if config.mount_label:
        from .labels import with_mount_labels

        config = with_mount_labels(config)
        (mount,) = config.mounts
    target = inside(mount.destination)
    user = joined.get(CLONE_NEWUSER, 0)
    mapped = mount.id_mapping is not None
    # A lender has the host's rights over files, which the stage gives up for the user namespace's.
    source = (f"source {0}", mount.source, bool(mount.flags & MS_REC))
    opens = mounts.is_bind(mount) and not mapped
    lent: dict[int, mounts.Lent] = {}
    if opens and user and host.euid == 0:
        lent = {0: (*source, False, ())}
    plan = Plan()
    plan.mounts = [(mount.source, mount.destination)]
    plan.add(SERVER, "sources", idmapped.idmapped_source_steps(config))
    if mapped and not mounts.is_bind(mount):
        from .mapped_filesystems import make_steps

        plan.add(SERVER, "sources", make_steps(config))
    _enter_caller(plan, host, mounts.lend_steps(lent))
    # What a user namespace may not change, comes locked out of a copy that belongs to it.
    plan.add(STAGE, "sources", [ns.copy_mounts(user), propagate("/", MS_SLAVE | MS_REC)])
    if lent:
        plan.add(STAGE, "sources", [mounts.lend_here()])
        plan.add(STAGE, "sources", mounts.take_steps(0, lent, late=False))
    elif opens:
        plan.add(STAGE, "sources", [mounts.open_source(*source, why="mounts[0].source")])
    _enter_container(plan, joined)
    plan.add(STAGE, "rootfs", [hold_mounts((target,), why="mounts[0]")])
    plan.add(STAGE, "rootfs", _make(config, mount))
    plan.add(STAGE, "rootfs", mounts.read_only_steps(config.mounts))
    plan.add(STAGE, "rootfs", [note_mount("mounts[0]", target, why="mounts[0]")])
    plan.add(RUNTIME, "created", [end_mounting()])
    return plan


def plan_remove(
    destination: str, path: str, number: int, host: Host, joined: dict[int, int]
) -> Plan:
    """path, number: as note_mount() has told of the mount on destination."""
    plan = Plan()
    _enter_caller(plan, host, [])
    user = joined.get(CLONE_NEWUSER, 0)
    plan.add(STAGE, "join", [ns.copy_mounts(user)] if user else [])
    _enter_container(plan, joined)
    plan.add(STAGE, "rootfs", [remove_mount(destination, path, number)])
    plan.add(RUNTIME, "created", [end_mounting()])
    return plan


def _enter_caller(plan: Plan, host: Host, lend: list[Step]) -> None:
    plan.add(SERVER, "clone", [ns.clone_stage(0, False)])
    plan.add(STAGE, "join", [open_proc(), ns.new_session(), *lend])
    plan.add(STAGE, "join", [ns.make_undumpable()] if host.euid != 0 else [])


def _enter_container(plan: Plan, joined: dict[int, int]) -> None:
    mine = ((CLONE_NEWNS, joined[CLONE_NEWNS]),)
    plan.add(STAGE, "join", [ns.join_process(CLONE_NEWNS, mine)])
    plan.add(STAGE, "join", [ns.become_root()] if CLONE_NEWUSER in joined else [])
    plan.add(STAGE, "join", [open_root("/")])


def _make(config: Config, mount: Mount) -> list[Step]:
    if mount.id_mapping is not None and not mounts.is_bind(mount):
        from .mapped_filesystems import attach_steps

        return attach_steps(mount, 0)
    made = mounts.mount_steps(mount, 0, opened=True)
    if not config.mount_label:
        return made
    from .labels import with_file_labels

    return with_file_labels(config, mount, 0, made, opened=True)


@operation(mounting.note_mount, "record which mount is on {1}")
def note_mount(place: str, target: str) -> list[str]:
    return ['openat("self/fdinfo")', 'readlink("self/fd")']


@operation(mounting.remove_mount, "unmount {0}")
def remove_mount(destination: str, path: str, number: int) -> list[str]:
    return [
        f'openat2("{path}", O_PATH|O_NOFOLLOW, RESOLVE_IN_ROOT|RESOLVE_NO_SYMLINKS)',
        'umount2("self/fd", MNT_DETACH)',
    ]


@operation(created.end_mounting, "wait for the stage to finish")
def end_mounting() -> list[str]:
    return []
