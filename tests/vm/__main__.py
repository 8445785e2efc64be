"""The command: see the package's docstring."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

from .images import ImageProblem, image_directory
from .lanes import LANES, USUAL, Lane
from .machine import RESULTS, Result, run_in_guest, stop_all

_SLOWNESS = "5"  # of a guest: what the tests multiply their patience with


def main() -> int:
    """0 if the command of each lane has exited with that."""
    options = _options()
    lanes = [LANES[name] for name in options.lane or (LANES if options.all else USUAL)]
    try:
        images = {lane.image: image_directory(lane.image) for lane in lanes}
    except ImageProblem as problem:
        print(f"tests.vm: {problem}", file=sys.stderr)
        return 1
    if options.make:
        return 0

    def run(lane: Lane) -> Result:
        results = Path(options.results, lane.name) if options.results else None
        output = _Output(lane.name if len(lanes) > 1 else "")
        result = run_in_guest(
            lane,
            images[lane.image],
            options.command or _tests(lane, every=options.all),
            environment=_environment(lane),
            longest=options.longest or lane.longest * (16 if options.all else 1),
            results=results,
            show=output.show,
        )
        output.close()
        if result.status is None and results is not None:
            _write_failure(results, result)
        return result

    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    # A guest has two processors, and mostly uses one of them.
    with ThreadPoolExecutor(options.jobs) as pool:
        waiting = [pool.submit(run, lane) for lane in lanes]
        try:
            outcomes = [one.result() for one in waiting]
        except BaseException:
            for one in waiting:
                one.cancel()
            stop_all()
            raise
    for lane, result in zip(lanes, outcomes):
        if result.status is None:
            print(f"{lane.name}: {result.problem}")
    for lane, result in zip(lanes, outcomes):
        verdict = "hung" if result.status is None else f"exit status {result.status}"
        print(f"{lane.name}: {verdict} after {result.seconds:.0f} s", file=sys.stderr)
    return int(any(result.status != 0 for result in outcomes))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.vm", description="Run tests in virtual machines."
    )
    parser.add_argument(
        *("-l", "--lane"),
        action="append",
        choices=LANES,
        help=f"a machine to run; may be repeated (default: {', '.join(USUAL)})",
    )
    parser.add_argument("--all", action="store_true", help="run all tests, in all lanes")
    parser.add_argument("--make", action="store_true", help="only make the images")
    parser.add_argument(
        *("-j", "--jobs"),
        type=int,
        metavar="N",
        default=len(os.sched_getaffinity(0)),
        help="how many machines may run at the same time (default: one for each processor)",
    )
    parser.add_argument("--results", metavar="DIR", help="put results into DIR/LANE")
    parser.add_argument(
        "--longest", type=float, metavar="SECONDS", help="how long a command may take"
    )
    parser.add_argument(
        "command", nargs="*", help="what to run in the checkout, after `--` (default: the tests)"
    )
    return parser.parse_args()


def _tests(lane: Lane, *, every: bool) -> list[str]:
    junit = f"--junit-xml={RESULTS}/junit.xml"
    chosen = lane.every if every else lane.quick
    return ["python3", "-m", "pytest", "-p", "no:cacheprovider", junit, *chosen]


def _environment(lane: Lane) -> dict[str, str]:
    """What all commands of a lane get; variables of ours go with them, and come first."""
    return {
        "LANG": "C.UTF-8",
        "HOME": "/root",
        "LIBCT_NO_SKIP": "1",
        "LIBCT_SLOWNESS": _SLOWNESS,
        **{name: value for name, value in os.environ.items() if name.startswith("LIBCT_")},
        "LIBCT_VM": lane.name,
        "LIBCT_LACKS": " ".join(lane.lacks),
    }


class _Output:
    """Prints output as it comes; where there are several, whole lines with a name before."""

    _printing = threading.Lock()

    def __init__(self, name: str) -> None:
        self.name = name
        self._rest = ""

    def show(self, text: str) -> None:
        if not self.name:
            print(text, end="", flush=True)
            return
        *lines, self._rest = (self._rest + text).split("\n")
        with self._printing:
            for line in lines:
                print(f"{self.name}: {line}", flush=True)

    def close(self) -> None:
        """What hangs has not ended its line."""
        if self._rest:
            self.show("\n")


def _write_failure(results: Path, result: Result) -> None:
    """A guest that has hung is a test that has failed."""
    suite = ElementTree.Element("testsuite", name="vm", tests="1", failures="1")
    case = ElementTree.SubElement(suite, "testcase", classname="tests.vm", name=results.name)
    failure = ElementTree.SubElement(case, "failure", message=result.problem.splitlines()[0])
    # XML has no characters for what a console may print.
    failure.text = "".join(c for c in result.problem if c.isprintable() or c in "\n\t")
    ElementTree.ElementTree(suite).write(results / "junit.xml", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
