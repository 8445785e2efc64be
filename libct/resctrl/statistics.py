"""What the groups of resctrl say: the records of libcontainer's intel_rdt_stats.

None is what this machine does not have, or nobody has asked to be monitored.
Source: the kernel's filesystems/resctrl.
"""

from __future__ import annotations

import posix

from ..config.record import Record
from ..errors import Error, StepProblem
from .groups import _read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class L3CacheInfo(Record):
    """The L3 cache: cbm_mask, min_cbm_bits: what a bit mask of it may be; num_closids: classes."""

    cbm_mask: str = ""
    min_cbm_bits: int = 0
    num_closids: int = 0


class MemBwInfo(Record):
    """Memory bandwidth, in per cent: bandwidth_gran: steps; min_bandwidth: the least."""

    bandwidth_gran: int = 0
    delay_linear: int = 0
    min_bandwidth: int = 0
    num_closids: int = 0


class MBMNumaNodeStats(Record):
    """Bytes read and written since the group was made, by one L3 cache, a memory node as a rule."""

    mbm_total_bytes: int = 0
    mbm_local_bytes: int = 0


class CMTNumaNodeStats(Record):
    """Bytes of one L3 cache that are in use now."""

    llc_occupancy: int = 0


class IntelRdtStats(Record):
    """schemata: of the container's class; ..._root: of all others.

    mbm_stats, cmt_stats: one for each L3 cache, where the container is monitored.
    """

    l3_cache_info: L3CacheInfo | None = None
    l3_cache_schema_root: str = ""
    l3_cache_schema: str = ""
    mem_bw_info: MemBwInfo | None = None
    mem_bw_schema_root: str = ""
    mem_bw_schema: str = ""
    schemata: list[str] = []
    mbm_stats: list[MBMNumaNodeStats] = []
    cmt_stats: list[CMTNumaNodeStats] = []


def statistics(
    mount: str, group: str, monitored: str, read: Callable[[str], str] | None = None
) -> IntelRdtStats:
    """What the files below mount say now.

    group: the directory of the class; monitored: that of a monitoring group, or "".
    """
    look = read or _text
    found = IntelRdtStats()
    root, own = _schemata(look(f"{mount}/schemata")), _schemata(look(f"{group}/schemata"))
    found.schemata = own
    mask = look(f"{mount}/info/L3/cbm_mask").strip()
    if mask:
        found.l3_cache_info = L3CacheInfo(
            mask,
            _number(look(f"{mount}/info/L3/min_cbm_bits")),
            _number(look(f"{mount}/info/L3/num_closids")),
        )
        found.l3_cache_schema_root, found.l3_cache_schema = _line(root, "L3"), _line(own, "L3")
    bandwidth = f"{mount}/info/MB"
    if look(f"{bandwidth}/min_bandwidth").strip():
        names = ("bandwidth_gran", "delay_linear", "min_bandwidth", "num_closids")
        found.mem_bw_info = MemBwInfo(*(_number(look(f"{bandwidth}/{name}")) for name in names))
        found.mem_bw_schema_root, found.mem_bw_schema = _line(root, "MB"), _line(own, "MB")
    if monitored:
        for place in _caches(f"{monitored}/mon_data"):
            counted = {name: look(f"{place}/{name}").strip() for name in _COUNTS}
            if counted["llc_occupancy"]:
                found.cmt_stats.append(CMTNumaNodeStats(_number(counted["llc_occupancy"])))
            if counted["mbm_total_bytes"] or counted["mbm_local_bytes"]:
                both = (counted["mbm_total_bytes"], counted["mbm_local_bytes"])
                found.mbm_stats.append(MBMNumaNodeStats(*map(_number, both)))
    return found


_COUNTS = ("llc_occupancy", "mbm_total_bytes", "mbm_local_bytes")


def _text(path: str) -> str:
    """ "" for what is not there."""
    try:
        return _read(path)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, StepProblem) as error:
        raise Error(f"cannot read the statistics of resctrl: {error}") from error


def _schemata(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _line(schemata: list[str], resource: str) -> str:
    return next((line for line in schemata if line.startswith(f"{resource}:")), "")


def _number(text: str) -> int:
    """0 for "Unavailable" and the like."""
    return int(text) if text.strip().isdigit() else 0


def _caches(place: str) -> list[str]:
    try:
        names = posix.listdir(place)
    except OSError:
        return []
    return [f"{place}/{name}" for name in sorted(names) if name.startswith("mon_L3_")]
