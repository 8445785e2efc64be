"""How far a checkpoint or a restore is, in a line, once it has taken a while.

CRIU tells nobody how much there is to do.  So it is what can be seen: the time, how much memory
is in the images, and the last line of CRIU's log.
"""

from __future__ import annotations

import posix
import time

from ..loading.paths import join
from .log import last_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Progress = Callable[[str], object]

QUIET = 2.0  # seconds; what takes no longer is not worth a word
_UNITS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def watch(show: Progress, images: str, work: str, log: str) -> Callable[[], None]:
    """What is to be called now and then: it calls show with a line.

    images, work: the directories of the images and of the log, whose name is log.
    """
    began = time.monotonic()

    def look() -> None:
        seconds = time.monotonic() - began
        if seconds < QUIET:
            return
        parts = [f"{seconds:.0f} s", f"{size(_written(images))} of memory in the images"]
        said = last_line(work or images, log)
        show(", ".join(parts) + (f"; CRIU: {said}" if said else ""))

    return look


def size(count: int) -> str:
    """Bytes for people: 12.3 MiB."""
    for unit, name in _UNITS:
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} bytes"


def _written(images: str) -> int:
    found = 0
    try:
        for name in posix.listdir(images):
            if name.startswith("pages-"):
                found += posix.stat(join(images, name)).st_size
    except OSError:
        pass  # it is for people, and CRIU will tell
    return found
