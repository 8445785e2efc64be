"""The facts of the host that plans depend on, gathered once and then only looked at."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..cgroups.layout import Layout


class Host:
    """Facts, as plain values; a test makes one for a machine that it is not on.

    euid, egid: the runtime's ids.
    newuidmap, newgidmap: their absolute paths, or "".
    layout: of the control groups.
    cap_last_cap: the highest capability that the kernel knows.
    cwd: the runtime's working directory.
    """

    __slots__ = ("_layout", "cap_last_cap", "cwd", "egid", "euid", "newgidmap", "newuidmap")

    def __init__(
        self,
        *,
        euid: int = 0,
        egid: int = 0,
        newuidmap: str = "",
        newgidmap: str = "",
        layout: Layout | None = None,
        cap_last_cap: int = 40,
        cwd: str = "/",
    ) -> None:
        self.euid, self.egid, self.cwd = euid, egid, cwd
        self.newuidmap, self.newgidmap = newuidmap, newgidmap
        self.cap_last_cap = cap_last_cap
        self._layout = layout

    @property
    def layout(self) -> Layout:
        """Looked up when it is first asked for: a container without control groups does not."""
        if self._layout is None:
            from ..cgroups.layout import detect

            self._layout = detect()
        return self._layout


def host() -> Host:
    """The facts of this host and this process."""
    euid = os.geteuid()
    return Host(
        euid=euid,
        egid=os.getegid(),
        newuidmap="" if euid == 0 else _which("newuidmap"),
        newgidmap="" if euid == 0 else _which("newgidmap"),
        cap_last_cap=_cap_last_cap(),
        cwd=os.getcwd(),
    )


def _which(program: str) -> str:
    for directory in os.environ.get("PATH", "/usr/bin:/bin").split(":"):
        path = os.path.join(directory, program)
        if directory.startswith("/") and os.access(path, os.X_OK):
            return path
    return ""


def _cap_last_cap() -> int:
    try:
        with open("/proc/sys/kernel/cap_last_cap", "rb", buffering=0) as file:
            return int(file.read())
    except (OSError, ValueError):
        return 40  # CAP_CHECKPOINT_RESTORE, of Linux 5.9
