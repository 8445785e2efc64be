"""A disk of a test's own: a loop device."""

from __future__ import annotations

import contextlib
import mmap
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .names import unique

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SIZE = 32 << 20


@contextlib.contextmanager
def loop_device(scheduler: str = "") -> Iterator[tuple[str, int, int]]:
    """Path, major and minor number of a loop device.

    scheduler: of its input and output; "" for the kernel's choice.
    """
    with tempfile.NamedTemporaryFile(prefix=unique("disk")) as file:
        file.truncate(_SIZE)
        device = subprocess.run(
            ["/sbin/losetup", "--find", "--show", file.name],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        try:
            if scheduler:
                queue = Path("/sys/block", os.path.basename(device), "queue/scheduler")
                queue.write_text(scheduler)
            number = os.stat(device).st_rdev
            yield device, os.major(number), os.minor(number)
        finally:
            subprocess.run(["/sbin/losetup", "--detach", device], check=True)


def write_directly(device: str, size: int) -> bool:
    """Write to a device past the page cache, so that the writer is who waits."""
    piece = mmap.mmap(-1, 1 << 16)
    fd = os.open(device, os.O_WRONLY | os.O_DIRECT)
    try:
        for _ in range(size >> 16):
            os.write(fd, piece)
    finally:
        os.close(fd)
    return True


def took(act: Callable[[], object]) -> float:
    """For how many seconds it acts."""
    start = time.monotonic()
    act()
    return time.monotonic() - start
