"""The steps that limit control groups, on the runtime's side."""

from __future__ import annotations

import errno

from ..errors import StepProblem
from ..loading.paths import exists, split
from . import files
from .files import REFUSALS, hinted
from .steps import refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context


def cgroup_write(context: Context, path: str, value: str, if_there: int = 0) -> None:
    """Write a setting.  if_there: a file that is not there has nothing to be set."""
    try:
        files.write(path, value)
    except OSError as error:
        if not if_there or not isinstance(error, FileNotFoundError):
            raise _refined(path, error) from None


def cgroup_write_group(
    context: Context, directory: str, settings: tuple[tuple[str, str, int], ...]
) -> None:
    """Write settings, (file, value, if_there) each, that are judged by each other's present values.

    What is refused with EINVAL is written again after the others: a limit of
    memory above that of memory and swap, a period or burst the old quota does not fit.
    """
    left = settings
    while left:
        refused = []
        for file, value, if_there in left:
            try:
                cgroup_write(context, f"{directory}/{file}", value, if_there)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                refused.append((file, value, if_there))
                problem = error
        if len(refused) == len(left):
            raise problem
        left = tuple(refused)


def cgroup_write_first(
    context: Context, directory: str, choices: tuple[tuple[str, str], ...]
) -> None:
    """Write the first of these, (file, value) each, whose file is there."""
    *_, last = choices
    for file, value in choices:
        path = f"{directory}/{file}"
        if (file, value) == last or exists(path):
            cgroup_write(context, path, value)
            return


def cgroup_cpuset_v1(
    context: Context, mount: str, below: str, cpus: str, mems: str, prefix: str, optional: int
) -> None:
    """Fill a new v1 cpuset, which is empty and takes no process so.

    cpus, mems: "" to take over those of the level above, as is done first for
    empty levels on the way.  prefix: of the files, "cpuset." or "".
    """
    try:
        for file, value in ((f"{prefix}cpus", cpus), (f"{prefix}mems", mems)):
            directory, inherited = mount, ""
            *above, last = below.split("/")
            for name in above:
                upper, directory = directory, f"{directory}/{name}"
                present = files.read(f"{directory}/{file}").strip()
                if not present:
                    inherited = inherited or files.read(f"{upper}/{file}").strip()
                    files.write(f"{directory}/{file}", inherited)
                else:
                    inherited = present
            if not value:
                value = inherited or files.read(f"{directory}/{file}").strip()
            cgroup_write(context, f"{directory}/{last}/{file}", value)
    except OSError as error:
        if not optional or error.errno not in (*REFUSALS, errno.ENOENT):
            raise


def cgroup_check_memory(context: Context, directory: str, limit: int) -> None:
    """Refuse a v2 limit that would kill at once (linux.resources.memory.checkBeforeUpdate)."""
    used = int(files.read(f"{directory}/memory.current"))
    if used > limit:
        raise StepProblem(
            f"the control group uses {used} bytes, more than the new limit of {limit}"
        )


# --- errors ---


def _refined(path: str, error: OSError) -> OSError:
    """The error of a write to a limit, with what is known about it."""
    directory, file = split(path)
    if isinstance(error, FileNotFoundError):
        controller = file.split(".")[0]
        return hinted(
            error,
            f"the {controller} controller is not enabled for this group, or this kernel does not"
            f" have {file}",
        )
    if error.errno in REFUSALS:
        return refused(error)
    if error.errno == errno.EBUSY and file.startswith("memory."):
        used, most = (
            files.read(f"{directory}/memory.{name}_in_bytes").strip()
            for name in ("usage", "max_usage")
        )
        return hinted(error, f"{used} bytes are in use and cannot be freed, at most {most} were")
    if file.endswith(("cpus", "mems")) and error.errno in (errno.EINVAL, errno.ERANGE):
        return hinted(error, "use numbers that the group above has as well")
    return error
