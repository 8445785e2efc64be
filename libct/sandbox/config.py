"""Throwaway containers over the host's own root: the configuration of `libct sandbox`.

The rootfs is the host's /, read-only down to the last mount, or below an
overlay that takes the writes and is thrown away.  /proc, /dev, /sys, /tmp,
/run and the home directory are the sandbox's own.
"""

from __future__ import annotations

import os

from ..config import (
    NEWCGROUP,
    NEWIPC,
    NEWNET,
    NEWNS,
    NEWPID,
    NEWUSER,
    NEWUTS,
    Capabilities,
    Cgroup,
    Config,
    Device,
    IDMap,
    Mount,
    Namespace,
    Network,
    Resources,
)
from ..config.mount import RecAttr
from ..config.mount_flags import (
    MOUNT_ATTR_RDONLY,
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_RDONLY,
    MS_REC,
    MS_STRICTATIME,
)
from ..errors import ConfigError, Finding
from ..life.process import Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..config import Landlock
    from ..config.seccomp import Seccomp

# Enough for root to work with files of other users and with services; nothing
# that reaches beyond the sandbox.
CAPABILITIES = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETGID",
    "CAP_SETUID",
]
# What of the caller's environment a command may expect; the rest may be secret.
ENVIRONMENT = ("PATH", "TERM", "COLORTERM", "LANG", "LANGUAGE", "TZ", "USER", "LOGNAME", "SHELL")
_CPU_PERIOD = 100_000  # microseconds
_MASKED = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
)
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_DEVICES = (("null", 3), ("zero", 5), ("full", 7), ("random", 8), ("urandom", 9))


def sandbox(
    args: Sequence[str],
    *,
    ro: Sequence[str] = (),
    rw: Sequence[str] = (),
    bind: Sequence[tuple[str, str]] = (),
    overlay: bool = False,
    home: bool = False,
    net: str = "none",
    env: Mapping[str, str] | None = None,
    cwd: str = "",
    user: str = "",
    hostname: str = "sandbox",
    memory: int = 0,
    pids: int = 0,
    cpus: float = 0,
    keep_caps: bool = False,
    seccomp: Seccomp | str = "default",
    landlock: Landlock | None = None,
    terminal: bool = False,
    as_pid_1: bool = False,
    outlive: bool = False,
) -> tuple[Config, Process]:
    """The configuration and the first process of a sandbox that runs args.

    ro, rw: host paths to see, or to write to, at the same place.
    bind: (host path, path inside), writable.
    overlay: / is writable, and what is written is lost at the end.
    home: the home directory is the host's, read-only, instead of an empty one.
    net: "none" (a loopback device alone) or "host".
    env: added to the few variables that come from the caller.
    cwd: "" is the caller's directory, where the sandbox has it, or else /.
    user: as of Process; "" is the caller.  An ordinary user is the one
        user there is, whatever id he takes.
    memory: bytes; pids: processes; cpus: as many CPUs' time; 0 sets no limit.
    keep_caps: the caller's capabilities stay as they are; of root's, CAP_SYS_PTRACE only with
        as_pid_1.
    seccomp: which system calls may be made: by "default" libct's own profile, with
        what the capabilities allow; "unconfined" is all; a path is that of a file
        with an engine's profile, or with a configuration that has one.
    landlock: what it may do with the files that it sees, and with TCP.
    as_pid_1: the command is process 1 of its pid namespace.  Otherwise that is a reaper of
        libct's, and the sandbox ends when the caller's process does.
    outlive: but for that.

    Raises ConfigError for a path that does not exist and the like.
    """
    findings = _findings(ro, rw, bind, net, memory, pids, cpus)
    if findings:
        raise ConfigError(findings)
    euid, egid = os.geteuid(), os.getegid()
    ordinary = euid != 0
    uid, gid = _ids(user, euid, egid) if ordinary else (0, 0)
    home_path = _home()
    hidden = ["/tmp", "/run"] + ([home_path] if home_path and not home else [])
    shared = [*ro, *rw, *(inside for _, inside in bind)]

    config = Config(
        rootfs="/",
        rootfs_view="overlay" if overlay else "read-only",
        readonlyfs=not overlay,
        hostname=hostname,
        namespaces=[Namespace(kind) for kind in (NEWNS, NEWPID, NEWUTS, NEWIPC, NEWCGROUP)],
        mounts=_mounts(home_path if not home else "", (uid, gid), net, ordinary=ordinary),
        devices=[Device(f"/dev/{name}", "c", 1, minor) for name, minor in _DEVICES]
        + [Device("/dev/tty", "c", 5, 0)],
        mask_paths=list(_MASKED),
        readonly_paths=list(_READ_ONLY),
        no_new_privileges=True,
        capabilities=_capabilities(keep=keep_caps, trace=ordinary or as_pid_1),
        labels=["libct.sandbox=1"],
        landlock=landlock,
    )
    if net == "none":
        config.namespaces.append(Namespace(NEWNET))
        config.networks = [Network(type="loopback")]
    if ordinary:
        config.namespaces.append(Namespace(NEWUSER))
        config.uid_mappings = [IDMap(uid, euid, 1)]
        config.gid_mappings = [IDMap(gid, egid, 1)]
        config.rootless_euid = config.rootless_cgroups = True
    config.mounts += [_bind(path, path, read_only=True) for path in _absolute(ro)]
    config.mounts += [_bind(path, path, read_only=False) for path in _absolute(rw)]
    config.mounts += [_bind(source, inside, read_only=False) for source, inside in bind]
    config.seccomp = _filter(seccomp, config.capabilities)
    if memory or pids or cpus:
        config.cgroups = Cgroup(
            rootless=ordinary,
            resources=Resources(
                memory=memory,
                memory_swap=memory,
                # An ordinary user's reaper counts as one.
                pids_limit=pids + (ordinary and not as_pid_1) if pids else None,
                cpu_quota=int(cpus * _CPU_PERIOD),
                cpu_period=_CPU_PERIOD if cpus else 0,
            ),
        )
    process = Process(
        args,
        env=_environment(env or {}, home_path or "/"),
        cwd=cwd or _directory(hidden, shared),
        user=f"{uid}:{gid}" if ordinary else user,
        terminal=terminal,
        init=True,
        reaper=not as_pid_1,
        outlive=outlive,
    )
    return config, process


def _findings(
    ro: Sequence[str],
    rw: Sequence[str],
    bind: Sequence[tuple[str, str]],
    net: str,
    memory: int,
    pids: int,
    cpus: float,
) -> list[Finding]:
    found = []
    for option, paths in (("--ro", ro), ("--rw", rw), ("--bind", [source for source, _ in bind])):
        found += [
            Finding(option, f"no such file or directory: {path!r}")
            for path in paths
            if not os.path.exists(path)
        ]
    found += [
        Finding("--bind", f"not absolute: {inside!r}")
        for _, inside in bind
        if not inside.startswith("/")
    ]
    found += [
        Finding(option, "/ cannot be bound, only what is below it")
        for option, paths in (
            ("--ro", ro),
            ("--rw", rw),
            ("--bind", [inside for _, inside in bind]),
        )
        if any(os.path.normpath(path) == "/" for path in paths)
    ]
    if net not in ("none", "host"):
        found.append(Finding("--net", f"neither none nor host: {net!r}"))
    for option, number in (("--memory", memory), ("--pids", pids), ("--cpus", cpus)):
        if number < 0:
            found.append(Finding(option, f"negative: {number}"))
    return found


def _ids(user: str, euid: int, egid: int) -> tuple[int, int]:
    """The ids inside of an ordinary user, who has one of each to give."""
    if not user:
        return euid, egid
    name, _, group = user.partition(":")
    if name == "root":
        name = "0"
    if not name.isdecimal() or (group and not group.isdecimal()):
        raise ConfigError([Finding("--user", f"an ordinary user gives numbers, or root: {user!r}")])
    return int(name), int(group) if group else (0 if name == "0" else egid)


def _home() -> str:
    """The caller's home directory as an existing path other than /, or ""."""
    home = os.path.realpath(os.environ.get("HOME", ""))
    return home if home.startswith("/") and home != "/" and os.path.isdir(home) else ""


def _mounts(home: str, owner: tuple[int, int], net: str, *, ordinary: bool) -> list[Mount]:
    quiet = MS_NOSUID | MS_NODEV
    mounts = [
        Mount("/proc", "proc", "proc", quiet | MS_NOEXEC),
        Mount("/dev", "tmpfs", "tmpfs", MS_NOSUID | MS_STRICTATIME, data="mode=755,size=65536k"),
        Mount(
            "/dev/pts",
            "devpts",
            "devpts",
            MS_NOSUID | MS_NOEXEC,
            # gid 5, tty, is not mapped for an ordinary user.
            data="newinstance,ptmxmode=0666,mode=0620" + ("" if ordinary else ",gid=5"),
        ),
        Mount("/dev/shm", "shm", "tmpfs", quiet | MS_NOEXEC, data="mode=1777"),
        Mount("/dev/mqueue", "mqueue", "mqueue", quiet | MS_NOEXEC),
        Mount("/tmp", "tmpfs", "tmpfs", quiet, data="mode=1777"),
        Mount("/run", "tmpfs", "tmpfs", quiet, data="mode=755"),
    ]
    if net == "none":
        # The host's would show its network devices; in its own namespace alone
        # the sandbox may mount one.
        mounts.append(Mount("/sys", "sysfs", "sysfs", quiet | MS_NOEXEC | MS_RDONLY))
    if home:
        data = f"mode=700,uid={owner[0]},gid={owner[1]}"
        mounts.append(Mount(home, "tmpfs", "tmpfs", quiet, data=data))
    return mounts


def _bind(source: str, inside: str, *, read_only: bool) -> Mount:
    return Mount(
        inside,
        os.path.abspath(source),
        "bind",
        MS_BIND | MS_REC,
        rec_attr=RecAttr(MOUNT_ATTR_RDONLY, 0) if read_only else None,
    )


def _absolute(paths: Sequence[str]) -> list[str]:
    return [os.path.abspath(path) for path in paths]


def _capabilities(*, keep: bool, trace: bool) -> Capabilities:
    """trace: CAP_SYS_PTRACE may be kept; over the host's reaper it must not (Process)."""
    if keep:
        from ..syscalls.constants import CAPABILITIES as ALL

        names = [name for name in ALL if trace or name != "CAP_SYS_PTRACE"]
        return Capabilities(bounding=names, effective=names, permitted=names)
    names = list(CAPABILITIES)
    return Capabilities(bounding=names, effective=names, permitted=names)


def _filter(asked: Seccomp | str, capabilities: Capabilities | None) -> Seccomp | None:
    if not isinstance(asked, str):
        return asked
    if asked == "unconfined":
        return None
    from ..seccomp.architectures import here

    has = capabilities.bounding or [] if capabilities else []
    try:
        machine = here()
    except ValueError as error:
        advice = "--seccomp unconfined does without a filter"
        raise ConfigError([Finding("--seccomp", f"{error} ({advice})")]) from None
    if asked == "default":
        from ..seccomp.default import default_profile

        return default_profile(machine, has)
    from ..oci.profiles import Circumstances, read_profile

    found = read_profile(asked, Circumstances(machine, has)).seccomp
    if found is None:
        raise ConfigError([Finding("--seccomp", f"{asked!r} has no linux.seccomp")])
    return found


def _environment(given: Mapping[str, str], home: str) -> list[str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in ENVIRONMENT or name.startswith("LC_")
    }
    kept.update(HOME=home)
    kept.update(given)
    kept.setdefault("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    return [f"{name}={value}" for name, value in kept.items()]


def _directory(hidden: list[str], shared: Sequence[str]) -> str:
    """The caller's directory, unless the sandbox hides it."""

    def covers(path: str) -> bool:
        return here == path or here.startswith(path.rstrip("/") + "/")

    here = os.getcwd()
    if any(covers(os.path.abspath(path)) for path in shared):
        return here
    return "/" if any(covers(path) for path in hidden) else here
