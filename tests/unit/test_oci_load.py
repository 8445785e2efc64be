"""config.json to a Config, and back."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from libct.config import (
    ALLOWED_DEVICES,
    Capabilities,
    Cgroup,
    Config,
    CPUAffinity,
    Device,
    DeviceRule,
    Hook,
    Hooks,
    HugepageLimit,
    IDMap,
    IntelRdt,
    InterfacePriority,
    IOPriority,
    Landlock,
    MemoryPolicy,
    Mount,
    MountIDMapping,
    Namespace,
    NetDevice,
    Network,
    Personality,
    Rdma,
    Resources,
    Rlimit,
    Scheduler,
    Seccomp,
    SeccompArg,
    SeccompRule,
    ThrottleDevice,
    TimeOffset,
    WeightDevice,
)
from libct.config.mount_flags import MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_REC, MS_SLAVE
from libct.errors import ConfigError, Finding
from libct.oci.bundle import from_bundle, read_bundle
from libct.oci.default_spec import default_spec
from libct.oci.dump import NOT_IN_SPEC, spec_from_config
from libct.oci.load import config_from_spec
from libct.oci.load_process import process_arguments
from libct.oci.partial import certain, rule_findings

from ..support import CHECKOUT, requires

BUNDLE = "/bundle"

LANDLOCK = '{"read": ["/usr"], "write": [], "bind_tcp": [80], "scope": ["signal"]}'

# Every field that the runtime-spec documents for Linux, and none at its default.
FULL: dict[str, Any] = {
    "ociVersion": "1.3.0",
    "root": {"path": "rootfs", "readonly": True},
    "hostname": "host",
    "domainname": "domain",
    "process": {
        "terminal": True,
        "consoleSize": {"height": 24, "width": 80},
        "cwd": "/work",
        "env": ["PATH=/bin", "A=b"],
        "args": ["sh", "-c", "true"],
        "user": {"uid": 3, "gid": 4, "umask": 0o27, "additionalGids": [5, 6]},
        "capabilities": {
            "bounding": ["CAP_KILL"],
            "effective": ["CAP_CHOWN"],
            "inheritable": ["CAP_MKNOD"],
            "permitted": ["CAP_CHOWN"],
            "ambient": ["CAP_FOWNER"],
        },
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 18446744073709551615, "soft": 1024}],
        "apparmorProfile": "profile",
        "selinuxLabel": "a:b:c",
        "oomScoreAdj": -5,
        "noNewPrivileges": True,
        "scheduler": {
            "policy": "SCHED_DEADLINE",
            "nice": -1,
            "priority": 2,
            "flags": ["SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_RECLAIM"],
            "runtime": 3,
            "deadline": 4,
            "period": 5,
        },
        "ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 6},
        "execCPUAffinity": {"initial": "0-2", "final": "1,3"},
    },
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/x", "type": "none", "source": "sub/x", "options": ["rbind", "nosuid"]},
        {"destination": "/y", "source": "/y", "options": ["bind", "idmap"]},
        {
            "destination": "/z",
            "type": "bind",
            "source": "/z",
            "options": ["ridmap"],
            "uidMappings": [{"containerID": 0, "hostID": 7, "size": 1}],
            "gidMappings": [{"containerID": 0, "hostID": 8, "size": 1}],
        },
        {"destination": "/t", "type": "tmpfs", "options": ["mode=755", "nodev", "tmpcopyup"]},
    ],
    "hooks": {
        "prestart": [{"path": "/a", "args": ["a", "b"], "env": ["C=d"], "timeout": 7}],
        "createRuntime": [{"path": "/b"}],
        "createContainer": [{"path": "/c"}],
        "startContainer": [{"path": "/d"}],
        "poststart": [{"path": "/e"}],
        "poststop": [{"path": "/f"}],
    },
    "annotations": {
        "com.example.key": "a=b",
        "org.libct.landlock": LANDLOCK,
        "org.systemd.property.TimeoutStopUSec": "uint64 1",
    },
    "linux": {
        "namespaces": [
            {"type": "mount"},
            {"type": "user"},
            {"type": "network"},
            {"type": "pid", "path": "/proc/7/ns/pid"},
            {"type": "uts"},
            {"type": "ipc"},
            {"type": "cgroup"},
            {"type": "time"},
        ],
        "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 10}],
        "gidMappings": [{"containerID": 0, "hostID": 2000, "size": 20}],
        "timeOffsets": {"monotonic": {"secs": -1, "nanosecs": 2}, "boottime": {"secs": 3}},
        "devices": [
            {
                "path": "/dev/fuse",
                "type": "u",
                "major": 10,
                "minor": 229,
                "fileMode": 0o600,
                "uid": 1,
                "gid": 2,
            },
            {"path": "/dev/null", "type": "c", "major": 1, "minor": 3},
            {"path": "/dev/pipe", "type": "p"},
        ],
        "netDevices": {"eth0": {"name": "container0"}, "eth1": {}, "eth2": None},
        "cgroupsPath": "/group/one",
        "resources": {
            "devices": [
                {"allow": False, "access": "rwm"},
                {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"},
                {"allow": True, "type": "b"},
            ],
            "memory": {
                "limit": 1,
                "reservation": 2,
                "swap": -1,
                "kernel": 3,
                "kernelTCP": 4,
                "swappiness": 0,
                "disableOOMKiller": True,
                "useHierarchy": True,
                "checkBeforeUpdate": True,
            },
            "cpu": {
                "shares": 5,
                "quota": -1,
                "burst": 0,
                "period": 6,
                "realtimeRuntime": 7,
                "realtimePeriod": 8,
                "cpus": "0-1",
                "mems": "0",
                "idle": 1,
            },
            "pids": {"limit": 0},
            "blockIO": {
                "weight": 10,
                "leafWeight": 11,
                "weightDevice": [{"major": 8, "minor": 0, "weight": 12, "leafWeight": 13}],
                "throttleReadBpsDevice": [{"major": 8, "minor": 1, "rate": 1}],
                "throttleWriteBpsDevice": [{"major": 8, "minor": 2, "rate": 2}],
                "throttleReadIOPSDevice": [{"major": 8, "minor": 3, "rate": 3}],
                "throttleWriteIOPSDevice": [{"major": 8, "minor": 4, "rate": 4}],
            },
            "hugepageLimits": [{"pageSize": "2MB", "limit": 9}],
            "network": {"classID": 14, "priorities": [{"name": "eth0", "priority": 15}]},
            "rdma": {"mlx5_1": {"hcaHandles": 3}, "mlx4_0": {"hcaObjects": 0}},
            "unified": {"memory.high": "100"},
        },
        "rootfsPropagation": "rslave",
        "seccomp": {
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": 38,
            "architectures": ["SCMP_ARCH_X86_64"],
            "flags": [],
            "listenerPath": "/run/agent",
            "listenerMetadata": "meta",
            "syscalls": [
                {
                    "names": ["read", "write"],
                    "action": "SCMP_ACT_ALLOW",
                    "errnoRet": 1,
                    "args": [
                        {"index": 1, "value": 2, "valueTwo": 3, "op": "SCMP_CMP_MASKED_EQ"},
                        {"index": 0, "value": 18446744073709551615, "op": "SCMP_CMP_NE"},
                    ],
                }
            ],
        },
        "sysctl": {"net.core.somaxconn": "256"},
        "maskedPaths": ["/proc/kcore"],
        "readonlyPaths": ["/proc/sys"],
        "mountLabel": "label",
        "intelRdt": {
            "closID": "group",
            "schemata": ["L3:0=f"],
            "l3CacheSchema": "L3:0=ff",
            "memBwSchema": "MB:0=10",
            "enableMonitoring": True,
        },
        "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0-1", "flags": ["MPOL_F_STATIC_NODES"]},
        "personality": {"domain": "LINUX32", "flags": ["X"]},
    },
}

# The same without what is questionable, or is ours and not the schema's.
GOOD = copy.deepcopy(FULL)
del GOOD["process"]["scheduler"]["priority"]
del GOOD["linux"]["personality"]["flags"]
GOOD["linux"]["rootfsPropagation"] = "slave"
GOOD["linux"]["seccomp"]["syscalls"][0]["action"] = "SCMP_ACT_ERRNO"
GOOD["linux"]["seccomp"]["syscalls"].append({"names": ["mount"], "action": "SCMP_ACT_NOTIFY"})

UIDS, GIDS = [IDMap(0, 1000, 10)], [IDMap(0, 2000, 20)]

FULL_CONFIG = Config(
    "/bundle/rootfs",
    readonlyfs=True,
    hostname="host",
    domainname="domain",
    version="1.3.0",
    umask=0o27,
    capabilities=Capabilities(
        ["CAP_KILL"], ["CAP_CHOWN"], ["CAP_MKNOD"], ["CAP_CHOWN"], ["CAP_FOWNER"]
    ),
    rlimits=[Rlimit(7, 18446744073709551615, 1024)],
    apparmor_profile="profile",
    process_label="a:b:c",
    oom_score_adj=-5,
    no_new_privileges=True,
    scheduler=Scheduler(6, -1, 2, 3, 3, 4, 5),
    io_priority=IOPriority(3, 6),
    exec_cpu_affinity=CPUAffinity([0, 1, 2], [1, 3]),
    landlock=Landlock(["/usr"], [], bind_tcp=[80], scope=["signal"]),
    mounts=[
        Mount("/proc", "proc", "proc"),
        Mount("/x", "/bundle/sub/x", "bind", MS_BIND | MS_REC | MS_NOSUID),
        Mount("/y", "/y", "bind", MS_BIND, id_mapping=MountIDMapping(False, "", UIDS, GIDS)),
        Mount(
            "/z",
            "/z",
            "bind",
            MS_BIND,
            id_mapping=MountIDMapping(True, "", [IDMap(0, 7, 1)], [IDMap(0, 8, 1)]),
        ),
        Mount("/t", "", "tmpfs", MS_NODEV, data="mode=755", extensions=1),
    ],
    hooks=Hooks(
        [Hook("/a", ["a", "b"], ["C=d"], 7)],
        [Hook("/b")],
        [Hook("/c")],
        [Hook("/d")],
        [Hook("/e")],
        [Hook("/f")],
    ),
    labels=[
        "com.example.key=a=b",
        f"org.libct.landlock={LANDLOCK}",
        "org.systemd.property.TimeoutStopUSec=uint64 1",
        "bundle=/bundle",
    ],
    namespaces=[
        Namespace("NEWNS"),
        Namespace("NEWUSER"),
        Namespace("NEWNET"),
        Namespace("NEWPID", "/proc/7/ns/pid"),
        Namespace("NEWUTS"),
        Namespace("NEWIPC"),
        Namespace("NEWCGROUP"),
        Namespace("NEWTIME"),
    ],
    networks=[Network("loopback")],
    uid_mappings=UIDS,
    gid_mappings=GIDS,
    time_offsets={"monotonic": TimeOffset(-1, 2), "boottime": TimeOffset(3, 0)},
    devices=[
        Device("/dev/fuse", "c", 10, 229, file_mode=0o600, uid=1, gid=2),
        Device("/dev/null", "c", 1, 3),
        Device("/dev/pipe", "p"),
        *ALLOWED_DEVICES[1:],
    ],
    net_devices={"eth0": NetDevice("container0"), "eth1": NetDevice(), "eth2": NetDevice()},
    cgroups=Cgroup(
        path="/group/one",
        resources=Resources(
            devices=[
                DeviceRule("a", -1, -1, "rwm", False),
                DeviceRule("c", 10, 229, "rw", True),
                DeviceRule("b", -1, -1, "rwm", True),
            ],
            memory=1,
            memory_reservation=2,
            memory_swap=-1,
            memory_swappiness=0,
            oom_kill_disable=True,
            memory_check_before_update=True,
            cpu_shares=5,
            cpu_quota=-1,
            cpu_burst=0,
            cpu_period=6,
            cpu_rt_quota=7,
            cpu_rt_period=8,
            cpuset_cpus="0-1",
            cpuset_mems="0",
            cpu_idle=1,
            pids_limit=0,
            blkio_weight=10,
            blkio_leaf_weight=11,
            blkio_weight_device=[WeightDevice(8, 0, 12, 13)],
            blkio_throttle_read_bps_device=[ThrottleDevice(8, 1, 1)],
            blkio_throttle_write_bps_device=[ThrottleDevice(8, 2, 2)],
            blkio_throttle_read_iops_device=[ThrottleDevice(8, 3, 3)],
            blkio_throttle_write_iops_device=[ThrottleDevice(8, 4, 4)],
            hugetlb_limit=[HugepageLimit("2MB", 9)],
            net_cls_classid=14,
            net_prio_ifpriomap=[InterfacePriority("eth0", 15)],
            rdma={"mlx5_1": Rdma(3), "mlx4_0": Rdma(None, 0)},
            unified={"memory.high": "100"},
        ),
    ),
    root_propagation=MS_SLAVE | MS_REC,
    seccomp=Seccomp(
        "SCMP_ACT_ERRNO",
        38,
        ["SCMP_ARCH_X86_64"],
        [],
        [
            SeccompRule(
                ["read", "write"],
                "SCMP_ACT_ALLOW",
                1,
                [
                    SeccompArg(1, 2, 3, "SCMP_CMP_MASKED_EQ"),
                    SeccompArg(0, 18446744073709551615, 0, "SCMP_CMP_NE"),
                ],
            )
        ],
        "/run/agent",
        "meta",
    ),
    sysctl={"net.core.somaxconn": "256"},
    mask_paths=["/proc/kcore"],
    readonly_paths=["/proc/sys"],
    mount_label="label",
    intel_rdt=IntelRdt("group", ["L3:0=f"], "L3:0=ff", "MB:0=10", True),
    memory_policy=MemoryPolicy(2, 0x8000, [0, 1]),
    personality=Personality(8, ["X"]),
)

FULL_ARGUMENTS = {
    "args": ["sh", "-c", "true"],
    "env": ["PATH=/bin", "A=b"],
    "cwd": "/work",
    "terminal": True,
    "user": "3:4",
    "additional_groups": [5, 6],
    "console_height": 24,
    "console_width": 80,
}


def load(spec: Any, **options: Any) -> tuple[Config, dict[str, Any]]:
    options = {"rootless_euid": False, "rootless_cgroups": False, **options}
    return config_from_spec(spec, bundle=BUNDLE, **options)


def minimal(**fields: Any) -> dict[str, Any]:
    return {"ociVersion": "1.3.0", "root": {"path": "rootfs"}, **fields}


def problems(spec: Any, **options: Any) -> list[str]:
    """What the reader finds; first, of all that is raised for it."""
    found: list[Finding] = []
    with pytest.raises(ConfigError) as caught:
        load(spec, **options)
    try:
        load(spec, findings=found, **options)
    except ConfigError as error:
        found = error.findings
    assert caught.value.findings[: len(found)] == found
    return [str(finding) for finding in found]


def test_every_field_of_the_spec() -> None:
    config, arguments = load(FULL)
    for field in Config._fields:
        assert getattr(config, field) == getattr(FULL_CONFIG, field), field
    assert config == FULL_CONFIG
    assert arguments == FULL_ARGUMENTS


def test_a_device_with_a_whole_st_mode() -> None:
    """As Podman writes it; the schema has permissions only."""
    device: dict[str, Any] = {"path": "/dev/x", "type": "c", "major": 1, "minor": 3}
    for mode, permissions in ((0o20640, 0o640), (1 << 20, 1 << 20)):  # the latter is refused later
        device["fileMode"] = mode
        config, _ = load(minimal(linux={"devices": [device]}))
        assert config.devices[0].file_mode == permissions


def test_no_field_of_a_config_was_forgotten() -> None:
    """FULL sets every field there is, but for those that no spec can say."""
    default = Config("")
    same = {
        field for field in Config._fields if getattr(default, field) == getattr(FULL_CONFIG, field)
    }
    assert same == set(NOT_IN_SPEC)


def test_the_spec_is_not_changed_by_reading_it() -> None:
    spec = copy.deepcopy(FULL)
    config, _ = load(spec)
    config.mask_paths.append("/x")
    config.sysctl["a"] = "b"
    assert spec == FULL


@pytest.mark.parametrize("make", [lambda: FULL, default_spec, minimal])
def test_dumped_and_loaded_again_it_is_the_same(make: Any) -> None:
    loaded = load(make(), id="x")
    spec = spec_from_config(*loaded)
    assert json.loads(json.dumps(spec)) == spec
    assert load(spec, id="x") == loaded


def test_limits_in_the_spellings_of_engines() -> None:
    resources = {
        "hugepageLimits": [{"pagesize": "2MB", "limit": 9}],
        "memory": {"swappiness": (1 << 64) - 1},
    }
    found = load(minimal(linux={"resources": resources}))[0].cgroups
    assert found is not None
    assert found.resources.hugetlb_limit == [HugepageLimit("2MB", 9)]
    assert found.resources.memory_swappiness is None  # -1, as no limit once was


def test_a_group_of_victims_is_a_file_in_a_spec() -> None:
    config = Config("/x", cgroups=Cgroup(resources=Resources(memory_oom_group=True)))
    spec = spec_from_config(config)
    assert spec["linux"]["resources"]["unified"] == {"memory.oom.group": "1"}


def test_a_config_without_a_process_keeps_its_attributes() -> None:
    config, _ = load(FULL)
    assert load(spec_from_config(config))[0] == config


def test_what_no_spec_can_say_is_not_dumped() -> None:
    mapping = MountIDMapping(userns_path="/proc/7/ns/user")
    config = Config("/x", mounts=[Mount("/x", "/x", "bind", MS_BIND, id_mapping=mapping)])
    with pytest.raises(ValueError, match="cannot name the user namespace of a mount"):
        spec_from_config(config)
    with pytest.raises(ValueError, match="no name for 99"):
        spec_from_config(Config("/x", rlimits=[Rlimit(99, 1, 1)]))


def test_a_minimal_spec() -> None:
    config, arguments = load(minimal(), id="box")
    expected = Config(
        "/bundle/rootfs",
        version="1.3.0",
        labels=["bundle=/bundle"],
        cgroups=Cgroup("box"),
    )
    assert (config, arguments) == (expected, {})


def test_null_is_absent() -> None:
    spec = minimal(hostname=None, mounts=None, linux={"resources": None, "sysctl": {"a": None}})
    assert load(spec) == load(minimal())


def test_unknown_fields_are_ignored() -> None:
    """config.md, Extensibility."""
    assert load(minimal(future={"a": 1}, linux={"future": []})) == load(minimal())


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ([], ["the configuration is not an object: a list"]),
        ({}, ["ociVersion: missing", "root: missing"]),
        (minimal(ociVersion=1), ["ociVersion: not a string: 1"]),
        (minimal(ociVersion="2.0.0"), ["ociVersion: not version 1 of the runtime-spec: '2.0.0'"]),
        (minimal(root={}), ["root.path: missing"]),
        (
            minimal(root={"path": 1, "readonly": "yes"}),
            ["root.path: not a string: 1", "root.readonly: not true or false: 'yes'"],
        ),
        (minimal(windows={}), ["windows: a configuration for another platform: it has no 'linux'"]),
        (minimal(linux=[]), ["linux: not an object: a list"]),
        (
            minimal(process={"terminal": 1, "args": ["a", 1], "env": "A=b"}),
            [
                "process.cwd: missing",
                "process.args[1]: not a string: 1",
                "process.env: not a list: 'A=b'",
                "process.terminal: not true or false: 1",
            ],
        ),
        (
            minimal(
                process={
                    "args": ["a"],
                    "cwd": "/",
                    "user": {"uid": -1, "gid": 1.0, "umask": True, "additionalGids": [1, "2"]},
                    "consoleSize": {"height": 65536, "width": 1},
                    "rlimits": [
                        {"type": "RLIMIT_FOO", "hard": 1, "soft": 1},
                        {"type": "RLIMIT_CPU"},
                        3,
                    ],
                    "scheduler": {"policy": "SCHED_FOO", "flags": ["X"]},
                    "ioPriority": {},
                    "execCPUAffinity": {"initial": "3-1", "final": ","},
                }
            ),
            [
                "process.user.uid: not between 0 and 4294967295: -1",
                "process.user.gid: not a whole number: 1.0",
                "process.user.additionalGids[1]: not a whole number: '2'",
                "process.consoleSize.height: not between 0 and 65535: 65536",
                "process.rlimits[0].type: unknown limit: 'RLIMIT_FOO'",
                "process.rlimits[1].hard: missing",
                "process.rlimits[1].soft: missing",
                "process.rlimits[2]: not an object: 3",
                "process.user.umask: not a whole number: true",
                "process.scheduler.policy: unknown scheduling policy: 'SCHED_FOO'",
                "process.scheduler.flags[0]: unknown scheduler flag: 'X'",
                "process.ioPriority.class: missing",
                "process.execCPUAffinity.initial: a range that ends before it starts: '3-1'",
                "process.execCPUAffinity.final: no number in it: ','",
            ],
        ),
        (
            minimal(linux={"namespaces": [{}, {"type": "net"}, {"type": "pid", "path": 3}]}),
            [
                "linux.namespaces[0].type: missing",
                "linux.namespaces[1].type: unknown namespace type: 'net'",
                "linux.namespaces[2].path: not a string: 3",
            ],
        ),
        (
            minimal(mounts=[{"type": "proc"}, {"destination": "/x", "options": "ro"}, None]),
            [
                "mounts[0].destination: missing",
                "mounts[1].options: not a list: 'ro'",
                "mounts[2]: not an object: null",
            ],
        ),
        (
            minimal(
                linux={
                    "devices": [{"path": "/dev/x", "type": "x"}, {"type": "c"}],
                    "rootfsPropagation": "loud",
                    "netDevices": {"eth0": 1},
                    "sysctl": {"a": 1},
                    "uidMappings": [{"containerID": 0}],
                    "timeOffsets": {"boottime": {"nanosecs": -1}},
                    "memoryPolicy": {"mode": "MPOL_X", "nodes": "9999"},
                    "personality": {"domain": "BSD"},
                    "resources": {
                        "devices": [{"access": "rwm"}],
                        "memory": {"limit": "1G"},
                        "cpu": {"shares": -1},
                        "pids": 5,
                        "hugepageLimits": [{}],
                    },
                }
            ),
            [
                "linux.uidMappings[0].hostID: missing",
                "linux.uidMappings[0].size: missing",
                "linux.devices[0].type: unknown type of device: 'x'",
                "linux.devices[1].path: missing",
                "linux.resources.devices[0].allow: missing",
                "linux.resources.memory.limit: not a whole number: '1G'",
                "linux.resources.cpu.shares: not between 0 and 18446744073709551615: -1",
                "linux.resources.pids: not an object: 5",
                "linux.resources.hugepageLimits[0].pageSize: missing",
                "linux.resources.hugepageLimits[0].limit: missing",
                "linux.sysctl.a: not a string: 1",
                "linux.rootfsPropagation: unknown propagation: 'loud'",
                "linux.netDevices.eth0: not an object: 1",
                "linux.timeOffsets.boottime.nanosecs: not between 0 and 4294967295: -1",
                (
                    "linux.memoryPolicy.nodes: invalid memory policy nodes: 9999 is too large, the"
                    " highest is 1023: '9999'"
                ),
                "linux.memoryPolicy.mode: invalid memory policy mode: unknown: 'MPOL_X'",
                "linux.personality.domain: unknown execution domain: 'BSD'",
            ],
        ),
        (
            minimal(
                hooks={"prestart": [{}]},
                linux={
                    "seccomp": {
                        "syscalls": [{"names": ["a"], "action": "SCMP_ACT_LOG", "args": [{}]}, {}]
                    }
                },
            ),
            [
                "linux.seccomp.defaultAction: missing",
                "linux.seccomp.syscalls[0].args[0].index: missing",
                "linux.seccomp.syscalls[0].args[0].value: missing",
                "linux.seccomp.syscalls[0].args[0].op: missing",
                "linux.seccomp.syscalls[1].names: missing",
                "linux.seccomp.syscalls[1].action: missing",
                "hooks.prestart[0].path: missing",
            ],
        ),
    ],
)
def test_mistakes_are_found_all_at_once(spec: Any, expected: list[str]) -> None:
    assert [text.partition(" (known: ")[0] for text in problems(spec)] == expected


SIX = {
    "hostname": "a" * 99,
    "process": {"args": [], "cwd": "relative", "user": {}},
    "mounts": [{"destination": "/a", "type": "proc", "source": "a\0b"}],
    "hooks": {"poststop": [{"path": "relative"}]},
    "linux": {
        "namespaces": [{"type": kind} for kind in ("mount", "uts", "uts")],
        "sysctl": {"kernel.panic": "1"},
    },
}


def test_a_mistake_of_reading_hides_no_other() -> None:
    """Those that the rules find are told with those that the reader finds."""
    by_rules = rule_findings(*load(minimal(**SIX)))
    assert len(by_rules) >= 6
    bad = copy.deepcopy(SIX)
    bad["linux"]["seccomp"] = {"defaultAction": 7}  # type: ignore[index]
    bad["linux"]["namespaces"].append({"type": "userr"})  # type: ignore[index]
    with pytest.raises(ConfigError) as caught:
        load(minimal(**bad))
    first, second, *others = [str(one).partition(" (known")[0] for one in caught.value.findings]
    assert first == "linux.namespaces[3].type: unknown namespace type: 'userr'"
    assert second == "linux.seccomp.defaultAction: not a string: 7"
    # What asks for a namespace may have it, once that entry can be read.
    assert others == [str(one) for one in by_rules if "linux.namespaces" not in one.message]


@pytest.mark.parametrize(
    ("place", "message", "expected"),
    [
        ("linux.uidMappings", "x", True),
        ("linux.namespaces[1].type", "x", False),
        ("linux.namespaces[1]", "x", False),
        ("linux.namespaces", "x", False),
        ("linux.namespaces[10].type", "x", True),
        ("linux.uidMappings", "needs a user namespace in linux.namespaces", False),
        ("", "x", False),
    ],
)
def test_what_may_follow_from_a_default_is_not_said(
    place: str, message: str, expected: bool
) -> None:
    bad = [Finding("linux.namespaces[1].type", "unknown"), Finding("linux.b", "odd", "warning")]
    found = [Finding(place, message), Finding("linux.b", "x")]
    assert certain(found, bad) == found[not expected :]


def test_a_message_is_one_short_line() -> None:
    assert problems(minimal(hostname=["x" * 999])) == ["hostname: not a string: a list"]
    spec = minimal(linux={"namespaces": [{"type": "a\n" * 99}]})
    (message,) = problems(spec)
    assert "\n" not in message
    assert len(message) < 200


def test_a_filter_that_filters_nothing_is_none() -> None:
    config, _ = load(minimal(linux={"seccomp": {"architectures": ["SCMP_ARCH_X86"]}}))
    assert config.seccomp is None


def test_bind_mounts_by_type_or_option() -> None:
    mounts = [
        {"destination": "/a", "type": "bind", "source": "/a"},
        {"destination": "/b", "type": "ext4", "source": "../b", "options": ["bind", "noexec"]},
    ]
    config, _ = load(minimal(mounts=mounts))
    assert config.mounts == [
        Mount("/a", "/a", "bind", MS_BIND),
        Mount("/b", "/b", "bind", MS_BIND | MS_NOEXEC),
    ]


def test_an_id_mapped_mount_takes_the_mappings_of_a_joined_namespace() -> None:
    linux = {"namespaces": [{"type": "user", "path": "/proc/7/ns/user"}]}
    mounts = [{"destination": "/a", "source": "/a", "options": ["bind", "idmap"]}]
    loaded = load(minimal(mounts=mounts, linux=linux))
    assert loaded[0].mounts[0].id_mapping == MountIDMapping(userns_path="/proc/7/ns/user")
    assert load(spec_from_config(*loaded)) == loaded


def test_default_devices_need_a_dev_of_our_own() -> None:
    config, _ = load(minimal(linux={"namespaces": [{"type": "mount"}]}))
    assert config.devices == list(ALLOWED_DEVICES)
    config.devices[0].uid = 5
    assert ALLOWED_DEVICES[0].uid == 0
    assert load(minimal())[0].devices == []


@pytest.mark.parametrize(
    ("path", "cgroup"),
    [
        ("/a/b", Cgroup(path="/a/b")),
        ("a/b", Cgroup(path="a/b")),
        ("//a/../../b/", Cgroup(path="/b")),
        ("../a", Cgroup(path="a")),
        ("", Cgroup("box")),
    ],
)
def test_paths_of_cgroups(path: str, cgroup: Cgroup) -> None:
    assert load(minimal(linux={"cgroupsPath": path}), id="box")[0].cgroups == cgroup


_GROUPS = {"destination": "/sys/fs/cgroup/", "type": "cgroup", "source": "cgroup"}
_MAPPED = [{"containerID": 0, "hostID": 5000, "size": 10}]


@pytest.mark.parametrize(
    ("spaces", "options", "uid", "owner"),
    [
        (["cgroup"], ["rw"], 0, 0),
        (["cgroup"], [], 7, 7),
        (["cgroup"], ["ro"], 0, None),
        ([], ["rw"], 0, None),
        (["cgroup", "user"], ["rw"], 0, 5000),
        (["cgroup", "user"], ["rw"], 9, 5009),
        (["cgroup", "user"], ["rw"], 10, None),
    ],
)
def test_who_owns_the_group_that_a_container_may_write_to(
    spaces: list[str], options: list[str], uid: int, owner: int | None
) -> None:
    linux: dict[str, Any] = {"namespaces": [{"type": name} for name in spaces]}
    if "user" in spaces:
        linux |= {"uidMappings": _MAPPED, "gidMappings": _MAPPED}
    spec = minimal(linux=linux, mounts=[{**_GROUPS, "options": options}])
    spec["process"] = {"args": ["true"], "cwd": "/", "user": {"uid": uid, "gid": 0}}
    config, _ = load(spec)
    assert config.cgroups is not None
    assert config.cgroups.owner_uid == owner


def test_a_groups_owner_is_asked_of_groups_that_are_the_containers() -> None:
    linux = {"namespaces": [{"type": "cgroup", "path": "/proc/1/ns/cgroup"}]}
    config, _ = load(minimal(linux=linux, mounts=[_GROUPS]))
    assert config.cgroups is not None
    assert config.cgroups.owner_uid is None


@pytest.mark.parametrize("path", ["/", ".", "../..", "/a/.."])
def test_the_root_cgroup_is_refused(path: str) -> None:
    expected = [f"linux.cgroupsPath: the root cannot be a container's: {path!r}"]
    assert problems(minimal(linux={"cgroupsPath": path})) == expected


def test_units_of_systemd() -> None:
    annotations = {"org.systemd.property.TimeoutStopUSec": "uint64 1", "other": "x"}
    spec = minimal(linux={"cgroupsPath": "a.slice:b:c"}, annotations=annotations)
    config, _ = load(spec, systemd=True)
    assert config.cgroups == Cgroup(
        "c",
        "a.slice",
        scope_prefix="b",
        systemd=True,
        systemd_props={"TimeoutStopUSec": "uint64 1"},
    )
    assert load(spec_from_config(config), systemd=True)[0] == config
    config, _ = load(minimal(), id="box", systemd=True)
    assert config.cgroups == Cgroup("box", scope_prefix="libct", systemd=True)
    spec = minimal(linux={"cgroupsPath": "/a"}, annotations={"org.systemd.property.A1b": ""})
    assert problems(spec, systemd=True) == [
        (
            'linux.cgroupsPath: expected cgroupsPath to be of format "slice:prefix:name" for'
            " systemd cgroups, got '/a' instead"
        ),
        (
            "annotations.org.systemd.property.A1b: no name of a systemd property: "
            "3 or more letters are"
        ),
    ]


def test_arguments_of_a_process_to_execute() -> None:
    arguments = process_arguments(FULL["process"])
    assert arguments == {
        **FULL_ARGUMENTS,
        "capabilities": FULL_CONFIG.capabilities,
        "rlimits": FULL_CONFIG.rlimits,
        "apparmor_profile": "profile",
        "label": "a:b:c",
        "no_new_privileges": True,
        "scheduler": FULL_CONFIG.scheduler,
        "io_priority": FULL_CONFIG.io_priority,
        "cpu_affinity": FULL_CONFIG.exec_cpu_affinity,
        "umask": 0o27,
    }
    from libct.life.process import Process

    assert Process(**arguments).umask == 0o27
    with pytest.raises(ConfigError, match=r"^p\.args: missing; p\.cwd: not a string: 3$"):
        process_arguments({"cwd": 3}, "p")
    with pytest.raises(ConfigError, match=r"^process: not an object: 3$"):
        process_arguments(3)  # type: ignore[arg-type]


def test_a_process_without_anything_of_its_own_takes_the_containers() -> None:
    assert process_arguments({"args": ["a"], "cwd": "/"}) == {
        "args": ["a"],
        "env": [],
        "cwd": "/",
        "terminal": False,
        "user": "0:0",
        "no_new_privileges": False,  # it has said so by leaving it out, as with runc
    }


def test_who_is_asking_is_looked_up() -> None:
    import os

    config, _ = config_from_spec(minimal(), bundle=BUNDLE)
    assert config.rootless_euid is (os.geteuid() != 0)
    assert config.rootless_cgroups or not config.rootless_euid


# bundles


def test_a_bundle(tmp_path: Path) -> None:
    path = tmp_path.resolve()
    (path / "config.json").write_text(json.dumps(FULL))
    (path.parent / "link").symlink_to(path)
    config, arguments, annotations = read_bundle(str(path.parent / "link"), "box")
    assert config.rootfs == f"{path}/rootfs"
    assert arguments == FULL_ARGUMENTS
    assert annotations == FULL["annotations"]
    same, process = from_bundle(str(path), "box")
    assert same == config
    assert process is not None
    assert (process.args, process.user, process.init) == (["sh", "-c", "true"], "3:4", True)


def test_destinations_by_the_path_that_the_caller_gave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bundle may be reached by a link; relative, too."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    real, link = tmp_path.resolve() / "real", tmp_path / "link"
    others = (f"{link}/other", f"{link}/rootfs2", "relative")
    inside = [f"{link}/rootfs/x", f"/{link}/./rootfs//y/", f"{link}/rootfs"]
    mounts = [{"destination": path, "type": "tmpfs"} for path in (*inside, *others)]
    (real / "config.json").write_text(json.dumps({**minimal(), "mounts": mounts}))
    monkeypatch.chdir(tmp_path)
    for given in (str(link), "link", "./link/"):
        config, _, _ = read_bundle(given, "box")
        assert config.rootfs == f"{real}/rootfs"
        assert [mount.destination for mount in config.mounts] == ["/x", "/y", "/", *others]
    config, _, _ = read_bundle(str(real), "box")
    assert [mount.destination for mount in config.mounts] == [*inside, *others]


def test_a_bundle_without_a_process(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(minimal()))
    assert from_bundle(str(tmp_path))[1] is None


def test_bundles_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path.resolve()
    for bundle, message in (
        (
            path,
            (
                f"{path}/config.json: JSON specification file config.json not found"
                " (`libct spec` writes one)"
            ),
        ),
        (
            path / "none",
            f"{path}/none/config.json: no such file or directory: the bundle itself is missing",
        ),
    ):
        with pytest.raises(ConfigError) as caught:
            from_bundle(str(bundle))
        assert str(caught.value) == message
    (path / "config.json").mkdir()
    with pytest.raises(ConfigError, match=r"/config.json: cannot be read: Is a directory$"):
        from_bundle(str(path))
    (path / "config.json").rmdir()
    for text, message in (
        ("{]", "config.json:1:2: Expecting property name enclosed in double quotes"),
        ("[1]", "config.json: not an object: a list"),
        ("{}", "ociVersion: missing; root: missing"),
    ):
        (path / "config.json").write_text(text)
        with pytest.raises(ConfigError) as caught:
            from_bundle(str(path))
        assert str(caught.value) == message


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "config.json").open("wb") as file:
        file.truncate((16 << 20) + 1)
    with pytest.raises(ConfigError, match="larger than 16 MiB"):
        from_bundle(str(tmp_path))


# what `libct spec` writes


@pytest.mark.parametrize("rootless", [False, True])
def test_the_default_spec_is_good(rootless: bool) -> None:
    from libct.config.validate import validate, validate_process
    from libct.life.process import Process

    from .test_config_validate import MadeUp

    spec = default_spec(rootless=rootless, euid=1000, egid=1000)
    config, arguments = load(spec, rootless_euid=rootless)
    assert validate(config, MadeUp()) == []
    assert validate_process(Process(**arguments), config) == []


def test_the_rootless_default_maps_its_user() -> None:
    linux = default_spec(rootless=True, euid=7, egid=8)["linux"]
    assert linux["uidMappings"] == [{"containerID": 0, "hostID": 7, "size": 1}]
    assert linux["gidMappings"] == [{"containerID": 0, "hostID": 8, "size": 1}]
    assert {"type": "user"} in linux["namespaces"]
    assert {"type": "network"} not in linux["namespaces"]


@requires("runc")
@pytest.mark.parametrize("rootless", [False, True])
def test_the_default_spec_says_what_that_of_runc_says(rootless: bool, tmp_path: Path) -> None:
    """But for: no ambient set, more masked paths (newer runcs have both)."""
    options = ["--rootless"] if rootless else []
    (tmp_path / "ours").mkdir()
    subprocess.run(["runc", "spec", *options], cwd=tmp_path, check=True)
    theirs = json.loads((tmp_path / "config.json").read_text())
    assert theirs["ociVersion"].startswith("1.0.2")
    subprocess.run(
        [sys.executable, "-m", "libct", "spec", "-b", tmp_path / "ours", *options],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        check=True,
    )
    ours = json.loads((tmp_path / "ours/config.json").read_text())
    for spec in (theirs, ours):
        del spec["ociVersion"], spec["hostname"]
        spec["process"]["capabilities"].pop("ambient", None)
        spec["linux"]["namespaces"].sort(key=lambda namespace: namespace["type"])
    assert set(theirs["linux"].pop("maskedPaths")) <= set(ours["linux"].pop("maskedPaths"))
    assert ours == theirs


# --- as Go reads it ---


def respelled(value: Any, change: Any = str.upper) -> Any:
    """The same with every field's name in another case; names that the user gives stay."""
    if isinstance(value, list):
        return [respelled(item, change) for item in value]
    if not isinstance(value, dict):
        return value
    maps = ("annotations", "sysctl", "unified", "rdma", "netDevices", "timeOffsets")
    return {
        change(key): {name: respelled(item, change) for name, item in inner.items()}
        if key in maps
        else respelled(inner, change)
        for key, inner in value.items()
    }


@pytest.mark.parametrize("change", [str.upper, str.capitalize, str.swapcase])
def test_the_case_of_names_does_not_matter(change: Any) -> None:
    warnings: list[Finding] = []
    assert load(respelled(FULL, change), warnings=warnings) == load(FULL)
    assert {finding.level for finding in warnings} == {"warning"}
    place = change("root")
    assert f"root: spelled {place!r}, but read all the same" in map(str, warnings)
    texts = list(map(str, warnings))
    assert len(texts) == len(set(texts))


def test_of_names_that_differ_in_case_the_last_counts() -> None:
    config, _ = load(minimal(hostname="one", HostName="two"))
    assert config.hostname == "two"
    config, _ = load({"HostName": "one", **minimal(hostname="two")})
    assert config.hostname == "two"


def test_the_names_of_a_map_are_what_they_are() -> None:
    warnings: list[Finding] = []
    annotations = {"a": "1", "A": "2", "Hostname": "3"}
    config, _ = load(minimal(annotations=annotations), warnings=warnings)
    assert {"a=1", "A=2", "Hostname=3"} <= set(config.labels)
    assert warnings == []


@pytest.mark.parametrize(("access", "read"), [("rwmx", "rwm"), ("r w", "rw"), ("xm", "m")])
def test_letters_of_an_access_that_nobody_knows_are_passed_over(access: str, read: str) -> None:
    rule = {"allow": True, "type": "c", "major": 1, "minor": 3, "access": access}
    warnings: list[Finding] = []
    spec = minimal(linux={"resources": {"devices": [rule]}})
    config, _ = load(spec, warnings=warnings)
    assert config.cgroups is not None
    assert config.cgroups.resources.devices == [DeviceRule("c", 1, 3, read, True)]
    place = "linux.resources.devices[0].access"
    message = f"{place}: letters other than r, w and m are ignored: {access!r}"
    assert list(map(str, warnings)) == [message]


def test_an_access_without_any_letter_that_is_known() -> None:
    """It is left to the rules, which refuse it."""
    rule = {"allow": True, "type": "c", "access": "RW"}
    config, _ = load(minimal(linux={"resources": {"devices": [rule]}}))
    assert config.cgroups is not None
    assert config.cgroups.resources.devices[0].permissions == "RW"


def test_limits_of_kernel_memory_are_told_of() -> None:
    warnings: list[Finding] = []
    load(minimal(linux={"resources": {"memory": {"kernel": 1 << 26}}}), warnings=warnings)
    (found,) = warnings
    assert str(found).startswith("linux.resources.memory.kernel: ignored")
