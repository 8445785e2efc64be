"""The plan is what runs: under strace each process makes the system calls that it prints, in order.

A printed call names what is known in advance.  It is found in a line of strace
with the same system call that has each of its double-quoted strings, within
one of its own, and each of its FLAGS.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ..containers import shared_rootfs
from ..support import CHECKOUT, requires, unique, wait_until

pytestmark = [
    requires("root", "busybox", "strace", "cgroup1"),
    pytest.mark.usefixtures("nothing_left"),
]

PROGRAM = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
import libct
from libct.plan.calls import IF_THERE
from libct.bootstrap import servers
from libct.config import *
from libct.life.checking import check_process
from tests.bundles import default_spec, merge
from tests.containers import make_config, USUAL

kind, rootfs, place, name = sys.argv[2:]
spec = merge(default_spec(), {"root": {"path": rootfs, "readonly": True}})
values = {"args": ["sh", "-c", "exit 3"], "env": ["PATH=/bin"], "cwd": "/tmp"}
if kind == "spec":
    with open(f"{place}/config.json", "w") as file:
        json.dump(spec, file)
    config, _ = libct.from_bundle(place)
    values["cwd"] = "/"
elif kind == "plain":
    config = make_config(rootfs, capabilities=Capabilities(
        bounding=["CAP_KILL"], effective=["CAP_KILL"], permitted=["CAP_KILL"]))
    values.update(user="user", umask=0o27, rlimits=[Rlimit(7, 512, 512)], no_new_privileges=True)
elif kind in ("user", "clocks", "exec", "reaped user"):
    extra = {"time_offsets": {"boottime": TimeOffset(1000, 5)}} if kind == "clocks" else {}
    config = make_config(
        rootfs, namespaces=(*USUAL, NEWUSER, NEWCGROUP, *((NEWTIME,) if extra else ())),
        uid_mappings=[IDMap(0, 100000, 65536)], gid_mappings=[IDMap(0, 100000, 65536)],
        hostname="box", oom_score_adj=100, rlimits=[Rlimit(4, 0, 0)], cgroups=Cgroup(), **extra,
    )
elif kind == "reaped":
    config = make_config(rootfs)
elif kind == "join":
    own = "NEWUTS", f"/proc/{os.getpid()}/ns/uts"
    config = make_config(rootfs, namespaces=("NEWNS", "NEWPID", own))
with libct.create(place, name, config) as container:
    if kind == "exec":
        container.run(libct.Process(["sleep", "60"], env=["PATH=/bin"], init=True))
        process = libct.Process(**values)
    else:
        servers.start_server()
        process = libct.Process(init=True, reaper="reaped" in kind, **values)
    # Ready, and all that is imported on the way to it is: strace takes its time.
    info = open(f"/proc/self/fdinfo/{servers._servers[0].pidfd}").read()
    server = int(info.partition("Pid:")[2].split()[0])
    while open(f"/proc/{server}/comm").read() != "libct:server\\n":
        pass
    if kind != "exec":
        check_process(config, process)
    print(os.getpid(), server, flush=True)
    sys.stdin.read(1)
    container.run(process)
    state = process.wait()
    plan = [
        (
            step.process.partition(",")[0],
            step.title,
            [call for call in step.calls if not call.startswith(IF_THERE)],
        )
        for step in container.plan
    ]
    with open(f"{place}/plan.json", "w") as file:
        json.dump({"plan": plan, "init": process.pid, "state": state.status}, file)
    sys.stdin.read()
"""


class Call:
    """A line of strace: the name of the call, its strings and the whole text."""

    def __init__(self, text: str) -> None:
        if text.startswith("open("):  # musl's, where the machine has it; glibc's is openat(2)
            text = text.replace("open(", "openat(AT_FDCWD, ", 1)
        self.name, _, self.text = text.partition("(")
        self.strings = strings_of(text)

    def is_what(self, printed: str) -> bool:
        name, _, _ = printed.partition("(")
        if name != self.name:
            return False
        for string in strings_of(printed):
            if not any(string in ours for ours in self.strings):
                return False
        bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", printed.partition("(")[2])
        return all(
            re.search(rf"\b{flag}\b", self.text)
            for flag in re.findall(r"\b[A-Z][A-Z0-9_]{3,}", bare)
        )

    @property
    def result(self) -> str:
        return self.text.rpartition(" = ")[2].split()[0]


def strings_of(text: str) -> list[str]:
    return re.findall(r'"((?:[^"\\]|\\.)*)"', text)


def read_log(path: Path) -> dict[int, list[Call]]:
    """The calls of each process, in order; those in two pieces are put together."""
    calls: dict[int, list[Call]] = {}
    pieces: dict[int, str] = {}
    for line in path.read_text(errors="replace").splitlines():
        pid, _, text = line.partition(" ")
        text = text.strip()
        number = int(pid)
        if text.endswith("<unfinished ...>"):
            pieces[number] = text[: -len("<unfinished ...>")].rstrip()
            continue
        resumed = re.match(r"<\.\.\. \w+ resumed>", text)
        if resumed:
            text = pieces.pop(number) + text[resumed.end() :]
        if re.match(r"\w+\(", text):
            calls.setdefault(number, []).append(Call(text))
    return calls


class Performed:
    """A plan that has been performed under strace, and the calls of its processes."""

    def __init__(self, kind: str, way: str, place: Path) -> None:
        self.kind = kind
        self.shares = way == "shares" and kind not in FORKED
        log = place / "log"
        script = place / "script.py"
        script.write_text(PROGRAM)
        args = [sys.executable, script, CHECKOUT, kind, shared_rootfs(), place, unique()]
        pipe: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen(list(map(str, args)), env=environment(way), **pipe) as caller:
            assert caller.stdin is not None
            assert caller.stdout is not None
            pids = caller.stdout.readline().split()
            attach = [option for pid in pids for option in ("-p", pid)]
            strace = ["strace", "-f", "-s", "600", "-a", "0", "-o", str(log), *attach]
            with subprocess.Popen(strace, stderr=subprocess.PIPE, text=True) as tracer:
                assert tracer.stderr is not None
                for _ in pids:
                    assert "attached" in tracer.stderr.readline()
                caller.stdin.write("\n")
                caller.stdin.flush()
                assert wait_until(lambda: (place / "plan.json").exists(), patience=60)
                caller.stdin.close()
                tracer.communicate()
        assert caller.returncode == 0
        found: dict[str, Any] = json.loads((place / "plan.json").read_text())
        assert found["state"] == 3
        self.plan: list[tuple[str, str, list[str]]] = found["plan"]
        self.log = read_log(log)
        self.pids = {"runtime": int(pids[0]), "server": int(pids[1]), "init": int(found["init"])}
        staged = any(process == "stage" for process, _, _ in self.plan)
        if staged:
            clones = [int(c.result) for c in self.log[self.pids["server"]] if c.name in CLONES]
            stage = next(
                pid
                for pid in clones
                if any(c.name in CLONES and int(c.result) == found["init"] for c in self.log[pid])
            )
            self.pids["stage"] = stage

    def calls(self, process: str) -> list[Call]:
        return self.log[self.pids[process]]


KINDS = ["spec", "plain", "user", "clocks", "join", "exec", "reaped", "reaped user"]
STAGED = ["clocks", "join", "exec", "reaped user"]
FORKED = ["clocks", "reaped user"]  # whatever is asked for: plan/sharing.py
CLONES = ("clone", "clone3")
WAYS = ["shares", "forks"]


def environment(way: str) -> dict[str, str]:
    """Of a program whose starts share memory, as far as they can, or are all forked."""
    return {**os.environ, "LIBCT_FORK": "1" if way == "forks" else ""}


@pytest.fixture(params=[f"{kind}, {way}" for kind in KINDS for way in WAYS], scope="module")
def performed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Performed:
    kind, _, way = request.param.partition(", ")
    return Performed(kind, way, tmp_path_factory.mktemp(f"{kind}-{way}"))


def test_it_is_forked_or_shares_memory_as_the_plan_says(performed: Performed) -> None:
    shared = ("CLONE_VM|CLONE_VFORK" in call for _, _, calls in performed.plan for call in calls)
    assert any(shared) == performed.shares
    forked = performed.pids["init"] if performed.kind == "exec" else 0  # others can see it
    meant = performed.pids["init"], performed.pids.get("stage")
    for calls in performed.log.values():
        for call in calls:
            if call.name in CLONES and call.result.isdigit() and int(call.result) in meant:
                expected = performed.shares and int(call.result) != forked
                assert ("CLONE_VM|CLONE_VFORK" in call.text) == expected


def test_each_printed_call_is_made_in_order(performed: Performed) -> None:
    places = dict.fromkeys(performed.pids, 0)
    printed = 0
    for number, (process, title, calls) in enumerate(performed.plan, 1):
        made = performed.calls(process)
        for call in calls:
            for place in range(places[process], len(made)):
                if made[place].is_what(call):
                    places[process] = place + 1
                    printed += 1
                    break
            else:
                rest = "\n".join(f"{one.name}({one.text}" for one in made[places[process] :][:40])
                pytest.fail(f"step {number}, {title}: no {call} after:\n{rest}", pytrace=False)
    assert printed > (25 if performed.kind == "exec" else 40)


def becoming(performed: Performed) -> list[Any]:
    """The calls of who becomes the command: for a further process the stage does most of it."""
    before = performed.calls("stage") if performed.kind == "exec" else []
    return [*before, *performed.calls("init")]


def test_nothing_is_loaded_once_the_container_is_entered(performed: Performed) -> None:
    """docs/architecture.md, invariant 1: no module, no library, nothing of NSS or of a locale."""
    calls = becoming(performed)
    entered = next((n for n, call in enumerate(calls) if call.name == "pivot_root"), 0)
    end = next(n for n, call in enumerate(calls) if call.name == "execve")
    opened = [
        call.text
        for call in calls[entered:end]
        if call.name.startswith("open") or call.name in ("stat", "newfstatat", "readlink", "access")
    ]
    forbidden = re.compile(
        r"\.pyc?\"|\.so\b|nsswitch|nscd|locale|gconv|/etc/ld|site-packages|\.zip"
    )
    assert [text for text in opened if forbidden.search(text)] == []
    assert any("/etc/passwd" in text for text in opened)
    # Nor does any process that has been cloned load anything, wherever it is.
    for process in set(performed.pids) & {"stage", "init"}:
        calls = performed.calls(process)
        end = next((n for n, call in enumerate(calls) if call.name == "execve"), len(calls))
        made = [call.text for call in calls[:end] if call.name != "read"]  # /proc/self/maps
        loaded = [text for text in made if re.search(r"\.pyc?\"|\.so\b", text)]
        assert loaded == []


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_process_is_not_dumpable_before_it_enters(kind: str, way: str, tmp_path: Path) -> None:
    """Invariant 2: here the server hides itself early, and what it clones is hidden from birth.

    So all of it is traced, and not just what comes after the server's start.
    """
    script = tmp_path / "script.py"
    script.write_text(PROGRAM)
    traced = "trace=clone,clone3,?fork,?vfork,execve,prctl,setns,unshare,pivot_root"
    strace = ["strace", "-f", "-s", "600", "-a", "0", "-o", str(tmp_path / "log"), "-e", traced]
    args = [sys.executable, script, CHECKOUT, kind, shared_rootfs(), tmp_path, unique()]
    subprocess.run(
        [*strace, *map(str, args)],
        input="\n",
        text=True,
        check=True,
        timeout=60,
        env=environment(way),
    )
    log = read_log(tmp_path / "log")
    cloners = {
        int(call.result): (pid, place)
        for pid, calls in log.items()
        for place, call in enumerate(calls)
        if call.name in ("clone", "clone3", "fork", "vfork") and call.result.isdigit()
    }

    def hidden(pid: int, place: int) -> bool:
        """Whether a process is not dumpable when it makes that call."""
        for call in reversed(log.get(pid, [])[:place]):
            if call.name == "execve" and call.result == "0":
                return False
            if call.text.startswith("PR_SET_DUMPABLE"):
                return "SUID_DUMP_DISABLE" in call.text
        return pid in cloners and hidden(*cloners[pid])

    entered = 0
    for pid, calls in log.items():
        names = [call.text for call in calls if call.text.startswith("PR_SET_NAME")]
        if not any("libct:stage" in name or "libct:init" in name for name in names):
            continue
        for place, call in enumerate(calls):
            if call.name in ("setns", "unshare", "clone3", "pivot_root"):
                assert hidden(pid, place), call.text
                entered += 1
    assert entered


def test_all_is_closed_before_the_command_is_executed(performed: Performed) -> None:
    """Invariant 3: the last calls close the range, but for what execve itself closes."""
    calls = becoming(performed)
    end = next(n for n, call in enumerate(calls) if call.name == "execve" and call.result == "0")
    closed = [call.text for call in calls[:end] if call.name == "close_range"]
    assert "4294967295, 0" in closed[-1]
    opening = ("open", "openat", "openat2", "socket", "dup", "pidfd_open", "fsopen", "fsmount")
    for call in calls[:end]:
        if call.name in opening and call.result.isdigit():
            assert "CLOEXEC" in call.text or call.name == "openat2", call.text


def test_it_leaves_by_exit(performed: Performed) -> None:
    """Invariant 5: nothing of the host is written or cleaned up by the stage on its way out."""
    assert ("stage" in performed.pids) == (performed.kind in STAGED)
    if performed.kind not in STAGED:
        return
    calls = performed.calls("stage")
    cloned = max(n for n, call in enumerate(calls) if call.name in CLONES)
    rest = [call.name for call in calls[cloned + 1 :]]
    assert rest[-1] == "exit_group"
    allowed = {"sendmsg", "close", "exit_group", "rt_sigprocmask", "munmap", "brk"}
    assert set(rest) <= allowed | ({"prctl"} if performed.shares else set())
