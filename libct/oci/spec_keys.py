"""The keys of a configuration, by the place of the object that has them.

Of a list the place is that of its entries; an object whose keys are names of something has
none here, and what each of its keys leads to is under "*".  Platforms other than Linux have a
name only.  Made by tests/make_spec_keys.py of the runtime-spec's JSON Schema
(schema/config-schema.json and what it refers to).
"""

from __future__ import annotations

KEYS = {
    place: frozenset(keys.split())
    for place, keys in {
        "": (
            "annotations domainname freebsd hooks hostname linux mounts ociVersion platform "
            "process root solaris vm windows zos"
        ),
        "annotations": "",
        "hooks": "createContainer createRuntime poststart poststop prestart startContainer",
        "hooks.createContainer": "args env path timeout",
        "hooks.createRuntime": "args env path timeout",
        "hooks.poststart": "args env path timeout",
        "hooks.poststop": "args env path timeout",
        "hooks.prestart": "args env path timeout",
        "hooks.startContainer": "args env path timeout",
        "linux": (
            "cgroupsPath devices gidMappings intelRdt maskedPaths memoryPolicy mountLabel "
            "namespaces netDevices personality readonlyPaths resources rootfsPropagation "
            "seccomp sysctl timeOffsets uidMappings"
        ),
        "linux.devices": "fileMode gid major minor path type uid",
        "linux.gidMappings": "containerID hostID size",
        "linux.intelRdt": (
            "closID enableCMT enableMBM enableMonitoring l3CacheSchema memBwSchema schemata"
        ),
        "linux.memoryPolicy": "flags mode nodes",
        "linux.namespaces": "path type",
        "linux.netDevices": "",
        "linux.netDevices.*": "name",
        "linux.personality": "domain flags",
        "linux.resources": (
            "blockIO cpu devices disableOOMKiller hugepageLimits memory network oomScoreAdj "
            "pids rdma unified"
        ),
        "linux.resources.blockIO": (
            "leafWeight throttleReadBpsDevice throttleReadIOPSDevice throttleWriteBpsDevice "
            "throttleWriteIOPSDevice weight weightDevice"
        ),
        "linux.resources.blockIO.throttleReadBpsDevice": "major minor rate",
        "linux.resources.blockIO.throttleReadIOPSDevice": "major minor rate",
        "linux.resources.blockIO.throttleWriteBpsDevice": "major minor rate",
        "linux.resources.blockIO.throttleWriteIOPSDevice": "major minor rate",
        "linux.resources.blockIO.weightDevice": "leafWeight major minor weight",
        "linux.resources.cpu": (
            "burst cpus idle mems period quota realtimePeriod realtimeRuntime shares"
        ),
        "linux.resources.devices": "access allow major minor type",
        "linux.resources.hugepageLimits": "limit pageSize",
        "linux.resources.memory": (
            "checkBeforeUpdate disableOOMKiller kernel kernelTCP limit reservation swap "
            "swappiness useHierarchy"
        ),
        "linux.resources.network": "classID priorities",
        "linux.resources.network.priorities": "name priority",
        "linux.resources.pids": "limit",
        "linux.resources.rdma": "",
        "linux.resources.rdma.*": "hcaHandles hcaObjects",
        "linux.resources.unified": "",
        "linux.seccomp": (
            "architectures defaultAction defaultErrnoRet flags listenerMetadata listenerPath "
            "syscalls"
        ),
        "linux.seccomp.syscalls": "action args errnoRet names",
        "linux.seccomp.syscalls.args": "index op value valueTwo",
        "linux.sysctl": "",
        "linux.timeOffsets": "boottime monotonic",
        "linux.timeOffsets.boottime": "nanosecs secs",
        "linux.timeOffsets.monotonic": "nanosecs secs",
        "linux.uidMappings": "containerID hostID size",
        "mounts": "destination gidMappings options source type uidMappings",
        "mounts.gidMappings": "containerID hostID size",
        "mounts.uidMappings": "containerID hostID size",
        "process": (
            "apparmorProfile args capabilities commandLine consoleSize cwd env "
            "execCPUAffinity ioPriority noNewPrivileges oomScoreAdj rlimits scheduler "
            "selinuxLabel terminal user"
        ),
        "process.capabilities": "ambient bounding effective inheritable permitted",
        "process.consoleSize": "height width",
        "process.execCPUAffinity": "final initial",
        "process.ioPriority": "class priority",
        "process.rlimits": "hard soft type",
        "process.scheduler": "deadline flags nice period policy priority runtime",
        "process.user": "additionalGids gid uid umask username",
        "root": "path readonly",
    }.items()
}
