"""What a checkpoint, and a restore, may be asked for; and what of it CRIU is told."""

from __future__ import annotations

from ..config.field_types import wrong_types
from ..config.number_lists import whole_number
from ..config.record import Record
from ..errors import ConfigError, Finding
from ..syscalls.constants import CLONE_NEWNET
from .messages import ENUMERATIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Union

    Options = Union["CheckpointOptions", "RestoreOptions"]

_MODES = {name.lower(): ENUMERATIONS["criu_cg_mode"][name] for name in ("SOFT", "FULL", "STRICT")}
_MODES["ignore"] = ENUMERATIONS["criu_cg_mode"]["IGNORE"]
_LOCKS = {name.lower(): number for name, number in ENUMERATIONS["criu_network_lock_method"].items()}
_EMPTY = {"network": CLONE_NEWNET}
LSMS = ("apparmor", "selinux")
_LOG_LEVEL = 4
DUMP_LOG, RESTORE_LOG = "dump.log", "restore.log"


class CheckpointOptions(Record):
    """How a container is written to files.

    images: the directory of the files; made when missing.
    work: that of CRIU's log; images unless given.
    parent: that of an earlier pre-dump, relative to images; pages that it has are left out.
    leave_running: do not end the processes.
    pre_dump: write only the memory, and let the processes run.
    tcp_established: with open TCP connections; tcp_skip_in_flight: without those that are
        being made; tcp_close: restored closed.
    external_unix_connections: with sockets that lead out of the container.
    shell_job: with a terminal that is not the container's own.
    file_locks: with locked files.
    link_remap: with open files that have no name any more.
    auto_dedup: take pages out of earlier images that a later one has.
    lazy_pages: keep the memory for a restore that fetches it when it is used.
    status_fd: a descriptor that gets a zero byte when lazy pages are ready; -1 for none.
    page_server: "ADDRESS:PORT" that the memory is sent to.
    empty_namespaces: those whose contents are left out: "network".
    manage_cgroups_mode: "soft", "full", "strict" or "ignore".
    network_lock: how the network is stopped meanwhile: "iptables", "nftables" or "skip".
    """

    images: str
    work: str = ""
    parent: str = ""
    leave_running: bool = False
    pre_dump: bool = False
    tcp_established: bool = False
    tcp_skip_in_flight: bool = False
    tcp_close: bool = False
    external_unix_connections: bool = False
    shell_job: bool = False
    file_locks: bool = False
    link_remap: bool = False
    auto_dedup: bool = False
    lazy_pages: bool = False
    status_fd: int = -1
    page_server: str = ""
    empty_namespaces: list[str] = []
    manage_cgroups_mode: str = "soft"
    network_lock: str = ""


class RestoreOptions(Record):
    """How a container is made of files; fields that CheckpointOptions has mean the same.

    lsm_profile: "apparmor:NAME" or "selinux:LABEL" in place of the one that it had.
    lsm_mount_context: the SELinux context of its mounts.
    """

    images: str
    work: str = ""
    tcp_established: bool = False
    tcp_close: bool = False
    external_unix_connections: bool = False
    shell_job: bool = False
    file_locks: bool = False
    auto_dedup: bool = False
    lazy_pages: bool = False
    empty_namespaces: list[str] = []
    manage_cgroups_mode: str = "soft"
    network_lock: str = ""
    lsm_profile: str = ""
    lsm_mount_context: str = ""


# Those that are passed on as they are, by the names that CRIU has for them.
_PLAIN = {
    "leave_running": "leave_running",
    "tcp_established": "tcp_established",
    "tcp_skip_in_flight": "tcp_skip_in_flight",
    "tcp_close": "tcp_close",
    "external_unix_connections": "ext_unix_sk",
    "shell_job": "shell_job",
    "file_locks": "file_locks",
    "link_remap": "link_remap",
    "auto_dedup": "auto_dedup",
    "lazy_pages": "lazy_pages",
    "lsm_profile": "lsm_profile",
    "lsm_mount_context": "lsm_mount_context",
}


def check(options: Options) -> None:
    """Raise ConfigError with everything that is wrong."""
    findings = wrong_types(options)
    if not findings:
        findings = [Finding(place, text) for place, text in _wrong(options)]
    if findings:
        raise ConfigError(findings)


def _wrong(options: Options) -> list[tuple[str, str]]:
    found = []
    for name in type(options).__annotations__:
        value = getattr(options, name)
        if isinstance(value, str) and not is_text(value):
            found.append((name, f"no text for the kernel and CRIU: {value!r}"))
    if not options.images:
        found.append(("images", f"no directory: {options.images!r}"))
    if options.manage_cgroups_mode not in ("", *_MODES):
        text = f"{options.manage_cgroups_mode!r} is none of {', '.join(_MODES)}"
        found.append(("manage_cgroups_mode", f"invalid manage-cgroups-mode value: {text}"))
    if options.network_lock not in ("", *_LOCKS):
        found.append(("network_lock", f"{options.network_lock!r} is none of {', '.join(_LOCKS)}"))
    for name in options.empty_namespaces:
        if name not in _EMPTY:
            found.append(
                ("empty_namespaces", f"{name!r} cannot be left out; {', '.join(_EMPTY)} can")
            )
    if isinstance(options, RestoreOptions):
        module, _, profile = options.lsm_profile.partition(":")
        if options.lsm_profile and (module not in LSMS or not profile):
            text = f"not apparmor:NAME or selinux:LABEL: {options.lsm_profile!r}"
            found.append(("lsm_profile", text))
    if isinstance(options, CheckpointOptions):
        if options.parent.startswith("/"):
            found.append(("parent", f"not relative to the images: {options.parent!r}"))
        if options.page_server and _page_server(options.page_server) is None:
            found.append(("page_server", f"not ADDRESS:PORT: {options.page_server!r}"))
        if options.pre_dump and options.lazy_pages:
            found.append(("lazy_pages", "not with pre_dump"))
        if options.status_fd >= 0 and not options.lazy_pages:
            found.append(("status_fd", "only with lazy_pages"))
    return found


def is_text(value: object) -> bool:
    """Whether it can be a path, and text in a message: without NUL and halves of characters."""
    try:
        return isinstance(value, str) and b"\0" not in value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False


def fields(options: Options, images: int, work: int) -> dict[str, Any]:
    """Of a request's opts, those that follow from options alone.

    images, work: descriptors of the directories; work is -1 where it is images.
    """
    dumps = isinstance(options, CheckpointOptions)
    found: dict[str, Any] = {
        "images_dir_fd": images,
        "log_level": _LOG_LEVEL,
        "log_file": DUMP_LOG if dumps else RESTORE_LOG,
        "manage_cgroups": True,
        "manage_cgroups_mode": _MODES[options.manage_cgroups_mode or "soft"],
        "notify_scripts": True,
        "orphan_pts_master": True,
    }
    for name, theirs in _PLAIN.items():
        value = getattr(options, name, False)
        if value:
            found[theirs] = value
    if work >= 0:
        found["work_dir_fd"] = work
    if options.network_lock:
        found["network_lock"] = _LOCKS[options.network_lock]
    empty = sum(_EMPTY[name] for name in set(options.empty_namespaces))
    if empty:
        found["empty_ns"] = empty
    if isinstance(options, CheckpointOptions):
        if options.page_server:
            found["ps"] = _page_server(options.page_server)
        if options.parent:
            found["parent_img"] = options.parent
        if options.parent or options.pre_dump:
            found["track_mem"] = True
    else:
        found["evasive_devices"] = found["rst_sibling"] = True
    return found


def _page_server(text: str) -> dict[str, Any] | None:
    address, _, port = text.rpartition(":")
    number = whole_number(port, 65535)
    if not address or not number:
        return None
    return {"address": address.strip("[]"), "port": number}
