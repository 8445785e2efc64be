"""What many containers cost, and large ones (docs/performance.md).

    python3 tests/bench/scale.py [--containers N] [--rounds N]

As root.  The bundle is bench.py's, and so is the place but for the memory limits, which are
tried on the host's own control groups of version 1 where it has these with memory.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import shutil
import subprocess
import sys
import tempfile
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

CHECKOUT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(CHECKOUT))

from tests.bench.bench import enter_cgroup2, remove_groups, table  # noqa: E402  # as in bench.py
from tests.bench.runtimes import GROUP, cold_commands, make_bundles  # noqa: E402
from tests.bench.timing import Library, alternate, run_once  # noqa: E402
from tests.bundles import change_config  # noqa: E402

if TYPE_CHECKING:
    import libct
    from tests.bench.runtimes import Commands
    from tests.bench.timing import Task

_LIMITS = [256 << 10 << step for step in range(8)]  # bytes of memory, 256 KiB to 32 MiB
_TRIES = 3
_LARGE = {"2,000 masked paths": 2000, "1,000 tmpfs mounts": 1000}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--containers", type=int, default=1000, help="default: 1000")
    parser.add_argument("--rounds", type=int, default=20, help="default: 20")
    options = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="libct-bench-", dir="/run"))
    lines = []
    try:
        if Path("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists():
            make_bundles(scratch)
            lines += limits(scratch)
            remove_groups()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    enter_cgroup2()
    scratch = Path(tempfile.mkdtemp(prefix="libct-bench-", dir="/run"))
    try:
        make_bundles(scratch)
        library = Library(scratch)
        lines += many(scratch, library, options.containers, options.rounds)
        lines += large(scratch, options.rounds)
    finally:
        import libct

        libct.stop_server()
        shutil.rmtree(scratch, ignore_errors=True)
        remove_groups()
    print("\n".join(lines))
    return 0


def limits(scratch: Path) -> list[str]:
    """The smallest memory limit under which `true` runs, of each runtime."""
    lines = [f"{'smallest memory limit of a container, KiB':46}"]
    for name, commands in cold_commands(scratch).items():
        bundle = scratch / name / "true"
        for limit in _LIMITS:
            change_config(bundle, linux={"resources": {"memory": {"limit": limit}}})
            if all(_runs(commands["run"]) for _ in range(_TRIES)):
                lines.append(f"  {name:44}{limit >> 10:10}")
                break
            subprocess.run(commands["delete"], check=False, capture_output=True)
    return [*lines, ""]


def _runs(command: list[str]) -> bool:
    null = subprocess.DEVNULL
    with contextlib.suppress(subprocess.TimeoutExpired):
        done = subprocess.run(
            command, stdin=null, stdout=null, stderr=null, check=False, timeout=20
        )
        return done.returncode == 0
    return False


def many(scratch: Path, library: Library, number: int, rounds: int) -> list[str]:
    """Containers that stay: what each is to the program that has started it, and `list` of all."""
    commands = cold_commands(scratch)
    started: list[libct.Container] = []
    theirs = {name: commands[name] for name in ("crun",) if name in commands}
    made: list[tuple[Commands, str]] = []
    library.run()
    tracemalloc.start()
    try:
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for index in range(100):
            container = library.create(f"many-{index}")
            started.append(container)
            container.run(library.process("/bin/sleep", "100000", init=True))
        gc.collect()
        kept = (tracemalloc.get_traced_memory()[0] - before) / len(started)
        tracemalloc.stop()
        for index in range(len(started), number):
            container = library.create(f"many-{index}")
            started.append(container)
            container.run(library.process("/bin/sleep", "100000", init=True))
        for name, each in theirs.items():
            for index in range(number):
                container_id = f"many-{index}"
                _create(each["create"], scratch / name / "sleep", container_id)
                made.append((each, container_id))
        root = str(scratch / "library")
        tasks = {"libct": [*commands["libct"]["list"]]}
        tasks["libct"][tasks["libct"].index("--root") + 1] = root
        tasks.update((name, each["list"]) for name, each in theirs.items())
        times = alternate({name: _task(command) for name, command in tasks.items()}, rounds)
    finally:
        for container in started:
            container.destroy(force=True)
        for each, container_id in made:
            subprocess.run([*each["delete"][:-1], container_id], check=False, capture_output=True)
    return [
        f"{'a container that was started by the library':46}{kept / 1024:10.1f} KiB of Python's",
        "",
        *table(f"list of {number} containers", times),
        "",
    ]


def _create(command: list[str], bundle: Path, container_id: str) -> None:
    change_config(bundle, linux={"cgroupsPath": f"/{GROUP}/crun-{container_id}"})
    run_once([*command[:-1], container_id])


def large(scratch: Path, rounds: int) -> list[str]:
    """`run` of `true` in containers with many masked paths, and with many mounts."""
    lines = []
    commands = cold_commands(scratch)
    rootfs = scratch / "rootfs"
    places = [f"/large/{number}" for number in range(max(_LARGE.values()))]
    for place in places:
        (rootfs / place[1:]).mkdir(parents=True)
    for what, number in _LARGE.items():
        for name in commands:
            _make_large(scratch / name / "true", places[:number], masked="masked" in what)
        tasks = {name: _task(each["run"]) for name, each in commands.items()}
        lines += [*table(f"run with {what}", alternate(tasks, max(2, rounds // 4))), ""]
    return lines


def _make_large(bundle: Path, places: list[str], *, masked: bool) -> None:
    config = json.loads((bundle / "config.json").read_text())
    config["mounts"] = [one for one in config["mounts"] if one["destination"] not in places]
    masks = [one for one in config["linux"]["maskedPaths"] if one not in places]
    if masked:
        masks += places
    else:
        config["mounts"] += [
            {"destination": place, "type": "tmpfs", "source": "tmpfs"} for place in places
        ]
    config["linux"]["maskedPaths"] = masks
    # crun has a descriptor for each mask, under the limit of the container.
    limit = 4 * max(_LARGE.values())
    config["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "hard": limit, "soft": limit}]
    (bundle / "config.json").write_text(json.dumps(config))


def _task(command: list[str]) -> Task:
    return lambda: run_once(command)


if __name__ == "__main__":
    sys.exit(main())
