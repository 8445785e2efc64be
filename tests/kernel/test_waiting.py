"""Created containers: what waits, how little it is, and what becomes of it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import libct
from libct.bootstrap import becoming, idle, lined_up
from libct.bootstrap.answer import GO
from libct.config import NEWNS, NEWUSER
from libct.life import releasing
from libct.life.directory import Directory

from ..bundles import busybox_rootfs
from ..containers import PATH, USUAL, make_config, state_directory
from ..names import unique
from ..needs import requires
from ..patience import patient
from ..support import forked

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [requires("root", "busybox"), pytest.mark.usefixtures("nothing_left")]


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    return busybox_rootfs(tmp_path)


@pytest.fixture(params=["lined up", "timed"])
def trace(request: Any) -> bool:
    """Both ways to wait: that of the C library's contexts, and that of the interpreter."""
    return bool(request.param == "timed")


def created(container: libct.Container, *args: str, trace: bool = False) -> libct.Process:
    container.trace = trace
    process = libct.Process(args, env=[PATH, "WORD=spoken"], init=True)
    container.start(process)
    return process


def pss(pid: int) -> int:
    """KiB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise AssertionError


def opened(pid: int) -> list[str]:
    """What is open but the standard streams."""
    links = [fd for fd in Path(f"/proc/{pid}/fd").iterdir() if int(fd.name) > 2]
    return sorted(os.readlink(fd).partition(":")[0] for fd in links)


def eventually(true: Callable[[], bool]) -> bool:
    """Whether it becomes true: the process still has some way to go when it is let go."""
    deadline = time.monotonic() + 10
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


@requires("contexts")
@pytest.mark.parametrize("user", [False, True], ids=["host", "userns"])
def test_a_created_container_takes_little_memory(rootfs: Path, *, user: bool) -> None:
    kinds = [*USUAL] + [NEWUSER] * user
    with libct.create(state_directory(), unique(), make_config(rootfs, namespaces=kinds)) as made:
        process = created(made, "sh", "-c", 'echo "$WORD $0 $# $$" >/said', "the name")
        assert made.status() == "created"
        # What an interpreter takes, and without this module the process, is ten times as much.
        assert eventually(lambda: 0 < pss(process.pid) < 700)
        assert pss(os.getpid()) > 5000
        made.exec()
        assert process.wait(30).status == 0
    assert (rootfs / "said").read_text().split()[:4] == ["spoken", "the", "name", "0"]


def test_it_waits_without_any_directory_open(rootfs: Path, *, trace: bool) -> None:
    with libct.create(state_directory(), unique(), make_config(rootfs)) as made:
        process = created(made, "true", trace=trace)
        wanted = ["pipe"] * 4
        assert opened(process.pid) == wanted
        made.exec()
        assert process.wait(30).status == 0


def test_descriptors_are_passed_on(rootfs: Path, tmp_path: Path, *, trace: bool) -> None:
    """What the wait needs moves out of their way."""
    files = [(tmp_path / str(number)).open("w") for number in range(8)]
    with libct.create(state_directory(), unique(), make_config(rootfs)) as made:
        made.trace = trace
        process = libct.Process(["sleep", "60"], env=[PATH], init=True, extra_files=files)
        made.start(process)
        made.exec()
        found = {fd: os.readlink(f"/proc/{process.pid}/fd/{fd}") for fd in range(3, 11)}
        assert list(found.values()) == [file.name for file in files]
        assert len(os.listdir(f"/proc/{process.pid}/fd")) == 11
    for file in files:
        file.close()


def test_nothing_of_the_wait_is_left_to_the_command(rootfs: Path, *, trace: bool) -> None:
    with libct.create(state_directory(), unique(), make_config(rootfs)) as made:
        process = created(made, "sleep", "60", trace=trace)
        made.exec()
        assert os.readlink(f"/proc/{process.pid}/exe").endswith("busybox")
        assert sorted(os.listdir(f"/proc/{process.pid}/fd")) == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("content", "code", "hint"),
    [
        ("#!/no/interpreter\n", errno.ENOENT, "'/no/interpreter' is not in the rootfs"),
        ("neither\n", errno.ENOEXEC, "no #! line"),
    ],
    ids=["missing", "format"],
)
@pytest.mark.parametrize("known", [True, False], ids=["creator", "stranger"])
def test_a_command_that_cannot_be_executed(
    rootfs: Path, content: str, code: int, hint: str, *, trace: bool, known: bool
) -> None:
    """What is known at the time of the start is told to who starts it."""
    (rootfs / "bin/broken").write_text(content)
    (rootfs / "bin/broken").chmod(0o755)
    with libct.create(state_directory(), unique(), make_config(rootfs)) as made:
        process = created(made, "broken", trace=trace)
        starter = made if known else libct.load(state_directory(), made.id)
        with pytest.raises(libct.StepError, match="broken") as caught:
            starter.exec()
        error = caught.value
        assert (error.errno, error.op, error.path) == (code, "execute", "/bin/broken")
        assert error.strerror == f"exec /bin/broken: {os.strerror(code).lower()}"
        assert hint in error.hint
        assert made.plan is not None
        assert error.number == len(made.plan)
        assert process.wait(30).exit_code == 1
        assert made.status() == "stopped"


def test_many_and_long_words(rootfs: Path, *, trace: bool) -> None:
    words = [str(number) * 50 for number in range(2000)]
    env = [PATH, *(f"NAME{number}={'x' * 1000}" for number in range(200))]
    with libct.create(state_directory(), unique(), make_config(rootfs)) as made:
        made.trace = trace
        script = 'test $# = 2000 && test "$1000" && test ${#NAME199} = 1000'
        process = libct.Process(["sh", "-c", script, "sh", *words], env=env, init=True)
        made.start(process)
        made.exec()
        assert process.wait(30).status == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGSEGV])
def test_a_signal_ends_the_wait_where_it_would_end_the_command(
    rootfs: Path, number: int, *, trace: bool
) -> None:
    config = make_config(rootfs, namespaces=[NEWNS])  # process 1 of a pid namespace has no such
    with libct.create(state_directory(), unique(), config) as made:
        process = created(made, "sleep", "60", trace=trace)
        process.signal(number)
        assert process.wait(30).signal == number
        assert made.status() == "stopped"


def test_why_there_is_no_command_is_told_when_its_creator_has_ended(
    rootfs: Path, *, trace: bool
) -> None:
    """Nobody hears what is said by the talk, and that is no reason to end without a word."""
    (rootfs / "program").write_text("#!/no/interpreter\n")
    (rootfs / "program").chmod(0o755)
    name = unique()

    def body() -> None:
        made = libct.create(state_directory(), name, make_config(rootfs, namespaces=[NEWNS]))
        created(made, "/program", trace=trace)

    forked(body)
    made = libct.load(state_directory(), name)
    try:
        with pytest.raises(libct.StepError, match="'/no/interpreter' is not in the rootfs"):
            made.exec()
    finally:
        made.destroy(force=True)


def test_one_that_has_ended_before_it_is_started(rootfs: Path, *, trace: bool) -> None:
    with libct.create(state_directory(), unique(), make_config(rootfs)) as made:
        process = created(made, "true", trace=trace)
        pidfd = os.pidfd_open(process.pid)
        process.signal(signal.SIGKILL)
        process.wait(30)
        # As if it ended between the look at the status and the release.
        with Directory(state_directory(), made.id).lock() as held:
            assert releasing._release(held, pidfd) == GO
        os.close(pidfd)
        with pytest.raises(libct.ContainerNotRunning):
            made.exec()


def test_the_release_is_not_lost_when_who_releases_is_killed(rootfs: Path, *, trace: bool) -> None:
    """The byte is all that it takes."""
    with libct.create(state_directory(), unique(), make_config(rootfs)) as made:
        process = created(made, "sh", "-c", "exit 7", trace=trace)
        time.sleep(0.3)
        assert made.status() == "created"
        writer = os.open(f"{state_directory()}/{made.id}/exec.fifo", os.O_WRONLY)
        os.write(writer, GO)
        os.close(writer)
        assert process.wait(30).exit_code == 7


def test_the_interpreters_memory_is_found() -> None:
    maps = Path("/proc/self/maps").read_bytes()
    unneeded = idle.idle_memory(maps)
    assert unneeded == sorted(unneeded)
    heap = id(sys.modules)  # an object of ours, wherever that is
    assert any(start <= heap < end for start, end in unneeded)
    assert lined_up._addresses
    called = [lined_up._addresses[name] for name in lined_up._CALLS]
    for address in (*called, lined_up.errno_location()):
        assert not any(start <= address < end for start, end in unneeded)


def messenger_of(container: libct.Container) -> int:
    pid = container._has.record.messenger[0]
    comm = Path(f"/proc/{pid}/comm")
    assert eventually(lambda: comm.read_text() == "libct:messenger\n")  # nobody waits for that
    return pid


def has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_the_messenger_takes_little_memory_and_has_nothing_but_its_pipes(
    rootfs: Path, *, trace: bool
) -> None:
    with libct.create(state_directory(), unique(), make_config(rootfs)) as made:
        created(made, "true", trace=trace)
        messenger = messenger_of(made)
        fifo = f"{state_directory()}/{made.id}/exec.fifo"
        assert eventually(lambda: opened(messenger) == [fifo, "pipe", "pipe"])
        with_interpreter = trace or not lined_up.available()
        assert with_interpreter or eventually(lambda: 0 < pss(messenger) < 700)


@pytest.mark.parametrize("pids", [True, False], ids=["own pids", "the host's"])
def test_without_the_messenger_the_wait_ends_and_nothing_is_executed(
    rootfs: Path, *, trace: bool, pids: bool
) -> None:
    """Process 1 of a pid namespace is not ended by SIGPIPE either."""
    config = make_config(rootfs, namespaces=[*USUAL] if pids else [NEWNS])
    with libct.create(state_directory(), unique(), config) as made:
        process = created(made, "touch", "/executed", trace=trace)
        os.kill(messenger_of(made), signal.SIGKILL)
        assert not process.wait(30).success
        assert made.status() == "stopped"
        with pytest.raises(libct.ContainerNotRunning):
            made.exec()
    assert not (rootfs / "executed").exists()


@pytest.mark.parametrize("how", ["killed", "started", "deleted"])
def test_the_messenger_ends_with_what_it_is_for(rootfs: Path, *, trace: bool, how: str) -> None:
    with libct.create(state_directory(), unique(), make_config(rootfs)) as made:
        process = created(made, "sleep", "60", trace=trace)
        messenger = messenger_of(made)
        if how == "killed":
            process.signal(signal.SIGKILL)
        elif how == "started":
            made.exec()
        else:
            made.destroy()
        assert eventually(lambda: has_ended(messenger))


def keep_open(pid: int) -> list[int]:
    """Both ends of all pipes that the process has besides its standard streams."""
    links = [fd for fd in Path(f"/proc/{pid}/fd").iterdir() if int(fd.name) > 2]
    pipes = [fd for fd in links if os.readlink(fd).startswith("pipe:")]
    assert len(pipes) == 4
    return [os.open(fd, os.O_RDWR) for fd in pipes]


@pytest.mark.parametrize("how", ["exec", "destroy"])
def test_one_whose_pipes_others_keep_open_is_ended(rootfs: Path, *, trace: bool, how: str) -> None:
    """As who may trace the process that waits can: its end is not told then."""
    with libct.create(state_directory(), unique(), make_config(rootfs)) as made:
        process = created(made, "sleep", "60", trace=trace)
        messenger = messenger_of(made)
        kept = keep_open(process.pid)
        try:
            made.exec() if how == "exec" else made.destroy()
            assert eventually(lambda: has_ended(messenger))
        finally:
            for fd in kept:
                os.close(fd)


@pytest.mark.parametrize("program", ["./said", "bin/../said", "deeper/said"])
def test_a_program_that_is_not_named_from_the_root(rootfs: Path, program: str) -> None:
    """The word is the first byte of its path, which begins at the root then."""
    (rootfs / "srv/bin").mkdir(parents=True)
    (rootfs / "srv/deeper").mkdir()
    for path in ("srv/said", "srv/deeper/said"):
        (rootfs / path).write_text('#!/bin/sh\necho "$PWD $1" >/said\n')
        (rootfs / path).chmod(0o755)
    with libct.create(state_directory(), unique(), make_config(rootfs)) as made:
        process = libct.Process([program, "word"], cwd="/srv", env=[PATH], init=True)
        made.start(process)
        made.exec()
        assert process.wait(30).success
    assert (rootfs / "said").read_text() == "/srv word\n"


@pytest.mark.parametrize("way", ["hook", "command"])
def test_small_pipes_hold_up_nobody(rootfs: Path, *, trace: bool, way: str) -> None:
    """As those of a user who has many (pipe-user-pages-soft): what is told is more than a page."""
    (rootfs / "program").write_text("#!/no/interpreter\n")
    (rootfs / "program").chmod(0o755)
    config = make_config(rootfs)
    name = "/" * 3000 + "program"
    if way == "hook":
        hook = libct.Hook("/bin/sh", ["sh", "-c", "head -c 60000 /dev/zero | tr '\\0' x; exit 3"])
        config.hooks = libct.Hooks(start_container=[hook])
    with libct.create(state_directory(), unique(), config) as made:
        process = created(made, name, trace=trace)
        for pid in (process.pid, messenger_of(made)):
            for fd in Path(f"/proc/{pid}/fd").iterdir():
                if int(fd.name) > 2 and fd.is_fifo():
                    copy = os.open(fd, os.O_RDONLY | os.O_NONBLOCK)
                    assert fcntl.fcntl(copy, 1031, 4096) == 4096  # F_SETPIPE_SZ
                    os.close(copy)
        began = time.monotonic()
        with pytest.raises(libct.StepError) as caught:
            made.exec()
        assert time.monotonic() - began < patient(5)
        assert caught.value.op == ("container_hook" if way == "hook" else "execute")
        assert process.wait(30).exit_code == 1


def test_a_stranger_ends_the_messenger(rootfs: Path) -> None:
    """Who starts or deletes it is another process than who has created it, as a rule."""
    name = unique()

    def body() -> None:
        made = libct.create(state_directory(), name, make_config(rootfs))
        created(made, "sleep", "60")

    forked(body)
    made = libct.load(state_directory(), name)
    try:
        pid = made.state()["pid"]
        messenger = messenger_of(made)
        kept = keep_open(pid)
        made.exec()
        assert eventually(lambda: has_ended(messenger))
        for fd in kept:
            os.close(fd)
    finally:
        made.destroy(force=True)


def messengers() -> set[int]:
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "comm").read_text() == "libct:messenger\n":
                found.add(int(entry.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


@pytest.mark.parametrize("when", ["before it is created", "as it is started"])
def test_a_start_that_fails_leaves_no_messenger(rootfs: Path, when: str) -> None:
    """Not one that has ended, and nobody has waited for."""
    before = messengers()
    (rootfs / "broken").write_text("neither\n")
    (rootfs / "broken").chmod(0o755)
    with libct.create(state_directory(), unique(), make_config(rootfs)) as made:
        if when == "as it is started":
            created(made, "/broken")
            with pytest.raises(libct.StepError):
                made.exec()
        else:
            with pytest.raises(libct.StepError):
                created(made, "no such command")
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        assert not {int(pid) for pid in children} & (messengers() - before)


@pytest.mark.parametrize("found", [becoming.ENDED, becoming.EXECUTED])
def test_an_answer_that_is_on_its_way_is_waited_for(
    rootfs: Path, monkeypatch: pytest.MonkeyPatch, found: str, *, trace: bool
) -> None:
    """The command may have begun, or ended, before the messenger has passed on what it said."""
    with libct.create(state_directory(), unique(), make_config(rootfs)) as made:
        process = created(made, "sh", "-c", "exit 7", trace=trace)
        monkeypatch.setattr(becoming, "wait", lambda *_: found)
        made.exec()
        assert process.wait(30).exit_code == 7
        assert made.plan is not None
        told = [made.plan.steps[number - 1].op for number, _, _, _ in made.traces]
        assert told[-2:] == (["await_start", "execute"] if trace else [])


def test_a_messenger_that_is_late_keeps_no_command_from_having_run(
    rootfs: Path, *, trace: bool
) -> None:
    """On a machine with more to do than it can, it may run a second after the command has ended."""
    with libct.create(state_directory(), unique(), make_config(rootfs)) as made:
        process = created(made, "sh", "-c", "exit 7", trace=trace)
        messenger = messenger_of(made)
        fifo = f"{state_directory()}/{made.id}/exec.fifo"
        assert eventually(lambda: opened(messenger) == [fifo, "pipe", "pipe"])
        os.kill(messenger, signal.SIGSTOP)
        (say,) = (
            os.open(f"/proc/{messenger}/fd/{info.name}", os.O_WRONLY)
            for info in Path(f"/proc/{messenger}/fdinfo").iterdir()
            if re.search(r"^flags:\s*\d*1$", info.read_text(), re.MULTILINE)
        )
        # It passes the word on, and then no answer.
        word = threading.Timer(0.5, os.write, (say, GO))
        word.start()
        made.exec()
        word.join()
        os.close(say)
        assert process.wait(30).exit_code == 7


def test_pipes_that_others_fill_hold_up_nobody(rootfs: Path, *, trace: bool) -> None:
    """As who may trace the process that waits can."""
    with libct.create(state_directory(), unique(), make_config(rootfs)) as made:
        process = created(made, "true", trace=trace)
        kept = keep_open(process.pid)
        try:
            for fd in kept:
                os.set_blocking(fd, False)
                with contextlib.suppress(BlockingIOError):
                    while True:
                        os.write(fd, b"x" * 4096)
            told: list[libct.Error] = []

            def start() -> None:
                try:
                    made.exec()
                except libct.Error as error:
                    told.append(error)

            thread = threading.Thread(target=start)
            thread.start()
            thread.join(8)
            waits = thread.is_alive()
            if waits:
                process.signal(signal.SIGKILL)
                thread.join()
            assert not waits
            assert told
            assert process.wait(30)
        finally:
            for fd in kept:
                os.close(fd)
