"""How `libct sandbox` ends, and what it says of that: statuses, limits, --json-status."""

from __future__ import annotations

import json
import os
import pty
import pwd
import subprocess
from typing import Any

import pytest

from ..commands import (
    libct,
    libct_command,
    libct_environment,
    user_account,
    user_environment,
    user_identity,
)
from ..needs import requires

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
