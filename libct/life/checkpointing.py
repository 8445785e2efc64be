"""Checkpoints: a container's processes are written to files by CRIU, and end or run on.

What a checkpoint consists of is CRIU's images, and beside them descriptors.json: what the
three standard streams of the first process are, as runc writes it.
"""

from __future__ import annotations

import posix
import stat

from ..checkpoint import installed, mounts
from ..checkpoint.log import last_errors
from ..checkpoint.options import DUMP_LOG, CheckpointOptions, check, fields
from ..checkpoint.rpc import Criu, CriuFailed
from ..config.annotations import CRIU_CONFIG, annotation
from ..config.namespace import (
    NEWCGROUP,
    NEWNET,
    NEWNS,
    NEWPID,
    NEWTIME,
    NEWUSER,
    PROC_NAMES,
    SPEC_NAMES,
)
from ..errors import ConfigError, Error, Finding, Unsupported
from ..loading import jsontext
from ..loading.clock import backoff
from ..loading.paths import absolute
from ..syscalls import procfs
from ..syscalls.userns import in_user_namespace
from . import rules
from .killing import wait_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..checkpoint.options import RestoreOptions
    from ..checkpoint.progress import Progress
    from ..config import Config
    from ..config.namespace import Namespace
    from .holdings import Holdings
    from .record import Record

DESCRIPTORS = "descriptors.json"
_CONFIG_FILE = "/etc/criu/runc.conf"  # what engines' users have configured
# It joins no control group and time namespace.  In a mount namespace it would make all mounts
# again, and a user namespace it enters too late (CRIU 3.17: setns, operation not permitted).
_NOT_JOINED = (NEWCGROUP, NEWNS, NEWTIME, NEWUSER)
_ENDS = 10.0  # seconds that the processes may take to be gone


def checkpoint(
    holdings: Holdings, options: CheckpointOptions, progress: Progress | None = None
) -> None:
    """Container.checkpoint(), within deferred(); the container is as it was where it fails."""
    check(options)
    _require_open(options.status_fd)
    require_root("checkpoint")
    record = holdings.refresh()
    refuse(record.config, empty=bool(options.empty_namespaces))
    installed.require_network_lock(installed.version(), options.network_lock)
    features = ["mem_track"] if options.pre_dump or options.parent else []
    installed.require_features([*features, *(["lazy_pages"] if options.lazy_pages else [])])
    with holdings.directory.lock():
        record = holdings.refresh()
        rules.require("checkpoint", holdings.live_status(), holdings.id)
        pidfd = holdings.open_init()
        try:
            _dump(holdings, record, options, progress)
            if not options.leave_running and not options.pre_dump:
                _await_end(holdings, pidfd)
        finally:
            posix.close(pidfd)


def _require_open(status_fd: int) -> None:
    """That it could not be written to would be seen when all is over."""
    if status_fd >= 0:
        try:
            posix.fstat(status_fd)
        except (OSError, OverflowError) as error:
            text = f"descriptor {status_fd} is not open"
            raise ConfigError([Finding("status_fd", text)]) from error


def require_root(verb: str) -> None:
    if posix.geteuid() != 0 or in_user_namespace():
        raise Unsupported(f"cannot {verb} a container as an ordinary user: CRIU needs to be root")


def refuse(config: Config, *, empty: bool) -> None:
    """Raise Unsupported for what a restored container would not have any more.

    empty: without what is in its network namespace.
    """
    findings = []
    if config.landlock is not None:
        text = "CRIU does not restore what Landlock forbids"
        findings.append(Finding("annotations: Landlock", text))
    if config.intel_rdt is not None:
        findings.append(Finding("linux.intelRdt", "not supported with checkpoints"))
    for index, mount in enumerate(config.mounts):
        if mount.id_mapping is not None:
            text = "CRIU does not restore mounts with mapped ids"
            findings.append(Finding(f"mounts[{index}]", text))
    for index, space in enumerate(config.namespaces):
        if space.path and space.type in _NOT_JOINED:
            text = f"CRIU joins no {SPEC_NAMES[space.type]} namespace"
            findings.append(Finding(f"linux.namespaces[{index}].path", text))
    if not empty and (config.net_devices or any(one.type == "veth" for one in config.networks)):
        text = "its network devices lead out of it: leave the network out (empty namespace)"
        findings.append(Finding("network devices", text))
    if findings:
        raise Unsupported(findings)


def config_file(record: Record) -> str:
    """CRIU's own configuration file: that of the annotation, where "" is for none at all."""
    named = annotation(record.config, CRIU_CONFIG)
    return _CONFIG_FILE if named is None else named


def open_directory(path: str, *, make: bool = True) -> int:
    """A descriptor of a directory of images or logs."""
    try:
        if make:
            try:
                posix.mkdir(path, 0o700)
            except FileExistsError:
                pass
        return posix.open(path, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    except OSError as error:
        raise Error(f"cannot open the directory {path!r}: {error.strerror}") from error


def mounts_of(pid: int) -> list[mounts.Mounted]:
    with open(procfs.path(pid, "mountinfo"), encoding="utf-8", errors="surrogateescape") as file:
        return mounts.parse(file.read())


def external_key(kind: str) -> str:
    """What CRIU is to call a namespace that is not the container's own; runc's words."""
    return f"extRoot{PROC_NAMES[kind].title()}NS"


def joined(config: Config) -> list[Namespace]:
    return [space for space in config.namespaces if space.path]


def failed(verb: str, container_id: str, error: CriuFailed, directory: str, log: str) -> Error:
    """The error of a checkpoint or a restore, with what CRIU has to say of it."""
    said = f": {error.said}" if error.said else ""
    text = f"cannot {verb} container {container_id!r}: {error}{said}"
    return Error(text + last_errors(absolute(directory), log))


def watched(
    progress: Progress | None, options: CheckpointOptions | RestoreOptions, log: str
) -> Callable[[], None] | None:
    """What is to be called while CRIU works."""
    if progress is None:
        return None
    from ..checkpoint.progress import watch

    return watch(progress, options.images, options.work, log)


def _dump(
    holdings: Holdings,
    record: Record,
    options: CheckpointOptions,
    progress: Progress | None,
) -> None:
    images, work = open_directory(options.images), -1
    try:
        if options.work:
            work = open_directory(options.work)
        opts = {**fields(options, images, work), **_of_container(record)}
        config = config_file(record)
        if config:
            opts["config_file"] = config
        if not options.pre_dump:
            mounted = mounts_of(record.pid)
            places = mounts.external(mounted, mounts_of(posix.getpid()))
            opts["ext_mnt"] = [{"key": place, "val": place} for place in places]
            names, files = _streams(record.pid, {one.number for one in mounted})
            opts["external"] = [*opts.get("external", ()), *files]
            _write(images, options.images, jsontext.dumps(names))
        kind = "PRE_DUMP" if options.pre_dump else "DUMP"

        def notified(script: str, pid: int, fds: list[int]) -> None:
            if script == "status-ready" and options.status_fd >= 0:
                posix.write(options.status_fd, b"\0")

        with Criu() as criu:
            criu.ask(kind, {"opts": opts}, notified, watched(progress, options, DUMP_LOG))
    except CriuFailed as error:
        directory = options.work or options.images
        raise failed("checkpoint", holdings.id, error, directory, DUMP_LOG) from error
    finally:
        for fd in (images, work):
            if fd >= 0:
                posix.close(fd)


def _of_container(record: Record) -> dict[str, Any]:
    found: dict[str, Any] = {"pid": record.pid, "root": record.rootfs}
    groups = record.cgroup_paths or {}
    frozen = groups.get("freezer") or groups.get("")
    if frozen:
        found["freeze_cgroup"] = frozen
    for space in joined(record.config):
        if space.type in (NEWNET, NEWPID):
            name = PROC_NAMES[space.type]
            inode = posix.stat(procfs.path(record.pid, f"ns/{name}")).st_ino
            found.setdefault("external", []).append(f"{name}[{inode}]:{external_key(space.type)}")
    return found


def _streams(pid: int, numbers: set[int]) -> tuple[list[str], list[str]]:
    """What the standard streams are, for descriptors.json; and those that CRIU is told of.

    numbers: of the container's mounts.  A file or a terminal on another one is the caller's.
    """
    names, files = [], []
    for fd in range(3):
        path = procfs.path(pid, f"fd/{fd}")
        try:
            name, found = posix.readlink(path), posix.stat(path)
            with open(procfs.path(pid, f"fdinfo/{fd}"), encoding="ascii") as file:
                lines = dict(line.split(":", 1) for line in file.read().splitlines() if ":" in line)
        except FileNotFoundError:
            names.append("")  # it has closed it
            continue
        mount = int(lines["mnt_id"])
        if mount not in numbers and stat.S_ISREG(found.st_mode):
            name = mounts.file_key(mount, found.st_ino)
            files.append(name)
        elif mount not in numbers and _is_terminal(found):
            name = mounts.terminal_key(found.st_rdev, found.st_dev)
            files.append(name)
        names.append(name)
    return names, list(dict.fromkeys(files))


def _is_terminal(found: posix.stat_result) -> bool:
    """/dev/pts/N, which has the major numbers from 136 to 143, or /dev/ttyN."""
    major = posix.major(found.st_rdev)
    return stat.S_ISCHR(found.st_mode) and (major in (4, 5) or 136 <= major <= 143)


def _write(directory: int, images: str, text: str) -> None:
    """Write descriptors.json; images is the directory's path."""
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_NOFOLLOW | posix.O_CLOEXEC
    try:
        fd = posix.open(DESCRIPTORS, flags, 0o600, dir_fd=directory)
        try:
            posix.write(fd, text.encode("utf-8", "surrogateescape"))
        finally:
            posix.close(fd)
    except OSError as error:
        raise Error(f"cannot write {DESCRIPTORS} to {images!r}: {error.strerror}") from error


def _await_end(holdings: Holdings, pidfd: int) -> None:
    """CRIU has ended the processes; the first one is gone once it has been waited for."""
    waiting = backoff(_ENDS)
    while not wait_for(pidfd, 100):
        holdings.reap_further()
        if not next(waiting):
            raise Error(
                f"container {holdings.id!r}: its process has not ended after the checkpoint"
            )
