"""A Config, and the arguments of a Process, back to the runtime-spec's values of JSON.

config_from_spec() makes an equal Config of the result, as far as the spec can
say what the Config has: see NOT_IN_SPEC.
"""

from __future__ import annotations

from ..config.annotations import SECCOMP_PROGRAM, SECCOMP_STRICT
from ..config.landlock import ANNOTATION as LANDLOCK
from ..config.namespace import NEWUSER, SPEC_NAMES
from ..config.number_lists import format_numbers
from ..loading.jsontext import dumps
from ..syscalls.constants import RLIMITS
from .default_spec import VERSION
from .load_linux import read_landlock
from .load_resources import THROTTLES
from .mount_options import PROPAGATION, options_of
from .names import (
    HOOKS,
    IO_CLASSES,
    MEMORY_FLAGS,
    MEMORY_MODES,
    PERSONALITIES,
    SCHEDULER_FLAGS,
    SCHEDULER_POLICIES,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from ..config import (
        Capabilities,
        Cgroup,
        Config,
        CPUAffinity,
        Device,
        Hook,
        IDMap,
        IntelRdt,
        IOPriority,
        Landlock,
        MemoryPolicy,
        Mount,
        Resources,
        Rlimit,
        Scheduler,
        Seccomp,
    )

# Fields that the caller chooses, on a command line for example, and routes,
# which the runtime-spec does not have.
NOT_IN_SPEC = (
    "entries",
    "no_new_keyring",
    "no_pivot_root",
    "parent_death_signal",
    "rootfs_view",
    "rootless_cgroups",
    "rootless_euid",
    "routes",
)


def spec_from_config(config: Config, process: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The spec of a Config.

    process: keyword arguments of a Process; without, the spec has a process
        only if the Config has attributes of processes.
    """
    annotations = dict(label.partition("=")[::2] for label in config.labels)
    annotations.pop("bundle", None)
    if config.cgroups:
        for name, value in config.cgroups.systemd_props.items():
            annotations[f"org.systemd.property.{name}"] = value
    _put_landlock(config.landlock, annotations)
    if config.seccomp is not None:
        if config.seccomp.program:
            annotations[SECCOMP_PROGRAM] = config.seccomp.program
        if config.seccomp.strict:
            annotations.setdefault(SECCOMP_STRICT, "1")
    return {
        "ociVersion": config.version or VERSION,
        **_present(process=_process(config, process)),
        "root": {"path": config.rootfs, **_present(readonly=config.readonlyfs)},
        **_present(
            hostname=config.hostname,
            domainname=config.domainname,
            mounts=[_mount(mount, config) for mount in config.mounts],
            hooks=_hooks(config),
            annotations=annotations,
        ),
        "linux": _linux(config),
    }


def _put_landlock(landlock: Landlock | None, annotations: dict[str, str]) -> None:
    """In the words that it was read from, if there are any that still say it."""
    if landlock is None:
        annotations.pop(LANDLOCK, None)
    elif read_landlock(annotations.get(LANDLOCK, ""), []) != landlock:
        annotations[LANDLOCK] = dumps(landlock.to_dict())


def _present(**fields: Any) -> dict[str, Any]:
    """Those that say something: not None, empty, False or 0."""
    return {key: value for key, value in fields.items() if value}


def _given(**fields: Any) -> dict[str, Any]:
    """Those that are not None; for fields of which 0 says something."""
    return {key: value for key, value in fields.items() if value is not None}


def _name(names: Mapping[str, int], number: int) -> str:
    for name, value in names.items():
        if value == number:
            return name
    raise ValueError(f"the runtime-spec has no name for {number} (known: {', '.join(names)})")


def _names(names: Mapping[str, int], bits: int) -> list[str]:
    return [name for name, bit in names.items() if bit & bits]


def _process(config: Config, arguments: Mapping[str, Any] | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    user: dict[str, Any] = {}
    if arguments:
        found = {"args": list(arguments["args"]), "cwd": arguments.get("cwd") or "/"}
        found.update(
            _present(env=list(arguments.get("env", ())), terminal=arguments.get("terminal"))
        )
        uid, _, gid = (arguments.get("user") or "0").partition(":")
        # The spec has numbers alone; names are the library's.
        user = {"uid": int(uid), "gid": int(gid or 0)}
        user.update(_present(additionalGids=list(arguments.get("additional_groups", ()))))
        if arguments.get("console_width") or arguments.get("console_height"):
            found["consoleSize"] = {
                "height": arguments.get("console_height", 0),
                "width": arguments.get("console_width", 0),
            }
    user.update(_given(umask=config.umask))
    found.update(_present(user=user))
    found.update(
        _given(
            capabilities=_capabilities(config.capabilities),
            oomScoreAdj=config.oom_score_adj,
            scheduler=_scheduler(config.scheduler),
            ioPriority=_io_priority(config.io_priority),
            execCPUAffinity=_affinity(config.exec_cpu_affinity),
        )
    )
    found.update(
        _present(
            rlimits=[_rlimit(limit) for limit in config.rlimits],
            noNewPrivileges=config.no_new_privileges,
            apparmorProfile=config.apparmor_profile,
            selinuxLabel=config.process_label,
        )
    )
    if found and not arguments:
        found = {"args": [], "cwd": "/", **found}
    return found


def _capabilities(capabilities: Capabilities | None) -> dict[str, Any] | None:
    if capabilities is None:
        return None
    return _present(
        **{name: list(getattr(capabilities, name)) for name in capabilities.__annotations__}
    )


def _rlimit(limit: Rlimit) -> dict[str, Any]:
    return {"type": _name(RLIMITS, limit.type), "hard": limit.hard, "soft": limit.soft}


def _scheduler(scheduler: Scheduler | None) -> dict[str, Any] | None:
    if scheduler is None:
        return None
    return {
        "policy": _name(SCHEDULER_POLICIES, scheduler.policy),
        **_present(
            nice=scheduler.nice,
            priority=scheduler.priority,
            flags=_names(SCHEDULER_FLAGS, scheduler.flags),
            runtime=scheduler.runtime,
            deadline=scheduler.deadline,
            period=scheduler.period,
        ),
    }


def _io_priority(io_priority: IOPriority | None) -> dict[str, Any] | None:
    if io_priority is None:
        return None
    return {"class": _name(IO_CLASSES, io_priority.class_), "priority": io_priority.priority}


def _affinity(affinity: CPUAffinity | None) -> dict[str, Any] | None:
    if affinity is None:
        return None
    return _present(
        initial=format_numbers(affinity.initial or ()), final=format_numbers(affinity.final or ())
    )


def _mount(mount: Mount, config: Config) -> dict[str, Any]:
    found: dict[str, Any] = {
        "destination": mount.destination,
        **_present(type=mount.device, source=mount.source, options=options_of(mount)),
    }
    mapping = mount.id_mapping
    if mapping is not None:
        joined = [at.path for at in config.namespaces if at.type == NEWUSER]
        if mapping.userns_path and mapping.userns_path not in joined:
            raise ValueError("the runtime-spec cannot name the user namespace of a mount")
        found.update(
            _present(
                uidMappings=_id_maps(mapping.uid_mappings),
                gidMappings=_id_maps(mapping.gid_mappings),
            )
        )
    return found


def _id_maps(mappings: Iterable[IDMap]) -> list[dict[str, int]]:
    return [
        {"containerID": at.container_id, "hostID": at.host_id, "size": at.size} for at in mappings
    ]


def _hooks(config: Config) -> dict[str, Any]:
    if config.hooks is None:
        return {}
    return _present(
        **{
            key: [_hook(hook) for hook in getattr(config.hooks, field) if not callable(hook)]
            for key, field in HOOKS.items()
        }
    )


def _hook(hook: Hook) -> dict[str, Any]:
    return {
        "path": hook.path,
        **_present(args=list(hook.args), timeout=hook.timeout),
        **_given(env=hook.env),
    }


def _linux(config: Config) -> dict[str, Any]:
    found = _present(
        namespaces=[
            {"type": SPEC_NAMES[at.type], **_present(path=at.path)} for at in config.namespaces
        ],
        uidMappings=_id_maps(config.uid_mappings),
        gidMappings=_id_maps(config.gid_mappings),
        devices=[_device(device) for device in config.devices],
        netDevices={name: _present(name=at.name) for name, at in config.net_devices.items()},
        maskedPaths=list(config.mask_paths),
        readonlyPaths=list(config.readonly_paths),
        mountLabel=config.mount_label,
        sysctl=dict(config.sysctl),
        timeOffsets={
            clock: {"secs": at.secs, "nanosecs": at.nanosecs}
            for clock, at in config.time_offsets.items()
        },
    )
    if config.root_propagation:
        found["rootfsPropagation"] = _name(PROPAGATION, config.root_propagation)
    if config.cgroups is not None:
        found.update(
            _present(
                cgroupsPath=_cgroups_path(config.cgroups),
                resources=_resources(config.cgroups.resources),
            )
        )
    if config.personality is not None:
        found["personality"] = {
            "domain": _name(PERSONALITIES, config.personality.domain),
            **_present(flags=list(config.personality.flags)),
        }
    found.update(
        _given(
            seccomp=seccomp_to_spec(config.seccomp) if config.seccomp else None,
            intelRdt=_intel_rdt(config.intel_rdt),
            memoryPolicy=_memory_policy(config.memory_policy),
        )
    )
    return found


def _device(device: Device) -> dict[str, Any]:
    found: dict[str, Any] = {"path": device.path, "type": device.type}
    if device.type != "p":
        found.update(major=device.major, minor=device.minor)
    return {**found, "fileMode": device.file_mode, "uid": device.uid, "gid": device.gid}


def _cgroups_path(cgroup: Cgroup) -> str:
    if cgroup.systemd:
        return f"{cgroup.parent}:{cgroup.scope_prefix}:{cgroup.name}"
    # A name without a parent is what a spec without a path gets.
    return cgroup.path or (f"{cgroup.parent}/{cgroup.name}" if cgroup.parent else "")


def _resources(resources: Resources) -> dict[str, Any]:
    return _present(
        devices=[
            {
                "allow": rule.allow,
                "type": rule.type,
                "access": rule.permissions,
                **_given(
                    major=None if rule.major == -1 else rule.major,
                    minor=None if rule.minor == -1 else rule.minor,
                ),
            }
            for rule in resources.devices
        ],
        memory={
            **_present(
                limit=resources.memory,
                reservation=resources.memory_reservation,
                swap=resources.memory_swap,
                checkBeforeUpdate=resources.memory_check_before_update,
                disableOOMKiller=resources.oom_kill_disable,
            ),
            **_given(swappiness=resources.memory_swappiness),
        },
        cpu={
            **_present(
                shares=resources.cpu_shares,
                quota=resources.cpu_quota,
                period=resources.cpu_period,
                realtimeRuntime=resources.cpu_rt_quota,
                realtimePeriod=resources.cpu_rt_period,
                cpus=resources.cpuset_cpus,
                mems=resources.cpuset_mems,
            ),
            **_given(burst=resources.cpu_burst, idle=resources.cpu_idle),
        },
        pids=_given(limit=resources.pids_limit),
        blockIO=_block_io(resources),
        hugepageLimits=[
            {"pageSize": at.page_size, "limit": at.limit} for at in resources.hugetlb_limit
        ],
        network=_present(
            classID=resources.net_cls_classid,
            priorities=[
                {"name": at.interface, "priority": at.priority}
                for at in resources.net_prio_ifpriomap
            ],
        ),
        rdma={
            name: _given(hcaHandles=at.hca_handles, hcaObjects=at.hca_objects)
            for name, at in resources.rdma.items()
        },
        unified={**_oom_group(resources.memory_oom_group), **resources.unified},
    )


def _oom_group(whole: bool | None) -> dict[str, str]:
    return {} if whole is None else {"memory.oom.group": str(int(whole))}


def _block_io(resources: Resources) -> dict[str, Any]:
    return _present(
        weight=resources.blkio_weight,
        leafWeight=resources.blkio_leaf_weight,
        weightDevice=[
            {
                "major": at.major,
                "minor": at.minor,
                **_present(weight=at.weight, leafWeight=at.leaf_weight),
            }
            for at in resources.blkio_weight_device
        ],
        **{
            key: [
                {"major": at.major, "minor": at.minor, "rate": at.rate}
                for at in getattr(resources, field)
            ]
            for key, field in THROTTLES.items()
        },
    )


def seccomp_to_spec(seccomp: Seccomp) -> dict[str, Any]:
    return {
        "defaultAction": seccomp.default_action,
        **_given(
            defaultErrnoRet=seccomp.default_errno_ret,
            flags=None if seccomp.flags is None else list(seccomp.flags),
        ),
        **_present(
            architectures=list(seccomp.architectures),
            listenerPath=seccomp.listener_path,
            listenerMetadata=seccomp.listener_metadata,
            syscalls=[
                {
                    "names": list(rule.names),
                    "action": rule.action,
                    **_given(errnoRet=rule.errno_ret),
                    **_present(
                        args=[
                            {
                                "index": at.index,
                                "value": at.value,
                                "op": at.op,
                                **_present(valueTwo=at.value_two),
                            }
                            for at in rule.args
                        ]
                    ),
                }
                for rule in seccomp.syscalls
            ],
        ),
    }


def _intel_rdt(rdt: IntelRdt | None) -> dict[str, Any] | None:
    if rdt is None:
        return None
    return _present(
        closID=rdt.clos_id,
        schemata=list(rdt.schemata),
        l3CacheSchema=rdt.l3_cache_schema,
        memBwSchema=rdt.mem_bw_schema,
        enableMonitoring=rdt.enable_monitoring,
    )


def _memory_policy(policy: MemoryPolicy | None) -> dict[str, Any] | None:
    if policy is None:
        return None
    return {
        "mode": _name(MEMORY_MODES, policy.mode),
        **_present(nodes=format_numbers(policy.nodes), flags=_names(MEMORY_FLAGS, policy.flags)),
    }
