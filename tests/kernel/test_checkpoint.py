"""Checkpoints and restores with a stand-in that speaks CRIU's protocol: requests, and failures.

What CRIU itself makes of them is shown by tests/vm/test_checkpoint.py.
"""

from __future__ import annotations

import errno
import functools
import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import libct
from libct.checkpoint import installed
from libct.config import NEWCGROUP, NEWNS, NEWTIME, NEWUSER, Mount, Namespace
from libct.config.mount_flags import MS_BIND, MS_REC

from ..bundles import make_bundle
from ..commands import CHECKOUT, libct as command_line, libct_command, libct_environment
from ..containers import PATH, make_config, running, state_directory
from ..support import CLONE_NEWNS, in_namespaces, requires, unique
from ..terminals import Session

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = requires("root", "busybox")

VERSION = {"version": [3, 17, 1], "features": {"mem_track": 1, "lazy_pages": 1}}


class StandIn:
    """What the stand-in is to do, and what it was asked for."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "what"
        self.does()

    def does(self, **what: Any) -> None:
        self.file.write_text(json.dumps({**VERSION, **what}))

    def heard(self, *kinds: int) -> list[dict[str, Any]]:
        """The requests of these kinds."""
        try:
            lines = Path(f"{self.file}.requests").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [one for one in map(json.loads, lines) if one.get("type") in kinds]

    def told(self) -> dict[str, int]:
        """By script, whether it was told to go on."""
        lines = map(json.loads, Path(f"{self.file}.requests").read_text().splitlines())
        return {one["script"]: one["success"] for one in lines if "script" in one}


@pytest.fixture
def criu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    place = tmp_path / "bin"
    place.mkdir()
    program = place / "criu"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {CHECKOUT}/tests/criu.py "$@"\n')
    program.chmod(0o755)
    made = StandIn(tmp_path)
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
    monkeypatch.setenv("CRIU_STAND_IN", str(made.file))
    monkeypatch.setenv("CRIU_STAND_IN_PATH", str(CHECKOUT))
    return made


@pytest.fixture
def sleeper() -> Iterator[libct.Container]:
    with running(make_config(), "/bin/sleep", "60") as container:
        yield container


DUMP, RESTORE, PRE_DUMP, FEATURES = 1, 2, 4, 9


def pid_of(container: libct.Container) -> int:
    return int(container.state()["pid"])


def test_a_checkpoint(
    criu: StandIn, sleeper: libct.Container, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    criu.does(kills=True, scripts=["pre-dump", "network-lock", "post-dump", "network-unlock"])
    monkeypatch.setenv("PATH", os.environ["PATH"].partition(":")[0])
    pid, images = pid_of(sleeper), tmp_path / "images"
    sleeper.checkpoint(str(images), file_locks=True)
    assert sleeper.status() == "stopped"
    (asked,) = criu.heard(DUMP)
    opts = asked["opts"]
    assert opts["pid"] == [pid]
    assert opts["file_locks"] == [1]
    assert "/usr/sbin" in asked["path"].split(":")  # iptables, whatever our PATH is
    assert opts["root"] == [sleeper.config.rootfs]
    assert opts["config_file"] == ["/etc/criu/runc.conf"]
    assert opts["manage_cgroups_mode"] == [3]
    assert "leave_running" not in opts
    assert set(criu.told().values()) == {1}
    assert len(json.loads((images / "descriptors.json").read_text())) == 3
    assert images.stat().st_mode & 0o777 == 0o700


def test_one_that_is_left_running(criu: StandIn, sleeper: libct.Container, tmp_path: Path) -> None:
    sleeper.checkpoint(str(tmp_path / "images"), leave_running=True)
    assert sleeper.status() == "running"
    assert criu.heard(DUMP)[0]["opts"]["leave_running"] == [1]


def test_a_pre_dump(criu: StandIn, sleeper: libct.Container, tmp_path: Path) -> None:
    sleeper.checkpoint(str(tmp_path / "images"), pre_dump=True)
    assert sleeper.status() == "running"
    assert len(criu.heard(FEATURES)) == len(criu.heard(PRE_DUMP)) == 1
    assert not criu.heard(DUMP)
    assert not (tmp_path / "images/descriptors.json").exists()
    criu.does(features={})
    with pytest.raises(libct.Unsupported, match="does not support mem_track"):
        sleeper.checkpoint(str(tmp_path / "images"), pre_dump=True)


def test_a_failure_leaves_it_running_and_shows_the_log(
    criu: StandIn, sleeper: libct.Container, tmp_path: Path
) -> None:
    criu.does(failure=errno.EBUSY, log="one\nError (criu/x.c:1): no way\n")
    with pytest.raises(libct.Error) as caught:
        sleeper.checkpoint(str(tmp_path / "images"), work=str(tmp_path / "work"))
    text = str(caught.value)
    assert text.startswith(f"cannot checkpoint container {sleeper.id!r}: CRIU failed at DUMP: ")
    assert os.strerror(errno.EBUSY) in text
    assert f"{tmp_path}/work/dump.log says: Error (criu/x.c:1): no way" in text
    assert sleeper.status() == "running"


SLOW = {"log": "(00.1) begun\n(00.2) Dumping \x1b[1mpages\nhalf a li", "pages": 3 << 20}
TOLD = r"3.0 MiB of memory in the images; CRIU: \(00\.2\) Dumping \\x1b\[1mpages"


def test_what_takes_long_tells_how_far_it_is(
    criu: StandIn, sleeper: libct.Container, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("libct.checkpoint.rpc._PAUSE", 0.05)
    monkeypatch.setattr("libct.checkpoint.progress.QUIET", 1.0)
    lines: list[str] = []
    criu.does(takes=1.6, **SLOW)
    sleeper.checkpoint(
        str(tmp_path / "images"),
        work=str(tmp_path / "work"),
        leave_running=True,
        progress=lines.append,
    )
    assert len(lines) > 1
    assert re.fullmatch(f"[12] s, {TOLD}", lines[-1])
    lines.clear()
    criu.does(takes=0.1, **SLOW)
    sleeper.checkpoint(str(tmp_path / "images"), leave_running=True, progress=lines.append)
    assert lines == []


def test_the_command_tells_a_terminal_how_far_it_is(
    criu: StandIn, images: Path, tmp_path: Path
) -> None:
    bundle, name = make_bundle(tmp_path, args=["sleep", "60"]), unique()
    of_images = ["--image-path", str(images)]
    restore_it = ["restore", "-d", "-b", str(bundle), *of_images, name]
    slowly: dict[str, Any] = {"scripts": ["post-restore"], "takes": 2.6, "kills": True, **SLOW}
    criu.does(**slowly)
    for words in (restore_it, ["checkpoint", *of_images, name]):
        with Session(libct_command(*words), libct_environment()) as session:
            # As much of the line as there is room for, then nothing in its place.
            told = TOLD.partition(" Dumping")[0]
            session.read_until(rf"\rlibct: {words[0]} of {name}: [23] s, {told} ?[\w ]*\x1b\[K")
            session.read_until(r"\r\x1b\[K")
            assert session.end() == 0
    # Nothing where it is no terminal.
    done = command_line(*restore_it, check=True)
    assert (done.stdout, done.stderr) == ("", "")
    command_line("delete", "-f", name, check=True)


def test_one_that_ends_without_an_answer(
    criu: StandIn, sleeper: libct.Container, tmp_path: Path
) -> None:
    criu.does(ends=True)
    with pytest.raises(libct.Unsupported, match=r"ended without an answer: gone wrong"):
        sleeper.checkpoint(str(tmp_path / "images"))
    assert sleeper.status() == "running"
    assert not (tmp_path / "images").exists()


def test_one_that_ends_while_another_has_its_socket(
    criu: StandIn, sleeper: libct.Container, tmp_path: Path
) -> None:
    criu.does(holds=30)
    with pytest.raises(libct.Error, match="CRIU ended without an answer"):
        sleeper.checkpoint(str(tmp_path / "images"))
    assert sleeper.status() == "running"


def test_one_that_does_not_say_what_it_is(
    criu: StandIn, sleeper: libct.Container, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("libct.checkpoint.rpc._ANSWERS", 0.2)
    criu.does(quiet=True)
    with pytest.raises(libct.Unsupported, match="for its version: CRIU has not answered within"):
        sleeper.checkpoint(str(tmp_path / "images"))
    with pytest.raises(libct.Unsupported, match="for its features: CRIU has not answered within"):
        installed.features()
    assert "CRIU has not answered" in installed.check(0)


def test_an_answer_to_another_question(
    criu: StandIn, sleeper: libct.Container, tmp_path: Path
) -> None:
    criu.does(type=PRE_DUMP)
    with pytest.raises(libct.Error, match="not speak its protocol: an answer of type 4 to DUMP"):
        sleeper.checkpoint(str(tmp_path / "images"))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"work": "a\0b"}, "work: no text"),
        ({"parent": "\ud800"}, "parent: no text"),
        ({"lazy_pages": True, "status_fd": 99999}, "status_fd: descriptor 99999 is not open"),
        ({"lazy_pages": True, "status_fd": 1 << 70}, "is not open"),
    ],
)
def test_options_that_cannot_be(
    criu: StandIn, sleeper: libct.Container, tmp_path: Path, options: dict[str, Any], text: str
) -> None:
    with pytest.raises(libct.ConfigError, match=text):
        sleeper.checkpoint(str(tmp_path / "images"), **options)
    assert not (tmp_path / "images").exists()


def test_images_that_cannot_be_written(
    criu: StandIn, sleeper: libct.Container, tmp_path: Path
) -> None:
    images = tmp_path / "images"
    (images / "descriptors.json").mkdir(parents=True)
    text = f"cannot write descriptors.json to '{images}': Is a directory"
    with pytest.raises(libct.Error, match=text):
        sleeper.checkpoint(str(images))
    (images / "descriptors.json").rmdir()
    (images / "descriptors.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(libct.Error, match="Too many levels of symbolic links"):
        sleeper.checkpoint(str(images))
    assert not (tmp_path / "elsewhere").exists()
    assert sleeper.status() == "running"


def test_one_that_is_too_old(criu: StandIn, sleeper: libct.Container, tmp_path: Path) -> None:
    criu.does(version=[3, 14, 9])
    with pytest.raises(libct.Unsupported, match=r"CRIU 3\.14\.9 is too old: .* 3\.15 or newer"):
        sleeper.checkpoint(str(tmp_path / "images"))
    criu.does(version=[3, 15, 0])
    with pytest.raises(libct.Unsupported, match=r"another LSM profile needs CRIU 3\.16"):
        restore(tmp_path / "images", lsm_profile="apparmor:x")
    criu.does(version=[3, 18, 9])
    for act in (sleeper.checkpoint, lambda path, **options: restore(Path(path), **options)):
        with pytest.raises(libct.Unsupported, match=r"not locked needs CRIU 3\.19, not 3\.18\.9"):
            act(str(tmp_path / "images"), network_lock="skip")


def test_features_say_what_criu_can_do(criu: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    def said() -> dict[str, str]:
        found = json.loads(command_line("features", check=True).stdout)["annotations"]
        return {name: value for name, value in found.items() if "criu" in name}

    version, able = "org.libct.criu.version", "org.libct.criu.features"
    assert said() == {version: "3.17.1", able: "mem_track,lazy_pages"}
    criu.does(features={"mem_track": 1})
    assert said() == {version: "3.17.1", able: "mem_track"}
    for what in ({"version": [3, 14, 0]}, {"ends": True}):
        criu.does(**what)
        assert said() == {}


def test_without_criu_nothing_changes(
    sleeper: libct.Container, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("libct.checkpoint.rpc._FURTHER", "/nowhere")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(libct.Unsupported, match="CRIU is not installed"):
        sleeper.checkpoint(str(tmp_path / "images"))
    with pytest.raises(libct.Unsupported, match="CRIU is not installed"):
        restore(tmp_path / "images")
    assert sleeper.status() == "running"
    assert not (tmp_path / "images").exists()


def test_what_is_the_hosts(criu: StandIn, tmp_path: Path) -> None:
    """A bind mount, and a file that the first process has of its caller."""
    output = tmp_path / "output"
    mount = Mount("/mnt", str(tmp_path), "bind", flags=MS_BIND | MS_REC)
    base = make_config()
    config = base.copy(mounts=[*base.mounts, mount])
    with (
        open(output, "w") as file,
        running(config, "/bin/sleep", "60", stdin=file, stdout=file, stderr=file) as container,
    ):
        container.checkpoint(str(tmp_path / "images"), leave_running=True)
        opts = criu.heard(DUMP)[0]["opts"]
    assert any("/mnt" in text for text in opts["ext_mnt"])
    (key,) = opts["external"]
    assert key.startswith("file[")
    assert key.endswith(f":{output.stat().st_ino:x}]")
    assert json.loads((tmp_path / "images/descriptors.json").read_text()) == [key] * 3


def test_a_terminal_of_the_caller(criu: StandIn, images: Path, tmp_path: Path) -> None:
    """It is told of at the checkpoint, and the new caller's takes its place."""
    master, terminal = os.openpty()
    try:
        with running(
            make_config(), "/bin/sleep", "60", stdin=terminal, stdout=terminal, stderr=terminal
        ) as container:
            container.checkpoint(str(images), leave_running=True)
        found = os.fstat(terminal)
        key = f"tty[{found.st_rdev:x}:{found.st_dev:x}]"
        assert criu.heard(DUMP)[0]["opts"]["external"] == [key]
        assert json.loads((images / "descriptors.json").read_text()) == [key] * 3
    finally:
        os.close(master)
        os.close(terminal)
    criu.does(scripts=["post-restore"])
    made, _ = restore(images)
    with made:
        assert "".join(criu.heard(RESTORE)[0]["opts"]["inherit_fd"]).count(key) == 3


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"landlock": libct.Landlock()}, "Landlock"),
        ({"networks": [libct.Network("veth")]}, "network devices"),
        *(
            ({"namespaces": [Namespace(kind, "/proc/1/ns/x")]}, f"joins no {name} namespace")
            for kind, name in (
                (NEWTIME, "time"),
                (NEWCGROUP, "cgroup"),
                (NEWNS, "mount"),
                (NEWUSER, "user"),
            )
        ),
    ],
)
def test_what_would_be_lost_is_refused(
    criu: StandIn, tmp_path: Path, change: dict[str, Any], text: str
) -> None:
    from libct.life.checkpointing import refuse

    with pytest.raises(libct.Unsupported, match=text):
        refuse(make_config().copy(**change), empty=False)


def test_a_container_that_does_not_run(criu: StandIn, tmp_path: Path) -> None:
    with libct.create(state_directory(), unique(), make_config()) as container:
        container.start(libct.Process(["/bin/sleep", "60"], env=[PATH], init=True))
        with pytest.raises(libct.ContainerNotRunning, match="container not running"):
            container.checkpoint(str(tmp_path / "images"))
    assert not criu.heard(DUMP)


# --- restore ---


def restore(images: Path, config: libct.Config | None = None, **options: Any) -> Any:
    """The container and its process."""
    process = libct.Process(["/bin/sleep", "60"], env=[PATH])
    config = config or make_config()
    made = libct.restore(state_directory(), unique(), config, process, str(images), **options)
    return made, process


@pytest.fixture
def images(tmp_path: Path) -> Path:
    made = tmp_path / "images"
    made.mkdir()
    (made / "descriptors.json").write_text('["/dev/null", "pipe:[123]", "file[1a:2b]"]')
    return made


def test_a_restore(criu: StandIn, images: Path) -> None:
    criu.does(scripts=["pre-restore", "setup-namespaces", "post-restore", "post-resume"])
    config = make_config().copy(mask_paths=["/proc/kcore"])
    made, process = restore(images, config)
    with made:
        assert made.status() == "running"
        assert pid_of(made) == process.pid
        opts = criu.heard(RESTORE)[0]["opts"]
        assert opts["root"] == [f"{state_directory()}/{made.id}/criu-root"]
        assert opts["rst_sibling"] == [1]
        inherited = "".join(opts["inherit_fd"])
        assert "pipe:[123]" in inherited
        assert "file[1a:2b]" in inherited
        assert "/dev/null" not in inherited
        # In a user namespace that is a mount of the host's /dev/null.
        assert any("/proc/kcore" in text and "/dev/null" in text for text in opts["ext_mnt"])
        assert not os.path.exists(opts["root"][0])
        assert (
            made.defaults.args == ["/bin/sleep", "60"] if hasattr(made.defaults, "args") else True
        )
        made.signal(signal.SIGKILL)
        assert process.wait(10).signal == signal.SIGKILL
        assert made.status() == "stopped"
    assert state_directory() not in Path("/proc/self/mountinfo").read_text()


def test_the_commands(criu: StandIn, images: Path, tmp_path: Path) -> None:
    criu.does(scripts=["post-restore", "post-dump"], kills=True)
    bundle = make_bundle(tmp_path, args=["sleep", "60"])
    name, file = unique(), tmp_path / "pid"
    command = ["restore", "--image-path", str(images), "-b", str(bundle), "--pid-file", str(file)]
    command_line(*command, "-d", name, check=True)
    state = json.loads(command_line("state", name, check=True).stdout)
    assert (state["status"], state["pid"]) == ("running", int(file.read_text()))
    again = tmp_path / "again"
    command_line("checkpoint", "--image-path", again, "--work-path", tmp_path, name, check=True)
    assert (again / "descriptors.json").exists()
    assert command_line("state", name).returncode == 1
    done = command_line(*command, "--console-socket", "/x", name)
    assert "cannot use console socket" in done.stderr
    nothing_is_left()


def nothing_is_left() -> None:
    assert libct.list_containers(state_directory()) == []
    assert state_directory() not in Path("/proc/self/mountinfo").read_text()


def test_a_restore_that_fails(criu: StandIn, images: Path) -> None:
    criu.does(failure=errno.EEXIST, log="Error (criu/y.c:2): taken\n")
    with pytest.raises(libct.Error) as caught:
        restore(images)
    text = str(caught.value)
    assert "cannot restore container" in text
    assert f"{images}/restore.log says: Error (criu/y.c:2): taken" in text
    nothing_is_left()


@pytest.mark.parametrize("pid", [0, 1, 4194300])
def test_a_process_that_is_not_restored(criu: StandIn, images: Path, pid: int) -> None:
    criu.does(scripts=["post-restore"], tells=pid)
    with pytest.raises(libct.Error, match=f"CRIU tells of the process {pid}, which is none"):
        restore(images)
    nothing_is_left()


def test_streams_whose_names_are_no_text(criu: StandIn, images: Path) -> None:
    (images / "descriptors.json").write_text('["pipe:[\\ud800]", "", ""]')
    with pytest.raises(libct.Error, match="not a list of names"):
        restore(images)
    nothing_is_left()


def test_hooks_run_and_one_that_fails_ends_the_restore(
    criu: StandIn, images: Path, tmp_path: Path
) -> None:
    criu.does(scripts=["setup-namespaces", "post-restore"])
    told = tmp_path / "told"
    hooks = libct.Hooks(
        create_runtime=[libct.Hook("/bin/sh", ["sh", "-c", f"cat > {told}"])],
    )
    made, process = restore(images, make_config(hooks=hooks))
    with made:
        assert json.loads(told.read_text())["pid"] == process.pid
        assert json.loads(told.read_text())["id"] == made.id
    hooks = libct.Hooks(create_runtime=[libct.Hook("/bin/false", ["false"])])
    with pytest.raises(libct.StepError, match="createRuntime"):
        restore(images, make_config(hooks=hooks))
    assert criu.told()["setup-namespaces"] == 0
    nothing_is_left()


def test_what_would_not_be_confined_ends(
    criu: StandIn, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stand-in gives no profile: what it makes has our own."""
    criu.does(scripts=["post-restore", "pre-resume"])
    for module, words in (("apparmor", "AppArmor profile"), ("selinux", "SELinux label")):
        with pytest.raises(libct.Error, match=f"with the {words} 'tight': it was made without"):
            restore(images, lsm_profile=f"{module}:tight")
        assert criu.told() == {"post-restore": 1}  # and nobody has told it to go on
        nothing_is_left()
    # It may have got another one since.
    monkeypatch.setattr(
        "libct.checkpoint.confinement._current",
        lambda pid, module: "ours" if pid == os.getpid() else "its",
    )
    made, _ = restore(images, lsm_profile="selinux:tight")
    made.destroy(force=True)
    made, _ = restore(images, lsm_profile="selinux:ours")
    made.destroy(force=True)


def test_images_that_are_none(criu: StandIn, tmp_path: Path) -> None:
    with pytest.raises(libct.Error, match="cannot open the directory"):
        restore(tmp_path / "none")
    with pytest.raises(libct.Error, match=r"cannot open descriptors\.json"):
        restore(tmp_path)
    for text in ("{}", "[1]", "x"):
        (tmp_path / "descriptors.json").write_text(text)
        with pytest.raises(libct.Error, match=r"descriptors\.json"):
            restore(tmp_path)
    assert not criu.heard(RESTORE)
    nothing_is_left()


def test_one_that_was_killed_can_be_deleted(criu: StandIn, images: Path) -> None:
    """What a killed restore leaves: the record, and the rootfs bound below it."""
    from libct.life.ending import unbind_root
    from libct.life.restoring import bind_root

    container = libct.create(state_directory(), unique(), make_config())
    bind_root(container._has.directory, container.config.rootfs)
    kept = os.listdir(container.config.rootfs)
    try:
        container.destroy(force=True)
        assert os.listdir(container.config.rootfs) == kept
        nothing_is_left()
    finally:
        unbind_root(container._has.directory)


def test_what_is_mounted_in_the_rootfs_stays(tmp_path: Path) -> None:
    """On the host, and in a container that receives its mounts, when the restore is over."""
    from libct.life.directory import Directory
    from libct.life.ending import unbind_root
    from libct.life.restoring import bind_root
    from libct.syscalls.constants import MS_BIND, MS_PRIVATE, MS_REC, MS_SHARED, MS_SLAVE
    from libct.syscalls.mounts import mount

    directory = Directory(str(tmp_path), "one")
    directory.make()

    def body(shared: int) -> None:
        mount("tmpfs", "/mnt", "tmpfs")
        for name in ("rootfs", "rootfs/alone", "rootfs/one", "rootfs/one/two"):
            os.mkdir(f"/mnt/{name}")
            mount("tmpfs", f"/mnt/{name}", "tmpfs")
        os.mkdir("/mnt/container")
        mount(None, "/mnt", flags=shared | MS_REC)
        path = bind_root(directory, "/mnt/rootfs")
        assert "shared:" in mounted(path)  # CRIU asks for that where the root is to be a slave
        # As CRIU makes the container's root.
        mount(path, "/mnt/container", flags=MS_BIND | MS_REC)
        mount(None, "/mnt/container", flags=MS_SLAVE | MS_REC)
        unbind_root(directory)
        assert not os.path.exists(path)
        for place in ("/mnt/rootfs", "/mnt/container"):
            for name in ("alone", "one", "one/two"):
                assert os.path.ismount(f"{place}/{name}")
        assert ("master:" in mounted("/mnt/container")) == (shared == MS_SHARED)

    def mounted(path: str) -> str:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        (line,) = [one for one in lines if one.split()[4] == path]
        return line

    for shared in (MS_SHARED, MS_PRIVATE):
        in_namespaces(CLONE_NEWNS, functools.partial(body, shared))
