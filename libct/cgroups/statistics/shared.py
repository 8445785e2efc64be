"""Controllers whose files are the same, or nearly so, in both versions.

Source: the kernel's admin-guide/cgroup-v2, PID, HugeTLB, RDMA, Misc.
"""

from __future__ import annotations

from . import parse
from .records import MiscStats, PidsStats, RdmaEntry, RdmaStats

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .directory import Group


def pids_stats(group: Group) -> PidsStats | None:
    current = parse.number(group.read("pids.current"))
    if current is None:
        return None
    limit = group.read("pids.max").strip()
    return PidsStats(current, 0 if limit == "max" else parse.number(limit) or 0)


def page_sizes(group: Group, ending: str) -> list[tuple[str, str]]:
    """The sizes of huge pages, "2MB", and what the names of the files of each begin with.

    ending: how the files are called that say what is used.  Where reserved
    pages are counted (.rsvd, Linux 5.7) they are meant: the others are what is
    in use of these.
    """
    names = set(group.names())
    found = []
    for name in sorted(names):
        if name.startswith("hugetlb.") and name.endswith(ending):
            prefix = name[: -len(ending)]
            size = prefix.partition(".")[2]
            if "." not in size:  # not "2MB.rsvd"
                reserved = f"{prefix}.rsvd"
                found.append((size, reserved if reserved + ending in names else prefix))
    return found


def rdma_stats(group: Group) -> RdmaStats | None:
    limit, current = group.read("rdma.max"), group.read("rdma.current")
    if not limit and not current:  # no controller, or no device
        return None
    return RdmaStats(rdma_limit=_rdma(limit), rdma_current=_rdma(current))


def _rdma(text: str) -> list[RdmaEntry]:
    """Lines "mlx4_0 hca_handle=2 hca_object=max"."""
    return [
        RdmaEntry(
            device,
            hca_handles=parse.number(values.get("hca_handle", "")) or 0,
            hca_objects=parse.number(values.get("hca_object", "")) or 0,
        )
        for device, values in parse.nested(text)
    ]


def misc_stats(group: Group) -> dict[str, MiscStats]:
    events = parse.keyed(group.read("misc.events"))
    return {
        name: MiscStats(usage=value, events=events.get(f"{name}.max", 0))
        for name, value in parse.keyed(group.read("misc.current")).items()
    }
