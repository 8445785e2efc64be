"""The facts of the host that plans depend on, gathered once and then only looked at."""

from __future__ import annotations

import posix

from ..loading.paths import environment
from ..syscalls.userns import in_user_namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..cgroups.layout import Layout


class Host:
    """Facts, as plain values; a test makes one for a machine that it is not on.

    euid, egid: the runtime's ids.
    newuidmap, newgidmap: their absolute paths, or "".
    userns: root's rights are those of a user namespace only.
    layout: of the control groups.
    """

    __slots__ = ("_layout", "egid", "euid", "newgidmap", "newuidmap", "userns")

    def __init__(
        self,
        *,
        euid: int = 0,
        egid: int = 0,
        newuidmap: str = "",
        newgidmap: str = "",
        userns: bool = False,
        layout: Layout | None = None,
    ) -> None:
        self.euid, self.egid = euid, egid
        self.newuidmap, self.newgidmap = newuidmap, newgidmap
        self.userns = userns
        self._layout = layout

    @property
    def layout(self) -> Layout:
        """Looked up when it is first asked for: a container without control groups does not."""
        if self._layout is None:
            from ..cgroups.layout import detect

            self._layout = detect()
        return self._layout


def host(layout: Layout | None = None) -> Host:
    """The facts of this host and this process; layout, where it is known already."""
    euid = posix.geteuid()
    return Host(
        euid=euid,
        egid=posix.getegid(),
        newuidmap="" if euid == 0 else _which("newuidmap"),
        newgidmap="" if euid == 0 else _which("newgidmap"),
        userns=in_user_namespace(),
        layout=layout,
    )


def _which(program: str) -> str:
    for directory in (environment("PATH") or "/usr/bin:/bin").split(":"):
        path = f"{directory}/{program}"
        if directory.startswith("/") and posix.access(path, posix.X_OK):
            return path
    return ""
