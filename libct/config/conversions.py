"""Limits as the runtime-spec has them, in the units and words of the kernel's files.

The runtime-spec speaks of cgroup v1.  What becomes of that with v2 is in crun(1), CGROUP v2;
and for the weight of CPUs in the kernel's admin-guide/cgroup-v2, CPU.
"""

from __future__ import annotations


def pids_value(limit: int) -> str:
    """What pids.max gets: negative is no limit; 0 would forbid the first process, so it is 1."""
    return "max" if limit < 0 else str(max(limit, 1))


def v2_limit(limit: int) -> str:
    """A limit in bytes or microseconds; -1 is none."""
    return "max" if limit == -1 else str(limit)


def weight_of_shares(shares: int) -> int:
    """cpu.weight, 1 to 10000, for cpu.shares, 2 to 262144; 0 for 0, which asks for nothing.

    The curve goes through (2, 1), (1024, 100) and (262144, 10000), so that
    what is the default of one is that of the other.
    """
    if shares == 0:
        return 0
    if shares <= 2:
        return 1
    if shares >= 262144:
        return 10000
    from math import ceil, log2

    length = log2(shares)
    weight = 10 ** ((length * length + 125 * length) / 612 - 7 / 34)
    # What is a whole number but for the last bit of the float is not to be rounded up.
    return ceil(weight - 1e-9)


def io_weight(weight: int) -> int:
    """io.weight, 1 to 10000, for v1's weights of 10 to 1000; 0 for 0, which asks for nothing."""
    return 1 + (weight - 10) * 9999 // 990 if weight else 0


def swap_max(memory: int, memory_and_swap: int) -> int | None:
    """v2's limit of swap alone, for v1's of memory and of memory and swap; None: leave it.

    Bytes, -1 for no limit.  Raises ValueError for a sum that there is no such limit for.
    """
    if memory == -1 and memory_and_swap == 0:
        return -1
    if memory_and_swap == 0:
        return None
    if memory_and_swap == -1 or memory == -1:
        return memory_and_swap
    if memory == 0:
        raise ValueError("a limit of memory and swap needs a limit of memory")
    if memory_and_swap < memory:
        raise ValueError(f"is less than the limit of memory, {memory}")
    return memory_and_swap - memory
