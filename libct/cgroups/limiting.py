"""The steps that limit control groups, on the runtime's side.

They are of a start, which undoes the whole group where one fails, or of a change to the
group of a container that lives, which perform.py takes back as a whole.
"""

from __future__ import annotations

import errno
import posix

from ..errors import StepProblem
from ..loading.paths import exists, split
from . import files
from .files import REFUSALS, hinted
from .limits.former import former, raises, says
from .steps import refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context


def cgroup_write(context: Context, path: str, value: str, if_there: int = 0) -> None:
    """Write a setting.  if_there: a file that is not there has nothing to be set."""
    try:
        _write(context, path, value)
    except OSError as error:
        if not if_there or not isinstance(error, FileNotFoundError):
            raise _refined(path, error) from None


def _write(context: Context, path: str, line: str) -> None:
    """Write, and have context.values["written"] remember what was there: see perform.Change.

    Nothing is written then that the file says already.  A start remembers nothing: it
    undoes the group itself.
    """
    written: list[tuple[str, list[str]]] | None = context.values.get("written")
    text = None if written is None else _present(path)
    if text is not None and says(text, line):
        return
    files.write(path, line or "\n")
    if written is not None and text is not None:
        written.append((path, former(split(path)[1], text, line)))


def _present(path: str) -> str | None:
    """What a file reads; None for one that takes orders and has no value."""
    try:
        return files.read(path)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EACCES, errno.EOPNOTSUPP):
            raise
        return None


def cgroup_write_group(
    context: Context, directory: str, settings: tuple[tuple[str, str, int], ...]
) -> None:
    """Write settings, (file, value, if_there) each, that are judged by each other's present values.

    Of those that a container lives with, what is raised comes first: less memory and more
    swap, or the reverse, and it is never short of both.  What is refused with EINVAL is
    written again after the others: a limit of memory above that of memory and swap, a
    period or burst the old quota does not fit.
    """
    left = settings
    if "written" in context.values:
        higher = [one for one in settings if _is_raised(f"{directory}/{one[0]}", one[1])]
        left = (*higher, *(one for one in settings if one not in higher))
    while left:
        again = []
        for file, value, if_there in left:
            try:
                cgroup_write(context, f"{directory}/{file}", value, if_there)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                again.append((file, value, if_there))
                problem = error
        if len(again) == len(left):
            raise problem
        left = tuple(again)


def _is_raised(path: str, value: str) -> bool:
    try:
        return raises(files.read(path), value)
    except FileNotFoundError:
        return False  # which writing it will say, if it matters


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


# Why a file is not there though its controller is.
_NEEDS = {
    **dict.fromkeys(
        ("blkio.weight", "blkio.weight_device", "io.weight"),
        "no scheduler of I/O here has weights: load BFQ (modprobe bfq)",
    ),
    **dict.fromkeys(
        ("blkio.leaf_weight", "blkio.leaf_weight_device"),
        "Linux has no leaf weights since 5.0",
    ),
    **dict.fromkeys(
        ("cpu.rt_period_us", "cpu.rt_runtime_us"),
        "the kernel does not have CONFIG_RT_GROUP_SCHED",
    ),
    **dict.fromkeys(
        ("memory.memsw.limit_in_bytes", "memory.swap.max"),
        "the kernel does not count swap: boot it with swapaccount=1",
    ),
    **dict.fromkeys(
        ("cpu.cfs_burst_us", "cpu.max.burst", "cpu.idle"), "the kernel is older than Linux 5.15"
    ),
}

# What the kernel takes: it says EINVAL or ERANGE to the rest.
_TAKES = {
    "cpu.cfs_period_us": "from 1000 to 1000000",
    "cpu.cfs_quota_us": "at least 1000, and not more than the groups above have",
    "cpu.max": "a quota of at least 1000, and a period from 1000 to 1000000",
    **dict.fromkeys(("cpu.cfs_burst_us", "cpu.max.burst"), "from 0 to the quota"),
    **dict.fromkeys(
        ("cpu.rt_period_us", "cpu.rt_runtime_us"),
        "a runtime below the period, and not more than the group above has left",
    ),
    "cpu.weight": "from 1 to 10000",
    "cpu.idle": "0 or 1",
    "io.weight": "from 1 to 10000",
    **dict.fromkeys(
        ("io.bfq.weight", "blkio.bfq.weight", "blkio.bfq.weight_device"), "from 1 to 1000"
    ),
    "memory.swappiness": "from 0 to 200",
    "memory.limit_in_bytes": "not more than memory.memsw.limit_in_bytes, of memory and swap",
    "memory.memsw.limit_in_bytes": "not less than memory.limit_in_bytes",
    "pids.max": "from 0 to 4194304",
    "rdma.max": "hca_handle and hca_object from 0 to 2147483647",
}

# The first part of a file's name -> what is named in what is written there.
_DEVICES = {
    "io": "block device of these numbers, or it is a partition",
    "blkio": "block device of these numbers, or it is a partition",
    "rdma": "RDMA device of that name",
    "net_prio": "network interface of that name",
}


def _refined(path: str, error: OSError) -> OSError:
    """The error of a write to a limit, with what is known about it."""
    directory, file = split(path)
    controller = file.partition(".")[0]
    if isinstance(error, FileNotFoundError):
        return hinted(error, _missing(directory, controller, file))
    if error.errno in REFUSALS:
        return refused(error)
    if error.errno == errno.EBUSY and file.endswith("limit_in_bytes"):
        prefix = file[: -len("limit_in_bytes")]  # "memory." or "memory.memsw."
        used, most = (
            files.read(f"{directory}/{prefix}{name}_in_bytes").strip()
            for name in ("usage", "max_usage")
        )
        return hinted(error, f"{used} bytes are in use and cannot be freed, at most {most} were")
    if error.errno in (errno.EINVAL, errno.ERANGE):
        if file.endswith(("cpus", "mems")):
            return hinted(error, "use numbers that the group above has as well")
        if file in _TAKES:
            return hinted(error, f"it takes {_TAKES[file]}")
    if error.errno == errno.ENOSPC and controller == "cpuset":
        return hinted(error, "with processes in it a group keeps its numbers: write others")
    if error.errno == errno.ENODEV and controller in _DEVICES:
        return hinted(error, f"there is no {_DEVICES[controller]}")
    if error.errno == errno.EOPNOTSUPP and controller in ("io", "blkio"):
        return hinted(error, "the scheduler of that device has no weights: choose bfq for it")
    return error


def _missing(directory: str, controller: str, file: str) -> str:
    """Why a file is not there, and what helps."""
    if controller == "hugetlb":
        names = [name.split(".") for name in posix.listdir(directory)]
        sizes = sorted({name[1] for name in names if name[0] == "hugetlb"})
        if sizes:
            return f"the page sizes here are {', '.join(sizes)}"
    what = _NEEDS.get(file, f"this kernel does not have {file}")
    # A group of v1 is in a hierarchy of the controller, one of v2 need not have it.
    if controller == "cgroup" or exists(f"{directory}/tasks"):
        return what
    return f"the {controller} controller is not enabled for this group, or {what}"
