"""The state of a container as libcontainer has it: where its parts are on this host."""

from __future__ import annotations

from ..config import Config
from ..config.namespace import PROC_NAMES
from ..config.record import Record
from ..loading.paths import fsdecode
from ..syscalls import procfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .holdings import Holdings


class State(Record):
    """libcontainer's State, in snake_case.  Container.state() gives the runtime-spec's."""

    id: str
    config: Config
    init_process_pid: int = 0  # in the pid namespace of who has created it; 0: it has ended
    init_process_start: int = 0  # clock ticks after the boot, field 22 of /proc/PID/stat
    created: str = ""  # RFC 3339
    rootless: bool = False
    cgroup_paths: dict[str, str] = {}  # v1 controller -> directory; "" is v2
    namespace_paths: dict[str, str] = {}  # "NEWNET" -> "/proc/PID/ns/net", while it lives
    external_descriptors: list[str] = []  # what stdin, stdout and stderr are, while it lives
    intel_rdt_path: str = ""


def current(holdings: Holdings) -> State:
    """What it is just now."""
    record = holdings.record
    alive = record.alive
    found = State(
        id=record.id,
        created=record.created,
        config=record.config,
        rootless=record.config.rootless_euid,
        cgroup_paths=dict(record.cgroup_paths or {}),
    )
    if alive:
        pid = found.init_process_pid = record.pid
        found.init_process_start = record.start
        found.namespace_paths = {
            kind: procfs.path(pid, f"ns/{name}") for kind, name in PROC_NAMES.items()
        }
        found.external_descriptors = _descriptors(pid)
    return found


def _descriptors(pid: int) -> list[str]:
    """As libcontainer keeps them: what the links of the three in /proc say."""
    import posix

    try:
        return [fsdecode(posix.readlink(procfs.path(pid, f"fd/{fd}").encode())) for fd in range(3)]
    except OSError:
        return []  # it has closed one, or is not ours to look at
