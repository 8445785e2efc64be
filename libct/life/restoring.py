"""Restores: a container is made of the files of a checkpoint.

As much as a start it registers the container first and writes down what it makes, so a
restore that is killed halfway leaves a container that can be deleted.  What CRIU makes are
children of ours, in the control groups that were made for them.

    <root>/<id>/criu-root   the rootfs, bound there meanwhile: CRIU wants a mount point
"""

from __future__ import annotations

import _signal
import posix
import stat

from ..bootstrap.context import Context
from ..bootstrap.servers import own_processes
from ..bootstrap.spawning import fill_standard_streams
from ..cgroups.perform import perform
from ..checkpoint import installed, mounts
from ..checkpoint.confinement import lost
from ..checkpoint.options import RESTORE_LOG, RestoreOptions, check, fields, is_text
from ..checkpoint.rpc import Criu, CriuFailed
from ..config.mount import destination_inside
from ..config.namespace import NEWNET, NEWPID, PROC_NAMES
from ..config.status import CREATED
from ..errors import Error, note
from ..loading import jsontext
from ..loading.paths import is_directory
from ..rootfs.paths import make_in_root
from ..syscalls import pidfds, procfs
from ..syscalls.constants import MS_BIND, MS_REC, MS_SHARED, MS_SLAVE
from ..syscalls.interrupts import deferred
from ..syscalls.mounts import mount
from ..syscalls.sockets import send_descriptor
from .checking import planned_manager
from .checkpointing import (
    DESCRIPTORS,
    config_file,
    external_key,
    failed,
    joined,
    mounts_of,
    open_directory,
    refuse,
    require_root,
    watched,
)
from .creating import create
from .directory import CRIU_ROOT
from .ending import unbind_root
from .host import host
from .proc import boot_id, marks_of
from .process import Child, Process
from .starting import namespaces_of, record_exit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..cgroups.ledger import Ledger
    from ..cgroups.manager import Manager
    from ..checkpoint.progress import Progress
    from ..config import Config
    from .container import Container
    from .directory import Directory, Held
    from .holdings import Holdings
    from .record import Record

_MOST = 1 << 16  # bytes of descriptors.json
_FIRST = 4  # the number that CRIU has the first of our descriptors as


def restore(
    root: str,
    id: str,  # noqa: A002  # the runtime-spec's word
    config: Config,
    process: Process,
    images: str,
    *,
    bundle: str = "",
    progress: Progress | None = None,
    **options: Any,
) -> Container:
    """Make a container of what Container.checkpoint() has written; it runs on from there.

    root, id, config, bundle: as of create(); mounts of the host are made anew by config.
    process: its standard streams take the place of those pipes and files that the first
        process had from its caller, its console_socket gets the master of its terminal; then
        it is the handle of the first process.  What it would run counts for exec alone.
    images, options: RestoreOptions (checkpoint/options.py).
    progress: as of Container.checkpoint().

    Raises as create() does, Unsupported without CRIU, and Error with what CRIU's log says;
    nothing is left of the container then.
    """
    wanted = RestoreOptions(images, **options)
    check(wanted)
    require_root("restore")
    refuse(config, empty=bool(wanted.empty_namespaces))
    number = installed.version()
    installed.require_network_lock(number, wanted.network_lock)
    if wanted.lsm_profile or wanted.lsm_mount_context:
        installed.require_lsm(number)
    installed.require_features(["lazy_pages"] if wanted.lazy_pages else [])
    process.init = True
    container = create(root, id, config, bundle=bundle, process=process)
    try:
        with deferred():
            fill_standard_streams()
            procfs.require_own_children()
            with container._has.directory.lock() as held:
                _Restore(container._has, held, process, wanted, progress).carry_out()
    except BaseException as error:
        with deferred():
            try:
                container.destroy(force=True)
            except Error as problem:
                note(error, str(problem))
        raise
    return container


class _Restore:
    """One restore, whose container is registered and locked."""

    def __init__(
        self,
        holdings: Holdings,
        held: Held,
        process: Process,
        options: RestoreOptions,
        progress: Progress | None,
    ) -> None:
        self.holdings, self.held, self.process, self.options = holdings, held, process, options
        self.waiting = watched(progress, options, RESTORE_LOG)
        self.record: Record = holdings.refresh()
        self.manager: Manager | None = planned_manager(self.record.config, holdings.id, host())
        self.ledger: Ledger | None = holdings.ledger(held) if self.manager is not None else None
        self.further: list[int] = []  # descriptors that CRIU is lent, from _FIRST on
        self.own: list[int] = []  # those that are ours to close
        self.child: Child | None = None
        self.criu: Criu

    def carry_out(self) -> None:
        try:
            opts = self._options()
            self._make_groups()
            root = bind_root(self.held, self.record.rootfs)
            try:
                self._make_places()
                self._ask({**opts, "root": root})
            finally:
                unbind_root(self.held)
        finally:
            for fd in self.own:
                posix.close(fd)
            if self.ledger is not None:
                self.ledger.release()

    # --- the request ---

    def _options(self) -> dict[str, Any]:
        images = open_directory(self.options.images, make=False)
        self.own.append(images)
        work = -1
        if self.options.work:
            work = open_directory(self.options.work)
            self.own.append(work)
        opts = fields(self.options, images, work)
        config = config_file(self.record)
        if config:
            opts["config_file"] = config
        inherited: list[dict[str, Any]] = []
        for kind, path in [(space.type, space.path) for space in joined(self.record.config)]:
            if kind in (NEWNET, NEWPID):
                inherited.append({"key": external_key(kind), "fd": self._lend(_open(path))})
            else:
                space = {"ns": PROC_NAMES[kind], "ns_file": path}
                opts.setdefault("join_ns", []).append(space)
        # CRIU has the standard streams as its own.
        for fd, key in enumerate(_descriptors(images)):
            # What is not of the container is that of the caller now.
            if "pipe:" in key or key.startswith(("file[", "tty[")):
                inherited.append({"key": key.lstrip("/"), "fd": fd})
        opts["inherit_fd"] = inherited
        config_mounts = [
            one.copy(destination=destination_inside(self.record.rootfs, one.destination))
            for one in self.record.config.mounts
        ]
        found = mounts.own_sources(self.record.config)
        found.update(mounts.sources(config_mounts, mounts_of(posix.getpid())))
        opts["ext_mnt"] = [{"key": place, "val": source} for place, source in found.items()]
        return opts

    def _lend(self, fd: int) -> int:
        """Its number in CRIU."""
        self.own.append(fd)
        self.further.append(fd)
        return _FIRST + len(self.further) - 1

    # --- what there has to be before ---

    def _make_groups(self) -> None:
        if self.manager is None:
            return
        self.context = Context()
        self.context.values["ledger"] = self.ledger
        self.context.values["own processes"] = own_processes
        try:
            perform(self.manager.create_steps(), self.context)
        except BaseException as error:
            self._undo(error)
            raise

    def _enter_groups(self, pid: int, pidfd: int) -> list[dict[str, str]]:
        """Put CRIU, and so what it makes, into the groups; the roots of these, for CRIU."""
        if self.manager is None or self.ledger is None:
            return []
        self.context.pid, self.context.values["pidfd"] = pid, pidfd
        perform(self.manager.attach_steps(), self.context)
        perform(self.manager.join_steps(), self.context)
        own, paths = self.ledger.own(), self.manager.paths()
        self.record.cgroup_paths = {name: paths[name] for name in paths if paths[name] in own}
        from ..cgroups.layout import parse_own

        with open(procfs.path(pid, "cgroup"), encoding="utf-8", errors="surrogateescape") as file:
            found = parse_own(file.read())
        return [{"ctrl": name, "path": path} for name, path in found.items()]

    def _undo(self, error: BaseException) -> None:
        for failure in self.ledger.undo() if self.ledger is not None else ():
            note(error, failure)

    def _make_places(self) -> None:
        """Mount points that the rootfs lacks; what is on another mount, CRIU makes again."""
        config = self.record.config
        fd = posix.open(self.record.rootfs, posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
        try:
            places = [destination_inside(self.record.rootfs, m.destination) for m in config.mounts]
            for place, one in zip(places, config.mounts):
                above = [other for other in places if place.startswith(f"{other.rstrip('/')}/")]
                if place == "/" or any(other != "/" for other in above):
                    continue
                directory = one.device != "bind" or is_directory(one.source)
                posix.close(make_in_root(fd, place, directory=directory))
        except OSError as error:
            text = f"cannot make the mount point {place!r} in the rootfs: {error.strerror}"
            raise Error(text) from error
        finally:
            posix.close(fd)

    # --- CRIU ---

    def _ask(self, opts: dict[str, Any]) -> None:
        given = (self.process.stdin, self.process.stdout, self.process.stderr)
        streams = [
            number if one is None else one if isinstance(one, int) else one.fileno()
            for number, one in enumerate(given)
        ]
        try:
            with Criu(streams, self.further) as criu:
                self.criu = criu
                opts["cg_root"] = self._enter_groups(criu.pid, criu.pidfd)
                criu.ask("RESTORE", {"opts": opts}, self._notified, self.waiting)
            if self.child is None:
                raise CriuFailed("CRIU has not said what it has restored")
        except BaseException as error:
            if self.child is not None:
                self.child.end()
            if isinstance(error, CriuFailed):
                directory = self.options.work or self.options.images
                raise failed("restore", self.record.id, error, directory, RESTORE_LOG) from error
            raise
        first = self.record.pid, self.record.start, self.record.inode
        child, holdings = self.child, self.holdings
        self.process._child = child
        holdings.adopt(child)
        if holdings.keeps_status:
            child.on_exit = lambda state: record_exit(holdings, first, state)

    def _notified(self, script: str, pid: int, fds: list[int]) -> None:
        if script == "setup-namespaces":
            self._run_hooks(pid)
        elif script == "orphan-pts-master":
            self._send_console(fds)
        elif script == "post-restore":
            self._restored(pid)
        elif script == "pre-resume":
            self._check_confinement()

    def _run_hooks(self, pid: int) -> None:
        if {"prestart", "create_runtime"}.isdisjoint(self.record.hooks):
            return
        from .hooks import run_before_restore

        run_before_restore(self.holdings, pid)

    def _send_console(self, fds: list[int]) -> None:
        console = self.process.console_socket
        if console is None or not fds:
            return
        send_descriptor(console if isinstance(console, int) else console.fileno(), fds[0], b"pty")

    def _restored(self, pid: int) -> None:
        """All is there, and about to go on: the container is what its state says from here on."""
        record = self.record
        try:
            self.child = Child(pid, pidfds.open_child(pid))
            record.start, record.inode = marks_of(pid)
        except OSError as error:
            text = f"CRIU tells of the process {pid}, which is none that it has made here"
            raise CriuFailed(text) from error
        record.pid = pid
        record.boot = boot_id()
        record.status, record.exit_status = CREATED, None
        record.namespaces = namespaces_of(pid)
        record.process = self.process.defaults().to_dict()
        self.held.write(record)

    def _check_confinement(self) -> None:
        """Before it goes on; CRIU gives it profiles and labels last."""
        config, child = self.record.config, self.child
        wanted = {
            "apparmor": self.process.apparmor_profile or config.apparmor_profile,
            "selinux": self.process.label or config.process_label,
        }
        module, _, name = self.options.lsm_profile.partition(":")
        if name:
            wanted[module] = name
        missing = lost(child.pid, wanted) if child is not None else ""
        if child is not None and missing:
            # CRIU would let all go on, or wait for ever for what is traced: it is to end, too.
            child.signal(_signal.SIGKILL)
            self.criu.kill()
            text = "it was made without, or CRIU is built without support for it"
            raise Error(f"cannot restore container {self.record.id!r} with {missing}: {text}")


def bind_root(directory: Directory, rootfs: str) -> str:
    """Bind the rootfs to a mount point of its own, from which nothing goes back to the rootfs.

    CRIU has the container's root receive mounts by way of this one, so it may not be private.
    """
    path = f"{directory.path}/{CRIU_ROOT}"
    try:
        posix.mkdir(path, 0o700)
        mount(rootfs, path, flags=MS_BIND | MS_REC)
        mount(None, path, flags=MS_SLAVE | MS_REC)  # of the host, as far as that shares
        mount(None, path, flags=MS_SHARED)
    except OSError as error:
        unbind_root(directory)
        raise Error(f"cannot bind {rootfs!r} to {path!r}: {error.strerror}") from error
    return path


def _open(path: str) -> int:
    try:
        return posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError as error:
        raise Error(f"cannot open the namespace {path!r}: {error.strerror}") from error


def _descriptors(images: int) -> list[str]:
    """What the standard streams were."""
    try:
        fd = posix.open(
            DESCRIPTORS, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK, dir_fd=images
        )
    except OSError as error:
        text = f"cannot open {DESCRIPTORS} of the checkpoint: {error.strerror}"
        raise Error(f"{text} (is it one of libct's or runc's, and no --pre-dump?)") from error
    try:
        if not stat.S_ISREG(posix.fstat(fd).st_mode):
            raise Error(f"{DESCRIPTORS} of the checkpoint is not a file")
        found = jsontext.loads(posix.read(fd, _MOST), DESCRIPTORS)
    finally:
        posix.close(fd)
    if not isinstance(found, list) or not all(map(is_text, found)):
        raise Error(f"{DESCRIPTORS} of the checkpoint is not a list of names")
    return found[:3]
