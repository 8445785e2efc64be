"""What a configuration asks of control groups: limits, device access, a path."""

from __future__ import annotations

from ..errors import CgroupError
from ..loading.paths import join

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.cgroup import Cgroup, Resources

    # What is wrong, and where: (place in the configuration, message).
    Problem = tuple[str, str]

    # The default, "deny" or "allow", and exceptions like "c 1:3 rwm" (devices.rules).
    DeviceAccess = tuple[str, tuple[str, ...]]

PATH_PLACE = "linux.cgroupsPath"


def place(name: str) -> str:
    """Where a configuration sets a limit: place("pids.limit")."""
    return f"linux.resources.{name}"


def refuse(problems: list[Problem]) -> None:
    """Raise CgroupError with all problems, if there are any."""
    if problems:
        raise CgroupError("; ".join(f"{where}: {what}" for where, what in problems))


def start_problems(resources: Resources) -> list[Problem]:
    """What is asked of a container that lives, and cannot be of one that is to start."""
    if resources.freezer == "FROZEN":
        return [("freezer", "a container cannot start frozen: pause it once it runs")]
    return []


def group_path(cgroup: Cgroup, container_id: str) -> tuple[str, list[Problem]]:
    """The path that the configuration asks for, normalised; absolute or relative."""
    # A name where the caller gives none: what is nobody else's at the top of a hierarchy.
    unnamed = not cgroup.name and not cgroup.parent
    name = f"libct-{container_id}" if unnamed else cgroup.name or container_id
    path = cgroup.path or join(cgroup.parent, name)
    names = [name for name in path.split("/") if name not in ("", ".")]
    problems = []
    if ".." in names:
        problems.append((PATH_PLACE, f"has '..': {path!r}"))
    elif not names:
        problems.append((PATH_PLACE, f"names no group below the root: {path!r}"))
    if "\n" in path or "\0" in path:
        problems.append((PATH_PLACE, f"has a line break or a NUL: {path!r}"))
    return "/" * path.startswith("/") + "/".join(names), problems


def device_access(resources: Resources) -> tuple[DeviceAccess | None, list[Problem]]:
    """The rules of access to devices as the minimal list that says the same.

    Gives ("deny" or "allow", exceptions like "c 1:3 rwm") or None for no
    control, and what is wrong with the rules.  Those that every container has
    (devices.DEFAULT_RULES) are applied after the configuration's, of which
    there may be none: nothing else is allowed then.

    This is the one place that copes with a copy of libct without
    libct.cgroups.devices: it cannot control devices, so rules are refused.
    """
    if resources.skip_devices:
        return None, []
    try:
        from .devices import rules
    except ModuleNotFoundError as error:
        if error.name != f"{__package__}.devices":
            raise
        if not resources.devices:
            return None, []
        what = f"this copy of libct cannot apply device rules: it has no {error.name}"
        return None, [(place("devices"), what)]
    access, problems = rules.resolve(resources.devices)
    return access, [(place(f"devices[{index}]"), what) for index, what in problems]
