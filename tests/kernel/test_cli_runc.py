"""The commands on a container in every state: do they end as Debian's runc has them end?

Both runtimes get the same words; their exit statuses are compared, and the
texts that both must have.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.support import (
    busybox_rootfs,
    change_config,
    libct_command,
    libct_environment,
    make_bundle,
    requires,
    run,
    session_directory,
    unique,
    wait_until,
)

if TYPE_CHECKING:
    import subprocess

pytestmark = [requires("root", "busybox", "runc"), pytest.mark.usefixtures("nothing_left")]

STATES = ("missing", "created", "running", "paused", "stopped")
# Signals that do nothing to a process but for those that are refused.
SIGNALS = (
    *("0", "00", "+0", "", "64", "63", "34", "33", "32", "28"),
    *("CONT", "cont", "SIGCONT", "sigcont", "SigCont", "IO", "SIGIO", "WINCH", "URG", "STKFLT"),
    *("9" * 5000, "0" * 5000),
    *("65", "1000", "-1", "99999999999999999999", " 0", "0 ", "0x9", "9.0", "++9"),
    *("NOPE", "SIG", "SIGSIGCONT", "EXIT", "UNUSED", "RTMIN-1", "RTMAX+1", "_DFL"),
)


class Runtime:
    """A runtime, with a bundle of its own."""

    def __init__(self, name: str, directory: Path, rootfs: Path) -> None:
        self.name, self.root = name, directory / "root"
        (directory / "bundle").mkdir(parents=True)
        # TERM, and what else a test sends it, does not end it in either.
        script = "trap '' TERM IO HUP STKFLT; while :; do sleep 1000; done"
        self.bundle = make_bundle(directory / "bundle", rootfs=rootfs, args=["sh", "-c", script])

    def __call__(self, *words: str, check: bool = False) -> subprocess.CompletedProcess[str]:
        if self.name == "runc":
            return run(["runc", "--root", self.root, *words], check=check)
        return run(libct_command(*words, root=self.root), env=libct_environment(), check=check)

    def bring(self, container_id: str, state: str) -> None:
        if state == "missing":
            return
        # Both name a group by the id where nothing else is said.
        change_config(self.bundle, linux={"cgroupsPath": f"/{container_id}-{self.name}"})
        self("create", "--bundle", str(self.bundle), container_id, check=True)
        if state in ("running", "paused", "stopped"):
            self("start", container_id, check=True)
        if state == "paused":
            self("pause", container_id, check=True)
        if state == "stopped":
            self("kill", container_id, "KILL", check=True)
            assert wait_until(lambda: self.status(container_id) == "stopped")

    def status(self, container_id: str) -> str:
        done = self("state", container_id)
        return str(json.loads(done.stdout)["status"]) if done.returncode == 0 else "missing"


@pytest.fixture(scope="module")
def runtimes() -> list[Runtime]:
    place = Path(tempfile.mkdtemp(dir=session_directory()))
    rootfs = busybox_rootfs(place)
    return [Runtime(name, place / name, rootfs) for name in ("runc", "libct")]


@pytest.fixture
def name(runtimes: list[Runtime]) -> Any:
    made = unique()
    yield made
    for runtime in runtimes:
        runtime("delete", "--force", made, check=True)


class Case(NamedTuple):
    """A command; what both runtimes' messages have in common, by the state; and the status after.

    A state that is not in texts is one in which the command succeeds.
    runc: the status after it with runc, where that is another one.
    """

    words: str
    texts: dict[str, str]
    after: dict[str, str]
    runc: dict[str, str] = {}


MISSING = {"missing": "container does not exist"}
STOPPED = {"stopped": "container not running"}
CASES = [
    Case("state ID", MISSING, {}),
    Case(
        "start ID",
        {
            **MISSING,
            "running": "cannot start",
            "paused": "cannot start",
            "stopped": "has stopped",
        },
        {"created": "running"},
    ),
    # What waits for the start ends by a SIGTERM that process 1 of a pid namespace is
    # otherwise spared.
    Case("kill ID", {**MISSING, **STOPPED}, {"created": "stopped"}),
    Case("kill ID TERM EXTRA", dict.fromkeys(STATES, "kill"), {}),
    Case("kill ID 0", {**MISSING, **STOPPED}, {}),
    Case("kill ID NOPE", {**MISSING, **dict.fromkeys(STATES[1:], "unknown signal")}, {}),
    Case("kill ID KILL", {**MISSING, **STOPPED}, dict.fromkeys(STATES[1:], "stopped")),
    # runc freezes them to signal them, and thaws all.
    Case("kill --all ID WINCH", MISSING, {}, {"paused": "running"}),
    Case("kill -a ID 9", MISSING, dict.fromkeys(STATES[1:], "stopped")),
    Case("pause ID", {**MISSING, **STOPPED, "paused": ""}, dict.fromkeys(STATES[1:3], "paused")),
    Case(
        "resume ID",
        {**MISSING, **dict.fromkeys(("created", "running", "stopped"), "container not paused")},
        {"paused": "running"},
    ),
    Case(
        "delete ID",
        {**MISSING, "running": "not stopped: running", "paused": "not stopped: paused"},
        {"created": "missing", "stopped": "missing"},
    ),
    Case("delete --force ID", {}, dict.fromkeys(STATES, "missing")),
    Case("exec ID true", {**MISSING, "paused": "paused", "stopped": "stopped"}, {}),
    Case("ps ID", MISSING, {}),
    Case("update --pids-limit 50 ID", {**MISSING, **STOPPED}, {}),
    Case("events --stats ID", {**MISSING, "stopped": "not running"}, {}),
]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.words)
def test_it_ends_as_with_runc(runtimes: list[Runtime], name: str, case: Case, state: str) -> None:
    words = [name if word == "ID" else word for word in case.words.split()]
    found = {}
    for runtime in runtimes:
        runtime.bring(name, state)
        done = runtime(*words)
        if state in case.texts:
            assert case.texts[state] in done.stderr
            assert done.returncode != 0
        after = case.after.get(state, state)
        if runtime.name == "runc":
            after = case.runc.get(state, after)
        assert wait_until(lambda: runtime.status(name) == after), runtime.status(name)  # noqa: B023
        found[runtime.name] = done.returncode
    assert found["libct"] == found["runc"]
    assert (found["runc"] != 0) == (state in case.texts)


def test_signals_are_taken_and_refused_as_by_runc(runtimes: list[Runtime], name: str) -> None:
    found = {}
    for runtime in runtimes:
        runtime.bring(name, "running")
        found[runtime.name] = {text: runtime("kill", name, text).returncode for text in SIGNALS}
        assert runtime.status(name) == "running"
    assert found["libct"] == found["runc"]


def test_signals_that_runc_does_not_know(runtimes: list[Runtime], name: str) -> None:
    runtime = runtimes[1]
    runtime.bring(name, "running")
    for text in ("CLD", "RTMIN", "SIGRTMIN+3", "rtmax-1", "RTMAX"):
        assert runtimes[0]("kill", name, text).returncode == 1
        runtime("kill", name, text, check=True)
        runtime("delete", "--force", name, check=True)
        runtime.bring(name, "running")


@pytest.mark.parametrize(
    "words",
    [
        *(["state"], ["start"], ["kill"], ["delete"], ["pause"], ["resume"], ["ps"], ["update"]),
        *(["state", "a", "b"], ["start", "a", "b"], ["pause", "a", "b"], ["resume", "a", "b"]),
        *(["state", ""], ["kill", ""], ["delete", ""], ["create", ""], ["run", ""]),
        *(["state", "../x"], ["kill", "a/b", "9"], ["delete", "a b"], ["start", "."]),
        *(["kill", "--nope", "x"], ["--nope", "list"], ["--log-format", "xml", "list"]),
        *(["exec"], ["exec", "x"], ["create"], ["run"], ["create", "a", "b"]),
        *(["list", "--format", "xml"], ["list", "-q"], ["--version"], ["--help"], ["kill", "-h"]),
    ],
    ids=" ".join,
)
def test_words_that_are_no_command(runtimes: list[Runtime], words: list[str]) -> None:
    runc, libct = [runtime(*words) for runtime in runtimes]
    assert libct.returncode == runc.returncode
