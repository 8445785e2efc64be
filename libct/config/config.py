"""Config: everything that is configured about a container."""

from __future__ import annotations

from .attributes import (
    Capabilities,
    CPUAffinity,
    IntelRdt,
    IOPriority,
    MemoryPolicy,
    Personality,
    Rlimit,
    Scheduler,
)
from .cgroup import Cgroup
from .device import Device
from .entry import Entry
from .mount import Mount
from .namespace import IDMap, Namespace, TimeOffset
from .record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    # Most containers have none of these.
    from .hooks import Hooks
    from .landlock import Landlock
    from .seccomp import Seccomp


class NetDevice(Record):
    """A network device of the host to move into the container; name: there, "" as on the host."""

    name: str = ""


class Network(Record):
    """A network set up at the start, in a new network namespace.

    type: "loopback", which every one has, or "veth": a pair of devices, one end in the
        container, the other on the host.  The other fields are of that.
    """

    type: str = "loopback"
    name: str = ""  # of the device in the container; "": eth0, or as the place in the list
    bridge: str = ""  # of the host, that the host's end becomes a port of
    mac_address: str = ""  # of the device in the container: "02:00:00:00:00:01"
    address: str = ""  # of the device in the container: "10.0.0.2/24"
    gateway: str = ""  # of its default route
    ipv6_address: str = ""
    ipv6_gateway: str = ""
    mtu: int = 0  # bytes, of both ends
    tx_queue_len: int = 0  # packets, of both ends
    host_interface_name: str = ""  # "": one made of the container's id
    hairpin_mode: bool = False  # the bridge may send back what comes from the port
    host_address: str = ""  # ours: of the host's end: "10.0.0.1/24", or several, with spaces


class Route(Record):
    """A route added at the start; destination in CIDR notation, "" is the default route."""

    destination: str = ""
    source: str = ""
    gateway: str = ""
    interface_name: str = ""


class Config(Record):
    """A container.  Fields and meanings are libcontainer's, in snake_case.

    Absolute paths are required where a path is said; flags are MS_* numbers;
    None and empty values leave things as they are.
    """

    rootfs: str  # absolute, without symlinks
    rootfs_view: str = (
        ""  # ours: "read-only" (with all mounts below), "overlay" (writes are lost), or "empty"
    )
    no_pivot_root: bool = False  # move and chroot instead; for an initramfs, which cannot pivot
    parent_death_signal: int = 0  # signal that the process gets when its parent ends; 0: none
    umask: int | None = None  # None: 0o022
    readonlyfs: bool = False  # the root is read-only at the end
    root_propagation: int = 0  # MS_*; 0: recursive slave while building
    mounts: list[Mount] = []  # made in order
    entries: list[Entry] = []  # ours: what is made in the rootfs then
    devices: list[Device] = []  # nodes; the rules of access are in cgroups.resources
    net_devices: dict[str, NetDevice] = {}  # host name -> device
    mount_label: str = ""  # SELinux label of what is mounted
    hostname: str = ""  # of a new UTS namespace
    domainname: str = ""  # the same
    namespaces: list[Namespace] = []  # those to make or join; others are shared with the caller
    capabilities: Capabilities | None = None  # of all processes; None: none at all
    networks: list[Network] = []  # of a new network namespace
    routes: list[Route] = []  # the same
    cgroups: Cgroup | None = None  # None: no control group of its own
    apparmor_profile: str = ""  # name of a loaded profile
    process_label: str = ""  # SELinux label of processes
    rlimits: list[Rlimit] = []  # others are the caller's
    oom_score_adj: int | None = None  # -1000 to 1000
    uid_mappings: list[IDMap] = []  # of a new user namespace
    gid_mappings: list[IDMap] = []  # the same
    mask_paths: list[str] = []  # files read as empty, directories as empty ones
    readonly_paths: list[str] = []  # mounted read-only over themselves
    sysctl: dict[str, str] = {}  # "net.ipv4.ip_forward" -> value
    seccomp: Seccomp | None = None  # None: no filter of system calls
    no_new_privileges: bool = False  # execve(2) grants none (PR_SET_NO_NEW_PRIVS)
    hooks: Hooks | None = None  # programs that are run at points of its life
    version: str = ""  # of the runtime-spec the bundle is written for
    labels: list[str] = []  # "key=value"
    no_new_keyring: bool = False  # keep the caller's session keyring
    intel_rdt: IntelRdt | None = None  # cache and memory bandwidth, by resctrl
    memory_policy: MemoryPolicy | None = None  # which memory nodes are used
    rootless_euid: bool = False  # made by an ordinary user
    rootless_cgroups: bool = False  # go without control groups that are refused
    time_offsets: dict[str, TimeOffset] = {}  # "monotonic", "boottime"
    scheduler: Scheduler | None = None  # of the first process
    personality: Personality | None = None  # execution domain
    io_priority: IOPriority | None = None  # of the first process
    exec_cpu_affinity: CPUAffinity | None = None  # of further processes
    landlock: Landlock | None = None  # ours
