"""A container without a control group: each command says so, and what would help.

That is an ordinary user's where nothing is delegated to him, and one whose group is gone.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from libct.cgroups.layout import detect
from libct.life.container import load

from ..containers import make_config, running, state_directory, with_v2
from ..support import (
    give_to_user,
    libct,
    make_bundle,
    requires,
    state_root,
    unique,
    user_checkout,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    Host = Callable[[Callable[[], object]], object]

pytestmark = [requires("root", "busybox"), pytest.mark.usefixtures("nothing_left")]

# Commands, and how their errors begin after "cannot VERB container 'ID': ".
NEED_A_GROUP = {
    ("pause",): ("pause", "cannot toggle freezer: cgroups not configured for container: "),
    ("events",): ("watch", ""),
    ("events", "--stats"): ("show the statistics of", ""),
    ("events", "--pressure", "low"): ("watch", ""),
    ("update", "--memory", "100M"): (
        "update",
        "cannot set memory limit: container could not join or create cgroup: ",
    ),
    ("update", "--pids-limit", "10"): (
        "update",
        "cannot set pids limit: container could not join or create cgroup: ",
    ),
}
NOT_DELEGATED = (
    "it has no control group: its user could make none where it was started (start it where one"
    " is delegated to this user: systemd-run --user --scope -p Delegate=yes libct ...)"
)
GONE = "it has no control group any more: it was removed, or another container has it"


@pytest.fixture(
    params=[
        pytest.param("v1", marks=requires("cgroup1")),
        pytest.param("v2", marks=requires("cgroup2")),
    ]
)
def host(request: pytest.FixtureRequest) -> Host:
    if request.param == "v2":
        return with_v2
    return lambda body: body()


def check(name: str, why: str, *, user: bool) -> None:
    for command, (verb, words) in NEED_A_GROUP.items():
        done = libct(*command, name, user=user)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"libct: cannot {verb} container {name!r}: {words}{why}\n"
    done = libct("resume", name, user=user)
    assert done.stderr == (
        f"libct: cannot resume container {name!r}: container not paused: it is running\n"
    )
    # What does without a group.
    assert len(json.loads(libct("ps", "-f", "json", name, user=user, check=True).stdout)) == 1
    libct("exec", name, "true", user=user, check=True)


@requires("user")
def test_nothing_is_delegated(user_path: Path, host: Host) -> None:
    bundle = make_bundle(user_path, args=["sleep", "1000"])
    give_to_user(user_path)
    user_checkout()  # not in a child

    def body() -> None:
        name = unique()
        libct("run", "-d", "-b", bundle, name, user=True, check=True)
        try:
            check(name, NOT_DELEGATED, user=True)
            done = libct("exec", "--cgroup", "x", name, "true", user=True)
            what = f"cannot execute a process below the control group of container {name!r}"
            assert f"{what}: {NOT_DELEGATED}" in done.stderr
        finally:
            libct("delete", "--force", name, user=True, check=True)

    host(body)


def own_group(group: str) -> Path:
    """Ours, in the hierarchy of this group."""
    layout = detect()
    for one in (*layout.controllers.values(), layout.unified):
        if one is not None and group.startswith(f"{one.mount}/"):
            return Path(one.mount, one.own_below or "")
    raise LookupError(group)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path, args=["sleep", "1000"])


def test_its_groups_are_gone(bundle: Path, host: Host) -> None:
    def body() -> None:
        name = unique()
        libct("run", "-d", "-b", bundle, name, check=True)
        try:
            manager = load(str(state_root()), name).manager
            assert manager is not None
            for group in manager.directories():
                for pid in Path(group, "cgroup.procs").read_text().split():
                    (own_group(group) / "cgroup.procs").write_text(pid)
                os.rmdir(group)
            check(name, GONE, user=False)
        finally:
            libct("delete", "--force", name, check=True)

    host(body)


def test_its_configuration_has_none() -> None:
    """As a program may have made it."""
    with running(make_config()) as container:
        assert container.config.cgroups is None
        done = libct("pause", container.id, root=state_directory())
        assert done.stderr.endswith(
            ": it has no control group (its configuration has no cgroups)\n"
        )
        done = libct("update", "--pids-limit", "10", container.id, root=state_directory())
        assert done.stderr.endswith(
            ": it has no control group (its configuration has no cgroups)\n"
        )
