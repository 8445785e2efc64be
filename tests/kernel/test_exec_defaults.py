"""What exec gives to a process where the command line does not say it: the first process's."""

from __future__ import annotations

import json
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from libct.config import Capabilities, Rlimit

from ..commands import libct, libct_command, libct_environment, run, state_root
from ..containers import PATH, make_config, running
from ..support import busybox_rootfs, make_bundle, requires, session_directory, unique

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [requires("root", "busybox"), pytest.mark.usefixtures("nothing_left")]

SHOW = r"""
id -u; id -g; id -G; umask; pwd; ulimit -n; ulimit -c
grep -E "^(Cap|NoNewPrivs)" /proc/self/status
tr "\0" "\n" </proc/$$/environ
cut -d" " -f18,19,40,41 /proc/$$/stat
ionice
"""
SETS = ("bounding", "effective", "inheritable", "permitted", "ambient")
PROCESS: dict[str, Any] = {
    "user": {"uid": 1000, "gid": 1001, "additionalGids": [5, 6], "umask": 0o27},
    "cwd": "/usr",
    "env": ["PATH=/bin:/usr/bin", "A=1"],
    "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 88}],
    "capabilities": {name: ["CAP_KILL"] for name in SETS},
    "noNewPrivileges": True,
    "scheduler": {"policy": "SCHED_BATCH", "nice": 3},
    "ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 0},
}
ROOT: dict[str, Any] = {
    "user": {"uid": 0, "gid": 0},
    "cwd": "/",
    "env": ["PATH=/evil"],
    "args": ["true"],
    "noNewPrivileges": False,
    "capabilities": {name: ["CAP_SYS_ADMIN"] for name in SETS},
}


@pytest.fixture(scope="module")
def rootfs() -> Path:
    return busybox_rootfs(Path(tempfile.mkdtemp(dir=session_directory())))


@pytest.fixture
def bundle(tmp_path: Path, rootfs: Path) -> Path:
    (tmp_path / "bundle").mkdir()
    return make_bundle(tmp_path / "bundle", rootfs=rootfs, args=["sleep", "1000"], process=PROCESS)


@pytest.fixture
def name(bundle: Path) -> Iterator[str]:
    """A container of the bundle."""
    found = unique()
    libct("run", "-d", "-b", bundle, found, check=True)
    yield found
    libct("delete", "--force", found, check=True)


def _removed(bundle: Path) -> None:
    (bundle / "config.json").unlink()


def _cut(bundle: Path) -> None:
    (bundle / "config.json").write_text('{"ociVersion": "1.0.2", "process":')


def _without_process(bundle: Path) -> None:
    (bundle / "config.json").write_text('{"ociVersion": "1.0.2"}')


def _replaced(bundle: Path) -> None:
    (bundle / "config.json").write_text(json.dumps({"ociVersion": "1.0.2", "process": ROOT}))


def _moved(bundle: Path) -> None:
    bundle.rename(bundle.with_name("elsewhere"))


CHANGES = (_removed, _cut, _without_process, _replaced, _moved)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_it_is_the_first_processs_whatever_becomes_of_the_bundle(
    bundle: Path, name: str, change: Callable[[Path], None]
) -> None:
    before = libct("exec", name, "sh", "-c", SHOW, check=True).stdout
    lines = before.splitlines()
    assert lines[:7] == ["1000", "1001", "1001 5 6", "0027", "/usr", "77", lines[6]]
    assert "CapEff:\t0000000000000020" in lines
    assert "NoNewPrivs:\t1" in lines
    assert {"A=1", "PATH=/bin:/usr/bin", "23 3 0 3", "idle"} <= set(lines)
    change(bundle)
    assert libct("exec", name, "sh", "-c", SHOW, check=True).stdout == before


def test_options_come_before_it(bundle: Path, name: str) -> None:
    _replaced(bundle)
    options = ["--user", "7:8", "--cwd", "/etc", "--env", "B=2", "--additional-gids", "9"]
    done = libct("exec", *options, name, "sh", "-c", SHOW, check=True)
    lines = done.stdout.splitlines()
    assert lines[:5] == ["7", "8", "8 5 6 9", "0027", "/etc"]
    assert {"A=1", "B=2"} <= set(lines)


def _of_an_earlier_version(name: str) -> None:
    state = state_root() / name / "state.json"
    values = json.loads(state.read_text())
    del values["process"]
    state.write_text(json.dumps(values))


def test_the_state_of_an_earlier_version(bundle: Path, name: str) -> None:
    """It has the bundle alone to say it; where that cannot, nobody becomes root."""
    before = libct("exec", name, "sh", "-c", SHOW, check=True).stdout
    _of_an_earlier_version(name)
    assert libct("exec", name, "sh", "-c", SHOW, check=True).stdout == before
    for change, text in (
        (_without_process, "earlier version of libct"),
        (_cut, "config.json:1:35: Expecting value"),
        (_removed, "config.json: "),
        (_moved, "the bundle itself is missing"),
    ):
        change(bundle)
        done = libct("exec", name, "id")
        assert (done.returncode, done.stdout) == (255, ""), change
        assert text in done.stderr


@pytest.mark.parametrize("variable", ["LISTEN_FDS", "LISTEN_PID", "NOTIFY_SOCKET"])
def test_a_service_managers_variables_are_the_first_processs_alone(
    tmp_path: Path, rootfs: Path, variable: str
) -> None:
    found = unique()
    show = f"echo ${variable}"
    bundle = make_bundle(
        tmp_path, rootfs=rootfs, args=["sh", "-c", f"{show} >/dev/console; sleep 1000"]
    )
    # As systemd does it: sh is who is to have the sockets, and becomes libct.
    command = libct_command("create", "-b", bundle, found)
    words = ["sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@" 3</dev/null', "sh", *command]
    environment = {**libct_environment(), "NOTIFY_SOCKET": str(tmp_path / "manager")}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(environment["NOTIFY_SOCKET"])
        try:
            run(words, env=environment, check=True)
            libct("start", found, check=True)
            environ = "tr '\\0' '\\n' </proc/1/environ; echo; env"
            done = libct("exec", found, "sh", "-c", environ, check=True)
            first, _, further = done.stdout.partition("\n\n")
            assert f"{variable}=" in first
            assert f"{variable}=" not in further
        finally:
            libct("delete", "--force", found, check=True)


def test_a_container_of_the_library_has_no_bundle() -> None:
    process: dict[str, Any] = {
        "user": "1000:1001",
        "additional_groups": [5, 6],
        "cwd": "/usr",
        "umask": 0o27,
        "rlimits": [Rlimit(7, 88, 77)],
        "capabilities": Capabilities(**{name: ["CAP_KILL"] for name in SETS}),
        "no_new_privileges": True,
    }
    with running(make_config(), **process) as container:
        done = libct("exec", container.id, "sh", "-c", SHOW, check=True)
        lines = done.stdout.splitlines()
        assert lines[:6] == ["1000", "1001", "1001 5 6", "0027", "/usr", "77"]
        assert {"CapEff:\t0000000000000020", "NoNewPrivs:\t1", PATH} <= set(lines)
        _of_an_earlier_version(container.id)
        done = libct("exec", container.id, "id")
        assert (done.returncode, done.stdout) == (255, "")
        assert "give --process FILE" in done.stderr
