"""The example of libcontainer's README, in Python: a container by a configuration of one's own.

python3 container.py ROOTFS [COMMAND [ARG...]]
"""

import sys

import libct
from libct.config.mount_flags import MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_STRICTATIME

SAFE = MS_NOEXEC | MS_NOSUID | MS_NODEV
CAPABILITIES = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
]
KINDS = ("NEWNS", "NEWUTS", "NEWIPC", "NEWPID", "NEWUSER", "NEWNET", "NEWCGROUP")


def config(rootfs):
    return libct.Config(
        rootfs=rootfs,
        hostname="testing",
        namespaces=[libct.Namespace(getattr(libct, kind)) for kind in KINDS],
        uid_mappings=[libct.IDMap(container_id=0, host_id=1000, size=65536)],
        gid_mappings=[libct.IDMap(container_id=0, host_id=1000, size=65536)],
        capabilities=libct.Capabilities(
            bounding=CAPABILITIES, effective=CAPABILITIES, permitted=CAPABILITIES
        ),
        cgroups=libct.Cgroup(
            resources=libct.Resources(
                pids_limit=100, devices=[device.rule for device in libct.ALLOWED_DEVICES]
            )
        ),
        devices=list(libct.ALLOWED_DEVICES),
        mask_paths=["/proc/kcore", "/sys/firmware"],
        readonly_paths=["/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus"],
        mounts=[
            libct.Mount("/proc", "proc", "proc", SAFE),
            libct.Mount("/dev", "tmpfs", "tmpfs", MS_NOSUID | MS_STRICTATIME, data="mode=755"),
            libct.Mount("/dev/shm", "shm", "tmpfs", SAFE, data="mode=1777,size=65536k"),
            libct.Mount("/sys", "sysfs", "sysfs", SAFE | MS_RDONLY),
        ],
        networks=[libct.Network(type="loopback")],
        rlimits=[libct.Rlimit(7, hard=1025, soft=1025)],  # RLIMIT_NOFILE
    )


if __name__ == "__main__":
    with libct.create("/run/libct", "example", config(sys.argv[1])) as container:
        process = libct.Process(sys.argv[2:] or ["/bin/sh"], env={"PATH": "/bin"}, user="daemon")
        container.run(process)
        sys.exit(process.wait().status)
