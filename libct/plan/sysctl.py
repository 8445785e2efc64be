"""Kernel parameters of the container's namespaces (config-linux.md, Sysctl).

Which keys belong to a namespace of the container, and may be set, is for
validation to say.
"""

from __future__ import annotations

from ..config.sysctl import sysctl_path
from ..errors import ConfigError, Finding
from .calls import open_proc_call, quote
from .step import Performers, Step, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..attributes import sysctl
    from ..config import Config
else:
    sysctl = Performers("attributes.sysctl")


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


@operation(sysctl.write_sysctl, "write {1} to /proc/sys/{0}")
def write_sysctl(path: str, value: str) -> list[str]:
    return [
        open_proc_call("sys/" + path, "O_WRONLY"),
        "fstatfs(PROC_SUPER_MAGIC)",
        f"write({quote(value)})",
    ]
