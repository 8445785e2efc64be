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
    Config,
    Device,
    IDMap,
    Mount,
    Namespace,
    Network,
    Resources,
    Rlimit,
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
from ..syscalls.constants import RLIMITS
from .failures import Explaining
from .groups import groups
from .options import command, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Unpack

    from ..config.seccomp import Seccomp
    from ..life.container import Container
    from .options import Given, Options

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
    args: Sequence[str], *, terminal: bool = False, **given: Unpack[Given]
) -> tuple[Config, Process]:
    """The configuration and the first process of a sandbox that runs args.

    given: the options (options.py).  terminal: as of Process.

    Raises ConfigError for a path that does not exist and the like.
    """
    made = Prepared(command(args), read(given), terminal=terminal)
    return made.config, made.process


class Prepared:
    """The same by options that have been read.

    origins: which option a place of the configuration comes from (failures.py).
    """

    def __init__(self, args: Sequence[str], options: Options, *, terminal: bool = False) -> None:
        self.options = options
        self.origins: dict[str, str] = {}
        self.config, self.process = _prepared(args, options, self.origins, terminal=terminal)

    def create(self, name: str) -> Container:
        """The container; it is to be removed by whoever calls this, by force."""
        from ..life.creating import create

        with self.explaining():
            made = create(self.options.root, name, self.config, process=self.process)
        made.keeps_status = False
        return made

    def explaining(self) -> Explaining:
        """A context that tells of errors by the options."""
        return Explaining(self.origins)


def _prepared(
    args: Sequence[str], options: Options, origins: dict[str, str], *, terminal: bool
) -> tuple[Config, Process]:
    binds = _binds(options)
    euid, egid = os.geteuid(), os.getegid()
    ordinary = euid != 0
    uid, gid = _ids(options.user, euid, egid) if ordinary else (0, 0)
    home = _home()
    cwd, shown = _directory(options, [inside for _, _, inside, _ in binds])

    config = Config(
        rootfs="/",
        rootfs_view="overlay" if options.overlay else "read-only",
        readonlyfs=not options.overlay,
        hostname=options.hostname,
        namespaces=[Namespace(kind) for kind in (NEWNS, NEWPID, NEWUTS, NEWIPC, NEWCGROUP)],
        mounts=_mounts("" if options.home else home, (uid, gid), options.net, ordinary=ordinary),
        devices=[Device(f"/dev/{name}", "c", 1, minor) for name, minor in _DEVICES]
        + [Device("/dev/tty", "c", 5, 0)],
        mask_paths=list(_MASKED),
        readonly_paths=list(_READ_ONLY),
        no_new_privileges=True,
        capabilities=_capabilities(keep=options.keep_caps, trace=ordinary or options.as_pid_1),
        labels=["libct.sandbox=1"],
        landlock=options.landlock,
    )
    if options.net == "none":
        config.namespaces.append(Namespace(NEWNET))
        config.networks = [Network(type="loopback")]
    if ordinary:
        config.namespaces.append(Namespace(NEWUSER))
        config.uid_mappings = [IDMap(uid, euid, 1)]
        config.gid_mappings = [IDMap(gid, egid, 1)]
        config.rootless_euid = config.rootless_cgroups = True
    first = len(config.mounts)
    config.mounts += [_memory(path, size) for path, size in options.tmpfs]
    # Before what was asked for, which may be in there.
    config.mounts += [_bind(cwd, cwd, True)] if shown else []
    config.mounts += [_bind(*bind[1:]) for bind in binds]
    names = ["tmpfs"] * len(options.tmpfs) + ["cwd"] * shown + [name for name, *_ in binds]
    origins.update((f"mounts[{number}]", name) for number, name in enumerate(names, first))
    config.seccomp = _filter(options.seccomp, config.capabilities)
    if options.memory or options.pids or options.cpus:
        resources = Resources(
            memory=options.memory,
            memory_swap=options.memory,
            # A sandbox that has lost one of its processes would go on as half of it.
            memory_oom_group=True if options.memory else None,
            # An ordinary user's reaper counts as one.
            pids_limit=_pids_limit(options, ordinary=ordinary),
            cpu_quota=int(options.cpus * _CPU_PERIOD),
            cpu_period=_CPU_PERIOD if options.cpus else 0,
        )
        config.cgroups = groups(options, resources, ordinary=ordinary)
    process = Process(
        args,
        env=_environment(options, home or "/"),
        cwd=cwd,
        user=f"{uid}:{gid}" if ordinary else options.user,
        rlimits=_rlimits(options),
        terminal=terminal,
        init=True,
        reaper=not options.as_pid_1,
        outlive=options.outlive,
    )
    return config, process


def _pids_limit(options: Options, *, ordinary: bool) -> int | None:
    if not options.pids:
        return None
    return options.pids + (ordinary and not options.as_pid_1)


def _binds(options: Options) -> list[tuple[str, str, str, bool]]:
    """Option, host path, path inside, and whether it is read-only, of all that is shown.

    Raises ConfigError for what is not there, or cannot be.
    """
    found: list[tuple[str, str, str, bool]] = []
    findings = []
    for name in ("ro", "ro_try", "rw", "rw_try", "bind", "bind_try"):
        given = getattr(options, name)
        if not name.startswith("bind"):
            given = [(path, path, name.startswith("ro")) for path in given]
        for source, inside, read_only in given:
            if os.path.normpath(inside) == "/":
                findings.append(Finding(name, "/ cannot be bound, only what is below it"))
            elif os.path.exists(source):
                found.append((name, source, inside, read_only))
            elif not name.endswith("_try"):
                findings.append(Finding(name, f"no such file or directory: {source!r}"))
    for path, _ in options.tmpfs:
        if os.path.normpath(path) == "/":
            findings.append(Finding("tmpfs", "/ cannot be covered, only what is below it"))
    if findings:
        raise ConfigError(findings)
    return found


def _ids(user: str, euid: int, egid: int) -> tuple[int, int]:
    """The ids inside of an ordinary user, who has one of each to give."""
    if not user:
        return euid, egid
    name, _, group = user.partition(":")
    if name == "root":
        name = "0"
    if not name.isdecimal() or (group and not group.isdecimal()):
        raise ConfigError([Finding("user", f"an ordinary user gives numbers, or root: {user!r}")])
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


def _memory(path: str, size: int) -> Mount:
    data = "mode=1777" + (f",size={size}" if size else "")
    return Mount(path, "tmpfs", "tmpfs", MS_NOSUID | MS_NODEV, data=data)


def _bind(source: str, inside: str, read_only: bool) -> Mount:
    return Mount(
        inside,
        source,
        "bind",
        MS_BIND | MS_REC,
        rec_attr=RecAttr(MOUNT_ATTR_RDONLY, 0) if read_only else None,
    )


def _rlimits(options: Options) -> list[Rlimit]:
    limits = dict(options.rlimits)
    if options.cpu_time:
        # At the first one SIGXCPU, which ends a program that does not handle it.
        limits["RLIMIT_CPU"] = options.cpu_time, options.cpu_time + 1
    return [
        Rlimit(RLIMITS[name], hard=hard % (1 << 64), soft=soft % (1 << 64))
        for name, (soft, hard) in limits.items()
    ]


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
        raise ConfigError([Finding("seccomp", f"{error} ({advice})")]) from None
    if asked == "default":
        from ..seccomp.default import default_profile

        return default_profile(machine, has)
    from ..oci.profiles import Circumstances, read_profile

    found = read_profile(asked, Circumstances(machine, has)).seccomp
    if found is None:
        raise ConfigError([Finding("seccomp", f"{asked!r} has no linux.seccomp")])
    return found


def _environment(options: Options, home: str) -> list[str]:
    kept = {}
    if not options.clear_env:
        kept = {
            name: value
            for name, value in os.environ.items()
            if (name in ENVIRONMENT or name.startswith("LC_")) and name not in options.unset
        }
    kept.update(HOME=home)
    kept.update(options.env)
    kept.setdefault("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    return [f"{name}={value}" for name, value in kept.items()]


def hidden_paths(options: Options) -> list[str]:
    """What the sandbox has of its own in the place of the host's."""
    home = _home()
    return ["/tmp", "/run"] + ([home] if home and not options.home else [])


def elsewhere(options: Options) -> str:
    """Why the command does not start in the caller's directory, in a line; "" where it does."""
    directory, _ = _directory(options, [bind[2] for bind in _binds(options)])
    here = os.getcwd()
    if options.cwd or directory == here:
        return ""
    return f"{here!r} is not shown in the sandbox (--rw . shows it): starting in {directory!r}"


def _directory(options: Options, shared: Sequence[str]) -> tuple[str, bool]:
    """Where the command starts, and whether that is to be shown, read-only.

    In the caller's directory, unless the sandbox hides that as a whole: it has an empty one
    in its place then, the home directory, if there is one.
    """
    here = os.getcwd()
    if options.cwd:
        return options.cwd, False
    hidden = hidden_paths(options)
    if _is_below(here, shared) or not _is_below(here, hidden):
        return here, False
    if here not in hidden and not any(_is_below(path, [here]) for path in hidden):
        return here, True
    return _home() or "/", False


def _is_below(path: str, others: Sequence[str]) -> bool:
    """Whether it is one of the others, or in one."""
    return any(path == other or path.startswith(other.rstrip("/") + "/") for other in others)
