"""The trace of a start: a record of each step that was performed, the failed one too."""

from __future__ import annotations

import time
from typing import Any

import pytest

import libct
from libct.config import NEWTIME, NEWUSER, Cgroup, IDMap, Mount, TimeOffset
from libct.plan.step import AHEAD

from ..containers import PATH, USUAL, make_config, run_in, running, state_directory
from ..support import requires, unique

pytestmark = [requires("root", "busybox"), pytest.mark.usefixtures("nothing_left")]

MAP = [IDMap(0, 100000, 65536)]
OFFSETS: dict[str, Any] = {
    "namespaces": (*USUAL, NEWUSER, NEWTIME),
    "time_offsets": {"monotonic": TimeOffset(10**6, 0)},
    "uid_mappings": MAP,
    "gid_mappings": MAP,
    "oom_score_adj": 50,
}


def traced(**values: Any) -> libct.Container:
    container = libct.create(state_directory(), unique(), make_config(**values))
    container.trace = True
    return container


def command(*args: str, init: bool = True) -> libct.Process:
    return libct.Process(args or ("true",), env=[PATH], init=init)


def check(container: libct.Container, begin: float, performed: int = 0) -> None:
    """The records are those of the plan's steps up to the one that was performed last."""
    assert container.plan is not None
    traces = sorted(container.traces)
    last = performed or len(container.plan)
    # What the runtime does ahead of its turn, it has done before a step on the way there fails.
    ahead = [n for n, step in enumerate(container.plan, 1) if step.process == AHEAD and n > last]
    numbers = [number for number, _, _, _ in traces]
    assert numbers in (list(range(1, last + 1)), [*range(1, last + 1), *ahead])
    now = time.time_ns()
    for number, start, duration, result in traces:
        assert begin * 1e9 <= start <= now, container.plan.steps[number - 1]
        assert 0 <= duration <= now - begin * 1e9
        assert result == "ok" or number == performed
    # In the order of time, but for what one process does while another goes on.
    starts = {number: start for number, start, _, _ in traces}
    for process in ("server", "stage", "init", "runtime"):
        own = [n for n, step in enumerate(container.plan, 1) if step.process == process]
        own = [n for n in own if n in starts]
        assert [starts[n] for n in own] == sorted(starts[n] for n in own)


@pytest.mark.parametrize("values", [{}, {"cgroups": Cgroup()}, OFFSETS])
@requires("timens")
def test_all_steps_of_a_run(values: dict[str, Any]) -> None:
    begin = time.time()
    with traced(**values) as container:
        process = command()
        container.run(process)
        assert process.wait().success
        check(container, begin)
        assert sum(duration for _, _, duration, _ in container.traces) > 0


def test_all_steps_of_a_start_and_its_release() -> None:
    begin = time.time()
    with traced() as container:
        process = command()
        container.start(process)
        assert container.plan is not None
        ops = [step.op for step in container.plan]
        held = [ops[number - 1] for number, _, _, _ in container.traces]
        assert held == ops[: ops.index("await_start")]
        time.sleep(0.05)
        container.exec()
        assert process.wait().success
        check(container, begin)
        waited = {ops[number - 1]: duration for number, _, duration, _ in container.traces}
        assert waited["await_start"] > 40_000_000


def test_all_steps_of_a_further_process() -> None:
    with running(make_config()) as container:
        container.trace = True
        begin = time.time()
        assert run_in(container, "true").state.success
        check(container, begin)
        first = container.traces
        assert run_in(container, "true").state.success
        check(container, begin)
        assert container.traces is not first


FAILURES: dict[str, tuple[dict[str, Any], list[str], str, str]] = {
    "init": ({"mounts": [Mount("/mnt", "x", "nofs")]}, ["true"], "mount_filesystem", "fsopen("),
    "stage": (
        {"namespaces": (("NEWNET", "/no/such"), "NEWNS")},
        ["true"],
        "join",
        "No such file or directory",
    ),
    "runtime": (
        {"namespaces": (*USUAL, NEWUSER), "uid_mappings": [IDMap(0, 0, 9), IDMap(5, 9, 9)]},
        ["true"],
        "write_id_map",
        "Invalid argument",
    ),
    "command": ({}, ["no such"], "find_command", "executable file not found"),
    "execve": ({}, ["/etc/passwd"], "find_command", "permission denied"),
}


@pytest.mark.parametrize("case", FAILURES)
@pytest.mark.parametrize("hold", [True, False])
def test_a_failed_step(monkeypatch: pytest.MonkeyPatch, case: str, hold: bool) -> None:
    values, args, op, text = FAILURES[case]
    monkeypatch.setattr("libct.life.creating.check", lambda *_: [])
    begin = time.time()
    with traced(**values) as container:
        with pytest.raises(libct.StepError) as caught:
            container.start(command(*args), hold=hold)
        assert caught.value.op == op
        check(container, begin, caught.value.number)
        assert any(text in result for _, _, _, result in container.traces)
        assert caught.value.traces == container.traces


def test_an_execve_that_fails() -> None:
    begin = time.time()
    config = make_config(mounts=[*make_config().mounts, Mount("/mnt", "tmpfs", "tmpfs")])
    with libct.create(state_directory(), unique(), config) as container:
        container.trace = True
        script = "printf '#!/gone' > /mnt/x; chmod 755 /mnt/x; sleep 60"
        container.run(command("sh", "-c", script))
        for _ in range(100):
            with pytest.raises(libct.StepError) as caught:
                container.run(command("/mnt/x", init=False))
            if caught.value.op == "execute":
                break
            time.sleep(0.01)
        assert container.plan is not None
        check(container, begin, len(container.plan))
        assert "No such file or directory" in sorted(container.traces)[-1][3]


def test_nothing_is_traced_unasked() -> None:
    with libct.create(state_directory(), unique(), make_config()) as container:
        process = command()
        container.run(process)
        process.wait()
        assert container.traces == []
