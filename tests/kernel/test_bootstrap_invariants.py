"""The invariants of what enters a container (docs/security.md), seen from there."""

from __future__ import annotations

import compileall
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import libct
from libct.bootstrap import client, mapping, servers
from libct.bootstrap.context import Context
from libct.config import (
    NEWNS,
    NEWPID,
    NEWUSER,
    NEWUTS,
    Capabilities,
    IDMap,
    Mount,
)
from libct.config.mount_flags import MS_BIND
from libct.plan.step import Plan
from libct.syscalls.constants import CAPABILITIES
from libct.syscalls.interrupts import deferred

from ..containers import (
    PATH,
    PROC,
    USUAL,
    make_config,
    run,
    run_in,
    running,
    shared_rootfs,
    shell,
    state_directory,
)
from ..leaks import wait_until
from ..patience import patient
from ..processes import CLONE_NEWNS, MS_REC, in_namespaces, mount
from ..support import busybox_rootfs, copy_of_libct, forked, requires, session_directory, unique
from ..traps import lay_traps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [requires("root", "busybox"), pytest.mark.usefixtures("nothing_left", "way")]


@pytest.fixture(params=["shares", "forks"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How what enters is cloned, unless its plan speaks against sharing memory."""
    monkeypatch.setenv("LIBCT_FORK", "1" if request.param == "forks" else "")
    found: str = request.param
    return found


# --- 1: no import, no NSS ---------------------------------------------------------------


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A rootfs with a module at each place where the server has found one, or might."""
    rootfs = busybox_rootfs(tmp_path)
    lay_traps(rootfs)
    return rootfs


def test_nothing_of_the_container_is_imported(trap: Path) -> None:
    config = make_config(trap, hostname="b\u00fcchse")
    done = shell(config, "id -un; echo $1", user="user")
    assert done.lines[0] == "user"
    with running(config) as container:
        assert run_in(container, "id", "-Gn", user="user").output == "user audio extra\n"
        for command in (["no \udcff such"], ["/etc/passwd"], ["/proc"]):
            with pytest.raises(libct.StepError) as caught:
                container.run(libct.Process(command, env=[PATH]))
            assert caught.value.place == "process.args"
        with pytest.raises(libct.StepError, match="no user 'm\u00fcller'"):
            container.run(libct.Process(["true"], user="m\u00fcller"))
    broken = make_config(trap, mounts=[Mount("/dev/\u00e4", "/no \u00f6", "bind", MS_BIND)])
    with pytest.raises(libct.StepError) as caught:
        run(broken, "true")
    assert caught.value.place == "mounts[0]"
    assert not (trap / "imported").exists()


def test_the_trap_would_work(trap: Path) -> None:
    """An import that does happen in there leaves its mark."""

    def body() -> None:
        os.chroot(trap)
        sys.path[:] = ["/"]
        sys.path_importer_cache.clear()
        sys.modules.pop("this", None)
        import this  # noqa: F401

    forked(body)
    assert (trap / "imported").exists()


# Where an import is written into a copy of libct: file, the line before it, the operation.
# At some of these the host's files are still all there is, and would be found.
DOORS = {
    "first of all": ("bootstrap/namespaces.py", "def new_session(context: Context) -> None:\n"),
    "the stage": ("bootstrap/joining.py", "    opened = [(flag, path, posix.open(path, flags))"),
    "inside": ("bootstrap/execute.py", '    denied = ""\n'),
}
FAILED = {"first of all": "new_session", "the stage": "join", "inside": "find_command"}


# One of Python's modules, and one of ours, which the finder of our own would find.
IMPORTS = {"this": "import this", "boxes.sandbox": "from ..sandbox import config as _"}


@pytest.mark.parametrize("module", IMPORTS)
@pytest.mark.parametrize("where", DOORS)
def test_the_door_is_closed(trap: Path, tmp_path: Path, where: str, module: str) -> None:
    """A copy of libct with an import where there may be none cannot perform that step."""
    name, line = DOORS[where]
    package = copy_of_libct(tmp_path / "copy/boxes")
    compileall.compile_dir(package / "sandbox", quiet=2)
    source = package / name
    text = source.read_text()
    before, wanted, after = text.partition(line)
    assert wanted
    rest = "" if wanted.endswith("\n") else after[: after.index("\n") + 1]
    source.write_text(f"{before}{wanted}{rest}    {IMPORTS[module]}\n{after[len(rest) :]}")
    done = run_copy(tmp_path, trap, joined=where == "the stage")
    problem = f"ModuleNotFoundError: No module named {module!r}"
    assert done.stdout == f"{FAILED[where]} {problem}\n", done.stderr
    assert not (trap / "imported").exists()


@pytest.mark.parametrize("imports", [False, True])
def test_the_door_of_a_lender_is_closed(tmp_path: Path, *, imports: bool) -> None:
    """It lends a source that nobody else can open, and nothing where it would import."""
    source = copy_of_libct(tmp_path / "copy/boxes") / "bootstrap/lending.py"
    line = '    posix.chroot(".")\n'
    assert line in source.read_text()
    source.write_text(source.read_text().replace(line, line + "    import this\n" * imports))
    closed = session_directory() / unique()
    (closed / "source").mkdir(parents=True)
    closed.chmod(0o700)
    os.chown(closed, 1234, 1234)  # neither the first process's id nor one that it maps
    maps = [IDMap(0, 100000, 65536)]
    done = run_copy(
        tmp_path,
        shared_rootfs(),
        user=True,
        uid_mappings=maps,
        gid_mappings=maps,
        mounts=[
            Mount("/dev", "tmpfs", "tmpfs"),
            Mount("/dev/lent", str(closed / "source"), "bind", MS_BIND),
        ],
    )
    assert done.stdout == "take_source Permission denied\n" * imports, done.stderr


def test_no_finaliser_of_the_server_runs_inside(trap: Path, tmp_path: Path) -> None:
    """The collector is off, and what the server had made is not its business any more."""
    source = copy_of_libct(tmp_path / "copy/boxes") / "bootstrap/execute.py"
    before, line, after = source.read_text().partition('    denied = ""\n')
    assert line
    tell = (
        "    import gc\n"  # which the server has loaded
        "    raise StepProblem(f'{gc.isenabled()} {gc.get_freeze_count() > 1000}')\n"
    )
    source.write_text(before + line + tell + after)
    assert run_copy(tmp_path, trap).stdout == "find_command False True\n"


def test_a_performer_that_cannot_be_loaded_fails_its_step(trap: Path, tmp_path: Path) -> None:
    """And not the server, which serves the next."""
    package = copy_of_libct(tmp_path / "copy/boxes")
    (package / "rootfs/masks.py").write_text("import nothing.of_this_name\n")
    more = (
        "server = boxes.bootstrap.servers._servers[0]\n"
        "config.mask_paths = []\n"
        f"with boxes.create({str(tmp_path / 'states')!r}, 'two', config) as container:\n"
        "    container.run(process)\n"
        "    print(process.wait().exit_code, boxes.bootstrap.servers._servers == [server])\n"
    )
    done = run_copy(tmp_path, trap, mask_paths=["/bin"], more=more)
    problem = "mask ModuleNotFoundError: No module named 'nothing'"
    assert done.stdout == f"{problem}\n0 True\n", done.stderr


@pytest.mark.parametrize(
    ("name", "joined"), [("libct:init", False), ("libct:stage", True), ("libct:init", True)]
)
def test_a_cloner_that_ends_when_it_has_cloned(
    trap: Path, tmp_path: Path, name: str, joined: bool
) -> None:
    """What it has cloned has all that there is still to be done."""
    source = copy_of_libct(tmp_path / "copy/boxes") / "bootstrap/namespaces.py"
    line = '    pid, pidfd = context.values["cloned"]\n'
    before, wanted, after = source.read_text().partition(line)
    assert wanted
    end = f"    if pid and name == {name!r}:\n        posix._exit(9)\n"
    source.write_text(before + wanted + end + after)
    done = run_copy(tmp_path, trap, joined=joined)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def run_copy(
    place: Path,
    rootfs: Path,
    *,
    joined: bool = False,
    user: bool = False,
    more: str = "",
    **values: Any,
) -> subprocess.CompletedProcess[str]:
    """Run `true` by the copy of libct; the program says which step has failed, and why."""
    script = place / "script.py"
    spaces = "Namespace('NEWNS')" + ", Namespace('NEWUTS', '/proc/self/ns/uts')" * joined
    spaces += ", Namespace('NEWUSER')" * user
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(place / 'copy')!r})\n"
        "import boxes\nfrom boxes.config import IDMap, Mount, Namespace\n"
        f"config = boxes.Config(rootfs={str(rootfs)!r}, namespaces=[{spaces}], **{values!r})\n"
        "process = boxes.Process(['true'], env=['PATH=/bin'], init=True)\n"
        f"with boxes.create({str(place / 'states')!r}, 'one', config) as container:\n"
        "    try:\n        container.run(process)\n"
        "    except boxes.StepError as error:\n        print(error.op, error.strerror)\n" + more
    )
    return subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=False, cwd="/", timeout=30
    )


# --- 2: nobody inside can look at who enters ------------------------------------------------


class Spy:
    """A shell in a container, which is told to look at a process."""

    LOOK = (
        "for what in environ maps mem; do head -c 1 /proc/$1/$what >/dev/null && echo $what; done;"
        "for what in root cwd; do ls /proc/$1/$what/ >/dev/null && echo $what; done;"
        "for what in fd/0 exe; do readlink /proc/$1/$what >/dev/null && echo $what; done; echo end"
    )

    def __init__(self, config: libct.Config) -> None:
        self.inside, self._commands = os.pipe()
        self._answers, self.outside = os.pipe()
        self.container = libct.create(state_directory(), unique(), config)
        self.process = libct.Process(
            ["sh", "-c", f"look() {{ {self.LOOK}; }}; while read pid; do look $pid; done"],
            init=True,
            env=[PATH],
            stdin=self.inside,
            stdout=self.outside,
            stderr=os.open("/dev/null", os.O_WRONLY),
        )
        self.container.run(self.process)

    def look_at(self, pid: int) -> list[str]:
        """What of a process can be read, by its number in the container."""
        os.write(self._commands, f"{pid}\n".encode())
        said = ""
        while not said.endswith("end\n"):
            said += os.read(self._answers, 4096).decode()
        return said.split()[:-1]

    def close(self) -> None:
        self.container.destroy(force=True)
        assert isinstance(self.process.stderr, int)
        for fd in (*self._fds(), self.process.stderr):
            os.close(fd)

    def _fds(self) -> tuple[int, ...]:
        return self.inside, self.outside, self._commands, self._answers


ALL = list(CAPABILITIES)
POWERFUL = Capabilities(bounding=ALL, effective=ALL, permitted=ALL)
KINDS: dict[str, Any] = {
    "host's pids": {"namespaces": (NEWNS, NEWUTS)},
    "own pids": {"namespaces": USUAL},
    "user namespace": {"namespaces": (*USUAL, NEWUSER), "capabilities": POWERFUL},
}


@pytest.fixture(params=KINDS)
def spy(request: pytest.FixtureRequest) -> Iterator[Spy]:
    made = Spy(make_config(**KINDS[request.param]))
    yield made
    made.close()


def pid_inside(pid: int) -> int:
    """The number that a process has in the innermost of its pid namespaces."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("NSpid:")[2].splitlines()[0].split()[-1])


def test_a_process_that_enters_cannot_be_looked_at(
    spy: Spy, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    go = client._Run._let_go_ahead

    def look_and_go(run: client._Run, number: int) -> None:
        # It is in all namespaces, and has what it needs of the host still open.
        pid = run.started.pid
        assert len(os.listdir(f"/proc/{pid}/fd")) > 3
        seen.append(spy.look_at(pid_inside(pid)))
        go(run, number)

    monkeypatch.setattr(client._Run, "_let_go_ahead", look_and_go)
    process = libct.Process(["sleep", "60"], env=[PATH])
    spy.container.run(process)
    assert seen == [[]]
    # And that says something: when it has executed its command, it can be.
    assert {"environ", "fd/0", "root"} <= set(spy.look_at(pid_inside(process.pid)))


def test_a_first_process_in_namespaces_of_others_cannot_be_looked_at(spy: Spy) -> None:
    kinds = {NEWPID: "pid", NEWUSER: "user"}
    joined = [
        (space.type, f"/proc/{spy.process.pid}/ns/{kinds[space.type]}")
        for space in spy.container.config.namespaces
        if space.type in kinds
    ]
    config = make_config(namespaces=(NEWNS, *joined))
    with libct.create(state_directory(), unique(), config) as container:
        process = libct.Process(["sleep", "60"], init=True, env=[PATH])
        container.start(process)
        assert container.status() == "created"
        assert spy.look_at(pid_inside(process.pid)) == []
        container.exec()
        assert {"environ", "fd/0", "root"} <= set(spy.look_at(pid_inside(process.pid)))


# --- 3: descriptors ----------------------------------------------------------------------


@pytest.fixture
def leaky() -> Iterator[None]:
    """Descriptors that the caller holds and that children of it would inherit."""
    fds = [os.open("/", os.O_RDONLY | os.O_DIRECTORY), os.open("/etc", os.O_PATH)]
    for number in (30, 250, 900):
        os.dup2(fds[0], number, inheritable=True)
        fds.append(number)
    for fd in fds:
        os.set_inheritable(fd, True)
    yield
    for fd in fds:
        os.close(fd)


LIST = ("sh", "-c", "exec ls -l /proc/self/fd | sed -n 's/.* \\([0-9]* -> .*\\)/\\1/p'")


def listed(output: str) -> dict[int, str]:
    found = {}
    for line in output.splitlines():
        number, _, target = line.partition(" -> ")
        if not target.startswith("/proc/"):  # the directory that is being listed
            found[int(number)] = target
    return found


@pytest.mark.usefixtures("leaky")
@pytest.mark.parametrize("namespaces", [USUAL, (NEWPID,), (*USUAL, NEWUSER)])
def test_the_command_has_three_descriptors(namespaces: tuple[str, ...]) -> None:
    mounts: dict[str, Any] = {} if NEWNS in namespaces else {"mounts": [], "devices": []}
    servers.stop_server()  # the next one is started by who holds them
    with running(make_config(namespaces=namespaces, **mounts)) as container:
        fds = Path(f"/proc/{container.state()['pid']}/fd")
        assert sorted(os.listdir(fds)) == ["0", "1", "2"]
        process = libct.Process(["sleep", "60"], env=[PATH])
        container.run(process)
        assert sorted(os.listdir(f"/proc/{process.pid}/fd")) == ["0", "1", "2"]
        process.signal(signal.SIGKILL)


@pytest.mark.usefixtures("leaky")
def test_and_those_that_are_passed_on(tmp_path: Path) -> None:
    names = [tmp_path / name for name in ("one", "two", "three")]
    files = [name.open("w") for name in names]
    try:
        with running(make_config(), extra_files=[files[1], files[0].fileno()]) as container:
            process = libct.Process(["sleep", "60"], env=[PATH], extra_files=files)
            container.run(process)
            for pid, order in ((container.state()["pid"], (1, 0)), (process.pid, (0, 1, 2))):
                fds = sorted(map(int, os.listdir(f"/proc/{pid}/fd")))
                assert fds == [0, 1, 2, *range(3, 3 + len(order))]
                for fd, which in enumerate(order, 3):
                    assert os.readlink(f"/proc/{pid}/fd/{fd}") == str(names[which])
    finally:
        for file in files:
            file.close()


def test_many_descriptors_are_passed_on_in_order() -> None:
    fds = [os.open(f"/proc/self/fd/{fd}", os.O_PATH) for fd in range(3)] * 60
    done = run(make_config(), "sh", "-c", "ls /proc/self/fd | wc -l", extra_files=fds)
    assert done.output == f"{3 + len(fds) + 1}\n"
    with pytest.raises(libct.Error, match="descriptors to pass"):
        run(make_config(), "true", extra_files=fds * 2)
    for fd in set(fds):
        os.close(fd)


@pytest.mark.usefixtures("leaky")
@pytest.mark.parametrize("way", ["first", "further"])
def test_a_leaked_directory_is_no_working_directory(tmp_path: Path, way: str) -> None:
    """CVE-2024-21626."""
    rootfs = busybox_rootfs(tmp_path)
    config = make_config(rootfs)
    refused = 0
    for number in range(3, 40):
        values: dict[str, Any] = {"cwd": f"/proc/self/fd/{number}"}
        try:
            if way == "first":
                done = run(config, "ls", "-di", ".", **values)
            else:
                with running(config) as container:
                    done = run_in(container, "ls", "-di", ".", **values)
        except libct.StepError as error:
            assert error.place == "process.cwd"  # noqa: PT017  # either may be
            refused += 1
        else:
            # What it has for itself: a descriptor of the container's root directory.
            assert done.output.split() == [str(rootfs.stat().st_ino), "."]
    assert refused >= 35


@pytest.mark.parametrize("way", ["first", "further"])
def test_nor_is_one_that_is_passed_along(tmp_path: Path, way: str) -> None:
    """It is the command's to have, and not to be in: it leads out.

    (Who enters another pid namespace late is not in the /proc there.)
    """
    config = make_config(busybox_rootfs(tmp_path), namespaces=(NEWNS,))
    problems = set()
    directory = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    with running(config) as container:
        for number in range(3, 24):
            values: dict[str, Any] = {"cwd": f"/proc/self/fd/{number}", "extra_files": [directory]}
            try:
                if way == "first":
                    run(config, "ls", "-di", ".", **values)
                else:
                    run_in(container, "ls", "-di", ".", **values)
            except libct.StepError as error:
                problems.add(str(error))
    os.close(directory)
    assert any(" is outside of the rootfs" in text for text in problems)


@pytest.mark.usefixtures("leaky")
def test_nor_is_it_where_only_chroot_keeps_the_host_out(tmp_path: Path) -> None:
    """Where /proc is just a directory, whose paths are made as any other's."""
    rootfs = busybox_rootfs(tmp_path)
    config = make_config(rootfs, namespaces=(NEWPID,), mounts=[], devices=[])
    for number in (3, 4, 5, 30, 250):
        assert run(config, "ls", cwd=f"/proc/self/fd/{number}").output == ""
        assert list((rootfs / f"proc/self/fd/{number}").iterdir()) == []


def test_a_file_called_null_is_no_standard_stream(tmp_path: Path) -> None:
    """Of an image without devices; the stream stays what it is."""
    rootfs = busybox_rootfs(tmp_path)
    (rootfs / "dev/null").write_text("of the image\n")
    null = os.open("/dev/null", os.O_RDONLY)
    config = make_config(rootfs, mounts=[PROC], devices=[])
    assert run(config, "cat", stdin=null).output == ""
    os.close(null)


def test_a_null_device_is_the_containers_own() -> None:
    """Which holds nothing of the host's /dev open."""
    null = os.open("/dev/null", os.O_RDWR)
    shell(make_config(), "test /proc/self/fd/0 -ef /dev/null", stdin=null)
    os.close(null)


def test_modes_are_not_those_of_the_callers_umask(tmp_path: Path) -> None:
    rootfs = busybox_rootfs(tmp_path)
    config = make_config(
        rootfs, mounts=[*make_config().mounts, Mount("/made/up", "tmpfs", "tmpfs")]
    )

    def body() -> None:
        os.umask(0o077)  # what the server inherits
        assert shell(config, "stat -c %a /made /dev/null").lines == ["755", "666"]

    servers.stop_server()
    forked(body)


# --- 5: failures ---------------------------------------------------------------------------

TEMPORARY = [Mount("/tmp", "tmpfs", "tmpfs", data="size=1m")]
FAILURES: dict[str, tuple[Callable[[], libct.Config], dict[str, Any], dict[str, Any]]] = {
    "a call": (
        lambda: make_config(mounts=[*TEMPORARY, Mount("/mnt", "x", "nofs")]),
        {},
        {
            "process": "init",
            "phase": "rootfs",
            "op": "mount_filesystem",
            "place": "mounts[1]",
            "errno": 19,
            "strerror": "No such device",
            "call": 'fsopen("nofs", FSOPEN_CLOEXEC)',
            "hint": "this kernel has no file system 'nofs': see /proc/filesystems",
        },
    ),
    "a finding": (
        make_config,
        {"user": "someone"},
        {
            "process": "init",
            "phase": "process",
            "op": "resolve_user",
            "place": "process.user",
            "errno": None,
            "call": "",
            "strerror": "no user 'someone' in the container's /etc/passwd",
            "hint": "name one that is there, or write the number",
        },
    ),
    "the runtime's": (
        lambda: make_config(
            namespaces=(*USUAL, NEWUSER), uid_mappings=[IDMap(0, 0, 1), IDMap(0, 5, 1)]
        ),
        {},
        {
            "process": "runtime",
            "phase": "attach",
            "op": "write_id_map",
            "place": "linux.uidMappings",
            "errno": 22,
        },
    ),
    "execve": (
        make_config,
        {"args": ["/etc/script"]},
        {"process": "init", "phase": "start", "op": "execute", "place": "process.args"},
    ),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_failure_tells_all(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, values, expected = FAILURES[case]
    script = shared_rootfs() / "etc/script"
    script.write_text("no program")
    script.chmod(0o755)
    if case == "the runtime's":  # the kernel is to find it
        monkeypatch.setattr("libct.life.creating.check", lambda *_: [])
    values = {"args": ["true"], **values}
    container = libct.create(state_directory(), unique(), make())
    try:
        with pytest.raises(libct.StepError) as caught:
            container.run(libct.Process(env=[PATH], init=True, **values))
        error = caught.value
        assert {name: getattr(error, name) for name in expected} == expected
        assert container.plan is not None
        assert error.total == len(container.plan)
        step = container.plan.steps[error.number - 1]
        assert (step.op, step.title) == (error.op, error.title)
        assert f"cannot {error.title}: " in str(error)
        assert str(error).endswith(f"[step {error.number} of {error.total}, from {error.place}]")
        assert "\n" not in str(error)
        assert container.status() == "stopped"
        assert container.processes() == []
    finally:
        container.destroy()
        script.unlink()


def test_a_failure_may_be_tried_again(tmp_path: Path) -> None:
    rootfs = busybox_rootfs(tmp_path)
    with libct.create(state_directory(), unique(), make_config(rootfs)) as container:
        with pytest.raises(libct.StepError):
            container.run(libct.Process(["later"], env=[PATH], init=True))
        (rootfs / "bin/later").write_text("#!/bin/sh\nexit 5\n")
        (rootfs / "bin/later").chmod(0o755)
        process = libct.Process(["later"], env=[PATH], init=True)
        container.run(process)
        assert process.wait().exit_code == 5


def test_the_rest_of_the_namespaces_is_not_touched() -> None:
    """The caller stays where it is."""

    def spaces() -> dict[str, str]:
        names = os.listdir("/proc/self/ns")
        return {name: os.readlink(f"/proc/self/ns/{name}") for name in names}

    def body() -> None:
        mount("none", "/", flags=0x100000 | MS_REC)  # MS_SHARED: mounts would come here
        before, mounts = spaces(), Path("/proc/self/mountinfo").read_text()
        assert run(make_config(namespaces=(*USUAL, NEWUSER)), "true").state.success
        assert spaces() == before
        assert Path("/proc/self/mountinfo").read_text() == mounts

    shared_rootfs()
    in_namespaces(CLONE_NEWNS, body)  # where nobody else mounts anything


def test_a_handler_may_raise_while_the_stage_is_waited_for() -> None:
    """It has cloned what becomes the command, and may be stopped before it ends."""

    class Alarm(Exception):
        pass

    def ring(number: int, frame: object) -> None:
        raise Alarm

    stage = subprocess.Popen(["sleep", "60"])
    before = signal.signal(signal.SIGALRM, ring)
    timer = threading.Timer(5, stage.kill)
    try:
        run = client._Run(Plan(), Context(), False, "", False)
        run.stage = os.pidfd_open(stage.pid)
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        timer.start()
        began = time.monotonic()
        with pytest.raises(Alarm), deferred():
            run.perform()
        assert time.monotonic() - began < patient(4)
        assert run.stage >= 0  # to be ended still
        os.close(run.stage)
    finally:
        timer.cancel()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        stage.kill()
        stage.wait()


@pytest.mark.parametrize("op", ["write_id_map", "run_id_mapper"])
def test_no_ids_are_mapped_of_a_later_process_of_that_number(op: str, tmp_path: Path) -> None:
    """A host program may wait for all children that it has, and the number is free then."""
    mapper = tmp_path / "mapper"
    mapper.write_text(f"#!/bin/sh\ntouch {tmp_path}/called\n")
    mapper.chmod(0o755)
    first = subprocess.Popen(["true"])
    pidfd = os.pidfd_open(first.pid)
    first.wait()
    later = subprocess.Popen(["unshare", "-U", "sleep", "60"])
    comm = Path(f"/proc/{later.pid}/comm")
    try:
        assert wait_until(lambda: comm.read_text() == "sleep\n")
        context = Context()
        context.pid, context.values["pidfd"] = later.pid, pidfd
        words: Any = ("uid_map", "0 0 1\n")
        if op == "run_id_mapper":
            words = (str(mapper), ("0", "0", "1"))
        with pytest.raises(ProcessLookupError):
            getattr(mapping, op)(context, *words)
        assert Path(f"/proc/{later.pid}/uid_map").read_text() == ""
        assert not (tmp_path / "called").exists()
    finally:
        os.close(pidfd)
        later.kill()
        later.wait()
