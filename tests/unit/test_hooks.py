"""Hooks without a kernel: the state that they are told, and the rest of a plan for who starts."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import libct
from libct.config import Config, Hook, Hooks
from libct.life.directory import Directory
from libct.life.hooks import open_output, rest_of_plan
from libct.life.proc import boot_id, marks_of
from libct.life.record import Record
from libct.oci.names import HOOKS
from libct.plan.hooks import hook_steps, state_text
from libct.plan.step import DELETER, INIT, STARTER

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

PROGRAMS: dict[str, Any] = {
    field: [Hook(f"/{field}"), Hook(f"/{field}2")] for field in HOOKS.values()
}
ALL = Hooks(**PROGRAMS)


def test_the_state_text() -> None:
    config = Config(
        "/rootfs", version="1.1.0", labels=["a=b=c", "bundle=/from/the/label", 'q="\u00e9\n']
    )
    assert json.loads(state_text(config, "one", "/given", "creating")) == {
        "ociVersion": "1.1.0",
        "id": "one",
        "status": "creating",
        "bundle": "/given",
        "annotations": {"a": "b=c", "q": '"\u00e9\n'},
    }
    text = state_text(Config("/rootfs"), "one", "/bundle", "stopped")
    assert text == '{"ociVersion":"1.3.0","id":"one","status":"stopped","bundle":"/bundle"}'


def test_each_kind_is_told_the_status_of_its_time() -> None:
    config = Config("/rootfs", hooks=ALL)
    found = {}
    for kind in HOOKS:
        for step in hook_steps(kind, config, "one", ""):
            found[kind] = json.loads(step.args[5])["status"]
    assert found == {
        "prestart": "creating",
        "createRuntime": "creating",
        "createContainer": "creating",
        "startContainer": "created",
        "poststart": "running",
        "poststop": "stopped",
    }


@pytest.mark.parametrize(
    ("given", "label", "bundle"),
    [("", "", ""), ("", "/label", "/label"), ("/given", "", "/given"), ("/given", "/x", "/given")],
)
def test_the_bundle_is_told_and_entered(given: str, label: str, bundle: str) -> None:
    config = Config("/rootfs", hooks=ALL, labels=["a=b", f"bundle={label}"])
    for kind in HOOKS:
        steps = hook_steps(kind, config, "one", given)
        assert steps
        for step in steps:
            assert json.loads(step.args[5])["bundle"] == bundle
            enters = step.op == "runtime_hook" and bundle
            assert ("fchdir()" in step.calls) == bool(enters)
            if enters:
                assert step.args[6] == bundle
                assert step.calls[0] == f'open("{bundle}", O_PATH|O_DIRECTORY|O_CLOEXEC)'


def test_no_hooks() -> None:
    for kind in HOOKS:
        assert hook_steps(kind, Config("/rootfs"), "one", "") == []
        assert hook_steps(kind, Config("/rootfs", hooks=Hooks()), "one", "") == []


def test_the_rest_of_a_plan_has_the_numbers_of_the_whole() -> None:
    record = Record("one", Config("/rootfs", hooks=ALL))
    record.last_step = 60
    plan = rest_of_plan(record, record.config)
    assert len(plan) == 64
    assert [(step.process, step.why) for step in plan.steps[57:]] == [
        (INIT, "hooks.startContainer[0]"),
        (INIT, "hooks.startContainer[1]"),
        (INIT, "process.args"),
        (STARTER, "hooks.poststart[0]"),
        (STARTER, "hooks.poststart[1]"),
        (DELETER, "hooks.poststop[0]"),
        (DELETER, "hooks.poststop[1]"),
    ]
    assert plan.steps[59].title == "execute the command"
    record = Record("one", Config("/rootfs"))
    record.last_step = 7
    assert [step.op for step in rest_of_plan(record, record.config)] == ["execute"] * 7


def test_the_record_names_the_kinds_there_are() -> None:
    assert Record("one", Config("/rootfs")).hooks == []
    assert Record("one", Config("/rootfs", hooks=Hooks())).hooks == []
    hooks = Hooks(poststop=[Hook("/x")], create_runtime=[Hook("/y")])
    assert Record("one", Config("/rootfs", hooks=hooks)).hooks == ["create_runtime", "poststop"]


def test_a_hook_that_goes_on_is_noted(tmp_path: Path) -> None:
    directory = Directory(str(tmp_path), "one")
    directory.make()
    assert directory.hook() is None
    with (tmp_path / "stdin").open("w") as file:
        found = os.fstat(file.fileno())
        directory.note_hook(file.fileno(), 0)
        assert directory.hook() == ((found.st_dev, found.st_ino), 0, (0, 0))
        directory.note_hook(file.fileno(), os.getpid())
        noted = directory.hook()
        assert noted is not None
        assert noted == ((found.st_dev, found.st_ino), os.getpid(), marks_of(os.getpid()))
        assert noted[2][0] > 0
        text = Path(directory.path, "hook").read_text()
        Path(directory.path, "hook").write_text(text.replace(boot_id(), boot_id()[::-1]))
        assert directory.hook() is None  # the numbers are of things that are gone
        Path(directory.path, "hook").write_text(text.replace(boot_id(), ""))
        assert directory.hook() == noted  # as an earlier version has noted it
        directory.forget_hook()
        directory.forget_hook()
        assert directory.hook() is None
        directory.remove()
        directory.note_hook(file.fileno(), 0)  # nothing to note it in
    assert not (tmp_path / "one").exists()


def test_files_for_output(tmp_path: Path) -> None:
    def open_for(bundle: str = "", **paths: str) -> dict[str, int]:
        labels = [f"run.oci.hooks.{name}={at}" for name, at in paths.items()]
        return open_output(Record("one", Config("/rootfs", labels=labels), bundle))

    assert open_for(other="/no/such") == {}
    path = str(tmp_path / "out")
    for found in (
        open_for(stdout=path, stderr=path),
        open_for(str(tmp_path), stdout="out", stderr="./out"),
    ):
        assert list(found) == ["hooks stdout", "hooks stderr"]
        for fd in found.values():
            os.write(fd, b"x")
            os.close(fd)
    assert (tmp_path / "out").read_text() == "xxxx"
    before = len(os.listdir("/proc/self/fd"))
    for bad in ("/no/such", "a\0b"):
        with pytest.raises(libct.Error, match=r"annotation run\.oci\.hooks\.stderr"):
            open_for(stdout=path, stderr=bad)
    assert len(os.listdir("/proc/self/fd")) == before
