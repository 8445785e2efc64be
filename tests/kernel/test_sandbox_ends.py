"""How `libct sandbox` ends, and what it says of that: statuses, limits, --json-status."""

from __future__ import annotations

import errno
import json
import os
import pickle
import pty
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from libct import CalledProcessError, Sandbox, run
from libct.config.seccomp import Seccomp, SeccompRule
from libct.seccomp.architectures import here
from libct.seccomp.compiler import compile_profile
from libct.seccomp.instructions import encode
from libct.syscalls.process import set_no_new_privs
from libct.syscalls.seccomp import Filter, seccomp_set_mode_filter

from .. import terminals
from ..commands import (
    give_to_user,
    libct,
    libct_command,
    libct_environment,
    user_account,
    user_environment,
    user_identity,
)
from ..needs import requires

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [requires("root", "overlay", "user"), pytest.mark.usefixtures("nothing_left")]
as_both = pytest.mark.parametrize("user", [False, True], ids=["root", "user"])


@as_both
@pytest.mark.parametrize(
    ("args", "status", "message"),
    [
        (["sh", "-c", "exit 7"], 7, ""),
        (["sh", "-c", "kill -9 $$"], 137, ""),
        (["no-such-command"], 127, "no-such-command"),
        (["/etc/passwd"], 126, "permission denied"),
        (["--no-such-option"], 125, "no such option"),
        ([], 125, "missing: COMMAND"),
        (["--ro", "/nowhere", "true"], 125, "--ro: no such file or directory: '/nowhere'"),
        (["--pids", "x", "true"], 125, "--pids: not a whole number"),
        (["--timeout", "soon", "true"], 125, "--timeout: not a time like 10, 0.5 or 2m: 'soon'"),
        (["--json-status", "99", "true"], 125, "--json-status: 99: "),
        (["--json-status", "-2", "true"], 125, "--json-status: "),
        (["--json-status", "99999999999", "true"], 125, "--json-status: "),
        (["--timeout", "0.3", "sleep", "60"], 124, "it took longer than 0.3 s"),
        (["--cpu-time", "1", "sh", "-c", "while :; do :; done"], 152, "used up its CPU time"),
        (["--max-output", "5", "sh", "-c", "yes"], 137, "written more than --max-output"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_statuses(args: list[str], status: int, message: str, user: bool) -> None:
    run = libct("sandbox", *args, user=user)
    assert run.returncode == status, run.stderr
    lines = run.stderr.splitlines()
    assert len(lines) == (1 if message else 0), run.stderr
    assert all(line.startswith("libct: ") for line in lines)
    assert message in run.stderr
    assert "step " not in run.stderr
    if "--max-output" in args:
        assert run.stdout == "y\ny\ny"
    assert libct("list", "--quiet", user=user).stdout == ""


def test_a_limit_of_memory_is_told() -> None:
    run = libct("sandbox", "--memory", "30M", "/usr/bin/python3", "-c", "bytearray(1 << 30)")
    assert (run.returncode, run.stderr) == (
        137,
        "libct: the command was killed: it was out of memory (--memory)\n",
    )
    quiet = libct("sandbox", "--quiet", "--timeout", "0.2", "sleep", "60")
    assert (quiet.returncode, quiet.stderr) == (124, "")


def test_a_limit_that_cannot_be_set_names_what_was_tried_and_what_is_near() -> None:
    run = libct("sandbox", "--memory", "30M", "true", user=True)
    assert run.returncode == 125
    assert run.stderr.startswith("libct: --memory: cannot be limited: ")
    assert run.stderr.endswith(
        "(the nearest limit without a control group is the resource limit AS)\n"
    )
    run = libct("--cgroup-manager", "disabled", "sandbox", "--pids", "5", "true")
    assert run.returncode == 125
    assert "--pids: cannot be limited without a control group" in run.stderr


@as_both
def test_the_end_is_told_as_json(user: bool) -> None:
    reading, writing = os.pipe()
    identity: dict[str, Any] = user_identity() if user else {}
    base = user_environment() if user else dict(os.environ)
    args = ("sandbox", "--json-status", str(writing), "sh", "-c", "kill -TERM $$")
    try:
        status = subprocess.run(
            libct_command(*args, user=user),
            env={**base, **libct_environment(user=user)},
            cwd="/",
            stdin=subprocess.DEVNULL,
            pass_fds=[writing],
            check=False,
            **identity,
        ).returncode
    finally:
        os.close(writing)
    with open(reading) as file:
        first, last = map(json.loads, file)
    assert status == 143
    assert first["pid"] > 1
    assert (last["exit_code"], last["signal"], last["ended_by"]) == (None, 15, "signal")
    assert last["usage"]["wall"] > 0


@as_both
def test_as_root_of_a_user_namespace_with_one_id(user: bool) -> None:
    command = libct_command("sandbox", "--", "sh", "-c", "id -u; exit 3", user=user)
    root = command.index("--root")
    del command[root : root + 2]  # where its state is by default
    identity: dict[str, Any] = user_identity() if user else {}
    base = user_environment() if user else dict(os.environ)
    done = subprocess.run(
        ["unshare", "-r", *command],
        env={**base, **libct_environment(user=user)},
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        **identity,
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "0\n", "")


def test_in_a_directory_that_has_been_removed() -> None:
    script = "mkdir gone; cd gone; rmdir ../gone; exec "
    words = " ".join(libct_command("sandbox", "--", "true"))
    done = subprocess.run(
        ["sh", "-c", f"cd /tmp; {script}{words}"],
        env={**os.environ, **libct_environment()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 125
    assert done.stderr.startswith("libct: --cwd: the directory that this is called in")


@as_both
@pytest.mark.parametrize("home", [None, "", "/nonexistent", "/var"])
def test_the_home_of_the_user_is_hidden_whatever_home_says(home: str | None, user: bool) -> None:
    account = user_account() if user else pwd.getpwuid(0)
    if user and os.path.realpath(account.pw_dir) == "/nonexistent":
        pytest.skip("this machine lacks: a home of the ordinary user")
    identity: dict[str, Any] = user_identity() if user else {}
    env = {**(user_environment() if user else os.environ), **libct_environment(user=user)}
    env.pop("HOME", None)
    if home is not None:
        env["HOME"] = home
    done = subprocess.run(
        libct_command("sandbox", "--", "ls", "-A", account.pw_dir, user=user),
        env=env,
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        **identity,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_PATH], ids=["read-only", "O_PATH"])
def test_a_descriptor_that_cannot_be_told_anything(flags: int, tmp_path: Path) -> None:
    fd = os.open(os.devnull, flags)
    made = tmp_path / "made"
    try:
        done = subprocess.run(
            libct_command(
                *("sandbox", "--json-status", str(fd), "--rw", tmp_path, "--", "touch", made)
            ),
            env={**os.environ, **libct_environment()},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            pass_fds=[fd],
            check=False,
        )
    finally:
        os.close(fd)
    assert (done.returncode, made.exists()) == (125, False)
    assert done.stderr == f"libct: --json-status: {fd}: it is not open for writing\n"


@pytest.fixture(params=[False, True], ids=["root", "user"])
def work(request: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[bool]:
    """Whether for the ordinary user: in a directory below /tmp, to which he may write."""
    place = Path(tempfile.mkdtemp(dir="/tmp"))
    if request.param:
        give_to_user(place)
    monkeypatch.chdir(place)
    yield request.param
    shutil.rmtree(place)


_HINT = "libct: the current directory is read-only in the sandbox: --rw . lets the command"
_TOUCH = "touch: cannot touch 'x': Read-only file system"


@pytest.mark.parametrize("whole", [True, False], ids=["terminal", "its stderr alone"])
@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["touch", "x"], 1, [_TOUCH, _HINT]),
        (["--quiet", "touch", "x"], 1, [_TOUCH]),
        (["--rw", ".", "touch", "x"], 0, []),
        (["--ro", ".", "touch", "x"], 1, [_TOUCH]),
        (["false"], 1, []),
        (["sh", "-c", "touch x; exit 0"], 0, [_TOUCH]),
        (["sh", "-c", "echo x >/usr/x"], 2, ["cannot create /usr/x"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_to_do_where_the_directory_is_read_only(
    work: bool, words: list[str], status: int, said: list[str], whole: bool
) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    stdin, stdout = (None, None) if whole else (null, null)
    command, env = libct_command("sandbox", *words, user=work), libct_environment(user=work)
    with terminals.Session(command, env, user=work, stdin=stdin, stdout=stdout) as session:
        assert session.end() == status
        os.write(session.terminal, b"(end)")
        lines = session.read_until(r"\(end\)").splitlines()[:-1]
    os.close(null)
    assert len(lines) == len(said), lines
    assert all(text in line for text, line in zip(said, lines)), lines


def test_the_library_tells_it_by_its_own_words(work: bool) -> None:
    if work:
        return  # the same
    with pytest.raises(CalledProcessError, match=r'rw=\["\."\] lets the command write') as caught:
        run(["touch", "x"], capture_output=True, check=True)
    assert caught.value.hint == pickle.loads(pickle.dumps(caught.value)).hint
    with Sandbox() as box:
        assert box.run(["touch", "x"], capture_output=True).hint == caught.value.hint
        assert box.run(["touch", "x"], capture_output=True, cwd="/usr").hint == ""
    assert run(["touch", "x"], capture_output=True, ro=["."]).hint == ""
    assert run(["sh", "-c", "touch x; exit 0"], capture_output=True).hint == ""


@as_both
@pytest.mark.parametrize(
    ("calls", "number"),
    [
        (["clone3"], errno.ENOSYS),
        (["unshare"], errno.EPERM),
        (["mount", "fsopen", "open_tree"], errno.ENOSYS),
        (["mount", "fsopen", "open_tree"], errno.EPERM),
    ],
    ids=str,
)
def test_in_a_container_whose_filter_refuses(calls: list[str], number: int, user: bool) -> None:
    """As those of engines do: with ENOSYS what they do not know, and the rest with EPERM."""
    refused = SeccompRule(calls, "SCMP_ACT_ERRNO", errno_ret=number)
    profile = Seccomp("SCMP_ACT_ALLOW", syscalls=[refused])
    program = encode(compile_profile(profile, here()))

    def load() -> None:
        set_no_new_privs()
        seccomp_set_mode_filter(Filter(program))

    done = subprocess.run(
        libct_command("sandbox", "--", "true", user=user),
        env={**(user_environment() if user else os.environ), **libct_environment(user=user)},
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=load,
        **(user_identity() if user else {}),
    )
    if calls == ["clone3"] and not user:  # what shares memory is cloned by the older call
        assert (done.returncode, done.stderr) == (0, "")
        return
    assert done.returncode == 125, done.stderr
    assert "the surrounding container refuses it" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_terminal_of_the_caller_is_never_shared(number: int) -> None:
    """Also where it is only one of the three."""
    master, terminal = pty.openpty()
    streams = [subprocess.DEVNULL, subprocess.PIPE, subprocess.PIPE]
    streams[number] = terminal
    script = "for fd in 0 1 2; do readlink /proc/self/fd/$fd; done >/tmp/links; cat /tmp/links"
    script += "; cat /tmp/links >&2"
    try:
        done = subprocess.run(
            libct_command("sandbox", "--", "sh", "-c", f"test -t {number} && exit 9; {script}"),
            env={**os.environ, **libct_environment()},
            stdin=streams[0],
            stdout=streams[1],
            stderr=streams[2],
            text=True,
            check=False,
            timeout=60,
        )
    finally:
        os.close(terminal)
        os.close(master)
    assert done.returncode == 0
    assert "/dev/pts" not in (done.stdout or "") + (done.stderr or "")
