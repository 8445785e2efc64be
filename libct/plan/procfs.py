"""The host's /proc, which the files of a process are reached through."""

from __future__ import annotations

from .step import Performers, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..attributes import procfs
else:
    procfs = Performers("attributes.procfs")


@operation(procfs.open_proc, "open the host's /proc")
def open_proc() -> list[str]:
    return ['openat("/proc", O_PATH|O_DIRECTORY|O_CLOEXEC)', "fstatfs(PROC_SUPER_MAGIC)"]
