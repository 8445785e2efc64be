"""Where the time of a warm start goes: a start's parts, and its steps (docs/performance.md).

    python3 tests/bench/where.py [--rounds N] [--least MICROSECONDS]

As root.  The same bundle and the same place as bench.py's, and the steps as
`libct run --trace` has them, so a start whose steps are timed: its first process
looks at the clock and writes down what it sees.  What is printed are medians.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

CHECKOUT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(CHECKOUT))

from tests.bench.bench import enter_cgroup2, remove_groups  # noqa: E402  # as in bench.py
from tests.bench.runtimes import make_bundles  # noqa: E402
from tests.bench.timing import Library  # noqa: E402

if TYPE_CHECKING:
    from typing import Any

_PARTS = (
    *("create()", "run() before the first step", "the steps", "execve, and run()'s end"),
    *("wait()", "destroy()"),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=100, help="default: 100")
    parser.add_argument(
        "--least", type=float, default=20, help="microseconds of a step that is shown; default: 20"
    )
    options = parser.parse_args()
    enter_cgroup2()
    scratch = Path(tempfile.mkdtemp(prefix="libct-bench-", dir="/run"))
    try:
        make_bundles(scratch)
        parts, steps = measure(Library(scratch), options.rounds)
    finally:
        import libct

        libct.stop_server()
        shutil.rmtree(scratch, ignore_errors=True)
        remove_groups()
    print("\n".join(report(parts, steps, options.least)))
    return 0


def measure(
    library: Library, rounds: int
) -> tuple[dict[str, list[float]], dict[tuple[int, str, str], list[float]]]:
    """Times in microseconds: of the parts of a start, and of its steps.

    A step: its number in the plan, the process that performs it, and its title.
    """
    parts: dict[str, list[float]] = defaultdict(list)
    steps: dict[tuple[int, str, str], list[float]] = defaultdict(list)
    library.run()
    for _ in range(rounds):
        moments: list[int] = [time.time_ns()]
        container = library.create("where")
        moments.append(time.time_ns())
        container.trace = True
        process = library.process("/bin/true", init=True)
        container.run(process)
        returned = time.time_ns()
        plan: Any = container.plan
        for number, _, took, _ in container.traces:
            step = plan.steps[number - 1]
            steps[number, step.process, step.title].append(took / 1e3)
        theirs = [one for one in container.traces if plan.steps[one[0] - 1].process != "runtime"]
        moments.append(min(start for _, start, _, _ in theirs))
        moments.append(max(start + took for _, start, took, _ in theirs))
        moments.append(returned)
        process.wait()
        moments.append(time.time_ns())
        container.destroy()
        moments.append(time.time_ns())
        for name, before, after in zip(_PARTS, moments, moments[1:]):
            parts[name].append((after - before) / 1e3)
    return parts, steps


def report(
    parts: dict[str, list[float]], steps: dict[tuple[int, str, str], list[float]], least: float
) -> list[str]:
    """The medians as lines for people."""
    lines = [f"{'parts of a start':58}{'microseconds':>13}"]
    lines += [f"  {name:56}{statistics.median(times):13.0f}" for name, times in parts.items()]
    whole = [sum(times) for times in zip(*parts.values())]
    lines += [f"  {'all':56}{statistics.median(whole):13.0f}", ""]
    lines.append(f"{'steps':58}{'microseconds':>13}")
    rest = []
    for (number, process, title), times in sorted(steps.items()):
        took = statistics.median(times)
        if took < least:
            rest.append(took)
            continue
        text = title if len(title) <= 38 else f"{title[:35]}..."
        lines.append(f"  {number:3}  {process:13} {text:38}{took:13.0f}")
    lines.append(f"  {f'{len(rest)} shorter steps':56}{sum(rest):13.0f}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
