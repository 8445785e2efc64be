"""Hooks that are functions of the program that uses the library."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

import libct
from libct.errors import ConfigError, ContainerNotFound, StepError
from tests.containers import make_config, state_directory
from tests.support import requires, unique

pytestmark = [requires("root", "busybox"), pytest.mark.usefixtures("nothing_left")]

State = dict[str, Any]


def process(*args: str) -> libct.Process:
    return libct.Process(args or ("sleep", "60"), init=True, env=["PATH=/bin"])


def create(**hooks: Any) -> libct.Container:
    return libct.create(state_directory(), unique(), make_config(hooks=libct.Hooks(**hooks)))


@pytest.mark.parametrize("two_steps", [False, True])
def test_functions_are_called_in_this_process_in_their_time(two_steps: bool) -> None:
    seen: list[tuple[str, State, int]] = []
    program = libct.Hook("/bin/true")

    def note(name: str) -> Any:
        return lambda state: seen.append((name, state, threading.get_ident()))

    kinds = ("prestart", "create_runtime", "poststart", "poststop")
    container = create(**{kind: [program, note(kind), note(f"{kind} 2")] for kind in kinds})
    first = process()
    with container:
        if two_steps:
            container.start(first)
            assert [name for name, *_ in seen][-1] == "create_runtime 2"
            container.exec()
        else:
            container.run(first)
        assert [name for name, *_ in seen][-1] == "poststart 2"
        record = json.loads((Path(state_directory()) / container.id / "state.json").read_text())
        assert record["config"]["hooks"]["poststop"] == [program.to_dict()]
    assert [name for name, *_ in seen] == [one for kind in kinds for one in (kind, f"{kind} 2")]
    assert {thread for *_, thread in seen} == {threading.get_ident()}
    states = {name: state for name, state, _ in seen}
    assert [states[kind]["status"] for kind in kinds] == [
        "creating", "creating", "running", "stopped",
    ]  # fmt: skip
    assert states["create_runtime"]["pid"] == first.pid
    assert states["create_runtime"]["id"] == container.id


def test_an_exception_fails_the_start_and_is_its_cause() -> None:
    def refuse(state: State) -> None:
        os.kill(state["pid"], 0)
        raise LookupError("no room")

    with create(create_runtime=[refuse]) as container:
        with pytest.raises(StepError, match="LookupError: no room") as caught:
            container.run(process())
        assert caught.value.place == "hooks.createRuntime[0]"
        assert container.status() == "stopped"
        causes = []
        error: BaseException | None = caught.value
        while error is not None:
            causes.append(type(error))
            error = error.__cause__
        assert LookupError in causes


def test_a_poststart_function_may_use_the_container() -> None:
    made: list[libct.Container] = []
    mount = libct.Mount("/mnt", "tmpfs", "tmpfs")
    with create(poststart=[lambda state: made[0].add_mount(mount)]) as container:
        made.append(container)
        container.run(process())
        assert "/mnt" in Path(f"/proc/{container.state()['pid']}/mountinfo").read_text()


def test_a_poststop_function_that_fails_is_a_warning() -> None:
    with create(poststop=[lambda state: 1 / 0]) as container:
        container.run(process())
    assert ["ZeroDivisionError" in text for text in container.warnings] == [True]


def test_another_object_knows_of_no_functions() -> None:
    seen: list[State] = []
    with create(poststop=[seen.append]) as container:
        container.run(process())
        libct.load(state_directory(), container.id).destroy(force=True)
        with pytest.raises(ContainerNotFound):
            container.status()
    assert seen == []


@pytest.mark.parametrize("kind", ["create_container", "start_container"])
def test_no_function_runs_in_the_container(kind: str) -> None:
    with pytest.raises(ConfigError, match="a function cannot run in the container"):
        create(**{kind: [print]})


def test_a_plan_names_the_function() -> None:
    config = make_config(hooks=libct.Hooks(create_runtime=[print]))
    titles = [step.title for step in libct.plan(config)]
    assert "call the createRuntime hook print" in titles
