"""The interpreter that enters containers cannot be overwritten from there (CVE-2019-5736)."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import libct
from libct.bootstrap import seal, servers
from libct.loading import paths
from libct.syscalls.constants import CAPABILITIES
from libct.syscalls.credentials import capget, capset

from ..containers import make_config, run, shared_rootfs
from ..support import (
    busybox_rootfs,
    forked,
    libct_environment,
    requires,
    session_directory,
    unique,
    user_account,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = requires("root", "busybox")
F_SEAL_FUTURE_WRITE = 0x10  # include/uapi/linux/fcntl.h
PYTHON = os.path.realpath(sys.executable)


@pytest.fixture(params=["overlay", "memory"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Each way to seal, and a server that is sealed so."""
    servers.stop_server()
    if request.param == "memory":

        def fsopen(fstype: str) -> int:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))

        monkeypatch.setattr(seal, "fsopen", fsopen)
    yield request.param
    servers.stop_server()


def open_executable() -> int:
    """O_PATH, of the server, which is gone then: nothing says that the text file is busy."""
    servers.start_server()
    assert servers._servers
    info = Path(f"/proc/self/fdinfo/{servers._servers[0].pidfd}").read_text()
    pid = info.partition("Pid:")[2].split()[0]
    executable = os.open(f"/proc/{pid}/exe", os.O_PATH)
    servers.stop_server()
    return executable


def test_what_the_server_executes_cannot_be_written(way: str) -> None:
    before = Path(PYTHON).read_bytes()
    executable = open_executable()
    try:
        assert os.readlink(f"/proc/self/fd/{executable}").startswith("/memfd:") == (way == "memory")
        for flags in (os.O_WRONLY, os.O_RDWR | os.O_TRUNC, os.O_WRONLY | os.O_APPEND):
            with pytest.raises(OSError) as caught:  # noqa: PT012  # whichever refuses
                fd = os.open(f"/proc/self/fd/{executable}", flags)
                try:
                    os.write(fd, b"#!/bin/false\n")
                finally:
                    os.close(fd)
            assert caught.value.errno == (errno.EPERM if way == "memory" else errno.EROFS)
        for size in (0, 1 << 28):
            with pytest.raises(OSError, match=r"Read-only file system|Operation not permitted"):
                os.truncate(f"/proc/self/fd/{executable}", size)
        if way == "memory":
            copy = os.open(f"/proc/self/fd/{executable}", os.O_RDWR)
            with pytest.raises(PermissionError):  # nor can more be forbidden
                fcntl.fcntl(copy, fcntl.F_ADD_SEALS, F_SEAL_FUTURE_WRITE)
            os.close(copy)
    finally:
        os.close(executable)
    assert Path(PYTHON).read_bytes() == before


def test_containers_run_by_it(way: str) -> None:
    assert run(make_config(), "true").state.success


def test_a_command_that_is_the_executable_of_who_enters(way: str, tmp_path: Path) -> None:
    rootfs = busybox_rootfs(tmp_path)
    (rootfs / "evil").write_text("#!/proc/self/exe\n")
    (rootfs / "evil").chmod(0o755)
    with pytest.raises(libct.StepError) as caught:
        run(make_config(rootfs), "/evil")
    assert caught.value.op == "execute"  # there is no loader for it in the rootfs


def interpreters(tmp_path: Path) -> dict[str, str]:
    venv.create(tmp_path / "venv", symlinks=True)
    venv.create(tmp_path / "copied", symlinks=False)
    found = {
        "this": sys.executable,
        "venv": str(tmp_path / "venv/bin/python"),
        "copied": str(tmp_path / "copied/bin/python"),
        "system": shutil.which("python3", path="/usr/bin") or "",
    }
    for path in sorted((Path.home() / ".pyenv/versions").glob("3.*/bin/python3")):
        if path.parent.parent.name.split(".")[1] in ("9", "13"):
            found[path.parent.parent.name] = str(path)
    return {name: path for name, path in found.items() if path}


def test_the_sealed_interpreter_finds_its_home(way: str, tmp_path: Path) -> None:
    code = "import sys, ctypes; print(sys.prefix, sys.base_prefix, sys.executable, sys.path)"
    for name, program in interpreters(tmp_path).items():
        args = [program, "-I", "-S", "-c", code]
        expected = subprocess.run(args, capture_output=True, text=True, check=True).stdout
        fd = seal.sealed_interpreter(paths.real(program))
        try:
            found = subprocess.run(
                args,
                executable=f"/proc/self/fd/{fd}",
                pass_fds=[fd],
                capture_output=True,
                text=True,
                check=False,
            )
        finally:
            os.close(fd)
        assert found.stdout == expected, f"{name}: {found.stderr}"


def test_containers_run_from_each_interpreter(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, libct\n"
        "from libct.config import Namespace\n"
        "spaces = [Namespace('NEWNS'), Namespace('NEWPID')]\n"
        f"config = libct.Config(rootfs={str(shared_rootfs())!r}, namespaces=spaces)\n"
        "process = libct.Process(['sh', '-c', 'exit 7'], env=['PATH=/bin'], init=True)\n"
        "with libct.create(sys.argv[1], 'one', config) as container:\n"
        "    container.run(process)\n"
        "    sys.exit(process.wait().status)\n"
    )
    for name, program in interpreters(tmp_path).items():
        done = subprocess.run(
            [program, script, tmp_path / "states"],
            env=libct_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 7, f"{name}: {done.stderr}"


@pytest.fixture
def program() -> Iterator[Path]:
    """A file of root's in a directory that everybody may enter."""
    place = Path(shutil.copy("/bin/true", session_directory() / unique()))
    place.chmod(0o755)
    yield place
    place.unlink()


def sealed(place: Path) -> bool:
    """Whether a file is not executed as it is."""
    fd = seal.sealed_interpreter(paths.real(str(place)))
    found, own = os.fstat(fd), os.stat(place)
    os.close(fd)
    return (found.st_dev, found.st_ino) != (own.st_dev, own.st_ino)


@pytest.mark.parametrize(
    ("owner", "mode", "real", "expected"),
    [
        ("root", 0o755, "user", False),
        ("root", 0o775, "user", True),
        ("root", 0o757, "user", True),
        ("root", 0o757, "member", True),  # others may, whose ids he might map
        ("user", 0o755, "user", True),
        ("user", 0o555, "user", True),  # he could change the mode
        ("root", 0o755, "root", True),  # he could become root again
    ],
)
def test_an_ordinary_user_needs_no_seal_against_a_file_of_root(
    program: Path, owner: str, mode: int, real: str, *, expected: bool
) -> None:
    account = user_account()
    program.chmod(mode)
    if owner == "user":
        os.chown(program, account.pw_uid, account.pw_gid)

    def body() -> bool:
        os.setgroups([0] if real == "member" else [])
        os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
        os.setresuid(0 if real == "root" else account.pw_uid, account.pw_uid, account.pw_uid)
        return sealed(program)

    assert forked(body) is expected


def test_root_is_sealed_from_a_file_that_it_could_make_writable(program: Path) -> None:
    program.chmod(0o555)

    def body() -> bool:
        have = capget()[1] & ~(1 << CAPABILITIES["CAP_DAC_OVERRIDE"])
        capset(have, have, 0)
        assert not os.access(program, os.W_OK)
        return sealed(program)

    assert forked(body) is True
