"""AppArmor profiles and SELinux labels: of processes, of their session keyring, and of mounts.

The kernel changes a process' profile and label when it executes; so whoever
becomes the command says before which they are to be, and what it runs on the
way there (a startContainer hook) has them already.  Whether the host has the
two at all is for validation to say (config/rules_labels.py).
"""

from __future__ import annotations

from ..config.annotations import CONTEXT_TYPE, annotation
from ..config.mount_flags import MS_REMOUNT
from ..config.rules_labels import UNCONFINED
from .calls import open_proc_call, quote
from .mounts import is_bind, split_options
from .paths import inside
from .step import Performers, Step, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config import Config, Mount
    from ..life.host import Host
    from ..life.process import Process
    from ..rootfs import relabel as relabelling
    from ..rootfs.flags import Options
    from ..security import labels
else:
    labels = Performers("security.labels")
    relabelling = Performers("rootfs.relabel")

# The kernel has no labels of the files of these to be given (runc).
_UNLABELLED = ("proc", "sysfs", "cgroup", "cgroup2")
_KEYS = "thread-self/attr/keycreate"


def label_steps(config: Config, process: Process, host: Host) -> list[Step]:
    """What the command is confined by, said by the process that executes it or its cloner."""
    steps = []
    profile = process.apparmor_profile or config.apparmor_profile
    # Without AppArmor it is unconfined anyway.
    if profile and (profile != UNCONFINED or host.apparmor):
        steps.append(set_exec_profile(profile, why="process.apparmorProfile"))
    label = process_label(config, process)
    if label:
        steps.append(set_exec_label(label, why="process.selinuxLabel"))
    return steps


def process_label(config: Config, process: Process) -> str:
    return process.label or config.process_label


def with_key_label(label: str, steps: list[Step]) -> list[Step]:
    """steps, which make or join a keyring: the keys made there have the label of the process."""
    if not label:
        return steps
    why = "process.selinuxLabel"
    return [set_key_label(label, why=why), *steps, set_key_label("", why=why)]


def context_options(config: Config) -> Options:
    """The option of a new file system that gives all of its files the label of mounts."""
    if not config.mount_label:
        return ()
    return ((annotation(config, CONTEXT_TYPE) or "context", config.mount_label),)


def with_mount_labels(config: Config) -> Config:
    """With the label of mounts among the options of those that take one.

    A bind mount shows files that have labels, and mqueue takes no option.  An option
    of the same name in the configuration stays.
    """
    changed = config.copy() if config.mount_label else config
    for key, label in context_options(config):
        for mount in changed.mounts:
            if _takes_context(mount) and key not in dict(split_options(mount.data)):
                mount.data = ",".join(filter(None, (mount.data, f'{key}="{label}"')))
    return changed


def _takes_context(mount: Mount) -> bool:
    new = not mount.flags & MS_REMOUNT and not is_bind(mount)
    return new and mount.device not in (*_UNLABELLED, "mqueue")


def with_file_labels(
    config: Config, mount: Mount, index: int, steps: list[Step], *, opened: bool
) -> list[Step]:
    """steps, which make a mount: the files below a bind are labelled before, mqueue's root after.

    opened: see mount_steps().
    """
    label = config.mount_label
    if mount.relabel:
        slot = f"source {index}" if opened else ""
        label = shared(label) if mount.relabel == "z" else label
        return [relabel(mount.source, slot, label, why=f"mounts[{index}].options"), *steps]
    if mount.device == "mqueue" and not mount.flags & MS_REMOUNT:
        # A label is no option of it, but an attribute like a file's.
        return [*steps, label_mount(inside(mount.destination), label, why=f"mounts[{index}]")]
    return steps


def shared(label: str) -> str:
    """A label that all containers may use: without the categories that keep them apart.

    user:role:type:level, where the level is "s0:c1,c2" (selinux(8)); all may read s0.
    """
    parts = label.split(":", 3)
    return ":".join([*parts[:3], "s0"]) if len(parts) == 4 else label


@operation(labels.set_exec_profile, "have the command confined by the AppArmor profile {0}")
def set_exec_profile(profile: str) -> list[str]:
    # Before Linux 5.8 the file is thread-self/attr/exec.
    return _write_calls("thread-self/attr/apparmor/exec", f"exec {profile}")


@operation(labels.set_exec_label, "have the command run with the SELinux label {0}")
def set_exec_label(label: str) -> list[str]:
    return _write_calls("thread-self/attr/exec", label)


@operation(labels.set_key_label, "set the SELinux label of new keys to {0!r}")
def set_key_label(label: str) -> list[str]:
    return _write_calls(_KEYS, label)


def _write_calls(path: str, text: str) -> list[str]:
    return [
        open_proc_call(path, "O_WRONLY"),
        "fstatfs(PROC_SUPER_MAGIC)",
        f"write({quote(text)})",
    ]


@operation(relabelling.relabel, "give the files of {0} the SELinux label {2}")
def relabel(source: str, slot: str, label: str) -> list[str]:
    return [f'setxattr("security.selinux", {quote(label)})']


@operation(relabelling.label_mount, "give the mount on {0} the SELinux label {1}")
def label_mount(target: str, label: str) -> list[str]:
    return [
        f'openat2("{target}", O_PATH, RESOLVE_IN_ROOT)',
        f'setxattr("security.selinux", {quote(label)})',
    ]
