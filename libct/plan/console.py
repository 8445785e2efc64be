"""The terminal of a container."""

from __future__ import annotations

from .step import Performers, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..rootfs import console
else:
    console = Performers("rootfs.console")


@operation(console.make_console, "make the terminal")
def make_console(rows: int, columns: int, bind_console: bool, onlcr: bool = True) -> list[str]:
    calls = ['openat2("/dev/pts/ptmx", O_PATH, RESOLVE_IN_ROOT)']
    calls += ['openat("self/fd/", O_RDWR|O_NOCTTY)']
    calls += ["ioctl(TIOCSPTLCK)", "ioctl(TIOCGPTPEER)"]
    if not onlcr:
        calls += ["ioctl(TCGETS)", "ioctl(TCSETS, {c_oflag=~ONLCR})"]
    if rows or columns:
        calls.append("ioctl(TIOCSWINSZ)")
    if bind_console:
        calls.append('openat2("/dev/console", O_PATH, RESOLVE_IN_ROOT)')
        calls.append('move_mount("", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)')
    return [*calls, "sendmsg(SCM_RIGHTS)"]


@operation(console.control_terminal, "make the terminal the controlling one")
def control_terminal() -> list[str]:
    return ["ioctl(TIOCSCTTY)"]
