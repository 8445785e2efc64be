"""The facts of the host that plans depend on, gathered once and then only looked at."""

from __future__ import annotations

import posix

from ..loading.paths import environment
from ..plan.capabilities import Grantable
from ..syscalls.core import machine
from ..syscalls.process import SECBIT_NO_CAP_AMBIENT_RAISE, SECBIT_NOROOT
from ..syscalls.settings import get_securebits
from ..syscalls.userns import in_user_namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..cgroups.layout import Layout
    from ..cgroups.systemd.facts import Systemd
    from ..config.cgroup import Cgroup


class Host:
    """Facts, as plain values; a test makes one for a machine that it is not on.

    euid, egid: the runtime's ids.
    newuidmap, newgidmap: their absolute paths, or "".
    userns: root's rights are those of a user namespace only.
    layout: of the control groups.
    capabilities: what the runtime has itself, to give to processes.
    landlock_abi: the version of the kernel's Landlock, 0 for none.
    apparmor: whether it is on.
    systemd_facts: what is known of systemd, where it is to manage groups.
    resctrl: where it is mounted, or "".
    shares: what is cloned can share the server's memory (bootstrap/sharing.py).
    """

    __slots__ = (
        *("_apparmor", "_capabilities", "_landlock_abi", "_layout", "_resctrl", "_systemd"),
        *("egid", "euid", "newgidmap", "newuidmap", "shares", "userns"),
    )

    def __init__(
        self,
        *,
        euid: int = 0,
        egid: int = 0,
        newuidmap: str = "",
        newgidmap: str = "",
        userns: bool = False,
        layout: Layout | None = None,
        capabilities: Grantable | None = None,
        landlock_abi: int | None = None,
        apparmor: bool | None = None,
        systemd_facts: Systemd | None = None,
        resctrl: str | None = None,
        shares: bool = False,
    ) -> None:
        self.euid, self.egid = euid, egid
        self.newuidmap, self.newgidmap = newuidmap, newgidmap
        self.userns = userns
        self._layout, self._capabilities = layout, capabilities
        self._landlock_abi, self._apparmor = landlock_abi, apparmor
        self._systemd = systemd_facts
        self._resctrl = resctrl
        self.shares = shares

    @property
    def capabilities(self) -> Grantable:
        """Looked up when it is first asked for, as the layout is."""
        if self._capabilities is None:
            self._capabilities = own_capabilities()
        return self._capabilities

    @property
    def landlock_abi(self) -> int:
        if self._landlock_abi is None:
            self._landlock_abi = landlock_abi()
        return self._landlock_abi

    @property
    def apparmor(self) -> bool:
        if self._apparmor is None:
            from ..config.facts import facts_of_host

            self._apparmor = facts_of_host().apparmor
        return self._apparmor

    @property
    def resctrl(self) -> str:
        if self._resctrl is None:
            from ..config.facts import mount_point_of

            self._resctrl = mount_point_of("resctrl") or ""
        return self._resctrl

    @property
    def layout(self) -> Layout:
        """Looked up when it is first asked for: a container without control groups does not."""
        if self._layout is None:
            from ..bootstrap.servers import own_processes
            from ..cgroups.layout import detect

            self._layout = detect()
            ours = own_processes()
            if ours and self._layout.mode == "v2" and self._layout.unified is not None:
                from ..cgroups.aside import can_step_aside

                self._layout.aside = can_step_aside(self._layout.unified, ours)
        return self._layout

    def systemd(self, cgroup: Cgroup) -> Systemd | None:
        """Asked when these groups are to be systemd's; None where they are not, or it is not there.

        Raises CgroupError where it cannot be asked.
        """
        if not cgroup.systemd or not self.layout.systemd:
            return None
        if self._systemd is None:
            from ..cgroups.systemd.facts import gather

            self._systemd = gather(cgroup)
        return self._systemd


def host(layout: Layout | None = None) -> Host:
    """The facts of this host and this process; layout, where it is known already."""
    euid = posix.geteuid()
    return Host(
        euid=euid,
        egid=posix.getegid(),
        newuidmap="" if euid == 0 else _which("newuidmap"),
        newgidmap="" if euid == 0 else _which("newgidmap"),
        userns=in_user_namespace(),
        layout=layout,
        shares=_shares(),
    )


def _shares() -> bool:
    """As far as it is known here; the server knows all of it, and forks where it cannot share.

    LIBCT_FORK in the environment has all starts forked, to compare.
    """
    return machine() == "x86_64" and _has_glibc() and not environment("LIBCT_FORK")


def _has_glibc() -> bool:
    try:
        return bool(posix.confstr("CS_GNU_LIBC_VERSION"))
    except (OSError, ValueError):
        return False  # musl


def own_capabilities() -> Grantable:
    """What this thread has, and what it executes, the bootstrap server, has too."""
    try:
        with open("/proc/thread-self/status", "rb", buffering=0) as file:
            sets = file.read(8192).partition(b"\nCapInh:")[2].split(b"\n", 5)
    except OSError:
        return Grantable()  # no procfs: the kernel says it then
    # CapInh, CapPrm, CapEff, CapBnd, CapAmb (proc_pid_status(5))
    inheritable, permitted, _, bounding, ambient = (
        int(line.rpartition(b":")[2], 16) for line in sets[:5]
    )
    bits = get_securebits()
    # capabilities(7), Capabilities and execution of programs by root.
    permitted &= ambient if bits & SECBIT_NOROOT else bounding | inheritable
    return Grantable(
        permitted=permitted,
        inheritable=inheritable,
        bounding=bounding,
        ambient=0 if bits & SECBIT_NO_CAP_AMBIENT_RAISE else permitted,
    )


def landlock_abi() -> int:
    """The version of the kernel's Landlock, 0 where it has none or was started without."""
    from ..syscalls.landlock import landlock_abi_version

    try:
        return landlock_abi_version()
    except OSError:
        return 0


def _which(program: str) -> str:
    for directory in (environment("PATH") or "/usr/bin:/bin").split(":"):
        path = f"{directory}/{program}"
        if directory.startswith("/") and posix.access(path, posix.X_OK):
            return path
    return ""
