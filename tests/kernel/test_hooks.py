"""Hooks on real containers: when and where they run, what they get, and what a failure does."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import posix
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import libct
from libct.config import (
    NEWCGROUP,
    NEWNS,
    NEWPID,
    NEWUSER,
    NEWUTS,
    Cgroup,
    Hook,
    Hooks,
    Mount,
    Resources,
)
from libct.config.attributes import Rlimit
from libct.config.mount_flags import MS_BIND
from libct.life.directory import Directory
from libct.life.killing import end_hook
from libct.life.proc import start_time
from libct.oci.names import HOOKS
from libct.syscalls import memfd
from libct.syscalls.settings import set_child_subreaper

from ..containers import PATH, USUAL, make_config, running, shared_rootfs, state_directory
from ..killing import as_caller, beside, groups, orphans, remove
from ..patience import patient
from ..support import (
    CHECKOUT,
    default_spec,
    forked,
    libct as run_libct,
    make_bundle,
    requires,
    run,
    unique,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [requires("root", "busybox"), pytest.mark.usefixtures("nothing_left")]

KINDS = tuple(HOOKS)
HOST = ("prestart", "createRuntime", "poststart", "poststop")
HOST_PATH = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"

# Writes what it sees to the directory $1, by the name of $0, which is its kind.
REPORT = r"""
echo $0 >> $1/order
state=$(cat)
{
    for one in mnt pid net; do readlink /proc/self/ns/$one; done
    test -e /etc/passwd && sed -n 2p /etc/passwd
    pwd
    umask
    echo "$state"
} > $1/$0
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory of the host's that all can write to; in the container it is /mnt."""
    path = tmp_path / "reports"
    path.mkdir()
    path.chmod(0o777)
    return path


def reporter(kind: str, place: Path | str) -> Hook:
    where = "/mnt" if kind == "startContainer" else str(place)
    return Hook("/bin/sh", ["sh", "-c", REPORT, kind, where], [HOST_PATH], timeout=20)


def shell(script: str, **values: Any) -> Hook:
    return Hook("/bin/sh", ["sh", "-c", script], [HOST_PATH], **values)


def hooks_of(**kinds: Any) -> Hooks:
    """By the names of the kinds."""
    return Hooks(**{HOOKS[k]: one if isinstance(one, list) else [one] for k, one in kinds.items()})


def config_with(hooks: Hooks, place: Path | None = None, **values: Any) -> libct.Config:
    mounts = [Mount("/mnt", str(place), "bind", MS_BIND)] if place else []
    return make_config(hooks=hooks, **{"mounts": [*make_config().mounts, *mounts], **values})


def create(config: libct.Config, **values: Any) -> libct.Container:
    return libct.create(state_directory(), unique(), config, **values)


def first(*args: str, **values: Any) -> libct.Process:
    return libct.Process(args or ("sleep", "60"), **{"env": [PATH], "init": True, **values})


class Seen:
    """What a reporter has written."""

    def __init__(self, place: Path, kind: str) -> None:
        *spaces, self.user, self.cwd, self.umask, state = (place / kind).read_text().splitlines()
        self.mnt, self.pid, self.net = spaces
        self.state = json.loads(state)


def own(kind: str) -> str:
    return os.readlink(f"/proc/self/ns/{kind}")


def order(place: Path) -> list[str]:
    file = place / "order"
    return file.read_text().split() if file.exists() else []


# --- when and where ----------------------------------------------------------------------


def test_all_kinds_in_order_each_in_its_place(place: Path) -> None:
    hooks = hooks_of(**{kind: reporter(kind, place) for kind in KINDS})
    bundle = str(place.parent)
    config = config_with(hooks, place, labels=["org.example=one", f"bundle={bundle}"])
    container = create(config)
    process = first("sh", "-c", "echo command >> /mnt/order; sleep 60", cwd="/tmp")
    container.start(process)
    assert container.status() == "created"
    assert order(place) == ["prestart", "createRuntime", "createContainer"]
    inside = {kind: os.readlink(f"/proc/{process.pid}/ns/{kind}") for kind in ("mnt", "pid", "net")}
    container.exec()
    assert wait_until(lambda: "command" in order(place))
    pid = process.pid
    container.destroy(force=True)
    found = order(place)
    assert found[3] == "startContainer"
    assert sorted(found[4:6]) == ["command", "poststart"]  # the one is executed, then the other
    assert found[6:] == ["poststop"]

    daemon = Path("/etc/passwd").read_text().splitlines()[1]
    image = (shared_rootfs() / "etc/passwd").read_text().splitlines()[1]
    seen = {kind: Seen(place, kind) for kind in KINDS}
    for kind in KINDS:
        spaces = {name: getattr(seen[kind], name) for name in inside}
        if kind in HOST:
            assert spaces == {name: own(name) for name in inside}
        else:
            assert spaces == inside
        # Before pivot_root the runtime's files are there, after it the container's.
        assert seen[kind].user == (image if kind == "startContainer" else daemon)
        assert seen[kind].umask == "0022"
    assert {seen[kind].cwd for kind in HOST} == {bundle}
    assert seen["createContainer"].cwd == str(shared_rootfs())
    assert seen["startContainer"].cwd == "/tmp"  # the command's
    states = {
        "prestart": ("creating", pid),
        "createRuntime": ("creating", pid),
        "createContainer": ("creating", 1),
        "startContainer": ("created", 1),
        "poststart": ("running", pid),
        "poststop": ("stopped", 0),
    }
    for kind, (status, number) in states.items():
        assert seen[kind].state == {
            "ociVersion": "1.3.0",
            "id": container.id,
            "status": status,
            "bundle": bundle,
            "annotations": {"org.example": "one"},
            **({"pid": number} if number else {}),
        }


def test_run_has_them_all(place: Path) -> None:
    hooks = hooks_of(**{kind: reporter(kind, place) for kind in KINDS})
    container = create(config_with(hooks, place))
    container.trace = True
    process = first("sh", "-c", "exit 3")
    container.run(process)
    assert process.wait(10).exit_code == 3
    assert order(place) == [kind for kind in KINDS if kind != "poststop"]
    plan = container.plan
    assert plan is not None
    timed = {plan.steps[number - 1].why: result for number, _, _, result in container.traces}
    assert {timed[f"hooks.{kind}[0]"] for kind in KINDS if kind != "poststop"} == {"ok"}
    assert timed["process.args"] == "ok"
    before = len(container.traces)
    container.destroy()
    assert order(place)[-1] == "poststop"
    assert [number for number, *_ in container.traces[before:]] == [len(plan)]


def test_limits_are_in_force_and_mounts_made(place: Path) -> None:
    script = (
        f"cd {place}; cat > state; pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/' state);"
        "group=$(sed -n 's/^[0-9]*:pids:/\\/sys\\/fs\\/cgroup\\/pids/p' /proc/$pid/cgroup);"
        "cat $group/pids.max > max; cat /proc/$pid/mounts > mounts;"
        "readlink /proc/$pid/ns/uts > uts"
    )
    config = config_with(
        hooks_of(
            createRuntime=shell(script),
            createContainer=shell(f"cat /proc/self/mounts > {place}/inside"),
        ),
        place,
        cgroups=Cgroup(resources=Resources(pids_limit=23)),
        namespaces=(*USUAL, NEWCGROUP),
    )
    with create(config) as container:
        process = first()
        container.run(process)
        assert (place / "max").read_text() == "23\n"
        for name in ("mounts", "inside"):
            mounts = [line.split()[1] for line in (place / name).read_text().splitlines()]
            made = {f"{shared_rootfs()}{path}" for path in ("", "/proc", "/dev", "/mnt")}
            assert made <= set(mounts)
        assert (place / "uts").read_text().strip() == os.readlink(f"/proc/{process.pid}/ns/uts")


def test_a_mount_made_by_a_hook_in_the_container_stays_in_it(place: Path) -> None:
    (place / "file").write_text("from the host\n")
    hook = shell(f"mount --bind {place} {shared_rootfs()}/mnt && hostname made-by-a-hook")
    with create(config_with(hooks_of(createContainer=hook))) as container:
        out = place / "out"
        with out.open("w") as file:
            process = first("sh", "-c", "cat /mnt/file; hostname", stdout=file)
            container.run(process)
        assert process.wait(10).success
        assert out.read_text() == "from the host\nmade-by-a-hook\n"
    assert not list((shared_rootfs() / "mnt").iterdir())


def test_in_a_user_namespace(place: Path) -> None:
    hooks = hooks_of(**{kind: shell(f"id -u > {place}/{kind}") for kind in KINDS})
    hooks.start_container = [shell("id -u > /mnt/startContainer")]
    config = config_with(
        hooks,
        place,
        namespaces=(*USUAL, NEWUSER),
        uid_mappings=[libct.IDMap(0, 100000, 65536)],
        gid_mappings=[libct.IDMap(0, 100000, 65536)],
    )
    for path in (place.parent, place.parent.parent, place.parent.parent.parent):
        path.chmod(0o755)
    with create(config) as container:
        process = first(user="1000:1000")
        container.run(process)
    written = {kind: ((place / kind).read_text(), (place / kind).stat().st_uid) for kind in KINDS}
    assert written == {
        **dict.fromkeys(HOST, ("0\n", 0)),
        "createContainer": ("0\n", 100000),
        "startContainer": ("1000\n", 101000),  # the command's user, as in runc
    }


@pytest.mark.parametrize("spaces", [(), (NEWUTS,), (NEWNS,)])
def test_with_few_namespaces(place: Path, spaces: tuple[str, ...]) -> None:
    hooks = hooks_of(**{kind: reporter(kind, place) for kind in KINDS})
    hooks.start_container = [shell("echo ran in the container")]
    values: dict[str, Any] = {} if NEWNS in spaces else {"mounts": [], "devices": []}
    with create(make_config(hooks=hooks, namespaces=spaces, **values)) as container:
        container.run(first())
        assert Seen(place, "createContainer").state["pid"] == container.state()["pid"]
    assert order(place) == [kind for kind in KINDS if kind != "startContainer"]


def test_started_and_deleted_by_others(place: Path) -> None:
    hooks = hooks_of(**{kind: reporter(kind, place) for kind in KINDS})
    with create(config_with(hooks, place)) as container:
        process = first()
        container.start(process)
        forked(lambda: libct.load(state_directory(), container.id).exec())
        assert order(place) == [kind for kind in KINDS if kind != "poststop"]
        assert Seen(place, "poststart").state["pid"] == process.pid
        forked(lambda: libct.load(state_directory(), container.id).destroy(force=True))
        assert process.wait(10).signal == signal.SIGKILL
    assert order(place) == list(KINDS)


def test_without_a_bundle_hooks_are_where_the_caller_is(place: Path) -> None:
    hooks = hooks_of(**{kind: reporter(kind, place) for kind in HOST})
    with create(config_with(hooks)) as container:
        container.run(first())
    assert {Seen(place, kind).cwd for kind in HOST} == {os.getcwd()}
    assert container.warnings == []


@pytest.mark.parametrize("there", ["gone", "not a directory"])
def test_a_bundle_that_cannot_be_entered(place: Path, there: str) -> None:
    """Hooks clean up, too: they run all the same, where they do no harm."""
    bundle = place / "bundle"
    if there != "gone":
        bundle.touch()
    hooks = hooks_of(**{kind: reporter(kind, place) for kind in HOST})
    before = os.getcwd()
    with create(config_with(hooks), bundle=str(bundle)) as container:
        container.run(first())
    assert {Seen(place, kind).cwd for kind in HOST} == {"/"}
    reason = "No such file or directory" if there == "gone" else "Not a directory"
    assert container.warnings == [
        f"cannot enter the bundle {str(bundle)!r}: {reason} (hooks of the host run in '/' instead)"
    ]
    assert os.getcwd() == before


def test_runc_agrees(tmp_path: Path, place: Path) -> None:
    """About everything but poststart, of which docs/compatibility.md tells."""
    if subprocess.run(["sh", "-c", "command -v runc"], stdout=subprocess.DEVNULL).returncode:
        pytest.skip("this machine lacks: runc")
    hooks = {}
    for kind in KINDS:
        hook = reporter(kind, place)
        hooks[kind] = [{"path": hook.path, "args": hook.args, "env": hook.env}]
    mounts = default_spec()["mounts"]
    mounts.append({"destination": "/mnt", "source": str(place), "options": ["bind"]})
    bundle = make_bundle(tmp_path, hooks=hooks, mounts=mounts)
    found = {}
    for runtime in ("libct", "runc"):
        for file in place.iterdir():
            file.unlink()
        name = unique()
        command = ["runc"] if runtime == "runc" else [sys.executable, "-m", "libct"]
        command += ["--root", str(tmp_path / "states")]
        for words in (["create", "-b", str(bundle), name], ["start", name]):
            run([*command, *words], cwd=CHECKOUT, check=True)
        deadline = time.monotonic() + 20
        while run([*command, "delete", name], cwd=CHECKOUT).returncode:  # until it has ended
            assert time.monotonic() < deadline
        about = {}
        for kind in KINDS:
            seen = Seen(place, kind)
            state = {key: seen.state[key] for key in ("status", "bundle")}
            state["id"] = seen.state["id"] == name
            if kind not in HOST or kind == "poststop":
                state["pid"] = seen.state.get("pid")
            hosts = [getattr(seen, one) == own(one) for one in ("mnt", "pid", "net")]
            # runc goes to the bundle in create, and not in delete; crun always does.
            cwd = seen.cwd if kind != "poststop" else ""
            about[kind] = (hosts, seen.user, cwd, seen.umask, state)
        found[runtime] = order(place), about
    assert found["libct"][0] == list(KINDS)
    ours, theirs = found["libct"][1], found["runc"][1]
    assert (ours.pop("poststart")[-1]["status"], theirs.pop("poststart")[-1]["status"]) == (
        "running",
        "created",
    )
    assert ours == theirs
    # runc's poststart hooks run in create.
    assert [kind for kind in found["runc"][0] if kind != "poststart"] == [
        kind for kind in KINDS if kind != "poststart"
    ]


# --- what they get ----------------------------------------------------------------------


def output_of(kind: str, hook: Hook, tmp_path: Path, **process: Any) -> str:
    """What a hook of this kind prints."""
    file = tmp_path / "output"
    config = config_with(
        hooks_of(**{kind: hook}),
        labels=[f"run.oci.hooks.stdout={file}", f"run.oci.hooks.stderr={file}"],
    )
    with create(config) as container:
        container.run(first(**process))
    assert container.warnings == []
    return file.read_text()


BUSYBOX = "/bin/busybox"


@pytest.mark.parametrize("kind", KINDS)
def test_arguments_and_environment_are_those_configured(kind: str, tmp_path: Path) -> None:
    hook = Hook(BUSYBOX, ["env"], ["A=1", "B= 2 ", "A=3"])
    assert sorted(output_of(kind, hook, tmp_path).splitlines()) == ["A=3", "B= 2 "]
    (tmp_path / "output").unlink()
    assert output_of(kind, Hook(BUSYBOX, ["env"], []), tmp_path, env=[PATH, "X=y"]) == ""


@pytest.mark.parametrize("kind", KINDS)
def test_a_hook_that_says_nothing_of_an_environment_has_that_of_who_runs_it(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_RUNTIME", "here")
    hook = Hook(BUSYBOX, ["env"])
    lines = output_of(kind, hook, tmp_path, env=[PATH, "X=y"]).splitlines()
    if kind in ("createContainer", "startContainer"):
        assert lines == [PATH, "X=y"] + ["HOME=/root"] * (kind == "startContainer")
    else:
        assert sorted(lines) == sorted(f"{name}={value}" for name, value in os.environ.items())


@pytest.mark.parametrize("kind", KINDS)
def test_no_descriptors_but_three_and_no_signal_is_blocked_or_ignored(
    kind: str, tmp_path: Path
) -> None:
    leaked = os.open("/", os.O_RDONLY)
    os.set_inheritable(leaked, True)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    former = signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    extra = os.open("/dev/null", os.O_RDONLY)
    try:
        listed = output_of(
            kind, Hook(BUSYBOX, ["ls", "/proc/self/fd"]), tmp_path, extra_files=[extra, leaked]
        )
        (tmp_path / "output").unlink()
        status = output_of(kind, Hook(BUSYBOX, ["cat", "/proc/self/status"]), tmp_path)
    finally:
        signal.signal(signal.SIGUSR2, former)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
        os.close(leaked)
        os.close(extra)
    assert listed.split() == ["0", "1", "2", "3"]  # the last is the directory itself
    masks = dict(line.split(":\t") for line in status.splitlines() if line.startswith("Sig"))
    for name in ("SigBlk", "SigIgn"):
        # posix_spawn(3) of glibc leaves the C library's own two ignored.
        assert int(masks[name], 16) & ~(3 << 31) == 0, name


def test_the_first_process_has_nothing_of_the_host_while_a_hook_runs_inside(place: Path) -> None:
    waiting = "touch /mnt/began; while ! [ -e /mnt/go ]; do sleep 0.01; done"
    with create(config_with(hooks_of(startContainer=shell(waiting)), place)) as container:
        container.start(first())
        thread = threading.Thread(target=container.exec)
        thread.start()
        try:
            assert wait_until((place / "began").exists)
            fds = Path(f"/proc/{container.state()['pid']}/fd")
            links = [os.readlink(fd) for fd in fds.iterdir() if int(fd.name) > 2]
            # No file of the host's: what it talks and waits by.
            assert {link.partition(":")[0] for link in links} <= {"anon_inode", "pipe"}
        finally:
            (place / "go").touch()
            thread.join()


@pytest.mark.parametrize("kind", KINDS)
def test_output_goes_to_files(kind: str, tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("stdout", "stderr")}
    files["stdout"].write_text("before\n")
    config = config_with(
        hooks_of(**{kind: shell("echo one; echo two >&2; exit 5")}),
        labels=[f"run.oci.hooks.{name}={path}" for name, path in files.items()],
    )
    with create(config) as container:
        if kind == "poststop":
            container.run(first())
            container.destroy(force=True)
            (said,) = container.warnings
        else:
            with pytest.raises(libct.StepError) as caught:
                container.run(first())
            said = str(caught.value)
    assert "exit status 5 [" in said
    assert files["stdout"].read_text() == "before\none\n"
    assert files["stderr"].read_text() == "two\n"


def test_a_file_for_output_that_cannot_be_opened(tmp_path: Path) -> None:
    config = config_with(
        hooks_of(createRuntime=shell("true"), poststop=shell(f"touch {tmp_path}/stopped")),
        labels=["run.oci.hooks.stdout=/no/such"],
    )
    container = create(config)
    text = "cannot open '/no/such' for the output of hooks: No such file or directory"
    with pytest.raises(libct.Error, match=text):
        container.start(first())
    container.destroy()
    assert container.warnings == [f"{text} (annotation run.oci.hooks.stdout)"]
    assert (tmp_path / "stopped").exists()


@pytest.mark.parametrize("program", ["sleep 50", "cat /dev/zero"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_hook_leaves_behind_does_not_hold_us_up(
    kind: str, program: str, tmp_path: Path
) -> None:
    """A service started by a hook, that keeps its standard output, and may fill it."""
    pid_file = "/tmp/pid" if kind == "startContainer" else f"{tmp_path}/pid"
    script = f"{program} & echo $! > {pid_file}"
    started = time.monotonic()
    with create(config_with(hooks_of(**{kind: shell(script)}))) as container:
        container.run(first())
    assert time.monotonic() - started < patient(20)
    assert Path(f"{shared_rootfs() if kind == 'startContainer' else ''}{pid_file}").exists()
    if kind in HOST and program.startswith("sleep"):
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    (shared_rootfs() / "tmp/pid").unlink(missing_ok=True)


def test_a_hook_that_reads_nothing_and_a_large_state() -> None:
    labels = [f"key{n}=" + "x" * 1000 for n in range(300)]
    hooks = hooks_of(**{kind: shell("exit 0") for kind in KINDS})
    hooks.start_container = [shell("test $(wc -c) -gt 300000")]
    with create(config_with(hooks, labels=labels)) as container:
        container.run(first())
    assert container.warnings == []


@pytest.mark.parametrize("limit", [0, 70])
@pytest.mark.parametrize("size", [10, 100_000, 900_000])
def test_a_limit_of_file_sizes_does_not_cut_the_state(limit: int, size: int) -> None:
    """It is in force when startContainer hooks run, and holds for files in memory, too."""
    labels = [f"key{n}=" + "x" * 1000 for n in range(size // 1000)]
    hook = shell(
        f'state=$(cat); test ${{#state}} -gt {size} && test "${{state##*,}}" = \'"pid":1}}\''
    )
    with create(config_with(hooks_of(startContainer=hook), labels=labels)) as container:
        container.run(first(rlimits=[Rlimit(resource.RLIMIT_FSIZE, limit, limit)]))


def test_a_state_that_nothing_can_hold() -> None:
    labels = [f"key{n}=" + "x" * 1000 for n in range(1100)]  # over /proc/sys/fs/pipe-max-size
    limits = [Rlimit(resource.RLIMIT_FSIZE, 0, 0)]
    said = r"its state of 1\d{6} bytes is more than RLIMIT_FSIZE"
    container = create(config_with(hooks_of(startContainer=shell("true")), labels=labels))
    with container, pytest.raises(libct.StepError, match=said):
        container.run(first(rlimits=limits))


# --- failures ------------------------------------------------------------------------------


def fails(container: libct.Container, way: str) -> libct.StepError:
    """The error of a start that fails, whoever makes it."""
    try:
        if way == "run":
            container.run(first())
        else:
            container.start(first())
            container.exec()
    except libct.StepError as error:
        return error
    raise AssertionError("no step has failed")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "poststop"])
@pytest.mark.parametrize("way", ["run", "start and exec"])
def test_a_hook_that_fails(kind: str, way: str, place: Path) -> None:
    where = "/mnt" if kind == "startContainer" else place
    hooks = hooks_of(
        **{
            kind: [
                shell(f"touch {where}/first"),
                shell("echo said by the hook >&2; exit 3"),
                shell(f"touch {where}/third"),
            ],
            "poststop": reporter("poststop", place),
        }
    )
    container = create(config_with(hooks, place, cgroups=Cgroup()))
    error = fails(container, way)
    assert error.place == f"hooks.{kind}[1]"
    assert error.title.startswith(f"run the {kind} hook /bin/sh")
    assert error.strerror == "exit status 3: said by the hook"
    plan = container.plan
    assert plan is not None
    assert plan.steps[error.number - 1].why == error.place
    assert error.total == len(plan)
    assert (place / "first").exists()
    assert not (place / "third").exists()
    assert container.status() == "stopped"
    assert container.processes() == []
    assert order(place) == []
    container.destroy()
    assert order(place) == ["poststop"]
    assert groups(container.id) == []


@pytest.mark.parametrize("kind", KINDS[:5])
def test_what_a_failed_hook_says_does_not_reach_the_terminal_as_it_is(kind: str) -> None:
    hook = shell(r"printf '\033]0;title\007 caf\303\251\r\n\ttwo\342\200\256'; exit 1")
    with create(config_with(hooks_of(**{kind: hook}))) as container:
        error = fails(container, "run")
    said = "\\x1b]0;title\\x07 caf\u00e9\\r\n\ttwo\\u202e"
    assert error.strerror == f"exit status 1: {said}"


@pytest.mark.parametrize("kind", ["createContainer", "startContainer"])
def test_a_limit_of_processes_that_leaves_none_for_a_hook(kind: str) -> None:
    config = config_with(
        hooks_of(**{kind: shell("true")}), cgroups=Cgroup(resources=Resources(pids_limit=1))
    )
    with create(config) as container:
        error = fails(container, "run")
    assert (error.errno, error.call) == (errno.EAGAIN, "fork()")
    assert error.hint.endswith("or pids.max of the control group")


@pytest.mark.parametrize("kind", ["startContainer", "poststart"])
def test_a_hook_fails_when_another_process_starts_the_container(kind: str, place: Path) -> None:
    failing = [shell("true"), shell("echo said; kill -TERM $$")]
    hooks = hooks_of(**{kind: failing, "poststop": reporter("poststop", place)})
    with create(config_with(hooks, place)) as container:
        process = first()
        container.start(process)
        plan = container.plan
        assert plan is not None

        def release() -> tuple[Any, ...]:
            with pytest.raises(libct.StepError) as caught:
                libct.load(state_directory(), container.id).exec()
            error = caught.value
            return error.number, error.total, error.op, error.place, error.strerror

        number, total, op, at, said = forked(release)
        assert at == f"hooks.{kind}[1]"
        assert plan.steps[number - 1].why == at
        assert (total, op) == (len(plan), plan.steps[number - 1].op)
        assert said == "signal: terminated: said"
        process.wait(10)
        assert container.status() == "stopped"


def test_poststop_hooks_that_fail_are_warnings(tmp_path: Path) -> None:
    hooks = hooks_of(
        poststop=[
            shell("echo said; exit 1"),
            Hook("/no/such"),
            shell("sleep 60", timeout=1),
            shell(f"touch {tmp_path}/ran"),
        ]
    )
    container = create(config_with(hooks))
    container.run(first("true"))
    container.destroy(force=True)
    at = "error running poststop hook"  # runc's words
    reason = (
        'execve("/no/such", ...): No such file or directory'
        " (poststop hooks are looked for on the host)"
    )
    assert [text.rpartition(" [")[0] for text in container.warnings] == [
        f"{at} #0: cannot run the poststop hook /bin/sh: exit status 1: said",
        (
            f"{at} #1: fork/exec /no/such: no such file or directory: "
            f"cannot run the poststop hook /no/such: {reason}"
        ),
        (
            f"{at} #2: cannot run the poststop hook /bin/sh: "
            "hook ran past specified timeout of 1.0s, and was killed"
        ),
    ]
    assert container.warnings[0].endswith(", from hooks.poststop[0]]")
    assert (tmp_path / "ran").exists()
    with pytest.raises(libct.ContainerNotFound):
        libct.load(state_directory(), container.id)


@pytest.mark.parametrize("kind", KINDS)
def test_a_hook_that_takes_too_long_is_killed_with_what_it_has_started(
    kind: str, place: Path
) -> None:
    where = "/mnt" if kind == "startContainer" else str(place)
    # Named by their arguments: their numbers differ between pid namespaces.
    seconds = str(10_000_000 + os.getpid())
    script = f"echo began; sleep {seconds} & sleep {seconds} & touch {where}/began; wait"
    container = create(config_with(hooks_of(**{kind: shell(script, timeout=1)}), place))
    started = time.monotonic()
    with ended_late(seconds):
        if kind == "poststop":
            container.destroy()
            (text,) = container.warnings
        else:
            text = str(fails(container, "run"))
            container.destroy()
    assert 1 <= time.monotonic() - started < patient(8)
    assert "hook ran past specified timeout of 1.0s, and was killed: began" in text
    assert (place / "began").exists()
    assert wait_until(lambda: not processes_with(seconds))


@contextlib.contextmanager
def ended_late(word: str) -> Iterator[None]:
    """End what a hook waits for, if that takes long; what waits for the hook heeds no signal."""

    def end() -> None:
        for number in processes_with(word):
            os.kill(int(number), signal.SIGKILL)

    timer = threading.Timer(15, end)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def processes_with(word: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and word in (entry / "cmdline").read_text().split("\0"):
                found.append(entry.name)
        except OSError:
            continue
    return found


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "poststop"])
def test_output_is_cut(kind: str) -> None:
    script = "yes | head -c 300000; printf '\\377the end'; exit 1"
    with create(config_with(hooks_of(**{kind: shell(script)}))) as container:
        error = fails(container, "start and exec")
    assert error.strerror.endswith("y\n\N{REPLACEMENT CHARACTER}the end")
    assert len(error.strerror) < 2200


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "poststop"])
def test_hooks_that_cannot_be_executed(kind: str, place: Path) -> None:
    in_there = "/mnt" if kind == "startContainer" else str(place)
    where = "in the rootfs" if kind == "startContainer" else "on the host"
    (place / "plain").write_text("#!/bin/sh\n")
    (place / "odd").write_text("neither\n")
    (place / "script").write_text("#!/no/such\n")
    for name in ("odd", "script"):
        (place / name).chmod(0o755)
    for name, code, hint in (
        ("missing", errno.ENOENT, f"{kind} hooks are looked for {where}"),
        ("plain", errno.EACCES, "it is no file that may be executed"),
        ("script", errno.ENOENT, f"its interpreter '/no/such' is not {where}"),
        ("odd", errno.ENOEXEC, "no #! line"),
    ):
        path = f"{in_there}/{name}"
        with create(config_with(hooks_of(**{kind: Hook(path)}), place)) as container:
            error = fails(container, "start and exec")
        assert (error.errno, error.call, error.path) == (code, f'execve("{path}", ...)', path)
        assert hint in error.hint
        assert error.place == f"hooks.{kind}[0]"


def test_poststart_hooks_may_use_the_container(tmp_path: Path) -> None:
    """The lock is free while they run."""
    script = f"""
        export PYTHONPATH={CHECKOUT} PYTHONDONTWRITEBYTECODE=1
        id=$(sed 's/.*"id":"\\([^"]*\\)".*/\\1/')
        libct() {{ {sys.executable} -m libct --root {state_directory()} "$@"; }}
        libct state $id && libct pause $id && libct resume $id && libct exec $id true
    """
    said = tmp_path / "said"
    config = config_with(
        hooks_of(poststart=shell(script, timeout=50)),
        cgroups=Cgroup(),
        labels=[f"run.oci.hooks.stdout={said}"],
    )
    with create(config) as container:
        container.run(first())
    assert json.loads(said.read_text())["status"] == "running"


@pytest.mark.parametrize("pod", [False, True])
@pytest.mark.parametrize("kind", ["createRuntime", "startContainer"])
def test_who_waits_for_the_start_has_no_output_of_hooks_open(
    tmp_path: Path, kind: str, pod: bool
) -> None:
    """But for hooks that it is to run itself."""
    said = tmp_path / "said"
    hooks = hooks_of(**{kind: shell("echo here")})
    labels = [f"run.oci.hooks.stdout={said}"]
    with running(make_config()) as other:
        own = [space for space in USUAL if space != NEWPID]
        joined = (NEWPID, f"/proc/{other.state()['pid']}/ns/pid")
        namespaces = (*own, joined) if pod else USUAL
        with create(config_with(hooks, labels=labels, namespaces=namespaces)) as container:
            container.start(process := first("sleep", "60"))
            fds = f"/proc/{process.pid}/fd"

            def has_it_open() -> bool:
                found = []
                for fd in os.listdir(fds):
                    with contextlib.suppress(FileNotFoundError):  # closed just now
                        found.append(os.path.samefile(f"{fds}/{fd}", said))
                return any(found)

            if kind == "startContainer":
                assert has_it_open()
            else:
                assert wait_until(lambda: not has_it_open())  # it is on its way to the wait
            container.exec()
            assert said.read_text() == "here\n"
            assert not has_it_open()


def test_what_a_hook_is_told_of_a_container_that_is_not_created_yet(tmp_path: Path) -> None:
    """As with runc there is none; and nobody waits for the hook's own end.

    A createContainer hook is in the pid namespace of the container, and /proc is the host's.
    """
    script = f"""
        export PYTHONPATH={CHECKOUT} PYTHONDONTWRITEBYTECODE=1
        id=$(sed 's/.*"id":"\\([^"]*\\)".*/\\1/')
        libct() {{ {sys.executable} -m libct --root {state_directory()} "$@" 2>&1 || echo "$?"; }}
        libct state $id
        libct start $id
        libct pause $id
        libct delete $id
    """
    said = tmp_path / "said"
    answers = {
        "createRuntime": "container does not exist yet: it is being created",
        "createContainer": "/proc does not show the pid namespace that this process is in",
    }
    for kind in answers:
        config = config_with(
            hooks_of(**{kind: shell(script)}), labels=[f"run.oci.hooks.stdout={said}"]
        )
        for way in ("run", "start"):
            said.unlink(missing_ok=True)
            with create(config) as container:
                (container.run if way == "run" else container.start)(first())
            lines = said.read_text().splitlines()
            assert lines[1::2] == ["1"] * 4
            for line in lines[::2]:
                assert answers[kind] in line


# --- killed and interrupted -----------------------------------------------------------------

SLEEPS = str(40_000_000 + os.getpid())  # seconds, by which a hook is told from others


@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "createContainer"])
def test_the_caller_is_killed_in_a_hook_of_create(kind: str, place: Path) -> None:
    name = unique()
    hooks = hooks_of(
        **{kind: shell(f"sleep {SLEEPS} & touch {place}/began; wait")},
        poststop=reporter("poststop", place),
    )
    config = config_with(hooks, place, cgroups=Cgroup())
    killed_in_a_hook(name, config, place, "stopped", ended=kind == "createContainer")
    assert order(place) == ["poststop"]


@pytest.mark.parametrize("spaces", [(NEWNS,), USUAL])
def test_the_caller_is_killed_in_a_hook_of_start(spaces: Any, place: Path) -> None:
    for kind in ("startContainer", "poststart"):
        (place / "began").unlink(missing_ok=True)
        where = "/mnt" if kind == "startContainer" else place
        hooks = hooks_of(**{kind: shell(f"sleep {SLEEPS} & touch {where}/began; wait")})
        config = config_with(hooks, place, namespaces=spaces, cgroups=Cgroup())
        status = "created" if kind == "startContainer" else "running"
        killed_in_a_hook(unique(), config, place, status)


def killed_in_a_hook(
    name: str, config: libct.Config, place: Path, status: str, *, ended: bool = False
) -> None:
    """ended: the hook has ended by itself, before anybody removes the container."""
    shared_rootfs()
    state_directory()

    def caller() -> None:
        def wait_and_end() -> None:
            while not (place / "began").exists():
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)

        threading.Thread(target=wait_and_end).start()
        libct.create(state_directory(), name, config).run(first())

    def body() -> None:
        set_child_subreaper(True)
        as_caller(caller)
        container = libct.load(state_directory(), name)
        assert wait_until(lambda: container.status() == status)
        if ended:
            assert wait_until(lambda: not processes_with(SLEEPS), patience=5)
        beside(lambda: remove(name))
        assert orphans() == []
        assert groups(name) == []
        assert not os.path.exists(f"{state_directory()}/{name}")

    forked(body)


def test_a_hook_ends_with_the_first_process(place: Path) -> None:
    """Where there is no pid namespace, which would see to it."""
    seconds = str(30_000_000 + os.getpid())
    hook = shell(f"echo $PPID > {place}/new; mv {place}/new {place}/began; exec sleep {seconds}")

    def kill() -> None:
        wait_until((place / "began").exists)
        os.kill(int((place / "began").read_text()), signal.SIGKILL)

    with create(config_with(hooks_of(createContainer=hook), place, namespaces=(NEWNS,))) as one:
        thread = threading.Thread(target=kill)
        thread.start()
        with pytest.raises(libct.StepError, match="its process was killed"):
            one.run(first())
        thread.join()
    assert wait_until(lambda: not processes_with(seconds))


def test_a_caller_may_be_interrupted_in_a_hook(place: Path) -> None:
    for kind in ("createRuntime", "createContainer", "startContainer", "poststart"):
        where = "/mnt" if kind == "startContainer" else str(place)
        (place / "began").unlink(missing_ok=True)
        seconds = str(20_000_000 + os.getpid())
        hooks = hooks_of(**{kind: shell(f"sleep {seconds} & touch {where}/began; wait")})

        def interrupt() -> None:
            wait_until((place / "began").exists)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

        with create(config_with(hooks, place)) as container:
            thread = threading.Thread(target=interrupt)
            thread.start()
            with ended_late(seconds):
                begun = time.monotonic()
                with pytest.raises(KeyboardInterrupt):
                    container.run(first())
                assert time.monotonic() - begun < patient(8)
            thread.join()
            assert container.status() == "stopped"
        assert wait_until(lambda: not processes_with(seconds)), kind  # noqa: B023


def test_a_hook_removes_its_container(tmp_path: Path) -> None:
    """It is ended by nobody: that is what has called for it."""
    script = f"""
        export PYTHONPATH={CHECKOUT} PYTHONDONTWRITEBYTECODE=1
        id=$(sed 's/.*"id":"\\([^"]*\\)".*/\\1/')
        {sys.executable} -m libct --root {state_directory()} delete --force $id
        echo $? >{tmp_path}/status
    """
    container = create(config_with(hooks_of(poststart=shell(script, timeout=50))))
    container.run(process := first())
    assert (tmp_path / "status").read_text() == "0\n"
    assert not os.path.exists(f"{state_directory()}/{container.id}")
    assert process.wait(10).signal == signal.SIGKILL


def test_a_later_process_of_a_hook_s_number_is_not_ended(tmp_path: Path) -> None:
    directory = Directory(str(tmp_path), "box")
    directory.make()
    other = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    try:
        for start, ended in ((start_time(other.pid) - 1, False), (start_time(other.pid), True)):
            Path(directory.path, "hook").write_text(f"0 0 {other.pid} {start}")
            end_hook(directory)
            time.sleep(0.02)
            if ended:
                other.wait(patient(10))
            assert (other.poll() is not None) is ended
    finally:
        other.kill()
        other.wait()


def test_removal_by_force_ends_a_hook_that_hangs(place: Path) -> None:
    """And does not wait for the lock that the caller of the hook holds; nor end the caller."""
    script = f"echo $$ >{place}/hook; sleep 1000; exit 0"
    config = config_with(hooks_of(createRuntime=shell(script)), cgroups=Cgroup())
    name = unique()
    shared_rootfs()
    state_directory()

    def caller() -> None:
        with pytest.raises(libct.StepError) as caught:
            libct.create(state_directory(), name, config).run(first())
        assert caught.value.place == "hooks.createRuntime[0]"

    def remove_meanwhile() -> None:
        assert wait_until(lambda: (place / "hook").exists())
        begun = time.monotonic()
        done = run_libct("delete", "--force", name, timeout=20)
        took.append(time.monotonic() - begun)
        assert (done.returncode, done.stderr) == (0, "")

    took: list[float] = []
    thread = threading.Thread(target=remove_meanwhile)
    thread.start()
    try:
        forked(caller, timeout=20)
        thread.join()
    finally:
        for pid in processes_with(str(place)):
            os.kill(int(pid), signal.SIGKILL)
    assert took
    assert took[0] < 4
    assert groups(name) == []
    assert not os.path.exists(f"{state_directory()}/{name}")


def test_a_container_without_a_pid_namespace_is_stopped_with_all_in_it() -> None:
    config = config_with(
        hooks_of(poststart=shell("sleep 0.3; exit 1")), namespaces=[NEWNS], cgroups=Cgroup()
    )
    with create(config) as container:
        with pytest.raises(libct.StepError, match="poststart"):
            container.run(first("sh", "-c", "sleep 70 & sleep 71 & wait"))
        assert container.status() == "stopped"
        assert container.processes() == []


@pytest.fixture
def _children_ignored() -> Iterator[None]:
    former = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGCHLD, former)


@pytest.mark.usefixtures("_children_ignored")
def test_a_program_that_has_its_children_reaped_by_the_kernel() -> None:
    """Nobody knows how the hook has ended then: that is no success."""
    with create(config_with(hooks_of(createRuntime=shell("true")))) as container:
        error = fails(container, "run")
    assert "waited for it somewhere else" in error.strerror


def test_without_hooks_nothing_of_them_is_loaded() -> None:
    program = (
        "import sys, libct; from tests.containers import *\n"
        "with libct.create(state_directory(), unique(), make_config()) as container:\n"
        "    container.run(libct.Process(['true'], env=[PATH], init=True))\n"
        "print([name for name in sys.modules if name.endswith('hooks') and 'libct' in name])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_memory_files_of_old_kernels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = os.memfd_create
    flags: list[int] = []

    def without_seals(name: str, flag: int) -> int:
        flags.append(flag)
        if flag & memfd._NOEXEC_SEAL:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return made(name, flag)

    monkeypatch.setattr(posix, "memfd_create", without_seals)
    with create(config_with(hooks_of(createRuntime=reporter("createRuntime", tmp_path)))) as one:
        one.run(first())
    assert len(flags) == 4  # of the clones' numbers, and of the state
    assert Seen(tmp_path, "createRuntime").state["id"] == one.id
