"""The facts of `libct check` about the host, found by trying wherever that leaves nothing behind.

gather() looks; what its facts mean is decided in check_report.py.  Each trial
runs in a child process of its own, so that its namespaces and mounts end with it.
"""

from __future__ import annotations

import errno
import os
import sys

from ..bootstrap.failure import Failure
from ..bootstrap.hints import hint_for
from ..bootstrap.seal import sealed_interpreter
from ..bootstrap.spawning import interpreter
from ..cgroups import choose
from ..cgroups.delegated import reloaded_unit
from ..cgroups.files import DELEGATE
from ..config.cgroup import Cgroup
from ..config.mount_flags import MOUNT_ATTR_IDMAP, MOUNT_ATTR_RDONLY, MS_PRIVATE, MS_REC
from ..config.namespace import CLONE_FLAGS, PROC_NAMES, SPEC_NAMES
from ..config.record import Record
from ..errors import Error
from ..life.directory import default_root
from ..life.host import host, landlock_abi
from ..loading.paths import real
from ..oci.automatic_maps import parse_ranges, user_name
from ..plan import namespaces
from ..rootfs.binds import clone_tree
from ..syscalls.constants import AT_EMPTY_PATH
from ..syscalls.files import RESOLVE_IN_ROOT, openat2
from ..syscalls.filesystems import fsconfig_create, fsmount, fsopen, fstatfs
from ..syscalls.mounts import mount, mount_setattr
from ..syscalls.namespaces import CLONE_INTO_CGROUP, CLONE_NEWNS, CLONE_NEWUSER, clone3, unshare
from ..syscalls.process import pidfd_open
from . import check_network

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..cgroups.layout import Layout
    from ..cgroups.manager import Manager

    # What went wrong, and what to do about it; ("", "") where nothing did.
    Outcome = tuple[str, str]

_SIGCHLD = 17
_OVERLAY, _TMPFS = 0x794C7630, 0x01021994  # linux/magic.h
_PROGRAMS = ("newuidmap", "newgidmap", "criu", "pasta", "slirp4netns")
_SYSCTLS = (
    "kernel.unprivileged_userns_clone",
    "kernel.apparmor_restrict_unprivileged_userns",
    "kernel.seccomp.actions_avail",
    *(f"user.max_{kind}_namespaces" for kind in PROC_NAMES.values()),
)


class HostFacts(Record):
    """What was found.  The defaults are those of a machine where all is well, for tests.

    namespaces: type in the runtime-spec's words -> outcome of making one.
    calls: what else of the kernel libct uses -> outcome.
    seal: "overlay", "memory" or "file": how the interpreter is kept from containers.
    cgroup_outcomes: directory that a container's group would be below -> outcome.
    reloaded_unit: the unit of systemd that such a group would be below and is not delegated.
    sysctls: those that exist, by their dotted names.
    subuids, subgids: (first, count) of the ranges of this user.
    programs: name -> its path, "" where it is not installed.
    tun: pasta and slirp4netns can open /dev/net/tun, which they need.
    criu: its version and what it can do; criu_problem: why it does not work here.
    """

    kernel: str = "6.1.0"
    machine: str = "x86_64"
    python: str = "3.11.2"
    euid: int = 0
    user: str = "root"
    namespaces: dict[str, Outcome] = {}
    calls: dict[str, Outcome] = {}
    seal: str = "overlay"
    cgroup_mode: str = "v2"
    cgroup_controllers: list[str] = []
    cgroup_outcomes: dict[str, Outcome] = {}
    reloaded_unit: str = ""
    cgroup_kill: bool = True
    systemd: bool = False
    userns: bool = False
    sysctls: dict[str, str] = {}
    subuids: list[tuple[int, int]] = []
    subgids: list[tuple[int, int]] = []
    programs: dict[str, str] = {}
    tun: bool = True
    criu: str = ""
    criu_problem: str = ""
    lsms: list[str] = []
    landlock_abi: int = 7
    state_root: str = "/run/libct"
    state_problem: str = ""


def gather(root: str = "") -> HostFacts:
    """Look at this host, as this user.  root: as --root gives it."""
    layout = host().layout
    state_root, state_problem = _state_root(root)
    user = user_name()
    criu, criu_problem = _criu()
    return HostFacts(
        kernel=os.uname().release,
        machine=os.uname().machine,
        python=".".join(map(str, sys.version_info[:3])),
        euid=os.geteuid(),
        user=user,
        namespaces={SPEC_NAMES[kind]: _try_namespace(kind) for kind in SPEC_NAMES},
        calls={name: attempt(trial) for name, trial in _TRIALS.items()},
        seal=_seal(),
        cgroup_mode=layout.mode,
        cgroup_controllers=_controllers(layout),
        cgroup_outcomes=_cgroup_outcomes(layout),
        reloaded_unit=unit_above(_default_manager(layout), layout),
        cgroup_kill=_has_cgroup_kill(layout),
        systemd=layout.systemd,
        userns=layout.userns,
        sysctls=_sysctls(),
        subuids=_ranges("/etc/subuid", user),
        subgids=_ranges("/etc/subgid", user),
        programs={name: which(name) for name in _PROGRAMS},
        tun=os.access("/dev/net/tun", os.R_OK | os.W_OK),
        criu=criu,
        criu_problem=criu_problem,
        lsms=_lsms(),
        landlock_abi=landlock_abi(),
        state_root=state_root,
        state_problem=state_problem,
    )


# --- trials -----------------------------------------------------------------


def attempt(trial: Callable[[], object], hint: Callable[[int], str] | None = None) -> Outcome:
    """Run trial in a child process and say what it raised.

    hint: gives a remedy for an errno.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        text, code = "the trial did not end well", 0
        try:
            trial()
            text = ""
        except OSError as error:
            text, code = _one_line(error.strerror or str(error)), error.errno or 0
        except Exception as error:  # of a binding without this call
            text = _one_line(f"{type(error).__name__}: {error}")
        finally:
            os.write(writer, f"{code} {text}".encode("utf-8", "surrogateescape"))
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        said = pipe.read().decode("utf-8", "surrogateescape")
    os.waitpid(pid, 0)
    number, _, text = said.partition(" ")
    if not text:
        return ("", "") if said else ("the trial was killed", "")
    if int(number) == errno.ENOSYS:
        return text, "this kernel is too old, or a seccomp filter hides the call"
    return text, hint(int(number)) if hint is not None else ""


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _try_namespace(kind: str) -> Outcome:
    """An ordinary user makes it in a user namespace, as his containers do."""
    flags = CLONE_FLAGS[kind] | (CLONE_NEWUSER if os.geteuid() else 0)

    def hint(code: int) -> str:
        # What would be said of a start that failed in this way.
        step = namespaces.clone_init(flags, False)
        return hint_for(step, Failure(0, code, "", ""))

    return attempt(lambda: unshare(flags), hint)


def _in_own_mounts() -> None:
    uid, gid = os.geteuid(), os.getegid()
    unshare(CLONE_NEWNS | (CLONE_NEWUSER if uid else 0))
    if uid:
        # Who has no id there can make no file (EOVERFLOW).
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{uid} {uid} 1\n")
        _write("/proc/self/gid_map", f"{gid} {gid} 1\n")
    mount("", "/", flags=MS_REC | MS_PRIVATE)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def _clone3() -> None:
    pid, _ = clone3(0, _SIGCHLD)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def _clone_into_cgroup() -> None:
    """With a directory that is no group: a kernel that knows the flag says so."""
    fd = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        pid, _ = clone3(CLONE_INTO_CGROUP, _SIGCHLD, cgroup=fd)
    except OSError as error:
        if error.errno == errno.EBADF:
            return
        raise
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def _openat2() -> None:
    os.close(openat2("/", os.O_PATH, resolve=RESOLVE_IN_ROOT))


def _new_mount() -> int:
    fs = fsopen("tmpfs")
    fsconfig_create(fs)
    return fsmount(fs)


def _fsopen() -> None:
    _in_own_mounts()
    _new_mount()


def _mount_setattr() -> None:
    _in_own_mounts()
    mount_setattr("", dirfd=_new_mount(), flags=AT_EMPTY_PATH, attr_set=MOUNT_ATTR_RDONLY)


def _idmapped() -> None:
    from ..rootfs.idmapped import _namespace_with

    if os.geteuid() != 0:
        raise PermissionError(errno.EPERM, "only root may map the ids of a mount of the host's")
    _in_own_mounts()
    space = _namespace_with("0 100000 65536\n", "0 100000 65536\n")
    tree = clone_tree("/", recursive=False)
    mount_setattr("", dirfd=tree, flags=AT_EMPTY_PATH, attr_set=MOUNT_ATTR_IDMAP, userns_fd=space)


def _overlay() -> None:
    """With an upper layer, as for `sandbox --overlay`."""
    _in_own_mounts()
    mount("tmpfs", "/tmp", "tmpfs")
    for name in ("lower", "upper", "work", "merged"):
        os.mkdir(f"/tmp/{name}")
    layers = "lowerdir=/tmp/lower,upperdir=/tmp/upper,workdir=/tmp/work"
    mount("overlay", "/tmp/merged", "overlay", data=layers)


def _pidfd() -> None:
    os.close(pidfd_open(os.getpid()))


def _memfd() -> None:
    os.close(os.memfd_create("libct-check"))


def _ebpf() -> None:
    """The program that lets everything pass, loaded and not attached."""
    try:
        from ..cgroups.devices.program import assemble
    except ModuleNotFoundError:
        raise OSError(errno.ENOENT, "this copy of libct has no libct.cgroups.devices") from None
    from ..syscalls.bpf import prog_load

    os.close(prog_load(assemble("allow", ())))


# In words that say what each is for.
_TRIALS: dict[str, Callable[[], object]] = {
    "clone3": _clone3,
    "CLONE_INTO_CGROUP": _clone_into_cgroup,
    "openat2": _openat2,
    "pidfd": _pidfd,
    "memfd": _memfd,
    "fsopen": _fsopen,
    "mount_setattr": _mount_setattr,
    "id-mapped mounts": _idmapped,
    "overlay": _overlay,
    "eBPF device program": _ebpf,
    "veth": check_network.veth,
    "network devices": check_network.net_devices,
    "Intel RDT": check_network.intel_rdt,
}


def _seal() -> str:
    """Which way the bootstrap server's interpreter is sealed here, by having it done."""
    try:
        place = real(interpreter())
        fd = sealed_interpreter(place)
    except OSError as error:
        return _one_line(error.strerror or str(error))
    try:
        kind = fstatfs(fd).type
        if kind == _TMPFS and not os.path.exists(os.readlink(f"/proc/self/fd/{fd}")):
            return "memory"
        return "overlay" if kind == _OVERLAY and _is_detached(fd, place) else "file"
    finally:
        os.close(fd)


def _is_detached(fd: int, place: str) -> bool:
    """Whether what is open is of a mount of its own, and not of the host's (which may be one)."""
    return os.fstat(fd).st_dev != os.stat(place).st_dev


# --- control groups -----------------------------------------------------------


def _controllers(layout: Layout) -> list[str]:
    if layout.mode == "v2":
        return sorted(layout.v2_controllers)
    return sorted(name for name in layout.controllers if not name.startswith("name="))


def _cgroup_outcomes(layout: Layout) -> dict[str, Outcome]:
    """Make a group where a container's would be, and remove it."""
    if layout.mode == "none":
        return {}
    found: dict[str, Outcome] = {}
    for directory in _default_manager(layout).directories():
        # Not in a child: it would be the same.
        try:
            os.mkdir(directory, 0o755)
            os.rmdir(directory)
            found[os.path.dirname(directory)] = ("", "")
        except OSError as error:
            remedy = ""
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                remedy = (
                    "run as root, or have a group delegated to this user, with libct as its only"
                    f" process: {DELEGATE}"
                )
            found[os.path.dirname(directory)] = (error.strerror or str(error), remedy)
    return found


def _default_manager(layout: Layout) -> Manager:
    """Of a container whose configuration does not say where its groups are."""
    name = f"libct-check-{os.getpid()}"
    return choose.new(Cgroup(name=name), name, layout)


def unit_above(manager: Manager, layout: Layout) -> str:
    """The unit of systemd that is not delegated and that the groups are below; or ""."""
    directory = manager.paths().get("")
    by_systemd = manager.cgroup.systemd or not layout.systemd
    if layout.mode != "v2" or layout.unified is None or directory is None or by_systemd:
        return ""
    return reloaded_unit(layout.unified.mount, directory)


def _has_cgroup_kill(layout: Layout) -> bool:
    if layout.unified is None:
        return False
    own = layout.unified.own_below
    places = [f"{layout.unified.mount}/{own}"] if own else []
    try:
        with os.scandir(layout.unified.mount) as entries:
            places += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        pass
    if not places:  # no group but the root's, which has none: by the kernel's version
        return True
    return any(os.path.exists(f"{place}/cgroup.kill") for place in places)


# --- files --------------------------------------------------------------------


def _sysctls() -> dict[str, str]:
    found = {}
    for name in _SYSCTLS:
        text = _read(f"/proc/sys/{name.replace('.', '/')}")
        if text:
            found[name] = text
    return found


def _lsms() -> list[str]:
    text = _read("/sys/kernel/security/lsm")
    if text:
        return text.split(",")
    found = []  # without securityfs
    if _read("/sys/module/apparmor/parameters/enabled") == "Y":
        found.append("apparmor")
    if os.path.exists("/sys/fs/selinux/enforce"):
        found.append("selinux")
    return found


def _ranges(path: str, user: str) -> list[tuple[int, int]]:
    """The lines of subuid(5) for a user, by name or number."""
    return parse_ranges(_read(path), user, os.geteuid())


def _state_root(given: str) -> tuple[str, str]:
    """Where states are kept, and why that cannot be ("" if it can)."""
    try:
        path = given or default_root()
    except Error as error:
        return "", str(error)
    place = os.path.abspath(path)
    while not os.path.exists(place) and place != "/":
        place = os.path.dirname(place)
    if not os.path.isdir(place):
        return path, f"not a directory: {place!r}"
    if not os.access(place, os.W_OK | os.X_OK):
        return path, f"this user may not write to {place!r}"
    return path, ""


def which(program: str) -> str:
    for directory in [*os.environ.get("PATH", "").split(":"), "/usr/sbin", "/sbin"]:
        path = os.path.join(directory, program)
        if directory.startswith("/") and os.access(path, os.X_OK):
            return path
    return ""


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read().strip()
    except OSError:
        return ""


def _criu() -> tuple[str, str]:
    """What the installed CRIU can do; and why it cannot do it here."""
    if os.geteuid() != 0 or not which("criu"):
        return "", "it needs to be root"
    import tempfile

    from ..checkpoint import installed

    try:
        number, found = installed.version(), installed.features()
        with tempfile.TemporaryDirectory(prefix="libct-") as path:
            directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                problem = installed.check(directory)
            finally:
                os.close(directory)
    except Error as error:
        return "", str(error)
    more = {"mem_track": "pre-dump", "lazy_pages": "lazy pages"}
    able = [text for name, text in more.items() if found[name]]
    return ", ".join([f"version {installed.words(number)}", *able]), problem
