"""What takes a file of a control group back to what it said before a write.

Sources: the kernel's admin-guide/cgroup-v1 and cgroup-v2, "Interface Files".
"""

from __future__ import annotations

# Files with a line for each device, or the like, which begins with its name: what is written
# behind a name that had no line.
_NOTHING_SET = {
    "io.max": "rbps=max wbps=max riops=max wiops=max",
    "io.latency": "target=0",
    "io.weight": "default",
    "io.bfq.weight": "default",
    "blkio.bfq.weight_device": "default",
    "blkio.throttle.read_bps_device": "0",
    "blkio.throttle.write_bps_device": "0",
    "blkio.throttle.read_iops_device": "0",
    "blkio.throttle.write_iops_device": "0",
    "net_prio.ifpriomap": "0",
    "rdma.max": "hca_handle=max hca_object=max",
    "misc.max": "max",
    "dmem.min": "0",
    "dmem.low": "0",
    "dmem.max": "max",
}


def former(file: str, text: str, line: str) -> list[str]:
    """The lines that undo the writing of line to a file that read text."""
    if file == "memory.oom_control":  # "oom_kill_disable 0", and what cannot be written
        return [text.split()[1]]
    if file == "cgroup.subtree_control":
        signs = {True: "+", False: "-"}
        names = [word[1:] for word in line.split()]
        return [" ".join(f"{signs[name in text.split()]}{name}" for name in names)]
    if file in _NOTHING_SET:
        name = line.split()[0]
        if name.isdigit():  # a weight alone is that of all devices
            name = "default"
        found = [old for old in text.splitlines() if old.split()[:1] == [name]]
        return found or [f"{name} {_NOTHING_SET[file]}"]
    return text.splitlines() or [""]


def says(text: str, line: str) -> bool:
    """Whether a file that reads text has what would be written, so that it need not be."""
    return text.strip() == line.strip()


def raises(text: str, line: str) -> bool:
    """Whether a limit would be higher than what the file reads."""
    old, new = _number(text), _number(line)
    return old is not None and new is not None and new > old


def _number(text: str) -> float | None:
    text = text.strip()
    if text in ("max", "-1"):
        return float("inf")
    return float(text) if text.isascii() and text.isdigit() else None
