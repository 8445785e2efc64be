"""The bootstrap server: one for a process and for what that process is, and no trouble to it."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import resource
import signal
import struct
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import libct
from libct.bootstrap import servers, spawning
from libct.bootstrap.channel import Channel
from libct.bootstrap.inherited import inherited
from libct.bootstrap.origin import library_path
from libct.config import NEWNS, NEWPID
from libct.errors import ServerError
from libct.syscalls import core
from libct.syscalls.credentials import capget, capset
from libct.syscalls.keys import keyctl_join_session_keyring
from libct.syscalls.process import (
    SECBIT_NO_SETUID_FIXUP,
    cap_ambient_raise,
    capbset_drop,
    prlimit,
    set_no_new_privs,
)
from libct.syscalls.scheduling import (
    IOPRIO_CLASS_IDLE,
    IOPRIO_WHO_PROCESS,
    ioprio_set,
    sched_setattr,
    set_mempolicy,
)
from libct.syscalls.seccomp import Filter, seccomp_set_mode_filter
from libct.syscalls.settings import personality
from tests.prctl import set_securebits

from ..commands import libct_command, run as run_program
from ..containers import (
    PATH,
    make_config,
    run,
    running,
    shared_rootfs,
    shell,
    state_directory,
)
from ..processes import unshare_mapped
from ..support import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWTIME,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    copy_of_libct,
    forked,
    libct_environment,
    requires,
    unique,
    unshare,
    user_python,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [requires("root", "busybox"), pytest.mark.usefixtures("no_server")]


@pytest.fixture
def no_server() -> Iterator[None]:
    """No server before, none after, and no descriptor more."""
    shared_rootfs(), state_directory()  # which copies of this process are not to make
    servers.stop_server()
    before = set(os.listdir("/proc/self/fd"))
    yield
    servers.stop_server()
    assert set(os.listdir("/proc/self/fd")) == before


def server() -> int:
    """The pid of this process's server, which is started if there is none."""
    servers.start_server()
    assert servers._servers
    return pid_of(servers._servers[0].pidfd)


def pid_of(pidfd: int) -> int:
    text = Path(f"/proc/self/fdinfo/{pidfd}").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pid:"))


def children() -> list[str]:
    """Those of this process, as they are called."""
    return list(numbered_children().values())


def numbered_children() -> dict[int, str]:
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path(f"/proc/{entry}/stat").read_text(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
            name, _, rest = stat.partition("(")[2].rpartition(")")
            if int(rest.split()[1]) == os.getpid():
                found[int(entry)] = name
    return found


def works() -> bool:
    return run(make_config(), "true").state.success


def test_one_serves_all_starts() -> None:
    first = server()
    assert works()
    assert works()
    assert server() == first
    assert Path(f"/proc/{first}/comm").read_text() == "libct:server\n"


def test_it_holds_nothing_of_its_owner(tmp_path: Path) -> None:
    def body() -> None:
        os.chdir(tmp_path)
        inheritable = os.open(tmp_path, os.O_RDONLY)
        os.set_inheritable(inheritable, True)
        pid = server()
        assert wait_until(lambda: os.readlink(f"/proc/{pid}/cwd") == "/")
        # It loads modules meanwhile, whose files it has open.
        assert wait_until(lambda: sorted(os.listdir(f"/proc/{pid}/fd")) == ["0", "1", "2", "3"])
        fds = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in range(4)]
        assert fds[3].startswith("socket:")
        assert fds[:3] == ["/dev/null"] * 3
        info = Path(f"/proc/{pid}/fdinfo/3").read_text()
        assert int(info.partition("flags:")[2].split()[0], 8) & os.O_CLOEXEC
        variables = Path(f"/proc/{pid}/environ").read_text().split("\0")
        assert [one for one in variables if one] == []

    forked(body)


def test_it_takes_no_signal_settings_along() -> None:
    def body() -> str:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for own in (32, 33, 34):  # of the C library, which lets nobody set them; 34 is musl's
            _ignore(own)
        return run(make_config(), "grep", "-E", "Sig(Blk|Ign)", "/proc/self/status").output

    assert [line.split()[1] for line in forked(body).splitlines()] == ["0" * 16] * 2


def _ignore(number: int) -> None:
    action = (ctypes.c_void_p * 8)(signal.SIG_IGN)
    libc = ctypes.CDLL(None)
    assert libc.syscall(core.number("rt_sigaction"), number, action, None, ctypes.c_size_t(8)) == 0


def test_what_is_typed_at_the_owners_terminal_does_not_end_it() -> None:
    def body() -> None:
        os.setpgid(0, 0)
        first = server()
        assert works()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.killpg(0, signal.SIGINT)
        assert works()
        assert server() == first

    forked(body)


def _affinity() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def _oom_score() -> None:
    Path("/proc/self/oom_score_adj").write_text("77")


def _capabilities() -> None:
    effective, permitted, inheritable = capget()
    sys_time = 1 << 25
    capset(effective & ~sys_time, permitted & ~sys_time, inheritable)


def _user_namespace() -> None:
    """With all ids and capabilities as they were."""
    before = capget()
    unshare_mapped(CLONE_NEWUSER)
    capset(*before)


NAMESPACES = {
    "NEWNS": CLONE_NEWNS,
    "NEWPID": CLONE_NEWPID,
    "NEWNET": CLONE_NEWNET,
    "NEWIPC": CLONE_NEWIPC,
    "NEWUTS": CLONE_NEWUTS,
    "NEWCGROUP": CLONE_NEWCGROUP,
    "NEWTIME": CLONE_NEWTIME,
}


def _ambient() -> None:
    effective, permitted, inheritable = capget()
    capset(effective, permitted, inheritable | 1 << 25)
    cap_ambient_raise(25)


def _group() -> None:
    GROUP.mkdir()
    (GROUP / "cgroup.procs").write_text("0")


def _prctl(option: int, word: int) -> None:
    assert _libc_prctl(option, word, 0, 0, 0) == 0


GROUP = Path(f"/sys/fs/cgroup/pids/libct-test-{os.getpid()}")
ALLOW = struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)  # BPF_RET, SECCOMP_RET_ALLOW
_libc_prctl = ctypes.CDLL(None).prctl
_libc_prctl.argtypes = (ctypes.c_int, *(ctypes.c_ulong,) * 4)
CHANGES: dict[str, Callable[[], object]] = {
    **{name: partial(unshare, flag) for name, flag in NAMESPACES.items()},
    "NEWUSER": _user_namespace,
    "real uid": lambda: os.setresuid(65533, -1, -1),
    "setuid": lambda: os.setresuid(-1, 65533, -1),
    "setgid": lambda: os.setresgid(-1, 65533, -1),
    "real user": lambda: os.setresuid(65533, -1, -1),
    "real group": lambda: os.setresgid(65533, -1, -1),
    "groups": lambda: os.setgroups([4321]),
    "capabilities": _capabilities,
    "chroot": lambda: os.chroot("/usr"),
    "rlimit": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100)),
    "nice": lambda: os.nice(1),
    "affinity": _affinity,
    "oom score": _oom_score,
    "bounding set": lambda: capbset_drop(25),
    "ambient set": _ambient,
    "no new privileges": set_no_new_privs,
    "securebits": lambda: set_securebits(SECBIT_NO_SETUID_FIXUP),
    "session keyring": keyctl_join_session_keyring,
    "scheduling": lambda: sched_setattr(os.SCHED_BATCH, nice=os.nice(0)),
    "I/O priority": lambda: ioprio_set(IOPRIO_WHO_PROCESS, 0, IOPRIO_CLASS_IDLE << 13),
    "control group": _group,
    "personality": lambda: personality(0x0040000),  # ADDR_NO_RANDOMIZE
    "memory policy": lambda: set_mempolicy(2, [0]),  # MPOL_BIND
    "timer slack": lambda: _prctl(29, 77),
    "machine checks": lambda: _prctl(33, 1 | 0 << 8),  # PR_MCE_KILL_SET, late
    "huge pages": lambda: _prctl(41, 1),
    "limit of real time": lambda: prlimit(0, 15, 10**6, 10**6),
    # The same by another name, which everybody may enter, too.
    "interpreter": lambda: setattr(libct, "interpreter", f"/proc/self/root{libct.interpreter}"),
}
# The first time, capabilities and the names of control groups may differ with the namespace.
SECOND = ("NEWUSER", "NEWCGROUP")


@requires("timens")
@pytest.mark.parametrize("change", CHANGES)
def test_it_is_replaced_when_its_owner_becomes_another(change: str) -> None:
    python = user_python()

    def body() -> None:
        if change == "affinity" and len(os.sched_getaffinity(0)) == 1:
            pytest.skip("one CPU")
        libct.interpreter = python
        if change in SECOND:
            CHANGES[change]()
        identity = servers._identity()
        first = server()
        CHANGES[change]()
        if change == "chroot":  # where there is no /proc to tell
            with pytest.raises(ServerError, match="mount proc on /proc"):
                servers.start_server()
        else:
            assert servers._identity() != identity
            assert server() != first

    try:
        forked(body)
    finally:
        if GROUP.exists():
            assert wait_until(lambda: not (GROUP / "cgroup.procs").read_text())
            GROUP.rmdir()


def test_what_its_owner_has_given_up_the_next_container_lacks() -> None:
    def body() -> None:
        shown = ("grep", "NoNewPrivs", "/proc/self/status")
        assert run(make_config(), *shown).lines == ["NoNewPrivs:\t0"]
        set_no_new_privs()
        assert run(make_config(), *shown).lines == ["NoNewPrivs:\t1"]

    forked(body)


def test_a_thread_with_filters_has_its_own() -> None:
    """They cannot be compared; the same thread with as many has the same ones."""

    def filtered(count: int) -> list[int]:
        found: list[int] = []

        def thread() -> None:
            for _ in range(count):
                seccomp_set_mode_filter(Filter(ALLOW))
                assert works()
                found.append(server())
                assert works()
                assert server() == found[-1]

        started = threading.Thread(target=thread)
        started.start()
        started.join()
        return found

    def body() -> None:
        first = server()
        found = [first, *filtered(1), *filtered(2), server()]
        assert len(found) == len(set(found)) == 5

    forked(body)


def test_the_owner_may_have_another_one_made() -> None:
    """As one does who has restricted himself by what cannot be compared."""
    first = server()
    libct.stop_server()
    assert not Path(f"/proc/{first}").exists()
    assert works()


def test_a_changed_limit_is_that_of_the_next_container() -> None:
    def body() -> None:
        assert works()
        resource.setrlimit(resource.RLIMIT_CORE, (4096, 8192))
        assert shell(make_config(), "ulimit -c; ulimit -Hc").lines == ["8", "16"]

    forked(body)


def test_it_stays_after_what_does_not_concern_it() -> None:
    def body() -> None:
        first = server()
        os.chdir("/usr")
        os.umask(0o777)
        os.environ["PATH"] = ""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        assert works()
        assert server() == first

    forked(body)


def test_a_forked_copy_of_the_owner_has_its_own() -> None:
    def owner() -> None:
        first = server()

        def copy() -> int:
            assert not servers._servers
            assert works()
            return server()

        assert forked(copy) != first
        assert server() == first
        assert works()

    forked(owner)


def fork_of_c() -> int:
    """fork(2) by code that is not Python's, which has its own copies closed."""
    pid: int = ctypes.PyDLL(None).fork()
    return pid


def test_a_copy_that_python_knows_nothing_of() -> None:
    def owner() -> None:
        first = server()
        copy = fork_of_c()
        if copy == 0:
            try:
                os._exit(0 if server() != first and works() else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1]) == 0
        assert server() == first
        assert Path(f"/proc/{first}/stat").read_text().split()[2] != "Z"
        assert works()

    forked(owner, timeout=20)


def test_a_copy_of_the_owner_does_not_keep_it_alive() -> None:
    def owner() -> None:
        pid = server()
        reader, writer = os.pipe()
        copy = fork_of_c()
        if copy == 0:
            os.close(writer)
            os.read(reader, 1)
            os._exit(0)
        servers.stop_server()  # which waits for it
        assert not Path(f"/proc/{pid}").exists()
        os.close(writer)
        os.waitpid(copy, 0)

    forked(owner, timeout=20)


def test_a_fork_while_another_thread_is_busy_with_it() -> None:
    def owner() -> None:
        servers._lock.acquire()  # as a thread that is not in the copy
        forked(works, timeout=10)

    forked(owner, timeout=20)


def test_it_ends_with_its_owner() -> None:
    pid = forked(server)  # its process is killed
    assert wait_until(lambda: not os.path.exists(f"/proc/{pid}/exe"))


@pytest.mark.parametrize("moment", ["idle", "asked", "just asked"])
@pytest.mark.usefixtures("one_server")
def test_one_that_was_killed_is_replaced(moment: str) -> None:
    pid = server()
    assert works()
    if moment == "idle":
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z")
    else:
        os.kill(pid, signal.SIGSTOP)
        delay = 0.0 if moment == "just asked" else 0.2
        threading.Timer(delay, os.kill, (pid, signal.SIGKILL)).start()
    assert works()
    assert server() != pid
    assert children() == ["libct:server"]


def test_one_that_is_killed_again_and_again_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    spawn = spawning.spawn

    def spawn_and_stop(*, further: bool) -> tuple[int, Channel]:
        pid, channel = spawn(further=further)
        os.kill(pid, signal.SIGKILL)
        return pid, channel

    monkeypatch.setattr(servers, "spawn", spawn_and_stop)
    with pytest.raises(ServerError, match=r"^the bootstrap server ended by signal 9$"):
        works()
    assert children() == []


@pytest.mark.parametrize(
    ("interpreter", "message"),
    [
        ("/no/such/python", "cannot open the interpreter '/no/such/python': No such file"),
        ("/etc/passwd", "cannot execute '/etc/passwd': Permission denied"),
        ("/bin/true", "ended with status 0"),
        ("/bin/false", "ended with status 1: is '/bin/false' CPython 3.9 or newer"),
    ],
)
def test_an_interpreter_that_is_none(
    monkeypatch: pytest.MonkeyPatch, interpreter: str, message: str
) -> None:
    monkeypatch.setattr(libct, "interpreter", interpreter)
    with pytest.raises(ServerError, match=message):
        works()
    assert children() == []


def test_an_unknown_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(ServerError, match=r"set libct\.interpreter"):
        works()
    monkeypatch.setattr(libct, "interpreter", user_python())
    assert works()


def test_several_threads_at_once() -> None:
    results: list[bool] = []

    def thread() -> None:
        results.extend(works() for _ in range(3))

    threads = [threading.Thread(target=thread) for _ in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert results == [True] * 18
    # As many as there are processors, where a start was not through when the next one came.
    assert set(children()) == {"libct:server"}
    assert len(children()) <= len(os.sched_getaffinity(0))


def test_asyncio_waits_for_many_at_once() -> None:
    async def one(number: int) -> int:
        with libct.create(state_directory(), unique(), make_config()) as container:
            process = libct.Process(["sh", "-c", f"exit {number}"], init=True, env=[PATH])
            container.run(process)
            first, second = await asyncio.gather(process.wait_async(), process.wait_async())
            assert first is second
            return first.status

    async def main() -> list[int]:
        return await asyncio.gather(*map(one, range(10)))

    assert asyncio.run(main()) == list(range(10))


def test_asyncio_goes_on_when_a_wait_is_cancelled() -> None:
    async def main() -> None:
        with running(make_config()) as container:
            process = libct.Process(["sleep", "60"], env=[PATH])
            container.run(process)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(process.wait_async(), 0.01)
            process.signal(signal.SIGKILL)
            assert (await process.wait_async()).signal == signal.SIGKILL

    asyncio.run(main())


def test_the_host_program_has_children_of_its_own() -> None:
    """A handler of SIGCHLD that reaps whatever there is, as init-like programs have it."""

    def body() -> None:
        reaped = {}

        def handler(*_: object) -> None:
            while True:
                try:
                    pid, status = os.waitpid(-1, os.WNOHANG)
                except ChildProcessError:
                    return
                if pid == 0:
                    return
                reaped[pid] = status

        signal.signal(signal.SIGCHLD, handler)
        own = [os.fork() for _ in range(5)]
        for number, pid in enumerate(own):
            if pid == 0:
                time.sleep(0.05 * number)
                os._exit(number)
        statuses = {run(make_config(), "sh", "-c", "exit 7").state.status for _ in range(5)}
        assert wait_until(lambda: set(own) <= set(reaped))
        assert [os.WEXITSTATUS(reaped[pid]) for pid in own] == list(range(5))
        assert statuses <= {7, 255}  # 255 is unknown, before Linux 6.15
        servers.stop_server()
        assert works()

    forked(body)


def test_the_host_program_ignores_the_end_of_children() -> None:
    def body() -> int:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        script = "echo said; exit 7"  # how it has ended is not known to everybody
        for _ in range(2):
            done = run(make_config(), "sh", "-c", script)
            assert done.output == "said\n"
            assert done.state.status in (7, 255)
        return server()

    pid = forked(body)
    assert wait_until(lambda: not os.path.exists(f"/proc/{pid}/exe"))


def test_no_zombies() -> None:
    def body() -> None:
        for _ in range(3):
            with running(make_config()):
                pass  # destroyed, and never waited for
            container = libct.create(state_directory(), unique(), make_config())
            process = libct.Process(["no such command"], init=True, env=[PATH])
            with pytest.raises(libct.StepError):
                container.run(process)
            container.destroy()
            with running(make_config()) as container:
                container.run(libct.Process(["true"], env=[PATH]))
                time.sleep(0.05)  # its Process has gone by the time it ends
        assert [name for name in children() if name != "libct:server"] == []

    forked(body)


def test_the_owner_may_have_no_standard_streams() -> None:
    def body() -> None:
        saved = [os.dup(fd) for fd in range(3)]
        for fd in range(3):
            os.close(fd)
        try:
            with libct.create(state_directory(), unique(), make_config()) as container:
                script = "for fd in 0 1 2; do test /proc/self/fd/$fd -ef /dev/null || exit 1; done"
                process = libct.Process(["sh", "-c", script], init=True, env=[PATH])
                container.run(process)
                state = process.wait()
                fds = {fd: os.readlink(f"/proc/self/fd/{fd}") for fd in range(3)}
        finally:
            for fd in range(3):
                os.dup2(saved[fd], fd)
        assert state.success, state
        assert set(fds.values()) == {"/dev/null"}

    forked(body)


def test_a_server_is_started_without_standard_streams() -> None:
    """What it is given does not lie where it has them, nor where its owner has."""

    def body() -> set[str]:
        saved = [os.dup(fd) for fd in range(3)]
        for fd in range(3):
            os.close(fd)
        try:
            pid = server()
            assert wait_until(lambda: Path(f"/proc/{pid}/comm").read_text() == "libct:server\n")
            links = [f"/proc/{one}/fd/{fd}" for one in (pid, "self") for fd in range(3)]
            return {os.readlink(link) for link in links}
        finally:
            for fd in range(3):
                os.dup2(saved[fd], fd)

    assert forked(body) == {"/dev/null"}


def test_it_is_started_by_the_lowest_descriptors() -> None:
    """One of which is the number that its socket is to have."""
    program = (
        "from libct.bootstrap import servers\n"
        "servers.start_server()\n"
        "print(servers.forget(servers._servers[0]).si_status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=libct_environment(), capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("0\n", "")


@requires("compiler")
def test_an_interpreter_that_finds_its_library_by_origin(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As relocatable builds of Python have it: the sealed copy lies elsewhere."""
    for name in ("bin", "lib"):
        (tmp_path / name).mkdir()
    library, program = tmp_path / "lib/libone.so", tmp_path / "bin/python"
    source = "int one(void) { return 1; }"
    # Its soname, or the program would be linked to where it is now.
    compile_c(source, "-shared", "-fPIC", "-Wl,-soname,libone.so", "-o", library)
    source = f'''#include <unistd.h>
        int one(void);
        int main(int n, char **args) {{ return execv("{sys.executable}", args) + one(); }}'''
    compile_c(source, "-o", program, "-x", "none", library, "-Wl,-rpath,$ORIGIN/../lib")
    monkeypatch.setattr(libct, "interpreter", str(program))
    assert works()
    assert library_path(str(program)) == f"{tmp_path}/bin/../lib"
    assert library_path("/bin/busybox") == library_path(__file__) == ""


def compile_c(source: str, *args: str | Path) -> None:
    subprocess.run(["cc", "-x", "c", "-", *args], input=source, text=True, check=True)


# --- what clones, and what is cloned -------------------------------------------------------


def start_with(
    path: Path,
    way: str,
    cloner: str,
    does: dict[str, str],
    *,
    interrupted: int = 0,
    killed: bool = False,
) -> list[str]:
    """What comes of a start and an exec, the children that are left, and of a start after that.

    way: it "forks", or "shares" memory.
    cloner: the one meant, as what it clones is.
    does: what "cloner" and "clone" do at the instant when neither has told of the clone.  One
        that shares its memory waits for the clone then: so that does both.
    interrupted: so many times is the runtime, from when there is the clone.
    killed: the cloner is, by another.
    """
    copy = copy_of_libct(path / "copy/libct")
    if way == "forks":
        _change_forked(copy, cloner, does)
    else:
        _change_sharing(copy, cloner, does)
    script = _SCRIPT.format(
        copy=str(copy.parent),
        here=os.getcwd(),
        interrupted=interrupted,
        cloner=cloner,
        killed=f"libct:{cloner.partition(' ')[2]}" if killed else "",
        # What a stage clones for an exec is forked, and for a start shares memory.
        staged=way == "shares" and cloner == "the stage",
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**libct_environment(), "LIBCT_FORK": "1" if way == "forks" else ""},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def _change_sharing(copy: Path, cloner: str, does: dict[str, str]) -> None:
    file = copy / "bootstrap/sharing.py"
    text = file.read_text()
    place = '            own.tell(("cloned", number))\n'
    assert text.count(place) == 1
    # What the stage clones has what was the stage's context, and so has no place for the next.
    which = "" if cloner == "the stage" else "not "
    room = place[: len(place) - len(place.lstrip())]
    code = f"{room}if {which}'place' in context.values:\n"
    code += "".join(f"{room}    {does[who]}\n" for who in ("cloner", "clone") if who in does)
    file.write_text(text.replace(place, code + place))


def _change_forked(copy: Path, cloner: str, does: dict[str, str]) -> None:
    file = copy / "bootstrap/performer.py"
    text = file.read_text()
    which = "not " if cloner == "the server" else ""
    for who, place, key, after in (
        ("cloner", "                if pidfd >= 0:\n", "is clone", ""),
        ("clone", '            talk.tell(("cloned", steps[-1][0]))\n', "is second", " = True"),
    ):
        assert text.count(place) == 1
        room = place[: len(place) - len(place.lstrip())]
        code = f"{room}if {which}context.values.get({key!r}):\n{room}    {does.get(who, 'pass')}\n"
        if after:
            code += f"{room}context.values[{key!r}]{after}\n"
        text = text.replace(place, code + place)
    file.write_text(text)


_SCRIPT = """
import os, signal, sys, threading, time
sys.path[:0] = [{copy!r}, {here!r}]
import libct
from tests.containers import make_config, run_in, running
from tests.kernel.test_bootstrap_server import children, numbered_children

left = {interrupted}

def kill(name):
    # By another thread, for our child of that name waits for what it has cloned.
    while True:
        found = numbered_children()
        if "libct:init" in found.values() and name in found.values():
            return [os.kill(pid, 9) for pid, one in found.items() if one == name]
        time.sleep(0.005)

if {killed!r}:
    threading.Thread(target=kill, args=({killed!r},), daemon=True).start()

def interrupt(*_):
    global left
    if left == {interrupted} and "libct:init" not in children():
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        return
    left -= 1
    if left:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
    raise KeyboardInterrupt

def clones(who):
    if left and who == {cloner!r}:
        signal.setitimer(signal.ITIMER_REAL, 0.02)

signal.signal(signal.SIGALRM, interrupt)
config = make_config()
if {staged}:
    joined = ("NEWUTS", "/proc/self/ns/uts")
    config = make_config(namespaces=("NEWNS", "NEWPID", "NEWNET", joined))
try:
    clones("the stage" if {staged} else "the server")
    with running(config, "sleep", "600") as container:
        clones("the stage")
        run_in(container, "true")
    print("ran")
except libct.Error as error:
    print(error)
except KeyboardInterrupt:
    print("interrupted")
signal.setitimer(signal.ITIMER_REAL, 0)
libct.stop_server()
print(children())
"""

# The clone may be process 1.
DIES = {"cloner": "posix.kill(posix.getpid(), 9)", "clone": "posix._exit(9)"}
WAYS = ["forks", "shares"]


@pytest.mark.parametrize("dying", [["clone"], ["cloner"], ["clone", "cloner"]], ids="+".join)
@pytest.mark.parametrize("cloner", ["the server", "the stage"])
@pytest.mark.parametrize("way", WAYS)
def test_one_is_killed_as_it_is_cloned(
    tmp_path: Path, way: str, cloner: str, dying: list[str]
) -> None:
    """What has been cloned is found by the number that the kernel has written down."""
    does = {who: DIES[who] for who in dying}
    killed = way == "shares" and "cloner" in dying
    if killed:
        does["cloner"] = "time.sleep(0.5)"  # what the clone does until then
    said, left = start_with(tmp_path, way, cloner, does, killed=killed)
    assert "ended unexpectedly" in said if "clone" in dying else said == "ran"
    assert left == "[]"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("cloner", "waiting", "interrupted"),
    [
        ("the server", ["clone"], 1),
        ("the stage", ["clone"], 1),
        ("the stage", ["clone", "cloner"], 1),
        ("the server", ["clone"], 2),  # again while the first one is heeded, which takes 1 s
        ("the stage", ["clone", "cloner"], 2),
    ],
)
def test_what_has_been_cloned_and_not_told_of_is_ended(
    tmp_path: Path, way: str, cloner: str, waiting: list[str], interrupted: int
) -> None:
    does = dict.fromkeys(waiting, "time.sleep(600)")
    told = start_with(tmp_path, way, cloner, does, interrupted=interrupted)
    assert told == ["interrupted", "[]"]


@pytest.mark.parametrize("cloner", ["the server", "the stage"])
def test_what_is_cloned_has_no_page_of_numbers(cloner: str) -> None:
    """Who may trace it could write others there."""
    with running(make_config(), "sleep", "600") as pod:
        pids = [(NEWPID, f"/proc/{pod.state()['pid']}/ns/pid")] if cloner == "the stage" else []
        config = make_config(namespaces=(NEWNS, *pids))
        with libct.create(state_directory(), unique(), config) as container:
            process = libct.Process(["true"], env=[PATH], init=True)
            container.start(process)
            place = Path(f"/proc/{process.pid}")
            assert "libct:clones" not in (place / "maps").read_text()
            assert not [fd for fd in (place / "fd").iterdir() if "libct:clones" in os.readlink(fd)]


@pytest.mark.parametrize(("free", "path"), [(0, "thread-self"), (1, "thread-self/status")])
def test_no_descriptor_left_is_no_missing_proc(free: int, path: str) -> None:
    def body() -> None:
        inherited()
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
        taken: list[int] = []
        while not taken or taken[-1] < 63:
            taken.append(os.dup(0))
        for fd in taken[:free]:
            os.close(fd)
        reason = os.strerror(errno.EMFILE)
        with pytest.raises(ServerError, match=f"cannot read '/proc/{path}': {reason}"):
            inherited()

    forked(body)


LIMITED = """
import os, sys
with open(f"{sys.argv[1]}/cgroup.procs", "w") as file:
    file.write(str(os.getpid()))
with open(f"{sys.argv[1]}/pids.max", "w") as file:
    file.write(sys.argv[2])
os.execv(sys.executable, [sys.executable, *sys.argv[3:]])
"""


@requires("cgroup1")
@pytest.mark.parametrize("limit", [1, 2], ids=["no server", "no container"])
def test_a_limit_of_processes_is_named(limit: int) -> None:
    group = Path(f"/sys/fs/cgroup/pids/{unique()}")
    group.mkdir()
    try:
        _, *words = libct_command("sandbox", "--", "true")
        script = [sys.executable, "-c", LIMITED, str(group), str(limit), *words]
        done = run_program(script, env=libct_environment())
        assert done.returncode == 125
        assert "too many processes: RLIMIT_NPROC (ulimit -u), or pids.max" in done.stderr
    finally:
        assert wait_until(lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()
