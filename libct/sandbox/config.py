"""Throwaway containers over the host's own root: the configuration of `libct sandbox`.

What it sees of the host, and has of its own, is in seen.py; here is what it may do.
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
    Hooks,
    IDMap,
    Namespace,
    Network,
    Resources,
    Rlimit,
)
from ..config.number_lists import HIGHEST_ID, whole_number
from ..errors import ConfigError, Finding
from ..life.process import Process
from ..syscalls.constants import CAPABILITIES as ALL_CAPABILITIES, RLIMITS
from .failures import Explaining
from .groups import groups
from .options import command, read
from .readers import network_kind
from .seen import Seen, elsewhere, hidden_paths, own_maps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
__all__ = ["Prepared", "elsewhere", "hidden_paths", "sandbox"]
_CPU_PERIOD = 100_000  # microseconds
_HELD = 2  # processes of libct's: the first, which waits, and what clones another one's command
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

    held: its first process waits, and does so for as long as others run in the container.
    origins: which option a place of the configuration comes from (failures.py).
    """

    def __init__(
        self, args: Sequence[str], options: Options, *, terminal: bool = False, held: bool = False
    ) -> None:
        self.options = options
        self.origins: dict[str, str] = {}
        self.config, self.process = _prepared(args, options, self.origins, terminal=terminal)
        resources = self.config.cgroups.resources if self.config.cgroups is not None else None
        if held and resources is not None and resources.pids_limit:
            resources.pids_limit += _HELD
        self._pasta = None
        if network_kind(options.net) == "pasta":
            from .pasta import Pasta

            self._pasta = Pasta()
            self.config.hooks = Hooks(poststop=[self._pasta.await_end])

    def create(self, name: str) -> Container:
        """The container; it is to be removed by whoever calls this, by force."""
        from ..life.creating import create

        with self.explaining():
            path = self._name_servers(name)
            made = create(self.options.root, name, self.config, process=self.process)
        made.keeps_status = False
        if path and self._pasta is not None:
            try:
                self._pasta.write_resolv_conf(path)
            except BaseException:
                made.destroy(force=True)
                raise
        return made

    def _name_servers(self, name: str) -> str:
        """The path of the list that the sandbox is to have with pasta; "" where it has none."""
        places = [place for place, option in self.origins.items() if option == "net"]
        places = [place for place in places if place.startswith("mounts[")]
        if self._pasta is None or not places:
            return ""
        from ..life.directory import RESOLV_CONF, Directory, default_root

        # In there it goes with the rest of the container, whatever becomes of us.
        path = f"{Directory(self.options.root or default_root(), name).path}/{RESOLV_CONF}"
        for place in places:
            self.config.mounts[int(place[7:-1])].source = path
        return path

    @property
    def before(self) -> Callable[[], None] | None:
        """What is to be done when the first process is there and waits, before its command."""
        pasta, config, process = self._pasta, self.config, self.process
        return None if pasta is None else lambda: pasta.start(config, process)

    def start(self, container: Container, *, hold: bool = False) -> None:
        """Start the first process.  hold: it waits."""
        before = self.before
        container.start(self.process, hold=hold or before is not None)
        if before is not None:
            before()
            if not hold:
                container.exec()

    def explaining(self) -> Explaining:
        """A context that tells of errors by the options."""
        return Explaining(self.origins)


def _prepared(
    args: Sequence[str], options: Options, origins: dict[str, str], *, terminal: bool
) -> tuple[Config, Process]:
    euid, egid = os.geteuid(), os.getegid()
    ordinary = euid != 0
    uid, gid = _ids(options, euid, egid) if ordinary else (0, 0)
    seen = Seen(options, (uid, gid) if ordinary else _owner(options))

    config = Config(
        rootfs=os.path.realpath(options.rootfs or "/"),
        rootfs_view="empty" if options.empty else "overlay" if options.overlay else "read-only",
        readonlyfs=not options.overlay,
        hostname=options.hostname,
        namespaces=[Namespace(kind) for kind in (NEWNS, NEWPID, NEWUTS, NEWIPC, NEWCGROUP)],
        mounts=seen.mounts,
        entries=seen.entries,
        devices=[Device(f"/dev/{name}", "c", 1, minor) for name, minor in _DEVICES]
        + [Device("/dev/tty", "c", 5, 0)],
        mask_paths=list(_MASKED),
        readonly_paths=list(_READ_ONLY),
        no_new_privileges=True,
        capabilities=_capabilities(keep=options.keep_caps, trace=ordinary or options.as_pid_1),
        labels=["libct.sandbox=1"],
        landlock=options.landlock,
    )
    kind = network_kind(options.net)
    if kind == "path":
        config.namespaces.append(Namespace(NEWNET, options.net))
    elif kind != "host":
        config.namespaces.append(Namespace(NEWNET))
        config.networks = [Network(type="loopback")]
    if kind == "veth":
        from .network import pair

        config.networks.append(pair(options.net))
    if ordinary or options.userns or options.subids or _lacks_rights():
        config.namespaces.append(Namespace(NEWUSER))
        config.uid_mappings, config.gid_mappings = _maps(options, (uid, euid), (gid, egid))
        config.rootless_euid = config.rootless_cgroups = ordinary
    origins.update(seen.origins)
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
        env=_environment(options, seen.home or "/"),
        cwd=seen.cwd,
        user=f"{uid}:{gid}" if ordinary else _user(options),
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


def _lacks_rights() -> bool:
    """Whether root needs a user namespace to have them: in a container of Docker's, for example."""
    from ..syscalls.credentials import capget

    wanted = [ALL_CAPABILITIES[name] for name in ("CAP_SYS_ADMIN", "CAP_NET_ADMIN")]
    effective, _, _ = capget()
    return any(not effective >> number & 1 for number in wanted)


def _user(options: Options) -> str:
    """By --uid and --gid, or --user."""
    if options.uid < 0 and options.gid < 0:
        return options.user
    if options.user:
        name = "uid" if options.uid >= 0 else "gid"
        raise ConfigError([Finding(name, "cannot be used together with user")])
    return f"{max(options.uid, 0)}:{max(options.gid, 0)}"


def _ids(options: Options, euid: int, egid: int) -> tuple[int, int]:
    """The ids inside of an ordinary user, who is one user there."""
    user = options.user
    if options.uid >= 0 or options.gid >= 0:
        _user(options)
        uid = options.uid if options.uid >= 0 else euid
        return uid, options.gid if options.gid >= 0 else egid
    if not user:
        return euid, egid
    name, _, group = user.partition(":")
    if name == "root":
        name = "0"
    own, gid = (whole_number(one, HIGHEST_ID) for one in (name, group or "0"))
    if own is None or gid is None:
        raise ConfigError(
            [Finding("user", f"an ordinary user can give only numbers, or root: {user!r}")]
        )
    return own, gid if group or own == 0 else egid


def _owner(options: Options) -> tuple[int, int]:
    """Whom root's sandbox is to run as, to own its home: (0, 0) for one that is not known here."""
    name, _, group = _user(options).partition(":")
    if not name:
        return 0, 0
    uid, gid = (whole_number(one, HIGHEST_ID) for one in (name, group or "0"))
    if uid is not None and gid is not None:
        return uid, gid
    import pwd

    try:
        known = pwd.getpwnam(name)
    except KeyError:
        return 0, 0  # it is an error of the start, or another root knows it
    return known.pw_uid, known.pw_gid


def _maps(
    options: Options, uids: tuple[int, int], gids: tuple[int, int]
) -> tuple[list[IDMap], list[IDMap]]:
    """Of a user namespace; uids, gids: of the caller, inside and outside."""
    if options.subids:
        return _subordinate(uids, gids)
    if uids[1] != 0:
        return [IDMap(*uids, 1)], [IDMap(*gids, 1)]
    # Root's own user namespace has all the ids that he has, and no rights outside.
    return own_maps("uid"), own_maps("gid")


def _subordinate(uids: tuple[int, int], gids: tuple[int, int]) -> tuple[list[IDMap], list[IDMap]]:
    """The caller as himself, and all his subordinate ids (subuid(5)) as the others from 0 on."""
    from ..oci.automatic_maps import mappings, subordinate

    found = []
    for (inside, own), file in ((uids, "/etc/subuid"), (gids, "/etc/subgid")):
        ranges = subordinate(file, own)
        if not ranges:
            advice = "add some (usermod --add-subuids, --add-subgids), or install newuidmap"
            raise ConfigError([Finding("subids", f"no subordinate ids in {file}: {advice}")])
        found.append(mappings(own, inside, ranges))
    return found[0], found[1]


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
        names = [name for name in ALL_CAPABILITIES if trace or name != "CAP_SYS_PTRACE"]
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

    try:
        found = read_profile(asked, Circumstances(machine, has)).seccomp
    except ConfigError as error:
        raise ConfigError(
            Finding("seccomp", f"{one.place}: {one.message}" if one.place else one.message)
            for one in error.findings
        ) from None
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
