"""What to do about a failed step, where that can be told from outside of it."""

from __future__ import annotations

import errno
import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..plan.step import Plan, Step
    from .failure import Failure

_MAKE_NAMESPACES = (
    "clone_init",
    "clone_command",
    "clone_reaper",
    "clone_stage",
    "get_network",
    "unshare_cgroup",
    "unshare_time",
    "unshare_user",
)
# What a process may do that is root in namespaces of its own, if no filter or LSM forbids it.
_OF_NAMESPACES = (
    "mount(",
    "fsopen(",
    "fsconfig(",
    "fsmount(",
    "open_tree(",
    "move_mount(",
    "mount_setattr(",
    "pivot_root(",
    "umount2(",
    "setns(",
    "unshare(",
    "sethostname(",
)
TOO_MANY = "too many processes: RLIMIT_NPROC (ulimit -u), or pids.max of the control group"
# To execute a file the kernel opens it, and its interpreter, for both.
_LANDLOCK_FORBIDS = (
    "if its Landlock rules forbid it: both `execute` and `read`, where given, must cover"
    " the command and the interpreter of its #! line or ELF header"
)
_NEEDS_USERNS = "an ordinary user needs a user namespace: see `libct spec --rootless`"
_APPARMOR = (
    "AppArmor restricts user namespaces: give the interpreter a profile with userns,"
    " or sysctl kernel.apparmor_restrict_unprivileged_userns=0"
)
# Calls that mount, or change a mount.
_MOUNT = ("mount(", "fsmount(", "move_mount(", "mount_setattr(", "pivot_root(", "umount2(")


def hint_for(step: Step, failure: Failure, plan: Plan | None = None) -> str:
    """A remedy for this failure, or "" where none is sure to be right.

    plan: that it is a step of, where that is known.
    """
    code = failure.errno
    if step.op == "execute" and code is not None:
        if code == errno.EACCES and any(one.op == "landlock_restrict" for one in plan or ()):
            return _LANDLOCK_FORBIDS
        # What the process says is what ENOENT would mean: it cannot know what comes.
        unknown = "no #! line and no executable format that this kernel and machine know"
        return {errno.ENOENT: failure.hint, errno.ENOEXEC: unknown}.get(code or 0, "")
    if failure.hint:
        return failure.hint
    if step.op == "landlock_restrict" and code == errno.EPERM:
        return "Landlock needs process.noNewPrivileges, or CAP_SYS_ADMIN of libct's process"
    if advice := _of_apparmor(step, failure, plan):
        return advice
    if is_of_group(failure):
        return (
            "this user may write to the group, but not to the one above both it and the one that"
            " libct is in: start libct in the delegated group, or have systemd make the container's"
            " (--systemd-cgroup)"
        )
    if step.op == "write_id_map" and code == errno.EPERM and posix.geteuid() == 0:
        return "to map root of the namespace above takes CAP_SETFCAP (Linux 5.12)"
    if step.op in _MAKE_NAMESPACES:
        return _for_clone(step, code)
    if step.op in ("runtime_hook", "container_hook") and code == errno.EAGAIN:
        return TOO_MANY
    if step.op == "load_filter" and code != errno.ENOSYS:
        return _for_filter(code)
    if step.op in ("mount_filesystem", "mount_sysfs"):
        return _for_mount(step, code)
    if step.op in ("bind_root", "open_root") and code == errno.ENOENT:
        return "root.path of the configuration must be an existing directory"
    if step.op in ("bind", "open_source", "take_source", "open_idmapped"):
        if code == errno.ENOENT and failure.call.startswith("open_tree("):
            return "the source of a bind mount must exist on the host"
        if code == errno.EACCES and step.op != "open_idmapped":
            return "the container's root is a user of the host who may not enter a directory of it"
    if step.op.startswith("cgroup") and code in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "no right to this control group: run as root, or have it delegated to this user"
    if code == errno.ENOSYS:
        return _for_missing()
    if code == errno.EPERM and failure.call.startswith(_OF_NAMESPACES):
        return _surrounding_filter()
    return ""


def _of_apparmor(step: Step, failure: Failure, plan: Plan | None) -> str:
    """What AppArmor wants, where it may be what refuses a namespace, or what is done in one.

    Ubuntu lets an ordinary user without a profile make a user namespace, and has what is in it
    do nothing that takes a capability: write a map, or mount.  A profile that libct runs under,
    as in a container of Docker's, refuses the clone, or mounts.
    """
    if failure.errno not in (errno.EPERM, errno.EACCES):
        return ""
    made = step.op in (*_MAKE_NAMESPACES, "write_id_map", "deny_setgroups")
    # By descriptors, so that no directory's mode is the reason.
    if not made and not failure.call.startswith(_MOUNT):
        return ""
    label = _read("/proc/self/attr/current").rstrip("\0\n")
    if label.endswith(" (enforce)"):
        return f"the AppArmor profile that libct runs under has to allow it: {label}"
    restricted = _read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1"
    if not restricted or label != "unconfined" or posix.geteuid() == 0:
        return ""
    steps = (step,) if plan is None else plan.steps
    return _APPARMOR if any("CLONE_NEWUSER" in " ".join(one.calls) for one in steps) else ""


def is_of_group(failure: Failure) -> bool:
    """Whether a clone was refused for the control group that it was to be into (clone(2))."""
    return failure.errno == errno.EACCES and "CLONE_INTO_CGROUP" in failure.call


def hint_for_filter(plan: Plan, number: int) -> str:
    """Of a step that ended without saying why, or was refused: the filter may be the reason."""
    if any(step.op == "load_filter" for step in plan.steps[:number]):
        return (
            "linux.seccomp may forbid a call that the start itself needs:"
            " `libct seccomp lint` tells which these are"
        )
    return ""


def _for_filter(code: int | None) -> str:
    if code == errno.EBUSY:
        return (
            "a filter with a listener is there already, of the process that libct was started by,"
            " and a process has one at most"
        )
    if code == errno.EINVAL:
        return "this kernel lacks one of the flags of linux.seccomp.flags"
    return ""


def _for_clone(step: Step, code: int | None) -> str:
    if code in (errno.ENOSPC, errno.EUSERS):
        return _namespace_limit()
    if code == errno.EPERM:
        if posix.geteuid() != 0 and "CLONE_NEWUSER" not in " ".join(step.calls):
            return _NEEDS_USERNS
        return _userns_restriction()
    if code == errno.EAGAIN:
        return TOO_MANY
    if code == errno.EINVAL:
        return "this kernel lacks one of these namespaces"
    if code == errno.ENOSYS:
        return _for_missing()
    return ""


def _for_missing() -> str:
    return _surrounding_filter() or (
        "this kernel is too old, or a seccomp filter hides the call; libct needs Linux 5.10"
    )


def _surrounding_filter() -> str:
    """Where libct itself is under a filter, as in a container of Docker's."""
    if "\nSeccomp:\t2" not in _read("/proc/self/status"):
        return ""
    return (
        "the surrounding container refuses it: libct itself is under a seccomp filter there, which"
        " would have to allow clone3, unshare, setns and mounts (Docker and Podman: --security-opt"
        " seccomp=FILE, or =unconfined)"
    )


def _namespace_limit() -> str:
    """ENOSPC is no full disk here: a limit of /proc/sys/user is."""
    directory = "/proc/sys/user"
    for kind in ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"):
        path = f"{directory}/max_{kind}_namespaces"
        if _read(path) == "0":
            return f"{path} is 0: write a larger number to it"
    return f"a limit is reached: see {directory}/max_*_namespaces"


def _userns_restriction() -> str:
    if _read("/proc/sys/kernel/unprivileged_userns_clone") == "0":
        return "user namespaces are for root only: sysctl kernel.unprivileged_userns_clone=1"
    return _surrounding_filter() or (
        "a seccomp filter, a chroot or a security module forbids new namespaces here"
    )


def _for_mount(step: Step, code: int | None) -> str:
    fstype = "sysfs" if step.op == "mount_sysfs" else step.args[1]
    if code == errno.EPERM and fstype in ("proc", "sysfs", "mqueue"):
        own = {"proc": "pid", "sysfs": "network", "mqueue": "ipc"}[fstype]
        return f"{fstype} in a user namespace needs a new {own} namespace" + (
            ", and a host whose own /proc is not partly covered" if fstype == "proc" else ""
        )
    if code in (errno.ENOSPC, errno.EUSERS) and fstype == "proc":
        return _namespace_limit()  # it is made by a process in new ones (rootfs/pidfs.py)
    if code == errno.ENODEV:
        return f"this kernel has no file system {fstype!r}: see /proc/filesystems"
    return ""


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return ""
