"""Rules about the rootfs, mounts, devices, and masked and read-only paths."""

from __future__ import annotations

from ..errors import Finding
from ..loading.paths import normal
from .mount import destination_inside
from .mount_flags import (
    EXT_COPY_SYMLINK,
    EXT_COPYUP,
    EXT_LINKS,
    MOUNT_ATTR_IDMAP,
    MS_BIND,
    MS_MOVE,
    MS_PRIVATE,
    MS_PROPAGATION,
    MS_REC,
    MS_REMOUNT,
)
from .namespace import NEWNS
from .rules_namespaces import check_mappings, find
from .texts import check_path, check_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .config import Config
    from .device import Device
    from .facts import Facts
    from .mount import Mount, MountIDMapping

    Findings = list[Finding]

# cgroups(7).  They are settings of the whole host's, which a container's mount has no part in.
_CGROUP2_OPTIONS = frozenset(
    (
        "favordynmods",
        "memory_hugetlb_accounting",
        "memory_localevents",
        "memory_recursiveprot",
        "nofavordynmods",
        "nsdelegate",
        "pids_localevents",
    )
)
# What is a namespace's is not mapped by another one.
_UNMAPPED = ("cgroup", "cgroup2", "devpts", "mqueue", "proc", "sysfs")
# runc's words
_BIND_OPTIONS = "bind mounts cannot have any filesystem-specific options applied"
_NO_NAMESPACE = "needs a mount namespace in linux.namespaces: this would be done to the host"


def rootfs_rules(config: Config, facts: Facts, findings: Findings) -> None:
    path = config.rootfs
    if check_path("root.path", path, findings):
        # normpath() keeps a second slash at the start, which POSIX gives a meaning.
        if normal(path) != path or path.startswith("//"):
            clean = normal("/" + path.lstrip("/"))
            findings.append(Finding("root.path", f"not in its shortest form {clean!r}: {path!r}"))
        else:
            problem = facts.rootfs_problem(path)
            if problem:
                findings.append(Finding("root.path", problem))
    if config.rootfs_view not in ("", "empty", "overlay", "read-only"):
        known = "(known: empty, overlay, read-only)"
        message = f"unknown view of the rootfs: {config.rootfs_view!r} {known}"
        findings.append(Finding("rootfs_view", message))
    if config.readonlyfs and find(config, NEWNS) is None:
        findings.append(Finding("root.readonly", _NO_NAMESPACE))
    propagation = config.root_propagation
    if propagation:
        place = "linux.rootfsPropagation"
        if not _is_propagation(propagation):
            findings.append(Finding(place, f"not a propagation: {propagation:#x}"))
        if find(config, NEWNS) is None:
            findings.append(Finding(place, _NO_NAMESPACE))
        if config.no_pivot_root and propagation & MS_PRIVATE:
            message = "private is not safe without pivot_root: the host's mounts stay reachable"
            findings.append(Finding(place, message))


def _is_propagation(flags: int) -> bool:
    kind = flags & ~MS_REC
    return bool(kind & MS_PROPAGATION) and kind & (kind - 1) == 0


def mount_rules(config: Config, facts: Facts, findings: Findings) -> None:
    if config.mounts and find(config, NEWNS) is None:
        findings.append(Finding("mounts", _NO_NAMESPACE))
    if config.entries and find(config, NEWNS) is None:
        findings.append(Finding("entries", _NO_NAMESPACE))
    for index, entry in enumerate(config.entries):
        check_path(f"entries[{index}].path", entry.path, findings)
        if entry.kind == "link":
            check_text(f"entries[{index}].content", entry.content, findings)
        if entry.kind not in ("directory", "empty", "file", "link"):
            message = f"not directory, empty, file or link: {entry.kind!r}"
            findings.append(Finding(f"entries[{index}].kind", message))
    for index, mount in enumerate(config.mounts):
        place = f"mounts[{index}]"
        _destination_rule(f"{place}.destination", mount.destination, config.rootfs, findings)
        if mount.source:
            check_text(f"{place}.source", mount.source, findings)
        if mount.data:
            check_text(f"{place}.options", mount.data, findings)
        check_text(f"{place}.type", mount.device, findings)
        _kind_rules(place, mount, findings)
        _link_rules(place, mount, findings)
        for flags in mount.propagation_flags:
            if not _is_propagation(flags):
                findings.append(Finding(f"{place}.options", f"not a propagation: {flags:#x}"))
        if mount.rec_attr is not None and (
            (mount.rec_attr.attr_set | mount.rec_attr.attr_clr) & MOUNT_ATTR_IDMAP
        ):
            message = "ids are mapped with the option idmap, not by an attribute"
            findings.append(Finding(f"{place}.options", message))
        if mount.id_mapping is not None:
            _id_mapping_rules(place, mount, mount.id_mapping, config, findings)


def _destination_rule(place: str, path: str, rootfs: str, findings: Findings) -> None:
    if not path:
        findings.append(Finding(place, "empty"))
        return
    if not check_text(place, path, findings):
        return
    if not path.startswith("/"):
        findings.append(Finding(place, f"not absolute, taken from /: {path!r}", "warning"))
    # A mount there would hide the rootfs, whose descriptor we go on to use.
    if destination_inside(rootfs, path) == "/":
        findings.append(Finding(place, f"is the root itself: {path!r}"))


def _kind_rules(place: str, mount: Mount, findings: Findings) -> None:
    """What binds need and other mounts do not, and the other way round."""
    bind = bool(mount.flags & MS_BIND) or mount.device == "bind"
    if mount.flags & MS_REMOUNT:
        return
    if bind:
        check_path(f"{place}.source", mount.source, findings)
        if mount.data:
            findings.append(Finding(f"{place}.options", f"{_BIND_OPTIONS}: {mount.data!r}"))
    elif mount.device in ("cgroup", "cgroup2"):
        unknown = [text for text in mount.data.split(",") if text not in ("", *_CGROUP2_OPTIONS)]
        if unknown:
            message = f"unknown option of a cgroup mount: {', '.join(map(repr, unknown))}"
            findings.append(Finding(f"{place}.options", message))
    elif mount.device in ("", "none") and not mount.flags & MS_MOVE:
        message = "missing: only a bind mount has no type of filesystem"
        findings.append(Finding(f"{place}.type", message))
    if mount.extensions & EXT_COPYUP and (bind or mount.device != "tmpfs"):
        message = f"tmpcopyup is for tmpfs alone, not for {mount.device}"
        if bind:
            message = f"{_BIND_OPTIONS}: 'tmpcopyup'"
        findings.append(Finding(f"{place}.options", message))


def _link_rules(place: str, mount: Mount, findings: Findings) -> None:
    """What looks at links: only binds, and those without much else."""
    bind = bool(mount.flags & MS_BIND) or mount.device == "bind"
    links = mount.extensions & EXT_LINKS
    if links and not bind:
        message = "copy-symlink, src-nofollow and dest-nofollow are for bind mounts alone"
        findings.append(Finding(f"{place}.options", message))
    if links & EXT_COPY_SYMLINK and links != EXT_COPY_SYMLINK:
        message = "copy-symlink excludes src-nofollow and dest-nofollow"
        findings.append(Finding(f"{place}.options", message))
    if links and (mount.id_mapping is not None or mount.relabel or mount.flags & MS_REMOUNT):
        message = "options about links exclude idmap, z, Z and remount"
        findings.append(Finding(f"{place}.options", message))


def _id_mapping_rules(
    place: str, mount: Mount, mapping: MountIDMapping, config: Config, findings: Findings
) -> None:
    if mount.flags & MS_REMOUNT:
        findings.append(Finding(f"{place}.options", "a remount cannot map ids"))
    elif mount.device in _UNMAPPED and not mount.flags & MS_BIND:
        message = f"the kernel maps no ids of {mount.device}"
        findings.append(Finding(f"{place}.options", message))
    elif mount.extensions & EXT_COPYUP:
        message = "tmpcopyup: not of a mount that maps ids, which is made on the host's side"
        findings.append(Finding(f"{place}.options", message))
    if config.rootless_euid:
        findings.append(Finding(f"{place}.options", "an ordinary user cannot map ids of a mount"))
    if mapping.userns_path:
        check_path(f"{place}.userns_path", mapping.userns_path, findings)
        return
    both = (("uidMappings", mapping.uid_mappings), ("gidMappings", mapping.gid_mappings))
    for field, mappings in both:
        if not mappings:
            message = f"missing: to map ids a mount, or linux.{field}, must say which"
            findings.append(Finding(f"{place}.{field}", message))
        check_mappings(f"{place}.{field}", mappings, findings)


def device_rules(config: Config, facts: Facts, findings: Findings) -> None:
    if config.devices and find(config, NEWNS) is None:
        findings.append(Finding("linux.devices", _NO_NAMESPACE))
    seen: dict[str, int] = {}
    for index, device in enumerate(config.devices):
        place = f"linux.devices[{index}]"
        path = device.path
        check_path(f"{place}.path", path, findings)
        if path in seen:
            message = f"the same as of linux.devices[{seen[path]}]: {path!r}"
            findings.append(Finding(f"{place}.path", message, "warning"))
        seen.setdefault(path, index)
        _node_rules(place, device, findings)


def _node_rules(place: str, device: Device, findings: Findings) -> None:
    if device.type not in ("b", "c", "u", "p"):
        message = f"unknown type of device: {device.type!r} (known: b, c, p, u)"
        findings.append(Finding(f"{place}.type", message))
    elif device.type != "p":
        # MKDEV() in the kernel: 12 bits and 20 bits.
        for field, number, limit in (("major", device.major, 12), ("minor", device.minor, 20)):
            if not 0 <= number < 1 << limit:
                message = f"not a device number: {number}"
                findings.append(Finding(f"{place}.{field}", message))
    if not 0 <= device.file_mode <= 0o7777:
        message = f"not permissions: {device.file_mode:#o}"
        findings.append(Finding(f"{place}.fileMode", message))


def path_rules(config: Config, facts: Facts, findings: Findings) -> None:
    namespace = find(config, NEWNS)
    for place, paths in (
        ("linux.maskedPaths", config.mask_paths),
        ("linux.readonlyPaths", config.readonly_paths),
    ):
        if paths and namespace is None:
            findings.append(Finding(place, _NO_NAMESPACE))
        for index, path in enumerate(paths):
            check_path(f"{place}[{index}]", path, findings)
