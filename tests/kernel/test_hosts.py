"""What docs/troubleshooting.md and docs/ci.md say of hosts that need something, seen there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ..commands import libct, libct_command, libct_environment, run, user_python
from ..needs import requires

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

pytestmark = [requires("root", "user", "overlay"), pytest.mark.usefixtures("nothing_left")]

HELLO = ("sandbox", "--", "echo", "hello")


def elsewhere(script: str, *args: str) -> subprocess.CompletedProcess[str]:
    """What sh makes of the script, in its own mount namespace; "$@" is libct, called with args."""
    command = libct_command(*args, root="/run/libct-test-hosts")
    return run(
        ["unshare", "--mount", "sh", "-euc", script, "sh", *command],
        env=libct_environment(),
        cwd="/",
    )


def test_noexec_on_run() -> None:
    done = elsewhere('mount -t tmpfs -o noexec none /run; exec "$@"', *HELLO)
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")


def test_no_proc() -> None:
    done = elsewhere('mount -t tmpfs none /proc; exec "$@"', *HELLO)
    assert done.returncode == 125
    assert "mount -t proc proc /proc" in done.stderr


def test_the_proc_of_another_pid_namespace() -> None:
    done = elsewhere('exec unshare --pid --fork "$@"', *HELLO)
    assert done.returncode == 125
    assert "mount a proc of this pid namespace on /proc first" in done.stderr
    done = elsewhere('exec unshare --pid --fork --mount-proc "$@"', *HELLO)
    assert (done.returncode, done.stdout) == (0, "hello\n")


@requires("uidmap")
def test_no_new_privs_and_subordinate_ids() -> None:
    """As in a unit with NoNewPrivileges=yes."""
    given = ["setpriv", "--no-new-privs"]
    for more, status in ((["--subids"], 125), ([], 0)):
        command = libct_command("sandbox", *more, "--", "echo", "hello", user=True)
        done = run([*given, *command], user=True, env=libct_environment(user=True))
        assert done.returncode == status, done.stderr
        assert ("no_new_privs is set, so that program gains" in done.stderr) == bool(more)
    done = libct("sandbox", "--subids", "--", "echo", "hello", user=True)
    assert done.stdout == "hello\n"


def filtered(tmp_path: Path, profile: object, *args: str) -> subprocess.CompletedProcess[str]:
    """libct in a sandbox of libct's that has all rights, but for the profile of system calls."""
    file = tmp_path / "profile.json"
    file.write_text(json.dumps(profile))
    checkout = libct_environment()["PYTHONPATH"]
    inner = [user_python(), "-m", "libct", "--root", "/tmp/states", *args]  # not one in a home
    outer = ["--keep-caps", "--seccomp", str(file), "--ro", checkout, "--chdir", "/"]
    env = [f"--env={name}={value}" for name, value in libct_environment().items()]
    return libct("sandbox", *outer, *env, "--", *inner)


def answer(code: int, *names: str) -> object:
    """All calls are let through but these, which fail with that errno."""
    rule = {"names": list(names), "action": "SCMP_ACT_ERRNO", "errnoRet": code}
    return {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule] if names else []}


def test_a_sandbox_in_a_sandbox(tmp_path: Path) -> None:
    done = filtered(tmp_path, answer(0), *HELLO)
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")


def test_a_call_that_an_old_profile_hides(tmp_path: Path) -> None:
    """As profiles answer that are older than the call."""
    done = filtered(tmp_path, answer(38, "openat2"), *HELLO)
    assert done.returncode == 125
    assert "openat2(" in done.stderr
    assert ": a seccomp filter hides it)" in done.stderr


def test_a_start_that_shares_memory_does_without_clone3(tmp_path: Path) -> None:
    """Which RestrictNamespaces= hides, too; it is for who is cloned into a control group."""
    done = filtered(tmp_path, answer(38, "clone3"), *HELLO)
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")


@pytest.mark.parametrize("name", ["clone3", "openat2"])
def test_a_call_that_an_older_profile_forbids(name: str, tmp_path: Path) -> None:
    """Before 2021 engines answered EPERM; to clone3 that stops the C library, before libct."""
    done = filtered(tmp_path, answer(1, name), *HELLO)
    assert done.returncode == 125
    assert (f"{name}(" in done.stderr) == (name == "openat2")
    assert "operation not permitted" in done.stderr.lower()


def test_control_groups_that_are_mounted_read_only() -> None:
    """As with ProtectControlGroups=yes, and in most containers."""
    script = (
        "for place in $(awk '$3 ~ /^cgroup/ { print $2 }' /proc/mounts); do"
        ' mount -o remount,bind,ro "$place"; done; exec "$@"'
    )
    done = elsewhere(script, "sandbox", "--memory", "100M", "--", "echo", "hello")
    assert done.returncode == 125
    assert "the control groups are mounted read-only here" in done.stderr
