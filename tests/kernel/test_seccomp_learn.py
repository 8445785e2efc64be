"""Profiles that are learned from what a command does."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ..bundles import change_config, make_bundle
from ..commands import libct as libct_command
from ..containers import shared_rootfs
from ..names import unique
from ..needs import requires

pytestmark = [requires("root"), pytest.mark.usefixtures("nothing_left")]

SCRIPT = "umask 77; echo one >/dev/one; cat /dev/one; ls -l /dev | wc -l; sleep 0.1; kill -0 $$"


def run(bundle: Path, script: str, *options: str, check: bool = False) -> tuple[int, str, str]:
    change_config(bundle, process={"args": ["sh", "-c", script]})
    done = libct_command("run", *options, "-b", bundle, unique(), check=check)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("last", [True, False])
def test_a_command_runs_under_what_was_learned_of_it(tmp_path: Path, last: bool) -> None:
    bundle = make_bundle(tmp_path, rootfs=shared_rootfs())
    change_config(bundle, process={"noNewPrivileges": last})
    file = tmp_path / "profile.json"
    before = run(bundle, SCRIPT)
    learned = run(bundle, SCRIPT, "--seccomp-learn", str(file))
    assert before == learned
    assert before[0] == 0
    profile = json.loads(file.read_text())
    (rule,) = profile["syscalls"]
    names = set(rule["names"])
    assert {"execve", "umask", "kill", "wait4"} <= names
    assert not {"mkdir", "unshare", "ptrace"} & names
    change_config(bundle, linux={"seccomp": profile})
    assert run(bundle, SCRIPT) == before
    status, _, error = run(bundle, "mkdir /dev/new")
    assert status == 1
    assert "Operation not permitted" in error
    name = unique()
    change_config(bundle, process={"args": ["sh", "-c", SCRIPT]})
    libct_command("create", "-b", bundle, name, check=True)
    libct_command("start", name, check=True)
    libct_command("delete", "--force", name, check=True)


def test_the_profile_of_the_configuration_is_not_in_force_meanwhile(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, rootfs=shared_rootfs())
    change_config(bundle, linux={"seccomp": {"defaultAction": "SCMP_ACT_KILL_PROCESS"}})
    file = tmp_path / "profile.json"
    assert run(bundle, "mkdir /dev/new", "--seccomp-learn", str(file))[0] == 0
    assert "mkdir" in file.read_text()


def test_a_sandbox_learns_too(tmp_path: Path) -> None:
    file = tmp_path / "profile.json"
    program = "import json, socket; print(json.dumps(len(socket.gethostname())))"
    command = ["--", "/usr/bin/python3", "-c", program]
    learned = libct_command("sandbox", "--seccomp-learn", file, *command, check=True)
    profile = json.loads(file.read_text())
    assert {"uname", "openat"} <= set(profile["syscalls"][0]["names"])
    assert learned.stdout == "7\n"


@pytest.mark.parametrize(
    ("place", "why"), [("none/profile", "no such file"), ("", "cannot write the profile")]
)
def test_a_file_that_cannot_be_written_is_told_before_the_run(
    tmp_path: Path, place: str, why: str
) -> None:
    bundle = make_bundle(tmp_path, rootfs=shared_rootfs())
    script, where = "echo ran", os.path.join(tmp_path, place)
    status, output, error = run(bundle, script, "--seccomp-learn", where)
    assert (status, output) == (1, "")
    assert why in error
    assert "Traceback" not in error


def test_it_is_for_runs_that_are_waited_for(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, rootfs=shared_rootfs())
    file = tmp_path / "profile.json"
    status, _, error = run(bundle, "true", "--detach", "--seccomp-learn", str(file))
    assert (status, file.exists()) == (1, False)
    assert "leave --detach out" in error
