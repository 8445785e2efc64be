"""Kernel parameters of the container's namespaces (config-linux.md, Sysctl)."""

from __future__ import annotations

from .procfs import write_proc_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context


def write_sysctl(context: Context, path: str, value: str) -> None:
    """path: below /proc/sys.  The host's /proc shows the parameters of who looks."""
    write_proc_file(context.fds["proc"], "sys/" + path, value)
