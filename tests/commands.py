"""Programs run by tests: libct's command line, and anything as an ordinary user.

Output is caught in files, not in pipes: the processes of a created container
hold their standard streams after the command that made them has ended.
"""

from __future__ import annotations

import atexit
import functools
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .names import MARK, run_mark
from .patience import patient

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CHECKOUT = Path(__file__).resolve().parent.parent

# The account that rootless tests run as when the tests themselves are root's.
# Without it they run as nobody, who has no subordinate ids.
USER = "libct-test"

# Debian's client of Docker, which is as old as its daemon; others may come first in PATH.
DOCKER = "/usr/bin/docker"


def libct(
    *args: str | os.PathLike[str],
    root: str | os.PathLike[str] | None = None,
    user: bool = False,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    input: str = "",  # noqa: A002  # as subprocess.run() has it
    timeout: float = 60,
    check: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run `python -m libct --root ROOT args...` from the checkout.

    root: the state directory; default: state_root(user=user).
    user: run as the ordinary user.
    env: added to the environment.  check: an exit status but 0 fails the test.
    """
    return run(
        libct_command(*args, root=root, user=user),
        user=user,
        env={**libct_environment(user=user), **(env or {})},
        cwd=cwd,
        input=input,
        timeout=timeout,
        check=check,
    )


def libct_command(
    *args: str | os.PathLike[str],
    root: str | os.PathLike[str] | None = None,
    user: bool = False,
) -> list[str]:
    """The command line that libct() runs, for tests that start it by themselves."""
    python = user_python() if user else sys.executable
    root = state_root(user=user) if root is None else root
    return [python, "-m", "libct", "--root", os.fspath(root), *(os.fspath(arg) for arg in args)]


def libct_environment(*, user: bool = False) -> dict[str, str]:
    """What libct_command() needs in its environment."""
    checkout = user_checkout() if user else CHECKOUT
    return {"PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}


def as_user(
    *args: str | os.PathLike[str],
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    input: str = "",  # noqa: A002
    timeout: float = 60,
    check: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run a program as the ordinary user, with a home and a runtime directory of its own."""
    return run(args, user=True, env=env, cwd=cwd, input=input, timeout=timeout, check=check)


def run(
    args: Sequence[str | os.PathLike[str]],
    *,
    user: bool = False,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    input: str = "",  # noqa: A002
    timeout: float = 60,
    check: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, with input as its standard input, and catch its output."""
    identity: dict[str, Any] = user_identity() if user else {}
    base = user_environment() if user else dict(os.environ)
    with (
        tempfile.TemporaryFile("w+") as stdin,
        tempfile.TemporaryFile("w+", errors="replace") as stdout,
        tempfile.TemporaryFile("w+", errors="replace") as stderr,
    ):
        stdin.write(input)
        stdin.seek(0)
        command = [os.fspath(arg) for arg in args]
        status = subprocess.run(
            command,
            env={**base, **(env or {})},
            cwd=cwd if cwd or not user else base["HOME"],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            timeout=patient(timeout),
            check=False,
            **identity,
        ).returncode
        stdout.seek(0)
        stderr.seek(0)
        done = subprocess.CompletedProcess(command, status, stdout.read(), stderr.read())
    if check and status != 0:
        pytest.fail(f"{command} exited with {status}:\n{done.stdout}{done.stderr}")
    return done


def copy_of_libct(package: Path) -> Path:
    """A copy of the package's sources in that place, which is returned."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(CHECKOUT / "libct", package, ignore=ignored)
    return package


@functools.cache
def session_directory() -> Path:
    """A directory that everybody may enter, removed when the tests end."""
    # Short: podman takes no path of more than 50 characters for what is to be below.
    path = Path(tempfile.mkdtemp(prefix=f"libct-{run_mark()}-"))
    path.chmod(0o755)
    atexit.register(_remove, path, os.getpid())
    return path


def state_root(*, user: bool = False) -> Path:
    """The state directory of this run of the tests; the ordinary user has another."""
    path = (user_home() / "run" if user else session_directory()) / "libct"
    path.mkdir(mode=0o700, exist_ok=True)
    if user:
        give_to_user(path)
    return path


def user_account() -> pwd.struct_passwd:
    """The ordinary user: ourselves, unless we are root."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    try:
        return pwd.getpwnam(USER)
    except KeyError:
        return pwd.getpwnam("nobody")


def user_identity() -> dict[str, Any]:
    """What subprocess.Popen needs to run something as the ordinary user."""
    if os.geteuid() != 0:
        return {}
    account = user_account()
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": [account.pw_gid]}


@functools.cache
def user_home() -> Path:
    """A fresh home of the ordinary user; its XDG_RUNTIME_DIR is the directory run in it."""
    home = session_directory() / "home"
    for path in (home, home / "run"):
        path.mkdir(mode=0o700)
        give_to_user(path)
    return home


def user_environment() -> dict[str, str]:
    return {
        "HOME": str(user_home()),
        "XDG_RUNTIME_DIR": str(user_home() / "run"),
        "USER": user_account().pw_name,
        "LOGNAME": user_account().pw_name,
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "LANG": "C.UTF-8",
        MARK: run_mark(),
    }


def give_to_user(path: str | os.PathLike[str]) -> None:
    """Make the ordinary user the owner of path and of all below it."""
    if os.geteuid() != 0:
        return
    account = user_account()
    os.lchown(path, account.pw_uid, account.pw_gid)
    if os.path.isdir(path) and not os.path.islink(path):
        for name in os.listdir(path):
            give_to_user(os.path.join(path, name))


@functools.cache
def user_python() -> str:
    """An interpreter that the ordinary user may execute."""
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            if as_user(python, "-c", "import ctypes").returncode == 0:
                return python
        except OSError:
            pass  # below a directory that is closed to the user
    raise FileNotFoundError("no Python that the ordinary user can run")


@functools.cache
def user_checkout() -> Path:
    """The checkout, or a copy of the package where the ordinary user cannot read it."""
    if as_user("test", "-r", CHECKOUT / "libct" / "errors.py").returncode == 0:
        return CHECKOUT
    copy = session_directory() / "checkout"
    shutil.copytree(
        CHECKOUT / "libct", copy / "libct", ignore=shutil.ignore_patterns("__pycache__")
    )
    for path in (copy, *copy.rglob("*")):
        path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
    return copy


def _remove(path: Path, owner: int) -> None:
    if os.getpid() == owner:  # and not one of its forks
        shutil.rmtree(path, ignore_errors=True)
