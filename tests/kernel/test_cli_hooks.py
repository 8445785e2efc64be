"""Hooks on the command line: run, create, start and delete, and what they say and leave."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from libct.oci.names import HOOKS

from ..support import (
    busybox_rootfs,
    libct,
    libct_command,
    libct_environment,
    make_bundle,
    requires,
    session_directory,
    state_root,
    unique,
    wait_until,
)

pytestmark = [requires("root", "busybox"), pytest.mark.usefixtures("nothing_left")]

KINDS = tuple(HOOKS)


@pytest.fixture(scope="module")
def rootfs() -> Path:
    return busybox_rootfs(Path(tempfile.mkdtemp(dir=session_directory())))


def shell(script: str, **values: Any) -> dict[str, Any]:
    env = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
    return {"path": "/bin/sh", "args": ["sh", "-c", script], "env": env, **values}


def hooks_in(directory: Path, **others: Any) -> dict[str, Any]:
    """One of each kind, that adds its name to the file order; or others in their place."""
    hooks = {kind: [shell(f"echo {kind} >> {directory}/order")] for kind in KINDS}
    hooks["startContainer"] = [shell("echo startContainer >> /mnt/order")]
    return {**hooks, **others}


def bundle_of(directory: Path, rootfs: Path, hooks: dict[str, Any], **changes: Any) -> Path:
    base = json.loads(make_bundle(directory, rootfs=rootfs).joinpath("config.json").read_text())
    mounts = base["mounts"]
    mounts.append({"destination": "/mnt", "source": str(directory), "options": ["bind"]})
    changes.setdefault("args", ["sh", "-c", "echo command >> /mnt/order"])
    return make_bundle(directory, rootfs=rootfs, hooks=hooks, mounts=mounts, **changes)


def order(directory: Path) -> list[str]:
    file = directory / "order"
    return file.read_text().split() if file.exists() else []


def gone(name: str) -> bool:
    return not (state_root() / name).exists()


def test_run(tmp_path: Path, rootfs: Path) -> None:
    name = unique()
    bundle = bundle_of(tmp_path, rootfs, hooks_in(tmp_path))
    trace = tmp_path / "trace"
    done = libct("run", "--trace", trace, "-b", bundle, name)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    found = order(tmp_path)
    assert sorted(found[4:6]) == ["command", "poststart"]
    assert found[:4] + found[6:] == [*KINDS[:4], "poststop"]
    assert gone(name)
    timed = {line["place"]: line for line in map(json.loads, trace.read_text().splitlines())}
    for kind in KINDS[:5]:
        assert timed[f"hooks.{kind}[0]"]["result"] == "ok"
        assert timed[f"hooks.{kind}[0]"]["op"] in ("runtime_hook", "container_hook")


def test_create_start_delete(tmp_path: Path, rootfs: Path) -> None:
    name = unique()
    bundle = bundle_of(tmp_path, rootfs, hooks_in(tmp_path), args=["sleep", "100"])
    for words, ran in (
        (("create", "-b", str(bundle)), 3),
        (("start",), 5),
        (("delete", "--force"), 6),
    ):
        done = libct(*words, name)
        assert (done.returncode, done.stderr) == (0, "")
        assert order(tmp_path) == list(KINDS[:ran])
    assert gone(name)


def test_hooks_of_the_host_run_in_the_bundle(
    tmp_path: Path, rootfs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the commands are given; that of poststop in / when there is none any more."""
    bundle, name, log = tmp_path / "bundle", unique(), tmp_path / "log"
    bundle.mkdir()
    script = f"$(pwd) | tee -a {tmp_path}/order"
    hooks = {kind: [shell(f"echo {kind} {script}")] for kind in KINDS}
    hooks["createContainer"] = hooks["startContainer"] = []
    make_bundle(bundle, rootfs=rootfs, hooks=hooks, annotations={"run.oci.hooks.stdout": "../said"})
    for number, words in enumerate((("create", "-b", "../bundle"), ("start",), ("delete", "-f"))):
        here = tmp_path / str(number)
        here.mkdir()
        monkeypatch.chdir(here)
        if words[0] == "delete":
            shutil.rmtree(bundle)
        libct("--log", log, *words, name, check=True)
    host = [kind for kind in KINDS if not kind.endswith("Container")]
    places = [str(bundle)] * 3 + ["/"]
    found = (tmp_path / "order").read_text().splitlines()
    assert found == [f"{kind} {place}" for kind, place in zip(host, places)]
    assert (tmp_path / "said").read_text().splitlines() == found[:3]
    assert f"cannot enter the bundle '{bundle}': No such file or directory" in log.read_text()


@pytest.mark.parametrize("kind", KINDS[:3])
@pytest.mark.parametrize("command", ["create", "run"])
def test_a_hook_of_create_fails(tmp_path: Path, rootfs: Path, command: str, kind: str) -> None:
    name = unique()
    hooks = hooks_in(tmp_path, **{kind: [shell("echo one; echo two; exit 7")]})
    log = tmp_path / "log"
    bundle = bundle_of(tmp_path, rootfs, hooks)
    done = libct("--log", log, "--log-format", "json", command, "-b", bundle, name)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    first = f"unable to start container process: error running {kind} hook #0: "  # runc's words
    assert f"{first}cannot run the {kind} hook /bin/sh" in line
    assert "exit status 7: one\\ntwo [step " in line
    assert line.endswith(f", from hooks.{kind}[0]]")
    assert json.loads(log.read_text().splitlines()[-1])["msg"] in line
    assert gone(name)
    assert order(tmp_path) == [*KINDS[: KINDS.index(kind)], "poststop"]


@pytest.mark.parametrize("kind", KINDS[3:5])
@pytest.mark.parametrize("command", ["start", "run", "run --detach"])
def test_a_hook_of_start_fails(tmp_path: Path, rootfs: Path, command: str, kind: str) -> None:
    """The container is destroyed, and its poststop hooks run (runtime.md, Lifecycle)."""
    name = unique()
    hooks = hooks_in(tmp_path, **{kind: [shell("true"), shell("exit 7")]})
    bundle = bundle_of(tmp_path, rootfs, hooks, args=["sleep", "100"])
    if command == "start":
        libct("create", "-b", bundle, name, check=True)
        done = libct("start", name)
    else:
        done = libct(*command.split(), "-b", bundle, name)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.endswith(f", from hooks.{kind}[1]]")
    assert f": error running {kind} hook #1: cannot run the {kind} hook " in line
    assert gone(name)
    assert order(tmp_path) == [*KINDS[: KINDS.index(kind)], "poststop"]
    assert libct("delete", name).returncode == 1


def test_a_command_that_cannot_be_executed_leaves_its_container(
    tmp_path: Path, rootfs: Path
) -> None:
    """With hooks or without: it is for the caller to delete."""
    name = unique()
    script = rootfs / "bin" / "script"
    script.write_text("#!/no/such\n")
    script.chmod(0o755)
    bundle = bundle_of(tmp_path, rootfs, hooks_in(tmp_path), args=["script"])
    libct("create", "-b", bundle, name, check=True)
    done = libct("start", name)
    assert "its interpreter '/no/such' is not in the rootfs" in done.stderr
    assert json.loads(libct("state", name, check=True).stdout)["status"] == "stopped"
    assert order(tmp_path) == list(KINDS[:4])
    libct("delete", name, check=True)
    assert order(tmp_path) == [*KINDS[:4], "poststop"]


@pytest.mark.parametrize("command", ["run", "delete", "failed create"])
def test_a_poststop_hook_fails(tmp_path: Path, rootfs: Path, command: str) -> None:
    name = unique()
    hooks: dict[str, Any] = {"poststop": [shell("echo why; exit 3"), shell(f"touch {tmp_path}/x")]}
    if command == "failed create":
        hooks["createRuntime"] = [shell("exit 4")]
    log = tmp_path / "log"
    options = ("--log", log, "--log-format", "json")
    bundle = bundle_of(tmp_path, rootfs, hooks)
    if command == "delete":
        libct("create", "-b", bundle, name, check=True)
        done = libct(*options, "delete", "--force", name)
    else:
        done = libct(*options, command.split()[-1], "-b", bundle, name)
    failed = command == "failed create"
    assert done.returncode == failed
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["level"] for line in lines] == ["warning"] + ["error"] * failed
    assert "cannot run the poststop hook /bin/sh: exit status 3: why [" in lines[0]["msg"]
    assert (tmp_path / "x").exists()
    assert gone(name)


def test_create_is_killed_in_a_hook(tmp_path: Path, rootfs: Path) -> None:
    for kind in KINDS[:3]:
        name = unique()
        began = tmp_path / f"{kind}.began"
        script = f"sleep 12345{os.getpid()} & touch {began}; wait"
        bundle = bundle_of(tmp_path, rootfs, {kind: [shell(script)]})
        with subprocess.Popen(
            libct_command("create", "-b", bundle, name),
            env={**os.environ, **libct_environment()},
            stdin=subprocess.DEVNULL,
        ) as create:
            assert wait_until(began.exists)
            create.send_signal(signal.SIGKILL)
        assert wait_until(
            lambda: json.loads(libct("state", name).stdout)["status"] == "stopped"  # noqa: B023
        )
        libct("delete", "--force", name, check=True)
        assert gone(name)
        found = subprocess.run(
            ["pgrep", "-f", f"sleep 12345{os.getpid()}( |$)"], stdout=subprocess.PIPE, check=False
        )
        assert found.stdout == b""


def test_delete_is_killed_in_a_hook(tmp_path: Path, rootfs: Path) -> None:
    """The hook cleans up for a container that is gone: it goes on, for nobody would do it again."""
    name = unique()
    wait = f"while ! test -e {tmp_path}/go; do sleep 0.05; done"
    hooks = {"poststop": [shell(f"touch {tmp_path}/began; {wait}; touch {tmp_path}/ended")]}
    bundle = bundle_of(tmp_path, rootfs, hooks)
    libct("create", "-b", bundle, name, check=True)
    with subprocess.Popen(
        libct_command("delete", "--force", name),
        env={**os.environ, **libct_environment()},
        stdin=subprocess.DEVNULL,
    ) as delete:
        assert wait_until((tmp_path / "began").exists)
        delete.send_signal(signal.SIGKILL)
    assert gone(name)
    libct("delete", "--force", name, check=True)
    assert not (tmp_path / "ended").exists()
    (tmp_path / "go").touch()
    assert wait_until((tmp_path / "ended").exists)
    libct("create", "-b", bundle, name, check=True)
    libct("delete", "--force", name, check=True)


def test_an_interrupt_ends_create_and_its_hook(tmp_path: Path, rootfs: Path) -> None:
    name = unique()
    hooks = hooks_in(tmp_path, createRuntime=[shell(f"touch {tmp_path}/began; sleep 100")])
    bundle = bundle_of(tmp_path, rootfs, hooks)
    with subprocess.Popen(
        libct_command("create", "-b", bundle, name),
        env={**os.environ, **libct_environment()},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as create:
        assert wait_until((tmp_path / "began").exists)
        create.send_signal(signal.SIGINT)
        assert create.wait(20) == 130
    assert gone(name)
    assert order(tmp_path) == ["prestart", "poststop"]


def test_plan_and_features_tell_of_them(tmp_path: Path, rootfs: Path) -> None:
    bundle = bundle_of(tmp_path, rootfs, hooks_in(tmp_path))
    text = libct("plan", "-b", bundle, check=True).stdout
    for kind in KINDS:
        assert f"run the {kind} hook /bin/sh" in text
    steps = json.loads(libct("plan", "--json", "-b", bundle, check=True).stdout)
    assert [step["place"] for step in steps if step["place"].startswith("hooks.")] == [
        f"hooks.{kind}[0]" for kind in KINDS
    ]
    features = json.loads(libct("features", check=True).stdout)
    assert features["hooks"] == list(KINDS)
    assert "run.oci.hooks.stdout" in features["potentiallyUnsafeConfigAnnotations"]


@requires("user")
def test_an_ordinary_users_hooks(user_path: Path) -> None:
    user_path.chmod(0o755)
    script = f"id -u > {user_path}/"
    hooks = {kind: [shell(f"{script}{kind}")] for kind in KINDS if kind != "startContainer"}
    hooks["startContainer"] = [shell("echo in the container >&2; id -u > /tmp/id")]
    bundle = make_bundle(
        user_path, rootless=True, args=["cat", "/tmp/id"], hooks=hooks, root={"readonly": False}
    )
    done = libct("run", "-b", bundle, unique(), user=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")
    uid = f"{user_path.stat().st_uid}\n"
    found = {kind: (user_path / kind).read_text() for kind in hooks if kind != "startContainer"}
    assert found.pop("createContainer") == "0\n"
    assert set(found.values()) == {uid}
