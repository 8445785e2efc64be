"""Which calls are made under the filter of a container, as strace sees them.

They are what a profile has to allow: the lists of plan/seccomp.py, which docs/seccomp.md
has and `libct seccomp lint` goes by, hold all of them and no other.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from libct.bootstrap import lined_up
from libct.config.rules_seccomp import BEFORE_LISTENER
from libct.life.host import host
from libct.plan.seccomp import (
    AFTER,
    AFTER_CLONE,
    AFTER_HOOKS,
    AFTER_RIGHTS,
    AFTER_SHARING,
    AFTER_WAIT,
    MEMORY,
)

from ..commands import CHECKOUT
from ..needs import requires

pytestmark = [requires("root", "strace"), pytest.mark.usefixtures("nothing_left")]

_START = """
import sys
from libct.config import Hook, Hooks, Rlimit
from libct.config.namespace import NEWPID
from libct.config.seccomp import Seccomp, SeccompRule
from tests.containers import *

way, last = sys.argv[1:]
seccomp = Seccomp("SCMP_ACT_ALLOW", syscalls=[SeccompRule(["reboot"], "SCMP_ACT_KILL")])
if "notif" in way:
    seccomp.syscalls.append(SeccompRule(["swapon"], "SCMP_ACT_NOTIFY"))
changes = {"seccomp": seccomp, "no_new_privileges": last == "last"}
changes["rlimits"] = [Rlimit(4, 0, 0)]
if way == "hooks":
    changes["hooks"] = Hooks(start_container=[Hook("/bin/true", timeout=5)])

answer = (lambda call: None) if "notif" in way else None

def start():
    with libct.create(state_directory(), unique(), make_config(**changes)) as container:
        process = libct.Process(["true"], init=True, env=[PATH], notify=answer)
        if way in ("wait", "pod", "hooks"):
            container.start(process)
            container.exec()
        else:
            container.run(process)
        assert process.wait(60).success

if way in ("pod", "notified-pod"):
    with running(make_config()) as other:
        pid = other.processes()[0]
        spaces = [one for one in USUAL if one != NEWPID]
        changes["namespaces"] = [*spaces, (NEWPID, f"/proc/{pid}/ns/pid")]
        start()
else:
    start()
"""
_CLONED = re.compile(r"^(?:clone|fork)\(.* = (\d+)(?: /\* (\d+) in strace's PID NS \*/)?$")
# Of AFTER_HOOKS, what the C library calls that is not ours: musl, or glibc.
_OF_THE_OTHER = {"fork", "rt_sigprocmask"} if lined_up.available() else {"clone", "set_robust_list"}


def made_after(directory: Path) -> set[str]:
    """The calls of who has loaded a filter, and of what it clones, up to their execve."""
    lines = {path.suffix[1:]: path.read_text().splitlines() for path in directory.iterdir()}
    (rest,) = (
        made[at + 1 :]
        for made in lines.values()
        for at, line in enumerate(made)
        if line.startswith("seccomp(SECCOMP_SET_MODE_FILTER") and line.endswith("= 0")
    )
    found: set[str] = set()
    waiting = [rest]
    while waiting:
        for line in waiting.pop():
            found.add(line.partition("(")[0])
            if line.startswith("execve("):
                break
            if cloned := _CLONED.match(line):
                waiting.append(lines[cloned[2] or cloned[1]])
    return found


def trace(directory: Path, way: str, last: str) -> None:
    """Start a container, and have a file for each process of what it has called."""
    strace = ["strace", "-ff", "-qqq", "--decode-pids=pidns", "-e", "signal=none"]
    command = [*strace, "-o", str(directory / "calls"), sys.executable, "-c", _START, way, last]
    subprocess.run(command, cwd=CHECKOUT, check=True, timeout=120)


@pytest.mark.parametrize("last", ["last", "rights"])
@pytest.mark.parametrize("way", ["direct", "wait", "pod", "hooks"])
def test_the_lists_are_what_is_called_under_the_filter(tmp_path: Path, way: str, last: str) -> None:
    trace(tmp_path, way, last)
    found = made_after(tmp_path)
    # (Not seen by who waits with the interpreter, which is so with hooks, and with musl.)
    waits = way in ("wait", "pod") and lined_up.available()
    expected = {*AFTER, *(AFTER_WAIT if waits else ()), *(AFTER_RIGHTS if last == "rights" else ())}
    if way == "pod" and last == "rights":
        expected |= set(AFTER_CLONE)
    if way == "direct" and host().shares:
        expected |= set(AFTER_SHARING)
    if way == "hooks":
        expected |= set(AFTER_HOOKS) - _OF_THE_OTHER
    if way == "pod" and last == "last":
        expected.remove("close_range")  # the stage has done that
    assert found - set(MEMORY) <= expected
    # A terminal of a pod's member, an ordinary user's wait and a command that cannot be executed
    # are not here; and it may ask for memory, or not.
    assert expected - {"ioctl", "prctl", "writev", *MEMORY} <= found


@pytest.mark.parametrize("last", ["last", "rights"])
@pytest.mark.parametrize("way", ["notify", "notified-pod"])
def test_what_is_called_while_the_listener_is_inside_cannot_be_notified(
    tmp_path: Path, way: str, last: str
) -> None:
    trace(tmp_path, way, last)
    (made,) = (
        lines[at + 1 :]
        for lines in (path.read_text().splitlines() for path in tmp_path.iterdir())
        for at, line in enumerate(lines)
        if line.startswith("seccomp(SECCOMP_SET_MODE_FILTER") and "FLAG_NEW_LISTENER" in line
    )
    closed = next(at for at, line in enumerate(made) if line.startswith("close_range("))
    found = {line.partition("(")[0] for line in made[: closed + 1]}
    assert found <= BEFORE_LISTENER
    assert found >= BEFORE_LISTENER - {*MEMORY}
