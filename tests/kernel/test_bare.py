"""What is cloned without an interpreter, and without the server's memory (bootstrap/bare.py)."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import libct
from libct.bootstrap import client, idle, servers
from libct.config import (
    NEWNS,
    NEWPID,
    NEWUSER,
    NEWUTS,
    Capabilities,
    Cgroup,
    IDMap,
    Landlock,
    Rlimit,
)
from libct.config.seccomp import Seccomp, SeccompRule
from libct.syscalls.constants import CAPABILITIES
from libct.syscalls.memory import MADV_DONTFORK, MAP_PRIVATE_ANONYMOUS, mmap, munmap

from ..containers import (
    PATH,
    USUAL,
    make_config,
    run,
    run_in,
    running,
    shared_rootfs,
    state_directory,
    with_v2,
)
from ..leaks import wait_until
from ..patience import patient
from ..support import (
    as_user,
    busybox_rootfs,
    copy_of_libct,
    forked,
    libct_environment,
    requires,
    unique,
    user_checkout,
    user_python,
)
from .test_bootstrap_server import children, numbered_children
from .test_sharing import DONE, INTERPRETERS, TIMES, own_servers, start, state_of, works

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["own_servers"]

pytestmark = [
    requires("root", "busybox", "contexts", "sharing"),
    pytest.mark.usefixtures("own_servers"),
]

SECRET = "the secret of another container"
OWN = "ITS=own words"


def is_bare(container: libct.Container) -> bool:
    assert container.plan is not None
    found = {step.op for step in container.plan} & {"clone_bare", "clone_command"}
    assert len(found) == 1
    return found == {"clone_bare"}


@contextlib.contextmanager
def with_secret(config: Any = None) -> Iterator[libct.Container]:
    """A container; the same server has started another one, with a secret, and that runs."""
    with (
        running(make_config(), "sleep", "600") as other,
        running(config or make_config(), "sleep", "600") as container,
    ):
        assert run_in(other, "true", env=[PATH, f"SECRET={SECRET}"]).state.success
        yield container


def at_the_word(monkeypatch: pytest.MonkeyPatch, look: Callable[[client._Run], None]) -> None:
    """Have look called while what has been cloned waits for the word of the runtime."""
    go = client._Run._let_go_ahead

    def look_and_go(run: client._Run, number: int) -> None:
        look(run)
        go(run, number)

    monkeypatch.setattr(client._Run, "_let_go_ahead", look_and_go)


def memory_of(pid: int) -> dict[str, bytes]:
    """What it has mapped, and what is in there, by the lines of its maps."""
    found = {}
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            start, end = (int(one, 16) for one in line.split()[0].split("-"))
            if "[v" in line:
                continue  # the kernel's
            memory.seek(start)
            found[line] = memory.read(end - start)
            # Between the parts of a library there may be a mapping that its file ends within.
            assert len(found[line]) == end - start or " ---p " in line
    return found


# --- what is in its memory --------------------------------------------------------------------


@pytest.mark.parametrize("python", INTERPRETERS)
def test_its_memory_is_the_c_librarys_and_its_own_words(
    python: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if tuple(map(int, re.findall(r"\d+", python.parent.parent.name)[:2])) >= (3, 14):
        pytest.skip("it forks")
    seen: list[dict[str, bytes]] = []
    monkeypatch.setattr(libct, "interpreter", str(python))
    servers.stop_server()
    with with_secret() as container:
        at_the_word(monkeypatch, lambda run: seen.append(memory_of(run.started.pid)))
        for _ in range(20):  # other memory may come to lie beside what is kept
            assert run_in(container, "true", env=[PATH, OWN]).state.success
            assert is_bare(container)
        secrets = [SECRET, container.id, str(container.config.rootfs), "libct.bootstrap"]
    for mappings in seen:
        names = {line.split(None, 5)[5] for line in mappings if len(line.split(None, 5)) > 5}
        assert {name.rpartition("/")[2].split(".")[0].split("-")[0] for name in names} <= {
            *("libc", "ld", "gconv"),
        }
        assert any(OWN.encode() in data for data in mappings.values())
        for secret in secrets:
            assert not any(secret.encode() in data for data in mappings.values()), secret
        # The thread's own variables, what is zeroed at first of the C library, and the calls.
        unnamed = [line for line in mappings if len(line.split(None, 5)) == 5]
        assert len(unnamed) == 3
        assert sum(len(mappings[line]) for line in unnamed) < 300_000
    assert len(seen) == 20


# Stops what appears, and looks for words in all of its memory: says its names before and after,
# which words it has found, and which mappings.
LOOKER = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char data[1 << 24], text[1 << 18];

static void name_of(int pid, char *to)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/comm", pid);
    int fd = open(path, O_RDONLY);
    to[0] = 0;
    if (fd < 0)
        return;
    int got = read(fd, to, 31);
    to[got > 0 ? got - 1 : 0] = 0;
    close(fd);
}

int main(int argc, char **argv)
{
    int newest = getpid();
    unsigned wait = 1;
    setbuf(stdout, 0);
    puts("READY");
    for (;;) {
        int pid = 0;
        char path[64], before[32], after[32];
        for (int one = newest + 1; one < newest + 8 && !pid; one++)
            if (kill(one, 0) == 0)
                pid = one;
        if (!pid)
            continue;
        for (volatile unsigned n = wait = wait * 1103515245 + 12345, m = n >> 16 & 8191; m; m--)
            ;
        kill(pid, SIGSTOP);
        newest = pid;
        name_of(pid, before);
        snprintf(path, sizeof path, "/proc/%d/maps", pid);
        int maps = open(path, O_RDONLY), size = 0, got;
        while (maps >= 0 && (got = read(maps, text + size, sizeof text - 1 - size)) > 0)
            size += got;
        text[size] = 0;
        close(maps);
        snprintf(path, sizeof path, "/proc/%d/mem", pid);
        int mem = open(path, O_RDONLY), found = 0, other = 0;
        for (char *line = strtok(text, "\n"); line && mem >= 0; line = strtok(0, "\n")) {
            unsigned long start, end;
            sscanf(line, "%lx-%lx", &start, &end);
            if (strstr(line, "[heap]") || strstr(line, "[stack]") || strstr(line, "python"))
                other++;
            if (end - start > sizeof data)
                continue;
            long have = pread(mem, data, end - start, start);
            for (int n = 1; n < argc && have > 0; n++)
                if (memmem(data, have, argv[n], strlen(argv[n])))
                    found |= 1 << n;
        }
        if (mem >= 0)
            close(mem);
        name_of(pid, after);
        kill(pid, SIGCONT);
        printf("%s %s %d %d %d\n", before, after, size > 0, found, other);
    }
}
"""


@requires("compiler")
@pytest.mark.longest(300)
def test_who_may_trace_finds_nothing_of_the_servers(tmp_path: Path) -> None:
    """Another container that has joined the pid namespace, with CAP_SYS_PTRACE, and no users'."""
    rootfs = busybox_rootfs(tmp_path)
    compiler = ["cc", "-O1", "-static", "-w", "-x", "c", "-", "-o", str(rootfs / "bin/looker")]
    subprocess.run(compiler, input=LOOKER, text=True, check=True)
    every = list(CAPABILITIES)
    rights = Capabilities(bounding=every, effective=every, permitted=every)
    output = tmp_path / "output"
    with output.open("wb") as file, with_secret() as container:
        path = f"/proc/{container.processes()[0]}/ns/pid"
        spaces = (NEWNS, NEWUTS, (NEWPID, path))
        joins = make_config(rootfs, namespaces=spaces, capabilities=rights)
        # (In another process, which has servers of its own.)
        words = [SECRET, container.id, OWN]
        with running(joins, "looker", *words, stdout=file):
            assert wait_until(lambda: "READY" in output.read_text())
            # It may miss some: on a busy machine these have gone before it is its turn.
            for _ in range(1000 * TIMES):
                how = run_in(container, "sleep", "0.003", env=[PATH, OWN])
                assert how.state.success
                assert is_bare(container)
                if len(output.read_text().splitlines()) > 140 * TIMES:
                    break
            assert len(output.read_text().splitlines()) > 140 * TIMES
    seen = [line.split() for line in output.read_text().splitlines()[1:]]
    entering = [
        (int(mapped), int(found), int(other))
        for before, after, mapped, found, other in seen
        if before == after and before.startswith("libct:")
    ]
    assert entering  # it was fast enough in some
    assert {mapped for mapped, _, _ in entering} == {1}  # and it may look
    assert {found for _, found, _ in entering} == {8}  # finds the command's own words
    assert {other for _, _, other in entering} == {0}


# --- what it does -----------------------------------------------------------------------------


def test_it_has_a_session_and_no_descriptor_more() -> None:
    with running(make_config()) as container:
        done = run_in(container, "grep", "Sig[BIC][lgg][knt]", "/proc/self/status")
        assert is_bare(container)
        assert {line.split()[1] for line in done.lines} == {"0" * 16}
        assert len(done.lines) == 3
        for script in ("cut -d' ' -f1,6 /proc/self/stat", "ls /proc/self/fd"):
            done = run_in(container, "sh", "-c", f"exec {script}")
            assert is_bare(container)
            numbers = done.output.split()
            if "cut" in script:
                assert numbers[0] == numbers[1]
            else:
                assert numbers == ["0", "1", "2", "3"]  # the last is that of ls


LIMITS = [
    Rlimit(*one) for one in ((7, 200, 100), (4, 0, 0), (8, 9 << 12, 9 << 12), (3, 1 << 22, 1 << 21))
]


@pytest.mark.usefixtures("one_server")
def test_its_limits_are_in_force_before_the_command_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def look(run: client._Run) -> None:
        seen.append(Path(f"/proc/{run.started.pid}/limits").read_text())

    with running(make_config()) as container:
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        (server,) = (one for one, name in numbered_children().items() if name == "libct:server")
        of_server = Path(f"/proc/{server}/limits").read_text()
        at_the_word(monkeypatch, look)
        done = run_in(container, "cat", "/proc/self/limits", rlimits=LIMITS)
        assert is_bare(container)
        assert done.output == seen[0]
        found = dict(re.findall(r"(?m)^(Max [a-z ]+?)  +(\S+ +\S+)", seen[0]))
        pairs = {
            name: tuple(map(int, text.split())) for name, text in found.items() if "un" not in text
        }
        assert pairs["Max open files"] == (100, 200)
        assert pairs["Max core file size"] == (0, 0)
        assert pairs["Max locked memory"] == (9 << 12, 9 << 12)
        assert pairs["Max stack size"] == (1 << 21, 1 << 22)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
        assert Path(f"/proc/{server}/limits").read_text() == of_server


@pytest.mark.usefixtures("one_server")
def test_a_limit_that_is_refused_is_one_clear_error() -> None:
    with running(make_config()) as container:
        before = numbered_children()
        for _ in range(5):
            process = libct.Process(
                ["touch", "/dev/executed"], env=[PATH], rlimits=[Rlimit(7, 1 << 30, 1 << 30)]
            )
            with pytest.raises(libct.StepError, match="not permitted") as caught:
                container.run(process)
            assert is_bare(container)
            assert caught.value.op == "make_room"
            assert "/proc/sys/fs/nr_open" in str(caught.value)
            assert numbered_children() == before
        assert run_in(container, "ls", "/dev/executed").state.exit_code == 1
        assert run_in(container, "true").state.success


def test_it_ends_with_the_runtime_where_that_is_asked_for() -> None:
    name = unique()
    config = make_config(parent_death_signal=signal.SIGKILL)

    def caller() -> int:
        loaded = libct.load(state_directory(), name)
        process = libct.Process(["sleep", "60"], env=[PATH], user="1000:1000")
        loaded.run(process)
        assert is_bare(loaded)
        return process.pid

    with libct.create(state_directory(), name, config) as container:
        container.run(libct.Process(["sleep", "60"], init=True, env=[PATH]))
        pid = forked(caller)  # and the caller is killed
        assert wait_until(lambda: not os.path.exists(f"/proc/{pid}/exe"))


@pytest.mark.parametrize(
    ("args", "cwd"),
    [
        (["bin/busybox", "true"], "/"),
        (["./true"], "/bin"),
        (["../bin/true"], "/dev"),
        (["true", ""], "/"),
        (["true", "", "", "a b", "\udcff"], "/bin"),
    ],
)
def test_a_program_by_a_relative_path(args: list[str], cwd: str) -> None:
    with running(make_config()) as container:
        assert run_in(container, *args, cwd=cwd).state.success
        assert is_bare(container)


def test_words_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    said: dict[str, list[str]] = {}
    for way in ("", "1"):
        monkeypatch.setenv("LIBCT_FORK", way)
        with running(make_config()) as container:
            for name, words, env in (
                ("empty", [""] * 1000, []),
                ("long", ["x" * 131071], []),
                ("too long", ["x" * 131072], []),
                ("many", ["x" * 100000] * 18, []),
                ("too many", ["x" * 100000] * 22, []),
                ("environment", [], [f"V{n}=" + "y" * 100000 for n in range(18)]),
                ("too much", [], [f"V{n}=" + "y" * 100000 for n in range(22)]),
            ):
                _, how = start(None, "true", *words, further=container, env=[PATH, *env])
                assert is_bare(container) == (not way)
                said.setdefault(name, []).append(re.sub(r"step \d+ of \d+", "step", how))
    for name, found in said.items():
        assert found[0] == found[1], name
        assert (found[0] == DONE) == (not name.startswith("too ")), name
        assert found[0] == DONE or "rgument list too long" in found[0]


# --- without the word ------------------------------------------------------------------------


@pytest.mark.parametrize("program", ["/bin/touch", "bin/touch", "touch"])
@pytest.mark.parametrize("when", ["killed", "gives up"])
def test_without_the_word_nothing_is_executed(tmp_path: Path, program: str, when: str) -> None:
    rootfs = busybox_rootfs(tmp_path)
    pids, told = os.pipe()

    with running(make_config(rootfs)) as container:
        name = container.id

        def body() -> str:
            def stop(run: client._Run, number: int) -> None:
                os.write(told, b"%d" % run.started.pid)
                if when == "killed":
                    os.kill(os.getpid(), signal.SIGKILL)
                raise KeyboardInterrupt

            client._Run._let_go_ahead = stop  # type: ignore[method-assign, assignment]
            process = libct.Process([program, "/executed"], env=[PATH], cwd="/")
            loaded = libct.load(state_directory(), name)
            with pytest.raises(KeyboardInterrupt):
                loaded.run(process)
            assert is_bare(loaded)
            return "interrupted"

        if when == "killed":
            with pytest.raises(pytest.fail.Exception):
                forked(body)
        else:
            assert forked(body) == "interrupted"
        pid = int(os.read(pids, 20))
        assert wait_until(lambda: state_of(pid) in ("", "Z"))
        assert not (rootfs / "executed").exists()
        assert run_in(container, "true").state.success
    os.close(pids)
    os.close(told)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("place", ["before", "after"])
def test_the_stage_is_ended_or_stopped_beside_the_clone(
    tmp_path: Path, number: int, place: str
) -> None:
    copy = copy_of_libct(tmp_path / "copy/libct")
    file = copy / "bootstrap/bare.py"
    line = '    context.pid = _clone(context, number_at, context.values["rest"].own())\n'
    does = f"    posix.kill(posix.getpid(), {int(number)})\n"
    text = file.read_text()
    assert text.count(line) == 1
    file.write_text(text.replace(line, does + line if place == "before" else line + does))
    script = f"""
import os, sys, threading, time
sys.path[:0] = [{str(copy.parent)!r}, {os.getcwd()!r}]
import libct
from tests.containers import *
from tests.kernel.test_bootstrap_server import numbered_children
from tests.kernel.test_sharing import state_of
from tests.leaks import wait_until
assert libct.__file__.startswith({str(copy)!r})

def stages():
    return [pid for pid, name in numbered_children().items() if name == "libct:stage"]

with running(make_config()) as container:
    told = []
    def go():
        try:
            told.append(str(run_in(container, "true").state))
        except libct.StepError as error:
            told.append(error.strerror)
    thread = threading.Thread(target=go)
    thread.start()
    if {number == signal.SIGSTOP}:
        assert wait_until(lambda: [state_of(pid) for pid in stages()] == ["T"])
        time.sleep(0.1)
        assert told == []
        assert run(make_config(), "true").state.success
        os.kill(stages()[0], 18)
    thread.join()
    print(*told)
    assert "libct:stage" not in numbered_children().values()
    assert run(make_config(), "true").state.success
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=libct_environment(),
        capture_output=True,
        text=True,
        timeout=patient(60),
    )
    expected = DONE if number == signal.SIGSTOP else "its process was killed"
    assert (done.stdout.strip(), done.stderr) == (expected, "")


# --- who is bare, and who is not --------------------------------------------------------------


def ways() -> dict[str, tuple[dict[str, Any], dict[str, Any], bool]]:
    """Changes of the configuration, and of the process; and whether it is bare."""
    rule = SeccompRule(["reboot"], "SCMP_ACT_ERRNO")
    filtered = Seccomp("SCMP_ACT_ALLOW", syscalls=[rule])
    no_advice = Seccomp("SCMP_ACT_ALLOW", syscalls=[SeccompRule(["madvise"], "SCMP_ACT_ERRNO")])
    no_vectors = Seccomp("SCMP_ACT_ALLOW", syscalls=[SeccompRule(["writev"], "SCMP_ACT_ERRNO")])
    maps = [IDMap(0, 100000, 65536)]
    return {
        "plain": ({}, {}, True),
        "user": ({}, {"user": "1000:1000"}, True),
        "death signal": ({"parent_death_signal": 15}, {}, True),
        "limits": ({}, {"rlimits": [Rlimit(7, 10, 10)], "user": "1000:1000"}, True),
        "seccomp, early": ({"seccomp": filtered}, {}, True),
        "seccomp, early, limits": ({"seccomp": filtered}, {"rlimits": [Rlimit(7, 10, 10)]}, True),
        "seccomp, late": ({"seccomp": filtered, "no_new_privileges": True}, {}, False),
        "seccomp, no madvise": ({"seccomp": no_advice}, {}, False),
        "seccomp, no writev": ({"seccomp": no_vectors}, {}, False),
        "no new privileges": ({"no_new_privileges": True}, {}, True),
        "landlock": ({"landlock": Landlock(write=["/dev"])}, {}, True),
        "user namespace": (
            {"namespaces": (*USUAL, NEWUSER), "uid_mappings": maps, "gid_mappings": maps},
            {},
            True,
        ),
        "user namespace, limits": (  # which the runtime sets
            {"namespaces": (*USUAL, NEWUSER), "uid_mappings": maps, "gid_mappings": maps},
            {"rlimits": [Rlimit(7, 10, 10)]},
            False,
        ),
        "groups": ({"cgroups": True}, {}, True),
    }


@pytest.mark.parametrize(
    ("version", "way"), [*((1, way) for way in ways()), (2, "groups"), (2, "plain")]
)
def test_who_is_bare(version: int, way: str) -> None:
    changes, values, bare = ways()[way]

    def body() -> None:
        config = dict(changes)
        if config.pop("cgroups", None):
            config["cgroups"] = Cgroup(name=unique())
        with running(make_config(**config)) as container:
            found = []
            for _ in range(3):
                done = run_in(container, "sh", "-c", "id -u; ulimit -n", **values)
                assert done.state.success, done.output
                found.append(done.output)
                assert is_bare(container) == bare
                _, how = start(None, "/etc/passwd", further=container, **values)
                assert "ermission denied" in how
            assert len(set(found)) == 1
            user, limit = found[0].split()
            assert user == ("1000" if "user" in values else "0")
            assert (limit == "10") == ("rlimits" in values)

    if version == 2:
        with_v2(body)
    elif way == "groups":
        forked(body)  # (A descriptor stays that tells of changes of the groups' mounts.)
    else:
        body()


def test_who_has_more_to_do_than_that_is_forked() -> None:
    ours, theirs = socket.socketpair()
    with running(make_config()) as container:
        with ours, theirs:
            process = libct.Process(["true"], env=[PATH], terminal=True, console_socket=theirs)
            container.run(process)
            assert not is_bare(container)
            process.wait(patient(20))
            os.close(socket.recv_fds(ours, 64, 1)[1][0])
            assert run_in(container, "true", pidfd_socket=theirs).state.success
            assert not is_bare(container)
        process = libct.Process(["true"], env=[PATH])
        container.start(process, ignore_paused=True)
        assert process.wait(patient(20)).success
        assert not is_bare(container)
        container.trace = True
        assert run_in(container, "true").state.success
        assert not is_bare(container)
        assert container.traces


def test_beside_a_reaper() -> None:
    with libct.create(state_directory(), unique(), make_config()) as container:
        container.run(libct.Process(["sleep", "60"], init=True, reaper=True, env=[PATH]))
        for _ in range(3):
            assert run_in(container, "true").state.success
            assert is_bare(container)


def test_a_first_process_that_joins_is_forked() -> None:
    with running(make_config(), "sleep", "600") as other:
        path = f"/proc/{other.processes()[0]}/ns/pid"
        with running(make_config(namespaces=(NEWNS, NEWUTS, (NEWPID, path)))) as container:
            assert not is_bare(container)
            assert run_in(container, "true").state.success
            assert not is_bare(container)


@requires("user", "userns")
def test_an_ordinary_users_exec_is_bare() -> None:
    script = f"""
import os, sys
sys.path.insert(0, {str(user_checkout())!r})
import libct
from libct.config import IDMap, Mount, Namespace, Rlimit
rootfs, states = sys.argv[1:]
kinds = ["NEWNS", "NEWPID", "NEWUSER", "NEWUTS"]
config = libct.Config(
    rootfs=rootfs, namespaces=[Namespace(kind) for kind in kinds],
    uid_mappings=[IDMap(0, os.geteuid(), 1)], gid_mappings=[IDMap(0, os.getegid(), 1)],
    mounts=[Mount("/proc", "proc", "proc"), Mount("/dev", "tmpfs", "tmpfs")],
)
with libct.create(states, {unique()!r}, config) as container:
    process = libct.Process(["sleep", "60"], env=["PATH=/bin"], init=True)
    container.run(process)
    for limits in ([], [Rlimit(7, 10, 10)]):
        further = libct.Process(["true"], env=["PATH=/bin"], rlimits=limits)
        container.run(further)
        assert further.wait().success
        print("clone_bare" in [step.op for step in container.plan])
    process.signal(9)
    process.wait()
"""
    states = f"/tmp/{unique()}"
    done = as_user(user_python(), "-c", script, str(shared_rootfs()), states)
    as_user("rm", "-rf", states)
    assert (done.stdout, done.stderr[-200:]) == ("True\nFalse\n", "")  # its limits the runtime sets


def test_what_is_not_marked_is_an_error() -> None:
    """But for where nothing is mapped."""
    size = resource.getpagesize()
    address = mmap(4 * size, MAP_PRIVATE_ANONYMOUS)
    munmap(address + size, size)
    idle._advise([(address, address + 4 * size)], MADV_DONTFORK)
    shown = Path("/proc/self/smaps").read_text()
    for at in (address, address + 2 * size):
        flags = re.search(f"(?m)^{at:x}-[^^]*?^VmFlags:(.*)", shown)
        assert flags is not None
        assert "dc" in flags[1].split()
    munmap(address, 4 * size)
    with pytest.raises(OSError, match="Invalid argument"):
        idle._advise([(address, address + size)], 9999)


def test_memory_with_a_name_is_given_away_too() -> None:
    """PR_SET_VMA_ANON_NAME, prctl(2): a C library or an interpreter may call its memory so."""
    maps = Path("/proc/self/maps").read_bytes()
    held = id(sys.modules)
    lines = []
    for line in maps.splitlines():
        start, end = (int(one, 16) for one in line.split()[0].split(b"-"))
        if start <= held < end:
            words = line.split(None, 5)[:5]
            line = b" ".join([*words, b"[anon: pymalloc]"])
        lines.append(line)
    named = b"\n".join(lines)
    assert named.count(b"[anon: pymalloc]") == 1
    for text in (maps, named):
        assert any(start <= held < end for start, end in idle.idle_memory(text))


@pytest.mark.longest(300)
@pytest.mark.usefixtures("one_server")
def test_many_leave_nothing() -> None:
    with running(make_config(), "sleep", "600") as container:
        (server,) = (one for one, name in numbered_children().items() if name == "libct:server")

        def look() -> tuple[int, list[str], list[str]]:
            assert wait_until(lambda: state_of(server) == "S")
            size = int(Path(f"/proc/{server}/statm").read_text().split()[5])
            fds = sorted(os.listdir(f"/proc/{server}/fd"))
            return size * resource.getpagesize(), fds, sorted(children())

        def cycle(count: int) -> None:
            for number in range(count):
                _, how = start(None, "true", further=container)
                assert how == DONE
                if number % 5 == 0:
                    assert start(None, "/etc/passwd", further=container)[1] != DONE
            assert is_bare(container)

        cycle(50)
        before = look()
        cycle(450 * TIMES)
        after = look()
        assert after[1:] == before[1:]
        assert after[0] - before[0] < 1 << 20
        flags = Path(f"/proc/{server}/smaps").read_text()
        # Nothing stays marked as not to be copied but the page of numbers, if it is there.
        assert len(re.findall(r"(?m)^VmFlags:.* dc( |$)", flags)) <= 1


def test_it_works_after_all_that() -> None:
    assert works()
    assert run(make_config(), "true").state.success
