"""Created containers: what waits, how little it is, and what becomes of it."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import libct
from libct.bootstrap import waiting
from libct.config import NEWNS, NEWUSER, Hook, Hooks
from libct.life import releasing
from libct.life.directory import Directory

from ..bundles import busybox_rootfs
from ..containers import PATH, USUAL, make_config, state_directory
from ..names import unique
from ..needs import requires
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


@pytest.mark.parametrize("hooked", [False, True], ids=["", "hooked"])
def test_it_waits_without_any_directory_open(rootfs: Path, *, trace: bool, hooked: bool) -> None:
    """From the instant on that it is created, for others may be there then and take them."""
    hooks = Hooks(start_container=[Hook("/bin/true", ["true"])]) if hooked else None
    with libct.create(state_directory(), unique(), make_config(rootfs, hooks=hooks)) as made:
        process = created(made, "true", trace=trace)
        assert opened(process.pid) == [f"{state_directory()}/{made.id}/exec.fifo", "pipe", "pipe"]
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
            assert releasing._release(held, pidfd) == b"0"
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
        os.write(writer, b"0")
        os.close(writer)
        assert process.wait(30).exit_code == 7


def test_the_interpreters_memory_is_found() -> None:
    maps = Path("/proc/self/maps").read_bytes()
    idle = waiting._idle_memory(maps)
    assert idle == sorted(idle)
    heap = id(sys.modules)  # an object of ours, wherever that is
    assert any(start <= heap < end for start, end in idle)
    assert waiting._addresses
    for address in (*waiting._addresses.values(), waiting._errno_location()):
        assert not any(start <= address < end for start, end in idle)
