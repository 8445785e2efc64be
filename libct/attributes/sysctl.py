"""Kernel parameters of the container's namespaces (config-linux.md, Sysctl).

Which keys belong to a namespace of the container, and may be set, is for
validation to say.
"""

from __future__ import annotations

from ..errors import ConfigError, Finding
from ..plan.step import Step, operation
from ..syscalls.flags import quote
from .procfs import open_call, write_proc_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context
    from ..config import Config


def sysctl_path(key: str) -> str:
    """The path below /proc/sys of a key in either form, as sysctl(8) reads it.

    The first separator decides: "net.ipv4.conf.eth0/1.forwarding" is dotted, and
    its slash means a dot of the name; "net/ipv4/conf/eth0.1/forwarding" is a path.

    ValueError: no name between two separators, or "." or "..".
    """
    dot, slash = key.find("."), key.find("/")
    path = key
    if dot >= 0 and (slash < 0 or dot < slash):
        path = key.replace("/", "\0").replace(".", "/").replace("\0", ".")
    if "\0" in key or any(part in ("", ".", "..") for part in path.split("/")):
        raise ValueError(f"not a kernel parameter: {key!r}")
    return path


def sysctl_steps(config: Config) -> list[Step]:
    """For the first process, in its namespaces and before /proc/sys turns read-only."""
    steps = []
    for key, value in config.sysctl.items():
        place = f"linux.sysctl.{key}"
        try:
            steps.append(write_sysctl(sysctl_path(key), value, why=place))
        except ValueError as error:
            raise ConfigError([Finding(place, str(error))]) from None
    return steps


@operation("write {1} to /proc/sys/{0}")
def write_sysctl(context: Context, path: str, value: str) -> None:
    """path: below /proc/sys.  The host's /proc shows the parameters of who looks."""
    write_proc_file(context.fds["proc"], "sys/" + path, value)


@write_sysctl.calls
def _(path: str, value: str) -> list[str]:
    return [
        open_call("sys/" + path, "O_WRONLY"),
        "fstatfs(PROC_SUPER_MAGIC)",
        f"write({quote(value)})",
    ]
