"""Every rule about a Config: what it says, and where. As any user: the host is made up."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from libct.cgroups.limits import v2
from libct.config import (
    NEWCGROUP,
    NEWIPC,
    NEWNET,
    NEWNS,
    NEWPID,
    NEWTIME,
    NEWUSER,
    NEWUTS,
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
    IOPriority,
    MemoryPolicy,
    Mount,
    MountIDMapping,
    Namespace,
    NetDevice,
    Network,
    Personality,
    Rdma,
    RecAttr,
    Resources,
    Rlimit,
    Route,
    Scheduler,
    Seccomp,
    SeccompArg,
    SeccompRule,
    TimeOffset,
    WeightDevice,
)
from libct.config.mount_flags import (
    EXT_COPYUP,
    MOUNT_ATTR_IDMAP,
    MS_BIND,
    MS_NOEXEC,
    MS_PRIVATE,
    MS_REC,
    MS_REMOUNT,
    MS_SHARED,
    MS_SLAVE,
)
from libct.config.validate import facts_of_host, validate
from libct.errors import Finding

if TYPE_CHECKING:
    from libct.config.facts import Maps

ALL = (NEWNS, NEWUTS, NEWIPC, NEWPID, NEWNET, NEWCGROUP)
MAPS = [IDMap(0, 1000, 10)]


class MadeUp:
    """A host that has everything, but for what a test takes away."""

    apparmor = True
    selinux = True
    cgroup_v2 = True
    rdt: frozenset[str] | None = frozenset(("L3", "MB"))
    missing: tuple[str, ...] = ()
    problem = ""
    own_namespace = "/proc/1/ns/net"
    maps: Maps | None = None

    def __init__(self, **answers: Any) -> None:
        for name, answer in answers.items():
            setattr(self, name, answer)

    def supports(self, namespace: str) -> bool:
        return namespace not in self.missing

    def rootfs_problem(self, path: str) -> str:
        return self.problem

    def is_own_namespace(self, path: str, namespace: str) -> bool:
        return path == self.own_namespace

    def user_namespace_maps(self, path: str) -> Maps | None:
        return self.maps


def config(*without: str, **fields: Any) -> Config:
    """A good Config, but for the fields; without: namespaces that it does not have."""
    fields.setdefault("namespaces", [Namespace(kind) for kind in ALL if kind not in without])
    return Config("/srv/rootfs", **fields)


def with_user(*more: Namespace, **fields: Any) -> Config:
    """The same in a user namespace."""
    fields = {"uid_mappings": MAPS, "gid_mappings": MAPS, **fields}
    return config(namespaces=[*map(Namespace, (NEWUSER, *ALL)), *more], **fields)


def found(config: Config, **answers: Any) -> list[str]:
    """The findings as text; warnings start with a question mark."""
    findings = validate(config, MadeUp(**answers))
    return [f"{'?' if at.level == 'warning' else ''}{at}" for at in findings]


HOST = "needs a mount namespace in linux.namespaces: this would be done to the host"
BIND_OPTIONS = "bind mounts cannot have any filesystem-specific options applied"
REMEDY = "(see `libct spec --rootless`)"

CASES: list[tuple[Config, list[str]]] = [
    (config(), []),
    (with_user(), []),
    # rootfs
    (Config(""), ["root.path: empty"]),
    (Config("rootfs"), ["root.path: not absolute: 'rootfs'"]),
    (Config("/a/../b"), ["root.path: not in its shortest form '/b': '/a/../b'"]),
    (Config("//a"), ["root.path: not in its shortest form '/a': '//a'"]),
    (Config("/a\0b"), ["root.path: has a NUL in it: '/a\\x00b'"]),
    (
        Config("/\ud83d"),
        ["root.path: has a character that cannot be encoded: '/\\ud83d'"],
    ),
    (config(NEWNS, readonlyfs=True), [f"root.readonly: {HOST}"]),
    (config(NEWNS, root_propagation=MS_SLAVE), [f"linux.rootfsPropagation: {HOST}"]),
    (
        config(root_propagation=MS_SLAVE | MS_SHARED),
        ["linux.rootfsPropagation: not a propagation: 0x180000"],
    ),
    (
        config(root_propagation=MS_PRIVATE | MS_REC, no_pivot_root=True),
        [
            (
                "linux.rootfsPropagation: private is not safe without pivot_root: "
                "the host's mounts stay reachable"
            )
        ],
    ),
    (config(root_propagation=MS_SLAVE | MS_REC, no_pivot_root=True), []),
    (
        config(rootfs_view="x"),
        ["rootfs_view: unknown view of the rootfs: 'x' (known: empty, overlay, read-only)"],
    ),
    # namespaces
    (
        config(namespaces=[Namespace("NEWFOO")]),
        [
            (
                "linux.namespaces[0].type: unknown namespace type: 'NEWFOO' "
                "(known: NEWUSER, NEWIPC, NEWUTS, NEWNET, NEWPID, NEWNS, NEWCGROUP, NEWTIME)"
            )
        ],
    ),
    (
        config(namespaces=[Namespace(NEWPID), Namespace(NEWNET), Namespace(NEWPID, "/x")]),
        ["linux.namespaces[2]: a second pid namespace, after linux.namespaces[0]"],
    ),
    (
        config(namespaces=[Namespace(NEWPID), Namespace(NEWNET, "ns/net")]),
        ["linux.namespaces[1].path: not absolute: 'ns/net'"],
    ),
    (
        config(namespaces=[Namespace(NEWUSER)]),
        [
            "linux.uidMappings: missing: a new user namespace needs mappings",
            "linux.gidMappings: missing: a new user namespace needs mappings",
        ],
    ),
    (config(namespaces=[Namespace(NEWUSER, "/proc/1/ns/user")]), []),
    (
        config(uid_mappings=MAPS),
        ["linux.uidMappings: needs a user namespace in linux.namespaces"],
    ),
    (
        with_user(uid_mappings=[IDMap(0, 1, 0)]),
        ["linux.uidMappings[0].size: maps nothing: 0"],
    ),
    (
        with_user(uid_mappings=[IDMap(0, 4294967295, 1)]),
        ["linux.uidMappings[0].hostID: ids 4294967295 to 4294967295 are no ids"],
    ),
    (
        with_user(gid_mappings=[IDMap(0, 0, 10), IDMap(9, 20, 5), IDMap(30, 24, 2)]),
        [
            "linux.gidMappings[1].containerID: overlaps linux.gidMappings[0]",
            "linux.gidMappings[2].hostID: overlaps linux.gidMappings[1]",
        ],
    ),
    (
        with_user(uid_mappings=[IDMap(2 * n, 2 * n, 1) for n in range(341)]),
        ["linux.uidMappings: 341 mappings, the kernel takes 340"],
    ),
    # host name, network
    (
        config(NEWUTS, hostname="a", domainname="b"),
        [
            "hostname: needs a uts namespace in linux.namespaces",
            "domainname: needs a uts namespace in linux.namespaces",
        ],
    ),
    (config(hostname="a" * 64), []),
    (config(hostname="ä" * 33), [f"hostname: longer than 64 bytes: '{'ä' * 33}'"]),
    (config(networks=[Network("loopback")]), []),
    (
        config(NEWNET, networks=[Network()], routes=[Route(gateway="1.2.3.4")]),
        [
            "networks: need a new network namespace in linux.namespaces",
            "routes: need a new network namespace in linux.namespaces",
        ],
    ),
    (
        config(namespaces=[Namespace(NEWNET, "/x")], networks=[Network()]),
        ["networks: need a new network namespace in linux.namespaces"],
    ),
    (
        config(networks=[Network("macvlan")]),
        ["networks[0].type: unknown network type: 'macvlan' (known: loopback, veth)"],
    ),
    (
        config(
            networks=[
                Network(),
                Network("veth", address="10.0.0.2/24", gateway="10.0.0.1", mtu=1500),
                Network("veth", ipv6_address="fd00::2/64", mac_address="02:00:00:00:00:0a"),
            ]
        ),
        [],
    ),
    (
        config(
            networks=[
                Network("veth", name="a/b", address="10.0.0.2", ipv6_address="10.0.0.2/8"),
                Network("veth", gateway="10.0.0.1/8", mac_address="02", mtu=5, hairpin_mode=True),
                Network("veth", name="eth1", host_address="10.0.0.1/33", tx_queue_len=-1),
            ]
        ),
        [
            "networks[0].name: not a name of a network device: 'a/b'",
            "networks[0].address: needs a prefix length of 0 to 32, as in 10.0.0.2/24: '10.0.0.2'",
            "networks[0].ipv6_address: not an IPv6 address: '10.0.0.2/8'",
            "networks[1].gateway: not an address alone: '10.0.0.1/8'",
            "networks[1].mac_address: not a hardware address like 02:00:00:00:00:01: '02'",
            "networks[1].mtu: not between 68 and 65535: 5",
            "networks[1].hairpin_mode: is for a port of a bridge",
            (
                "networks[2].host_address: needs a prefix length of 0 to 32, as in 10.0.0.1/24:"
                " '10.0.0.1/33'"
            ),
            "networks[2].tx_queue_len: not a number of packets: -1",
            "networks[2].name: is 'eth1' inside, like networks[1]",
        ],
    ),
    (
        config(
            networks=[
                Network("veth", name="a%d", host_interface_name="all"),
                Network("veth", address=f"10.0.0.2/{'9' * 5000}"),
            ],
            net_devices={"eth9": NetDevice("%"), "eth8": NetDevice("default")},
        ),
        [
            "networks[0].name: not a name of a network device: 'a%d'",
            "networks[0].host_interface_name: not a name of a network device: 'all'",
            (
                "networks[1].address: needs a prefix length of 0 to 32, as in 10.0.0.2/24:"
                f" '10.0.0.2/{'9' * 5000}'"
            ),
            "linux.netDevices.eth9.name: not a name of a network device: '%'",
            "linux.netDevices.eth8.name: not a name of a network device: 'default'",
        ],
    ),
    (
        with_user(networks=[Network("veth")], rootless_euid=True),
        ["networks: a pair of network devices cannot be made by an ordinary user"],
    ),
    (config(net_devices={"eth0": NetDevice(), "eth1": NetDevice("b" * 15)}), []),
    (
        config(NEWNET, net_devices={"eth0": NetDevice()}),
        ["linux.netDevices: need a network namespace in linux.namespaces"],
    ),
    (
        with_user(net_devices={"eth0": NetDevice()}, rootless_euid=True),
        ["linux.netDevices: cannot be moved by an ordinary user"],
    ),
    (
        config(net_devices={"a b": NetDevice(), "ok": NetDevice("n" * 16), "..": NetDevice("x/y")}),
        [
            "linux.netDevices.a b: not a name of a network device: 'a b'",
            "linux.netDevices.ok.name: not a name of a network device: 'nnnnnnnnnnnnnnnn'",
            "linux.netDevices...: not a name of a network device: '..'",
            "linux.netDevices....name: not a name of a network device: 'x/y'",
        ],
    ),
    (
        config(net_devices={"eth0": NetDevice("x"), "x": NetDevice()}),
        ["linux.netDevices.x: is 'x' inside, like linux.netDevices.eth0"],
    ),
    (
        config(net_devices={"wan": NetDevice("eth0")}, networks=[Network("veth")]),
        ["linux.netDevices.wan: is 'eth0' inside, like networks[0]"],
    ),
    # clocks
    (config(time_offsets={"boottime": TimeOffset(1)}, namespaces=[Namespace(NEWTIME)]), []),
    (
        config(time_offsets={"boottime": TimeOffset(1)}),
        ["linux.timeOffsets: need a time namespace in linux.namespaces"],
    ),
    (
        config(
            time_offsets={"realtime": TimeOffset(1, 1_000_000_000)},
            namespaces=[Namespace(NEWTIME, "/x")],
        ),
        [
            (
                "linux.timeOffsets: cannot be set in a time namespace that exists: "
                "it is joined by its path"
            ),
            "linux.timeOffsets.realtime: unknown clock (known: boottime, monotonic)",
            "linux.timeOffsets.realtime.nanosecs: not below a second: 1000000000",
        ],
    ),
    # sysctls
    (
        with_user(
            sysctl={
                "kernel.msgmax": "1",
                "kernel/sem": "1",
                "fs.mqueue.msg_max": "1",
                "net.ipv4.conf.eth0/1.forwarding": "1",
                "net/ipv4/ip_forward": "1",
                "kernel.domainname": "x",
                "user.max_user_namespaces": "1",
            }
        ),
        [],
    ),
    (
        config(
            *ALL,
            sysctl={
                "kernel.shmmax": "1",
                "net.core.somaxconn": "1",
                "kernel.domainname": "x",
                "user.x": "1",
            },
        ),
        [
            "linux.sysctl.kernel.shmmax: needs 'ipc' in linux.namespaces",
            "linux.sysctl.net.core.somaxconn: needs 'network' in linux.namespaces",
            "linux.sysctl.kernel.domainname: needs 'uts' in linux.namespaces",
            "linux.sysctl.user.x: needs 'user' in linux.namespaces",
        ],
    ),
    (
        config(sysctl={"kernel.hostname": "x", "vm.swappiness": "0", "kernel.msgmax/x": "1"}),
        [
            "linux.sysctl.kernel.hostname: is set by the field hostname",
            "linux.sysctl.vm.swappiness: does not belong to a namespace, so it would be the host's",
            (
                "linux.sysctl.kernel.msgmax/x: does not belong to a namespace, "
                "so it would be the host's"
            ),
        ],
    ),
    (
        config(sysctl={"net..x": "1", "net/../vm/swappiness": "0", "net.a": "\0"}),
        [
            "linux.sysctl.net..x: not a kernel parameter: 'net..x'",
            "linux.sysctl.net/../vm/swappiness: not a kernel parameter: 'net/../vm/swappiness'",
            "linux.sysctl.net.a: has a NUL in it: '\\x00'",
        ],
    ),
    (
        config(namespaces=[Namespace(NEWNET, MadeUp.own_namespace)], sysctl={"net.a": "1"}),
        [
            (
                "linux.sysctl.net.a: would be the host's: "
                "'/proc/1/ns/net' is the host's network namespace"
            )
        ],
    ),
    # mounts
    (config(mounts=[Mount("/proc", "proc", "proc")]), []),
    (config(NEWNS, mounts=[Mount("/proc", "proc", "proc")]), [f"mounts: {HOST}"]),
    (
        config(mounts=[Mount("", device="tmpfs"), Mount("tmp", device="tmpfs")]),
        [
            "mounts[0].destination: empty",
            "?mounts[1].destination: not absolute, taken from /: 'tmp'",
        ],
    ),
    (
        config(mounts=[Mount("/x/..", device="tmpfs")]),
        ["mounts[0].destination: is the root itself: '/x/..'"],
    ),
    *(
        # runc 1.1 hides the rootfs with it, later ones refuse it as well.
        (config(mounts=[mount]), [f"mounts[0].destination: is the root itself: {path!r}"])
        for path in ("/", "//.", "/srv/rootfs", "//srv/./rootfs/x/..")
        for mount in (
            Mount(path, "/y", "bind", MS_BIND),
            Mount(path, "overlay", "overlay", data="lowerdir=/a:/b"),
            Mount(path, "tmpfs", "tmpfs"),
        )
    ),
    (config(mounts=[Mount("/srv/rootfs/x", "/y", "bind", MS_BIND)]), []),
    (config(mounts=[Mount("/srv/rootfs2", "/y", "bind", MS_BIND)]), []),
    *(
        (
            config(mounts=[Mount("/x", "cgroup", device, data="nsdelegate,cpu,mode=755")]),
            ["mounts[0].options: unknown option of a cgroup mount: 'cpu', 'mode=755'"],
        )
        for device in ("cgroup", "cgroup2")
    ),
    (config(mounts=[Mount("/x", "cgroup", "cgroup2", data="nsdelegate,favordynmods")]), []),
    (config(mounts=[Mount("/x", "cgroup", "cgroup")]), []),
    (
        config(mounts=[Mount("/x")]),
        ["mounts[0].type: missing: only a bind mount has no type of filesystem"],
    ),
    (config(mounts=[Mount("/x", flags=MS_REMOUNT)]), []),
    (config(mounts=[Mount("/x", "/y", "bind", MS_BIND)]), []),
    (
        config(
            mounts=[
                Mount("/x", "y", "bind", MS_BIND),
                Mount("/x", "", "bind", MS_BIND, data="size=1m"),
            ]
        ),
        [
            "mounts[0].source: not absolute: 'y'",
            "mounts[1].source: empty",
            f"mounts[1].options: {BIND_OPTIONS}: 'size=1m'",
        ],
    ),
    (
        config(mounts=[Mount("/x", "a\0", "tm\0", data="x\0"), Mount("/\0", device="tmpfs")]),
        [
            "mounts[0].source: has a NUL in it: 'a\\x00'",
            "mounts[0].options: has a NUL in it: 'x\\x00'",
            "mounts[0].type: has a NUL in it: 'tm\\x00'",
            "mounts[1].destination: has a NUL in it: '/\\x00'",
        ],
    ),
    (
        config(mounts=[Mount("/x", device="ext4", extensions=EXT_COPYUP)]),
        ["mounts[0].options: tmpcopyup is for tmpfs alone, not for ext4"],
    ),
    (
        config(mounts=[Mount("/x", "/y", "bind", MS_BIND, extensions=EXT_COPYUP)]),
        [f"mounts[0].options: {BIND_OPTIONS}: 'tmpcopyup'"],
    ),
    (
        config(mounts=[Mount("/x", device="tmpfs", propagation_flags=[MS_NOEXEC])]),
        ["mounts[0].options: not a propagation: 0x8"],
    ),
    (
        config(mounts=[Mount("/x", device="tmpfs", rec_attr=RecAttr(MOUNT_ATTR_IDMAP))]),
        ["mounts[0].options: ids are mapped with the option idmap, not by an attribute"],
    ),
    (
        config(
            mounts=[
                Mount("/x", "/y", "bind", MS_BIND, id_mapping=MountIDMapping(False, "/ns")),
                Mount(
                    "/x", "/y", "bind", MS_BIND, id_mapping=MountIDMapping(False, "", MAPS, MAPS)
                ),
            ]
        ),
        [],
    ),
    (
        with_user(
            mounts=[
                Mount("/x", device="tmpfs", id_mapping=MountIDMapping(False, "/ns")),
                Mount(
                    "/x",
                    device="tmpfs",
                    extensions=EXT_COPYUP,
                    id_mapping=MountIDMapping(False, "/ns"),
                ),
                Mount("/x", flags=MS_REMOUNT, id_mapping=MountIDMapping(False, "/ns")),
            ],
        ),
        [
            (
                "mounts[1].options: tmpcopyup: not of a mount that maps ids, which is made on the"
                " host's side"
            ),
            "mounts[2].options: a remount cannot map ids",
        ],
    ),
    (
        with_user(
            rootless_euid=True,
            mounts=[
                Mount("/x", device="proc", id_mapping=MountIDMapping(False, "ns")),
                Mount("/x", "/y", "bind", MS_BIND, id_mapping=MountIDMapping(False, "", MAPS)),
            ],
        ),
        [
            "mounts[0].options: the kernel maps no ids of proc",
            "mounts[0].options: an ordinary user cannot map ids of a mount",
            "mounts[0].userns_path: not absolute: 'ns'",
            "mounts[1].options: an ordinary user cannot map ids of a mount",
            (
                "mounts[1].gidMappings: missing: to map ids a mount, or linux.gidMappings, "
                "must say which"
            ),
        ],
    ),
    # devices, paths
    (config(devices=[Device("/dev/null", "c", 1, 3), Device("/dev/f", "p")]), []),
    (config(NEWNS, devices=[Device("/dev/null", "c", 1, 3)]), [f"linux.devices: {HOST}"]),
    (
        config(
            devices=[
                Device("dev/x", "x"),
                Device("/dev/y", "b", -1, 1 << 20, file_mode=0o10666),
                Device("/dev/y", "p"),
            ]
        ),
        [
            "linux.devices[0].path: not absolute: 'dev/x'",
            "linux.devices[0].type: unknown type of device: 'x' (known: b, c, p, u)",
            "linux.devices[1].major: not a device number: -1",
            "linux.devices[1].minor: not a device number: 1048576",
            "linux.devices[1].fileMode: not permissions: 0o10666",
            "?linux.devices[2].path: the same as of linux.devices[1]: '/dev/y'",
        ],
    ),
    (
        config(NEWNS, mask_paths=["/a"], readonly_paths=["/b"]),
        [f"linux.maskedPaths: {HOST}", f"linux.readonlyPaths: {HOST}"],
    ),
    (
        config(mask_paths=["/a", "b"], readonly_paths=["/\0"]),
        [
            "linux.maskedPaths[1]: not absolute: 'b'",
            "linux.readonlyPaths[0]: has a NUL in it: '/\\x00'",
        ],
    ),
    (config(mount_label="\0"), ["linux.mountLabel: has a NUL in it: '\\x00'"]),
    # ordinary users
    (
        config(rootless_euid=True),
        [f"linux.namespaces: an ordinary user needs a user namespace here {REMEDY}"],
    ),
    (
        with_user(
            rootless_euid=True,
            mounts=[Mount("/x", device="tmpfs", data="uid=9,gid=9"), Mount("/y", device="tmpfs")],
        ),
        [],
    ),
    (
        with_user(
            rootless_euid=True,
            mounts=[Mount("/x", device="devpts", data="gid=10,mode=620,uid=x,guid=3")],
        ),
        [
            "mounts[0].options: gid=10: not an id that linux.gidMappings maps",
            "mounts[0].options: uid=x: not an id that linux.uidMappings maps",
        ],
    ),
    # attributes
    (config(oom_score_adj=-1001), ["process.oomScoreAdj: not between -1000 and 1000: -1001"]),
    (config(parent_death_signal=65), ["parent_death_signal: not a signal: 65"]),
    (config(umask=0o1022), ["process.user.umask: not between 0 and 0777: 0o1022"]),
    (config(labels=["=x"]), ["annotations: a key is empty"]),
    (config(apparmor_profile="\0"), ["process.apparmorProfile: has a NUL in it: '\\x00'"]),
    (
        config(capabilities=Capabilities(bounding=["CAP_KILL", "CAP_MAGIC"])),
        ["?process.capabilities.bounding[1]: unknown capability, ignored: 'CAP_MAGIC'"],
    ),
    (
        config(capabilities=Capabilities(effective=["CAP_KILL"])),
        [
            (
                "?process.capabilities.effective[0]: CAP_KILL is not in "
                "process.capabilities.permitted, left out"
            )
        ],
    ),
    (
        config(
            capabilities=Capabilities(
                permitted=["CAP_KILL", "CAP_CHOWN"],
                inheritable=["CAP_CHOWN", "CAP_FOWNER"],
                ambient=["CAP_CHOWN", "CAP_KILL", "CAP_FOWNER", "CAP_SYS_BOOT"],
            )
        ),
        [
            f"?process.capabilities.ambient[{index}]: {name} is not in "
            f"process.capabilities.{other}, left out"
            for index, name, other in (
                (1, "CAP_KILL", "inheritable"),
                (2, "CAP_FOWNER", "permitted"),
                (3, "CAP_SYS_BOOT", "permitted"),
            )
        ],
    ),
    (
        config(
            rlimits=[Rlimit(7, 10, 10), Rlimit(16, 1, 1), Rlimit(7, 1, 2), Rlimit(0, 1 << 64, 0)]
        ),
        [
            "process.rlimits[1].type: unknown limit: 16",
            "process.rlimits[2].type: the same limit as process.rlimits[0]",
            "process.rlimits[2].soft: above the hard limit: 2 > 1",
            "process.rlimits[3].hard: not an unsigned number: 18446744073709551616",
        ],
    ),
    (config(scheduler=Scheduler(0, nice=-20)), []),
    (config(scheduler=Scheduler(1, priority=99, flags=0x7F)), []),
    (config(scheduler=Scheduler(6, runtime=1, deadline=2, period=3)), []),
    (config(scheduler=Scheduler(7)), ["process.scheduler.policy: unknown policy: 7"]),
    (
        config(scheduler=Scheduler(3, nice=20, priority=1, flags=0x80, runtime=1)),
        [
            "process.scheduler.nice: not between -20 and 19: 20",
            "process.scheduler.priority: only for SCHED_FIFO and SCHED_RR",
            "process.scheduler.runtime: only for SCHED_DEADLINE",
            "process.scheduler.flags: unknown flags: 0x80",
        ],
    ),
    (config(scheduler=Scheduler(2)), ["process.scheduler.priority: not between 1 and 99: 0"]),
    (config(scheduler=Scheduler(5, nice=99)), []),
    (
        config(io_priority=IOPriority(4, 8)),
        [
            "process.ioPriority.class: unknown I/O class: 4",
            "process.ioPriority.priority: not between 0 and 7: 8",
        ],
    ),
    (
        config(exec_cpu_affinity=CPUAffinity([], [3, 1024])),
        [
            "process.execCPUAffinity.initial: empty: a process needs a CPU",
            "process.execCPUAffinity.final: not a CPU: 1024",
        ],
    ),
    (config(memory_policy=MemoryPolicy(2, 0x8000, [0])), []),
    (config(memory_policy=MemoryPolicy(1)), []),
    (
        config(memory_policy=MemoryPolicy(7)),
        ["linux.memoryPolicy.mode: invalid memory policy mode: unknown: 7"],
    ),
    (
        config(memory_policy=MemoryPolicy(4, 1, [0])),
        [
            (
                "linux.memoryPolicy.nodes: invalid memory policy nodes: this mode requires 0 nodes"
                " but got 1"
            ),
            "linux.memoryPolicy.flags: invalid memory policy flag: unknown: 0x1",
        ],
    ),
    (
        config(memory_policy=MemoryPolicy(6)),
        [
            (
                "linux.memoryPolicy.nodes: invalid memory policy nodes: this mode requires at least"
                " one node but got 0"
            )
        ],
    ),
    (
        config(personality=Personality(3, ["X"])),
        [
            "linux.personality.domain: unknown execution domain: 3",
            "?linux.personality.flags: no flag is supported by any runtime: ignored",
        ],
    ),
    # hooks
    (config(hooks=Hooks(poststop=[Hook("/bin/true", ["true"], ["A=b"], 1)])), []),
    (
        config(
            hooks=Hooks(
                prestart=[Hook("bin/x")],
                create_runtime=[Hook("")],
                create_container=[Hook("/x", ["\0"])],
                start_container=[Hook("/x", [], ["A"])],
                poststart=[Hook("/x"), Hook("/x", timeout=0)],
            )
        ),
        [
            "hooks.prestart[0].path: not absolute: 'bin/x'",
            "hooks.createRuntime[0].path: empty",
            "hooks.createContainer[0].args[0]: has a NUL in it: '\\x00'",
            "hooks.startContainer[0].env[0]: not NAME=VALUE: 'A'",
            "hooks.poststart[1].timeout: not above 0: 0",
        ],
    ),
    # hooks that would be forked in a pod's pid namespace, with the host's root
    (
        config(
            namespaces=[Namespace(NEWPID, "/p"), Namespace(NEWUSER)],
            hooks=Hooks(create_container=[Hook("/x")]),
            uid_mappings=MAPS,
            gid_mappings=MAPS,
        ),
        [
            (
                "hooks.createContainer: cannot run where linux.namespaces joins a pid namespace"
                " ('/p') and makes a user namespace (join the user namespace that it belongs to,"
                " or make a pid namespace)"
            )
        ],
    ),
    (
        config(
            namespaces=[Namespace(NEWPID, "/p"), Namespace(NEWUSER)],
            hooks=Hooks(create_runtime=[Hook("/x")], start_container=[Hook("/x")]),
            uid_mappings=MAPS,
            gid_mappings=MAPS,
        ),
        [],
    ),
    (
        config(
            namespaces=[Namespace(NEWPID, "/p"), Namespace(NEWUSER, "/u")],
            hooks=Hooks(create_container=[Hook("/x")]),
        ),
        [],
    ),
    (
        config(
            namespaces=[Namespace(NEWPID), Namespace(NEWUSER)],
            hooks=Hooks(create_container=[Hook("/x")]),
            uid_mappings=MAPS,
            gid_mappings=MAPS,
        ),
        [],
    ),
]


@pytest.mark.parametrize(("tried", "expected"), CASES)
def test_rules(tried: Config, expected: list[str]) -> None:
    assert found(tried) == expected


CGROUP_CASES: list[tuple[Cgroup, list[str]]] = [
    (Cgroup("x"), []),
    (Cgroup(path="/a/b"), []),
    (Cgroup(path="/"), ["linux.cgroupsPath: the root cannot be a container's: '/'"]),
    (
        Cgroup("x", path="/a"),
        ["linux.cgroupsPath: either a path or a parent and a name, not both: '/a'"],
    ),
    (Cgroup(path="/a\0"), ["linux.cgroupsPath: has a NUL in it: '/a\\x00'"]),
    (
        Cgroup(
            resources=Resources(
                devices=[DeviceRule("p", -2, -1, "rx"), DeviceRule("a", permissions="")]
            )
        ),
        [
            "linux.resources.devices[0].type: unknown type of device: 'p' (known: a, b, c)",
            "linux.resources.devices[0].major: not a device number: -2",
            "linux.resources.devices[0].access: not some of r, w and m: 'rx'",
            "linux.resources.devices[1].access: not some of r, w and m: ''",
        ],
    ),
    (
        Cgroup(resources=Resources(memory=-2, memory_swap=-1, memory_swappiness=101)),
        [
            "linux.resources.memory.limit: negative, and not -1: -2",
            "linux.resources.memory.swappiness: not between 0 and 100: 101",
            "?linux.resources.memory.swappiness: ignored: cgroup v2 has no such limit",
        ],
    ),
    (
        Cgroup(resources=Resources(memory=10, memory_swap=5)),
        ["linux.resources.memory.swap: is less than the limit of memory, 10"],
    ),
    (
        Cgroup(
            resources=Resources(cpuset_cpus="0-", cpuset_mems="0,1", cpu_idle=2, cpu_weight=10001)
        ),
        [
            "linux.resources.cpu.cpus: not a list of numbers like '0-3,8': '0-'",
            "linux.resources.cpu.idle: not 0 or 1: 2",
            "cpu_weight: not between 1 and 10000: 10001",
        ],
    ),
    (
        Cgroup(
            resources=Resources(
                blkio_weight=9,
                blkio_leaf_weight=1000,
                blkio_weight_device=[WeightDevice(8, 0, 1001)],
            )
        ),
        [
            "linux.resources.blockIO.weight: not between 10 and 1000: 9",
            "linux.resources.blockIO.weightDevice[0].weight: not between 10 and 1000: 1001",
            "?linux.resources.blockIO.leafWeight: ignored: cgroup v2 has no such limit",
        ],
    ),
    (
        Cgroup(
            resources=Resources(hugetlb_limit=[HugepageLimit("2MB", 1), HugepageLimit("64kB", 1)])
        ),
        ["linux.resources.hugepageLimits[1].pageSize: not a size like 2MB: '64kB'"],
    ),
    (
        Cgroup(resources=Resources(rdma={"mlx5 1": Rdma()}, freezer="x")),
        [
            "linux.resources.rdma.mlx5 1: not a name of a device: 'mlx5 1'",
            "freezer: not FROZEN or THAWED: 'x'",
        ],
    ),
    (
        Cgroup(resources=Resources(unified={"memory.high": "1", "../x": "2"})),
        ["linux.resources.unified.../x: not a name of a file: '../x'"],
    ),
    (
        Cgroup(resources=Resources(unified={"memory": "1", "cgroup.freeze": "1"})),
        [
            "linux.resources.unified.memory: not like memory.high, a controller's file: 'memory'",
            (
                "linux.resources.unified.cgroup.freeze: not a limit: of cgroup.* there are"
                " cgroup.max.depth and cgroup.max.descendants; pause and resume do that"
            ),
        ],
    ),
]


@pytest.mark.parametrize(("cgroup", "expected"), CGROUP_CASES)
def test_rules_of_control_groups(cgroup: Cgroup, expected: list[str]) -> None:
    assert found(config(cgroups=cgroup)) == expected


_ORDERS = (
    *("cgroup.procs", "cgroup.threads", "cgroup.kill", "cgroup.type", "cgroup.freeze"),
    *("cgroup.subtree_control", "cgroup.pressure", "cgroup.", "cgroup", "memory.reclaim"),
    *("cpu.pressure", "memory.pressure", "io.pressure", "irq.pressure", "memory.peak"),
    *("memory.swap.peak", "tasks", ".procs", ".", "..", "", "a b.max", "Memory/high"),
)
_LIMITS = (
    *("memory.high", "memory.oom.group", "hugetlb.2MB.max", "cpuset.cpus.partition", "io.max"),
    *("cgroup.max.depth", "cgroup.max.descendants", "pids.max", "nosuch.key"),
)


@pytest.mark.parametrize("file", _ORDERS)
def test_unified_gives_no_orders(file: str) -> None:
    resources = Resources(unified={file: "1"})
    assert len(found(config(cgroups=Cgroup(resources=resources)))) == 1
    assert len(v2.problems(resources)) == 1  # of the managers, which anyone may use


@pytest.mark.parametrize("file", _LIMITS)
def test_unified_sets_limits(file: str) -> None:
    resources = Resources(unified={file: "1"})
    assert found(config(cgroups=Cgroup(resources=resources))) == []
    assert v2.problems(resources) == []


SECCOMP_CASES: list[tuple[Seccomp, list[str]]] = [
    (Seccomp("SCMP_ACT_ALLOW"), []),
    (
        Seccomp(
            "SCMP_ACT_ERRNO",
            38,
            ["SCMP_ARCH_X86_64"],
            ["SECCOMP_FILTER_FLAG_LOG"],
            [
                SeccompRule(["read", "write"], "SCMP_ACT_ALLOW"),
                SeccompRule(
                    ["personality"],
                    "SCMP_ACT_ERRNO",
                    1,
                    [SeccompArg(0, 8, op="SCMP_CMP_MASKED_EQ", value_two=3)],
                ),
                SeccompRule(["mount"], "SCMP_ACT_NOTIFY"),
            ],
            "/run/agent.sock",
            "x",
        ),
        [],
    ),
    (
        Seccomp("SCMP_ACT_NOTIFY"),
        [
            (
                "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be the default: "
                "the start itself needs system calls"
            )
        ],
    ),
    (
        Seccomp(
            "SCMP_ACT_ALLOW",
            1,
            syscalls=[
                SeccompRule([], "SCMP_ACT_KILL", 1),
                SeccompRule(["write"], "SCMP_ACT_NOTIFY", None, [SeccompArg(6, 1 << 64)]),
            ],
            listener_metadata="x",
        ),
        [
            "?linux.seccomp.defaultErrnoRet: has no effect: SCMP_ACT_ALLOW returns no error number",
            "linux.seccomp.syscalls[0].names: empty: no system call is named",
            (
                "?linux.seccomp.syscalls[0].errnoRet: has no effect: "
                "SCMP_ACT_KILL returns no error number"
            ),
            (
                "linux.seccomp.syscalls[1].names: write cannot be notified: "
                "the listener is handed over by it"
            ),
            "linux.seccomp.syscalls[1].args[0].index: system calls have arguments 0 to 5: 6",
            "linux.seccomp.syscalls[1].args[0].value: not an unsigned number: 18446744073709551616",
            "linux.seccomp.listenerMetadata: needs a listenerPath",
        ],
    ),
    (
        Seccomp("SCMP_ACT_ALLOW", listener_path="x"),
        [
            "linux.seccomp.listenerPath: not absolute: 'x'",
            "?linux.seccomp.listenerPath: is not used: no rule has SCMP_ACT_NOTIFY",
        ],
    ),
]


@pytest.mark.parametrize(("seccomp", "expected"), SECCOMP_CASES)
def test_rules_of_seccomp(seccomp: Seccomp, expected: list[str]) -> None:
    assert found(config(seccomp=seccomp)) == expected


def test_unknown_names_of_seccomp() -> None:
    seccomp = Seccomp(
        "ALLOW",
        architectures=["SCMP_ARCH_VAX"],
        flags=["SECCOMP_X"],
        syscalls=[SeccompRule(["a"], "SCMP_ACT_X", args=[SeccompArg(0, 0, op="EQ")])],
    )
    assert [text.partition(" (known: ")[0] for text in found(config(seccomp=seccomp))] == [
        "linux.seccomp.defaultAction: unknown action: 'ALLOW'",
        "linux.seccomp.architectures[0]: unknown architecture: 'SCMP_ARCH_VAX'",
        "linux.seccomp.flags[0]: unknown flag: 'SECCOMP_X'",
        "linux.seccomp.syscalls[0].action: unknown action: 'SCMP_ACT_X'",
        "linux.seccomp.syscalls[0].args[0].op: unknown operator: 'EQ'",
    ]


def test_what_the_kernel_lacks() -> None:
    tried = config(namespaces=[Namespace(NEWPID), Namespace(NEWTIME)])
    expected = ["linux.namespaces[1].type: this kernel has no time namespaces"]
    assert found(tried, missing=(NEWTIME,)) == expected


def test_what_is_wrong_with_the_rootfs_on_this_host() -> None:
    assert found(config(), problem="missing: '/x'") == ["root.path: missing: '/x'"]


def test_mappings_of_a_joined_user_namespace_must_be_its_own() -> None:
    joined = config(
        namespaces=[Namespace(NEWUSER, "/proc/7/ns/user")], uid_mappings=MAPS, gid_mappings=MAPS
    )
    assert found(joined) == []
    assert found(joined, maps=(MAPS, MAPS)) == []
    assert found(joined, maps=(MAPS, [IDMap(0, 0, 1)])) == [
        "linux.gidMappings: not the mappings of the user namespace '/proc/7/ns/user'"
    ]


def test_unified_limits_need_cgroup_v2() -> None:
    tried = config(cgroups=Cgroup(resources=Resources(unified={"memory.high": "1"})))
    assert found(tried) == []
    assert found(tried, cgroup_v2=False) == [
        (
            "linux.resources.unified: invalid configuration: cannot use unified on cgroup v1, which"
            " this host has"
        )
    ]


def test_swap_alone_is_a_matter_of_cgroup_v2() -> None:
    tried = config(cgroups=Cgroup(resources=Resources(memory_swap=5)))
    assert found(tried, cgroup_v2=False) == []
    assert found(tried) == [
        "linux.resources.memory.swap: a limit of memory and swap needs a limit of memory"
    ]


@pytest.mark.parametrize(
    ("rdt", "controls", "expected"),
    [
        (IntelRdt("group", ["L3:0=f"], "L3:0=f", "MB:0=10"), frozenset(("L3", "MB")), []),
        (IntelRdt("/"), frozenset(), []),
        (IntelRdt(), None, ["linux.intelRdt: resctrl is not mounted on this host"]),
        (
            IntelRdt("a/b", ["a\nb"], "L3:0=f", "L3:0"),
            frozenset(("L3_MON",)),
            [
                "linux.intelRdt.closID: not a name of a directory: 'a/b'",
                "linux.intelRdt.l3CacheSchema: this host has no control of the L3 cache",
                "linux.intelRdt.memBwSchema: this host has no control of memory bandwidth",
                "linux.intelRdt.memBwSchema: does not start with MB: 'L3:0'",
                "linux.intelRdt.schemata[0]: more than one line: 'a\\nb'",
            ],
        ),
        (
            IntelRdt(".."),
            frozenset(),
            ["linux.intelRdt.closID: not a name of a directory: '..'"],
        ),
    ],
)
def test_rules_of_resctrl(
    rdt: IntelRdt, controls: frozenset[str] | None, expected: list[str]
) -> None:
    assert found(config(intel_rdt=rdt), rdt=controls) == expected


def test_all_findings_come_at_once() -> None:
    tried = Config(
        "rootfs",
        hostname="x",
        namespaces=[Namespace("x")],
        mounts=[Mount("/proc", device="proc")],
        rlimits=[Rlimit(99, 1, 1)],
        cgroups=Cgroup(resources=Resources(memory=-5)),
    )
    assert [finding.place for finding in validate(tried, MadeUp())] == [
        "root.path",
        "linux.namespaces[0].type",
        "hostname",
        "mounts",
        "process.rlimits[0].type",
        "linux.resources.memory.limit",
    ]


def test_values_of_wrong_types_are_findings() -> None:
    tried = config(mounts=[{"destination": "/proc"}], hostname=3)
    assert validate(tried, MadeUp()) == [
        Finding("mounts[0]", "not Mount: {'destination': '/proc'}"),
        Finding("hostname", "not str: 3"),
    ]


def test_the_facts_of_this_host(tmp_path: Path) -> None:
    facts = facts_of_host()
    assert facts.supports(NEWNS)
    assert facts.apparmor is Path("/sys/kernel/security/apparmor").exists()
    assert facts.selinux is ("selinuxfs" in Path("/proc/filesystems").read_text())
    assert isinstance(facts.cgroup_v2, bool)
    assert facts.is_own_namespace("/proc/self/ns/net", NEWNET)
    assert not facts.is_own_namespace("/proc/self/ns/mnt", NEWNET)
    assert not facts.is_own_namespace(str(tmp_path / "none"), NEWNET)
    assert facts.user_namespace_maps("/run/ns/user") is None
    maps = facts.user_namespace_maps(f"/proc/{os.getpid()}/ns/user")
    assert maps is not None
    text = Path("/proc/self/uid_map").read_text().split()
    assert [str(maps[0][0].container_id), str(maps[0][0].host_id), str(maps[0][0].size)] == text[:3]
    assert facts.rdt is None or isinstance(facts.rdt, frozenset)


def test_the_rootfs_of_this_host(tmp_path: Path) -> None:
    real = tmp_path.resolve()
    facts = facts_of_host()
    assert facts.rootfs_problem(str(real)) == ""
    assert facts.rootfs_problem(f"{real}/none") == f"missing: '{real}/none'"
    (real / "file").touch()
    assert facts.rootfs_problem(f"{real}/file") == f"not a directory: '{real}/file'"
    (real / "sub").mkdir()
    (real / "link").symlink_to("sub")
    message = f"a symbolic link leads from '{real}/link' to '{real}/sub'"
    assert facts.rootfs_problem(f"{real}/link") == message
