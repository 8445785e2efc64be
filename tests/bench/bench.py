"""libct next to runc and crun: times and memory (docs/performance.md).

    python3 tests/bench/bench.py [--rounds N] [--alive N] [--cgroup1] [--json FILE]

As root.  It goes in two stages.  The first enters a mount namespace with
cgroup v2 alone on /sys/fs/cgroup, so that all three runtimes find the same
(or, with --cgroup1, leaves the host's own version 1 there),
makes the bundle, and becomes a shell that measures the memory of created
containers: while it does, no Python of ours shares pages with them.  The shell
then becomes the second stage, which takes the times (timing.py).
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

CHECKOUT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(CHECKOUT))

from tests.bench import timing  # noqa: E402  # a script has only its own directory to import from
from tests.bench.runtimes import GROUP, cold_commands, make_bundles  # noqa: E402

if TYPE_CHECKING:
    from typing import Any

_CLONE_NEWNS = 0x00020000
_V1_PIDS = "/sys/fs/cgroup/pids"
_MS_REC_PRIVATE = 0x4000 | 0x40000

# What one created container takes: "NAME PSS" lines, in KiB, one for each process.
_MEASURE = """
measure() {
    name=$1 results=$2
    shift 2
    "$@" </dev/null >/dev/null || return
    for pid in $(cat "$groups/$name/cgroup.procs"); do
        pss=$(grep ^Pss: "/proc/$pid/smaps_rollup")
        pss=${pss#Pss:}
        echo $name ${pss%kB} >>"$results"
    done
}
"""


def main() -> int:
    options = _options()
    if options.scratch is None:
        _first_stage(options)
    scratch = Path(options.scratch)
    try:
        results = timing.take(
            scratch, rounds=options.rounds, alive=options.alive, seconds=options.seconds
        )
        results["pss_kib"] = _read_memory(scratch / "pss")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        remove_groups()
    print("\n".join(report(results)))
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=1) + "\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=30, help="default: 30")
    parser.add_argument(
        "--alive", type=int, default=200, help="containers alive at once; default: 200"
    )
    parser.add_argument(
        "--seconds", type=float, default=5, help="of two threads at a time; default: 5"
    )
    parser.add_argument(
        "--cgroup1", action="store_true", help="on the host's control groups, of version 1"
    )
    parser.add_argument("--json", metavar="FILE", help="write every measurement to FILE")
    parser.add_argument("--scratch", help=argparse.SUPPRESS)  # given to the second stage
    return parser.parse_args()


def _first_stage(options: argparse.Namespace) -> None:
    """Make the place, and become the shell that measures memory."""
    if os.geteuid() != 0:
        sys.exit("bench.py: must be root, to mount cgroup v2 and for runc")
    if options.cgroup1 and not Path(_V1_PIDS).exists():
        sys.exit(f"bench.py: --cgroup1: there is no {_V1_PIDS}")
    enter_cgroup2(mounted=options.cgroup1)
    scratch = Path(tempfile.mkdtemp(prefix="libct-bench-", dir="/run"))
    make_bundles(scratch)
    groups = _V1_PIDS if options.cgroup1 else "/sys/fs/cgroup"
    script = [f"groups={groups}/{GROUP}", _MEASURE]
    for name, commands in cold_commands(scratch).items():
        create, delete = (_quoted(commands[what]) for what in ("create", "delete"))
        script += [f"measure {name} {scratch}/pss {create}", delete]
    again = [sys.executable, os.path.abspath(__file__), f"--scratch={scratch}"]
    again += [f"--rounds={options.rounds}", f"--alive={options.alive}"]
    again.append(f"--seconds={options.seconds}")
    if options.json:
        again.append(f"--json={os.path.abspath(options.json)}")
    script.append(f"exec {_quoted(again)}")
    os.execvp("sh", ["sh", "-c", "\n".join(script)])


def enter_cgroup2(*, mounted: bool = False) -> None:
    """A mount namespace with version 2 alone, and an empty /run.

    mounted: what is mounted of control groups stays.
    """
    libc = ctypes.CDLL(None, use_errno=True)

    def check(status: int, what: str) -> None:
        if status == -1:
            sys.exit(f"bench.py: {what}: {os.strerror(ctypes.get_errno())}")

    check(libc.unshare(_CLONE_NEWNS), "new mount namespace")
    check(libc.mount(b"none", b"/", None, ctypes.c_ulong(_MS_REC_PRIVATE), None), "private mounts")
    target = b"/sys/fs/cgroup"
    # (It cannot be put on itself.)
    if not mounted and not os.path.exists("/sys/fs/cgroup/cgroup.procs"):
        check(libc.mount(b"cgroup2", target, b"cgroup2", ctypes.c_ulong(0), None), "mount cgroup2")
    # States are kept here, and a tmpfs is what /run is on a host that has booted.
    check(libc.mount(b"tmpfs", b"/run", b"tmpfs", ctypes.c_ulong(0), None), "mount /run")


def remove_groups() -> None:
    """Of all runtimes, once their containers have gone; in each hierarchy."""
    for top in (Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir()):
        for directory in (*(top / GROUP).glob("*/"), top / GROUP):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                directory.rmdir()


def _quoted(args: list[str]) -> str:
    return " ".join(shlex.quote(arg) for arg in args)


def _read_memory(path: Path) -> dict[str, int]:
    """Runtime -> KiB of all processes of its container."""
    found: dict[str, int] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        name, amount = line.split()
        found[name] = found.get(name, 0) + int(amount)
    return found


def report(results: dict[str, Any]) -> list[str]:
    """The results as lines for people."""
    lines = [f"{results['rounds']} rounds, Python {results['python']}, kernel {results['kernel']}"]
    if not results["device_rules"]:
        lines.append("bundle without device rules: crun may not raise RLIMIT_MEMLOCK here")
    for title, times in results["times"].items():
        lines += ["", *table(title, times)]
    lines += ["", f"{'sandbox of true':38}{'median ms':>10}{'least ms':>10}{'of bwrap':>9}"]
    sandboxes = {name: timing.median(values) for name, values in results["sandboxes"].items()}
    for name, value in sandboxes.items():
        line = f"  {name:36}{value * 1e3:10.2f}{min(results['sandboxes'][name]) * 1e3:10.2f}"
        lines.append(line + _ratio(value, sandboxes.get("bwrap")))
    lines += ["", f"{'two at a time, per second':38}{'':20}{'of crun':>9}{'of runc':>9}"]
    rates = results["per_second"]
    for name, rate in rates.items():
        ratios = "".join(_ratio(rate, rates.get(at)) for at in ("crun", "runc"))
        lines.append(f"  {name:36}{rate:10.1f}{'':10}{ratios}")
    memory = results["pss_kib"]
    if memory:
        lines += ["", f"{'memory of a created container':38}{'PSS KiB':>10}{'':10}"]
        lines[-1] += f"{'of crun':>9}{'of runc':>9}"
        for name, amount in memory.items():
            ratios = "".join(_ratio(amount, memory.get(at)) for at in ("crun", "runc"))
            lines.append(f"  {name:36}{amount:10}{'':10}{ratios}")
    starts = results["alive"]
    if len(starts) >= 20:
        first, last = timing.median(starts[:10]), timing.median(starts[-10:])
        lines += ["", f"{len(starts)} containers alive at once"]
        lines.append(f"  {'start of the first ten':36}{first * 1e3:10.2f}")
        lines.append(f"  {'start of the last ten':36}{last * 1e3:10.2f}")
        lines.append(f"  {'ratio':36}{last / first:10.2f}")
    return lines


def table(title: str, times: dict[str, list[float]]) -> list[str]:
    """Times in seconds, next to those of crun and runc."""
    lines = [f"{title:38}{'median ms':>10}{'least ms':>10}{'of crun':>9}{'of runc':>9}"]
    medians = {name: timing.median(values) for name, values in times.items()}
    for name, value in medians.items():
        line = f"  {name:36}{value * 1e3:10.2f}{min(times[name]) * 1e3:10.2f}"
        lines.append(line + "".join(_ratio(value, medians.get(at)) for at in ("crun", "runc")))
    return lines


def _ratio(value: float, base: float | None) -> str:
    return f"{value / base:9.2f}" if base else f"{'-':>9}"


if __name__ == "__main__":
    sys.exit(main())
