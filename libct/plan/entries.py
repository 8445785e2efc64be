"""Directories, links and files that are made in a rootfs (Config.entries)."""

from __future__ import annotations

from ..loading.paths import split
from .paths import inside
from .root import make_directory
from .step import Performers, Step, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config import Config
    from ..rootfs import entries
else:
    entries = Performers("rootfs.entries")


def entry_steps(config: Config) -> list[Step]:
    steps = []
    for index, entry in enumerate(config.entries):
        path, why = inside(entry.path), f"entries[{index}]"
        if entry.kind in ("directory", "empty"):
            steps.append(make_directory(path, why=why))
        elif entry.kind == "link":
            steps.append(link_entry(path, entry.content, why=why))
        else:
            steps.append(file_entry(path, entry.content, why=why))
    return steps


@operation(entries.link_entry, "make the link {0}")
def link_entry(path: str, target: str) -> list[str]:
    above, name = split(path)
    return [f'openat2("{above}", O_PATH, RESOLVE_IN_ROOT)', f'symlinkat("{target}", "{name}")']


@operation(entries.file_entry, "make the file {0}")
def file_entry(path: str, content: str) -> list[str]:
    above, name = split(path)
    flags = "O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW|O_CLOEXEC"
    return [
        f'openat2("{above}", O_PATH, RESOLVE_IN_ROOT)',
        f'openat("{name}", {flags})',
        *(["write()"] if content else []),
    ]
