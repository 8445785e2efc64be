"""A bundle's configuration, as values of JSON, to a Config (config.md, config-linux.md).

Reading collects what is wrong with types, names and missing fields.  What the
values mean together is judged by config/validate.py, for a Config however made.
"""

from __future__ import annotations

import posix

from ..config.annotations import (
    DELEGATE,
    SECCOMP_PROGRAM,
    SECCOMP_RECEIVER,
    SECCOMP_STRICT,
    SUB_GROUP,
)
from ..config.cgroup import Cgroup
from ..config.config import Config, NetDevice, Network
from ..config.device import ALLOWED_DEVICES, Device
from ..config.landlock import ANNOTATION as LANDLOCK
from ..config.mount import Mount, MountIDMapping
from ..config.mount_flags import MS_BIND, MS_RDONLY
from ..config.namespace import (
    NEWCGROUP,
    NEWNET,
    NEWNS,
    NEWUSER,
    SPEC_NAMES,
    IDMap,
    Namespace,
    TimeOffset,
)
from ..errors import ConfigError, Finding
from ..loading.paths import join, normal
from ..syscalls.userns import in_user_namespace
from .inline_maps import OPTIONS as INLINE, read_inline
from .load_process import first_process_arguments, process_attributes
from .mount_options import PROPAGATION, apply_options
from .reader import INT64, UINT32, Table, settle, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NAMESPACE_TYPES = {name: kind for kind, name in SPEC_NAMES.items()}
_DEVICE_TYPES = {"b": "b", "c": "c", "u": "c", "p": "p"}
_TYPE_OF_FILE = 0o170000  # S_IFMT, inode(7)
_OTHER_PLATFORMS = ("freebsd", "solaris", "vm", "windows", "zos")
_SYSTEMD_PROPERTY = "org.systemd.property."


def config_from_spec(
    spec: dict[str, Any],
    *,
    bundle: str,
    id: str = "",  # noqa: A002  # the runtime-spec's word
    systemd: bool = False,
    control_groups: bool = True,
    no_pivot: bool = False,
    no_new_keyring: bool = False,
    rootless_euid: bool | None = None,
    rootless_cgroups: bool | None = None,
    warnings: list[Finding] | None = None,
    findings: list[Finding] | None = None,
) -> tuple[Config, dict[str, Any]]:
    """The Config, and the keyword arguments of the Process to start in it ({} without one).

    bundle: the bundle's directory, absolute; relative paths start there.
    id: of the container; names its cgroup where the spec does not.
    systemd: it is to make the control groups; cgroupsPath is slice:prefix:name.
    control_groups: the container has any; without them no limit can be set.
    rootless_euid, rootless_cgroups: None to look at this process.
    warnings: gets what is read in another way than it is written.
    findings: gets that and all mistakes, for which nothing is raised then: the fields
        that could not be read have their defaults.
    Raises ConfigError with every finding, also about what could be read.
    """
    if not isinstance(spec, dict):
        raise ConfigError([Finding("", f"the configuration is not an object: {show(spec)}")])
    collect = findings is not None
    findings = findings if findings is not None else []
    top = Table(spec, "", findings)
    linux = top.table("linux")
    version = _version(top)
    if linux is None:
        linux = Table({}, "linux", findings)
    if rootless_euid is None:
        rootless_euid = posix.geteuid() != 0
    if rootless_cgroups is None:
        rootless_cgroups = rootless_euid or in_user_namespace()

    fields: dict[str, Any] = {}
    arguments: dict[str, Any] = {}
    process = top.table("process")
    if process is not None:
        arguments = first_process_arguments(process)
        fields = process_attributes(process)
    annotations = top.string_map("annotations")
    namespaces = _namespaces(linux)
    root = top.table("root")
    if root is None:
        top.require("root")
        fields["rootfs"] = ""
    else:
        root.require("path")
        fields["rootfs"] = normal(join(bundle, root.string("path")))
        fields["readonlyfs"] = root.boolean("readonly")
    fields["namespaces"] = namespaces
    fields["uid_mappings"] = id_maps(linux, "uidMappings")
    fields["gid_mappings"] = id_maps(linux, "gidMappings")
    if rootless_euid and not (fields["uid_mappings"] and fields["gid_mappings"]):
        from .automatic_maps import add_automatic_maps

        add_automatic_maps(fields, arguments.get("user", ""))
    fields["mounts"] = [_mount(mount, bundle, fields, namespaces) for mount in top.tables("mounts")]
    fields["devices"] = _devices(linux, namespaces)
    fields["hostname"] = top.string("hostname")
    fields["domainname"] = top.string("domainname")
    if any(namespace.type == NEWNET and not namespace.path for namespace in namespaces):
        fields["networks"] = [Network("loopback")]
    if control_groups:
        fields["cgroups"] = _cgroup(linux, annotations, id, systemd, rootless_cgroups)
        fields["cgroups"].owner_uid = _owner(fields, arguments.get("user", "0:0"))
    else:
        _refuse_limits(linux, warnings=not rootless_cgroups)
    fields["version"] = version
    fields["labels"] = [f"{key}={value}" for key, value in annotations.items()]
    fields["labels"].append(f"bundle={bundle}")
    _read_linux(linux, fields)
    if LANDLOCK in annotations:
        from .load_linux import read_landlock

        fields["landlock"] = read_landlock(annotations[LANDLOCK], findings)
    _seccomp_annotations(annotations, fields)
    hooks = top.table("hooks")
    if hooks is not None:
        from .load_linux import read_hooks

        fields["hooks"] = read_hooks(hooks)
    config = Config(
        no_pivot_root=no_pivot,
        no_new_keyring=no_new_keyring,
        rootless_euid=rootless_euid,
        rootless_cgroups=rootless_cgroups,
        **fields,
    )
    if collect:
        return config, arguments
    if any(finding.level == "error" for finding in findings):
        from .partial import certain, rule_findings

        findings += certain(rule_findings(config, arguments), findings)
    settle(findings, warnings)
    return config, arguments


def _seccomp_annotations(annotations: dict[str, str], fields: dict[str, Any]) -> None:
    """crun's; one of them is a filter also without linux.seccomp."""
    program = annotations.get(SECCOMP_PROGRAM, "")
    if program and fields.get("seccomp") is None:
        from ..config.seccomp import Seccomp

        fields["seccomp"] = Seccomp("SCMP_ACT_ALLOW")
    seccomp = fields.get("seccomp")
    if seccomp is not None:
        seccomp.program = program
        seccomp.listener_path = seccomp.listener_path or annotations.get(SECCOMP_RECEIVER, "")
        seccomp.strict = annotations.get(SECCOMP_STRICT, "0") != "0"


def _version(top: Table) -> str:
    """The version of the spec, after a look at whether this is for us at all."""
    version = top.string("ociVersion")
    named = top.require("ociVersion") and isinstance(top.get("ociVersion"), str)
    if named and version.split(".")[0] not in ("0", "1"):
        top.problem("ociVersion", f"not version 1 of the runtime-spec: {show(version)}")
    if not top.has("linux"):
        for platform in _OTHER_PLATFORMS:
            if top.has(platform):
                top.problem(platform, "a configuration for another platform: it has no 'linux'")
    return version


def _namespaces(linux: Table) -> list[Namespace]:
    found = []
    for table in linux.tables("namespaces"):
        table.require("type")
        kind = table.named("type", _NAMESPACE_TYPES, "", "namespace type")
        found.append(Namespace(kind, table.string("path")))
    return found


def id_maps(table: Table, key: str) -> list[IDMap]:
    """The mappings of a field (config-linux.md, User namespace mappings)."""
    return [
        IDMap(
            entry.number("containerID", UINT32),
            entry.number("hostID", UINT32),
            entry.number("size", UINT32),
        )
        for entry in table.tables(key)
        if entry.require("containerID", "hostID", "size")
    ]


def _mount(table: Table, bundle: str, fields: dict[str, Any], namespaces: list[Namespace]) -> Mount:
    table.require("destination")
    mount = Mount(
        table.string("destination"), source=table.string("source"), device=table.string("type")
    )
    options = table.strings("options")
    inline = [option for option in options if option.startswith(INLINE)]
    apply_options(mount, [one.partition("=")[0] if one in inline else one for one in options])
    if mount.flags & MS_BIND or mount.device == "bind":
        # The type of a bind mount means nothing, and is "none" as often as not.
        mount.device = "bind"
        mount.flags |= MS_BIND
        if mount.source and not mount.source.startswith("/"):
            mount.source = normal(join(bundle, mount.source))
    uid_mappings, gid_mappings = id_maps(table, "uidMappings"), id_maps(table, "gidMappings")
    if uid_mappings or gid_mappings:
        mount.id_mapping = mount.id_mapping or MountIDMapping()
        mount.id_mapping.uid_mappings = uid_mappings
        mount.id_mapping.gid_mappings = gid_mappings
    elif mount.id_mapping is not None and inline:
        try:
            own = {"uids": fields["uid_mappings"], "gids": fields["gid_mappings"]}
            maps = read_inline(inline[-1].partition("=")[2], own)
        except ValueError as error:
            table.problem("options", f"{inline[-1]}: {error}")
        else:
            mount.id_mapping.uid_mappings = maps.get("uids", [])
            mount.id_mapping.gid_mappings = maps.get("gids", [])
    elif mount.id_mapping is not None:
        # Without mappings of its own it has those of the container.
        for namespace in namespaces:
            if namespace.type == NEWUSER:
                mount.id_mapping.userns_path = namespace.path
        if not mount.id_mapping.userns_path:
            mount.id_mapping.uid_mappings = list(fields["uid_mappings"])
            mount.id_mapping.gid_mappings = list(fields["gid_mappings"])
    return mount


def read_mounts(values: list[Any], config: Config) -> list[Mount]:
    """The mounts of a list, for a container of config; ConfigError with every finding."""
    findings: list[Finding] = []
    maps = {"uid_mappings": config.uid_mappings, "gid_mappings": config.gid_mappings}
    labels = dict(label.partition("=")[::2] for label in config.labels)
    tables = Table({"mounts": values}, "", findings).tables("mounts")
    found = [_mount(one, labels.get("bundle", "/"), maps, config.namespaces) for one in tables]
    settle(findings, None)
    return found


def _devices(linux: Table, namespaces: list[Namespace]) -> list[Device]:
    """The spec's devices, then the default ones, which every /dev of ours has."""
    found = []
    for table in linux.tables("devices"):
        table.require("type", "path")
        found.append(
            Device(
                table.string("path"),
                table.named("type", _DEVICE_TYPES, "", "type of device"),
                table.number("major", INT64),
                table.number("minor", INT64),
                # Podman writes the st_mode of the host's node, with the type of file.
                file_mode=table.number("fileMode", UINT32, 0o666) & ~_TYPE_OF_FILE,
                uid=table.number("uid", UINT32),
                gid=table.number("gid", UINT32),
            )
        )
    # Without a mount namespace the container has the host's /dev.
    if any(namespace.type == NEWNS for namespace in namespaces):
        given = {normal(device.path) for device in found}
        found += [device.copy() for device in ALLOWED_DEVICES if device.path not in given]
    return found


def _cgroup(
    linux: Table, annotations: dict[str, str], name: str, systemd: bool, rootless: bool
) -> Cgroup:
    cgroup = Cgroup(systemd=systemd, rootless=rootless)
    resources = linux.table("resources")
    if resources is not None:
        from .load_resources import read_resources

        cgroup.resources = read_resources(resources)
    path = linux.string("cgroupsPath")
    if systemd:
        parts = path.split(":") if path else ["", "libct", name]
        if len(parts) == 3:
            cgroup.parent, cgroup.scope_prefix, cgroup.name = parts
        else:
            # runc's words
            wanted = 'expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups'
            linux.problem("cgroupsPath", f"{wanted}, got {show(path)} instead")
        cgroup.sub_group = annotations.get(SUB_GROUP, "")
        cgroup.delegate = annotations.get(DELEGATE, "")
        cgroup.systemd_props = _systemd_properties(annotations, linux.findings)
    elif path:
        # A ".." may not lead above the root of the hierarchy, nor above our own cgroup.
        below = normal("/" + path.lstrip("/"))
        if below == "/":
            linux.problem("cgroupsPath", f"the root cannot be a container's: {path!r}")
        cgroup.path = below if path.startswith("/") else below[1:]
    else:
        cgroup.name = name
    return cgroup


def _owner(fields: dict[str, Any], user: str) -> int | None:
    """Whose the container's own group is to be: the host's id of who its process runs as.

    That is for a container which sees its groups alone, and may write to them, as runc has it.
    """
    spaces: list[Namespace] = fields["namespaces"]
    mounts: list[Mount] = fields["mounts"]
    private = any(space.type == NEWCGROUP and not space.path for space in spaces)
    if not private or not any(_is_own_cgroups(mount) for mount in mounts):
        return None
    uid = int(user.partition(":")[0])
    mappings: list[IDMap] = fields["uid_mappings"]
    for mapping in mappings:
        if mapping.container_id <= uid < mapping.container_id + mapping.size:
            return mapping.host_id + uid - mapping.container_id
    return None if any(space.type == NEWUSER for space in spaces) else uid


def _is_own_cgroups(mount: Mount) -> bool:
    kind = mount.device.startswith("cgroup") and not mount.flags & MS_RDONLY
    return kind and normal(mount.destination) == "/sys/fs/cgroup"


def _refuse_limits(linux: Table, *, warnings: bool) -> None:
    """For a container that is to have no control groups."""
    resources = linux.table("resources")
    if resources is None:
        return
    for name in resources.values:
        if name == "devices" and warnings:
            message = "is not controlled: the container is to have no control group"
            place = f"linux.resources.{name}"
            linux.findings.append(Finding(place, f"access to devices {message}", "warning"))
        elif name != "devices" and resources.get(name):
            message = "cannot set limits without a control group (--cgroup-manager disabled)"
            resources.problem(name, message)


def _systemd_properties(annotations: dict[str, str], findings: list[Finding]) -> dict[str, str]:
    found = {}
    for key, value in annotations.items():
        if key.startswith(_SYSTEMD_PROPERTY):
            name = key[len(_SYSTEMD_PROPERTY) :]
            if len(name) >= 3 and name.isascii() and name.isalpha():
                found[name] = value
            else:
                message = "no name of a systemd property: 3 or more letters are"
                findings.append(Finding(f"annotations.{key}", message))
    return found


def _read_linux(linux: Table, fields: dict[str, Any]) -> None:
    fields["mask_paths"] = linux.strings("maskedPaths")
    fields["readonly_paths"] = linux.strings("readonlyPaths")
    fields["mount_label"] = linux.string("mountLabel")
    fields["sysctl"] = linux.string_map("sysctl")
    if linux.string("rootfsPropagation"):
        fields["root_propagation"] = linux.named("rootfsPropagation", PROPAGATION, 0, "propagation")
    fields["net_devices"] = {
        name: NetDevice(device.string("name")) for name, device in linux.named_tables("netDevices")
    }
    fields["time_offsets"] = {
        clock: TimeOffset(offset.number("secs", INT64), offset.number("nanosecs", UINT32))
        for clock, offset in linux.named_tables("timeOffsets")
    }
    for key, field, reader in (
        ("seccomp", "seccomp", "read_seccomp"),
        ("intelRdt", "intel_rdt", "read_intel_rdt"),
        ("memoryPolicy", "memory_policy", "read_memory_policy"),
        ("personality", "personality", "read_personality"),
    ):
        table = linux.table(key)
        if table is not None:
            from . import load_linux

            fields[field] = getattr(load_linux, reader)(table)
