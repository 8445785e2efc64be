"""As LXCFS does it, which makes up the whole file."""

from pathlib import Path

from libct.syscalls.constants import MS_BIND
from libct.syscalls.mounts import mount


def exercise(host: object) -> None:
    Path("/tmp/meminfo").write_text("MemTotal: 1048576 kB\n")
    mount("/tmp/meminfo", "/proc/meminfo", flags=MS_BIND)
