"""The control group of a container and the limits in it.

0 in a limit means: leave it as it is; -1, for memory, swap, quota and pids: no limit.  Where
None is a value, 0 is one, too: of pids_limit it is the least that a container can start with.
"""

from __future__ import annotations

from .device import DeviceRule
from .record import Record


class WeightDevice(Record):
    """Share of one block device, 10 to 1000; 0: none given."""

    major: int
    minor: int
    weight: int = 0
    leaf_weight: int = 0


class ThrottleDevice(Record):
    """Limit of one block device, in bytes or operations a second."""

    major: int
    minor: int
    rate: int


class HugepageLimit(Record):
    """Limit, in bytes, of pages of one size, named as the kernel does: "2MB", "1GB"."""

    page_size: str
    limit: int


class InterfacePriority(Record):
    """Priority of the traffic by one network interface."""

    interface: str
    priority: int


class Rdma(Record):
    """Limits of one RDMA device; None: none."""

    hca_handles: int | None = None
    hca_objects: int | None = None


class Resources(Record):
    """The limits.  Those without a unit here are in the kernel's unit of the file they go to."""

    devices: list[DeviceRule] = []  # applied in order
    memory: int = 0  # bytes
    memory_reservation: int = 0  # bytes
    memory_swap: int = 0  # bytes of memory and swap together
    memory_swappiness: int | None = None  # 0 to 100
    memory_check_before_update: bool = False
    memory_oom_group: bool | None = None  # cgroup v2: of want of memory all processes die, or one
    oom_kill_disable: bool = False
    cpu_shares: int = 0
    cpu_weight: int = 0  # 1 to 10000
    cpu_quota: int = 0  # microseconds in each period
    cpu_burst: int | None = None  # microseconds
    cpu_period: int = 0  # microseconds
    cpu_rt_quota: int = 0  # microseconds
    cpu_rt_period: int = 0  # microseconds
    cpu_idle: int | None = None
    cpuset_cpus: str = ""  # "0-3,8"
    cpuset_mems: str = ""
    pids_limit: int | None = None
    blkio_weight: int = 0  # 10 to 1000
    blkio_leaf_weight: int = 0
    blkio_weight_device: list[WeightDevice] = []
    blkio_throttle_read_bps_device: list[ThrottleDevice] = []
    blkio_throttle_write_bps_device: list[ThrottleDevice] = []
    blkio_throttle_read_iops_device: list[ThrottleDevice] = []
    blkio_throttle_write_iops_device: list[ThrottleDevice] = []
    hugetlb_limit: list[HugepageLimit] = []
    net_prio_ifpriomap: list[InterfacePriority] = []
    net_cls_classid: int = 0
    rdma: dict[str, Rdma] = {}  # device -> limits
    unified: dict[str, str] = {}  # cgroup v2: file -> text to write
    freezer: str = ""  # "", "FROZEN" or "THAWED"
    skip_devices: bool = False
    skip_freeze_on_set: bool = False  # systemd v1: do not freeze around changes of device rules


class Cgroup(Record):
    """Where the container's processes are, and their limits.

    Either path, or parent and name.  systemd: it makes the groups; parent is the slice, and
    the unit is scope_prefix-name.scope, or name where that ends in .slice.
    """

    name: str = ""
    parent: str = ""
    path: str = ""
    scope_prefix: str = ""
    systemd: bool = False
    systemd_props: dict[str, str] = {}  # property -> value in GVariant's text form
    sub_group: str = ""  # systemd: below the unit's group, with the limits in it as well
    delegate: str = ""  # systemd: a group below these that the container itself manages
    rootless: bool = False
    owner_uid: int | None = None  # host id that gets a delegated cgroup
    resources: Resources = Resources()
