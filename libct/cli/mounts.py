"""libct mounts: add mounts to a container that runs, and remove them, as crun does."""

from __future__ import annotations

from ..errors import ConfigError, Error, Finding, note
from ..life.container import load
from ..oci.load import read_mounts
from ..oci.reader import show
from .removal import warn
from .update import read_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .options import Arguments


def main(arguments: Arguments) -> int:
    what, container_id, path = arguments.operands
    if what not in ("add", "remove"):
        raise Error(f"mounts: neither add nor remove: {what!r}")
    container = load(arguments.root, container_id)
    values = read_json(path, "mounts")
    if isinstance(values, dict):
        values = values.get("mounts")
    if not isinstance(values, list):
        raise ConfigError([Finding(path, f"not a list of mounts: {show(values)}")])
    mounts = read_mounts(values, container.config)
    if what == "remove":
        for mount in reversed(mounts):
            container.remove_mount(mount.destination)
        return 0
    added = []
    try:
        for mount in mounts:
            container.add_mount(mount)
            added.append(mount.destination)
    except BaseException as error:
        for destination in reversed(added):
            try:
                container.remove_mount(destination)
            except Error as failure:
                note(error, str(failure))
        raise
    warn(arguments, container)
    return 0
