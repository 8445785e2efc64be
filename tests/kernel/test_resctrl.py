"""Containers in classes of resctrl, on a tree that behaves as it does (tests/resctrl.py)."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

import libct
from libct.cli import main
from libct.config import IntelRdt
from libct.errors import StepProblem
from libct.life.directory import Directory, Held
from libct.resctrl import groups
from libct.resctrl.groups import Notes

from ..containers import make_config, run_in, running, state_directory
from ..leaks import wait_until
from ..names import unique
from ..needs import requires
from ..resctrl import Resctrl, resctrl  # noqa: F401  # a fixture

pytestmark = [requires("root"), pytest.mark.usefixtures("nothing_left")]
CONTROLS = IntelRdt(schemata=["L3:0=f0"], mem_bw_schema="MB:1=20", enable_monitoring=True)


def test_a_class_of_its_own(resctrl: Resctrl) -> None:  # noqa: F811
    config = make_config(intel_rdt=CONTROLS, cgroups=libct.Cgroup())
    with running(config, "/bin/sleep", "60") as container:
        own = container.id
        pid = container.state()["pid"]
        assert resctrl.tasks(own) == [pid]
        assert resctrl.tasks(f"{own}/mon_groups/{own}") == [pid]
        assert resctrl.schemata(own) == ["L3:0=f0;1=fff", "MB:0=100;1=20"]
        stats = container.stats().intel_rdt_stats
        assert stats is not None
        assert stats.l3_cache_info is not None
        assert (stats.l3_cache_info.cbm_mask, stats.l3_cache_info.num_closids) == ("fff", 16)
        assert stats.mem_bw_info is not None
        assert stats.mem_bw_info.min_bandwidth == 10
        assert stats.l3_cache_schema == "L3:0=f0;1=fff"
        assert stats.l3_cache_schema_root == "L3:0=fff;1=fff"
        assert stats.schemata == resctrl.schemata(own)
        assert [one.llc_occupancy for one in stats.cmt_stats] == [4096, 8192]
        assert [one.mbm_total_bytes for one in stats.mbm_stats] == [1000, 0]
    assert resctrl.groups() == []


def test_a_class_that_is_there(resctrl: Resctrl) -> None:  # noqa: F811
    resctrl.mkdir(f"{resctrl.mount}/gold")
    rdt = IntelRdt("gold", enable_monitoring=True)
    with running(make_config(intel_rdt=rdt), "/bin/sleep", "60") as container:
        assert resctrl.groups() == ["gold", f"gold/mon_groups/{container.id}"]
        assert resctrl.tasks("gold") == [container.state()["pid"]]
    assert resctrl.groups() == ["gold"]


def test_a_class_with_a_name_stays_for_others(resctrl: Resctrl) -> None:  # noqa: F811
    with running(make_config(intel_rdt=IntelRdt("gold", ["L3:0=f"])), "/bin/sleep", "60"):
        pass
    assert resctrl.groups() == ["gold"]
    assert resctrl.schemata("gold")[0] == "L3:0=f;1=fff"


def test_the_default_class(resctrl: Resctrl) -> None:  # noqa: F811
    rdt = IntelRdt("/", enable_monitoring=True)
    with running(make_config(intel_rdt=rdt), "/bin/sleep", "60") as container:
        assert container.state()["pid"] in resctrl.tasks("")
        assert resctrl.groups() == [f"mon_groups/{container.id}"]
    assert resctrl.groups() == []


def test_what_fails_leaves_no_group(resctrl: Resctrl) -> None:  # noqa: F811
    for rdt, message in (
        (IntelRdt("missing"), "there is no resctrl group .* linux.intelRdt its schemata"),
        (IntelRdt(schemata=["L9:0=f"]), "the kernel says: Unknown or unsupported resource name"),
    ):
        with libct.create(state_directory(), unique(), make_config(intel_rdt=rdt)) as container:
            with pytest.raises(libct.StepError, match=message) as error:
                run_in(container, "/bin/true", init=True)
            assert error.value.place.startswith("linux.intelRdt")
            assert resctrl.groups() == []


def test_a_command_that_is_not_there_leaves_no_group(resctrl: Resctrl) -> None:  # noqa: F811
    config = make_config(intel_rdt=CONTROLS)
    with libct.create(state_directory(), unique(), config) as container:
        with pytest.raises(libct.StepError):
            run_in(container, "/no/such/command", init=True)
        assert resctrl.groups() == []


def test_a_start_that_was_killed(resctrl: Resctrl, tmp_path: Path) -> None:  # noqa: F811
    """Between a note and what it is about; somebody else's group of that name stays."""
    directory = Directory(str(tmp_path / "states"), "one")
    directory.make()
    with directory.lock() as held:
        notes = Notes(held)
        for name, used in (("empty", False), ("used", True)):
            notes.write("making", f"{resctrl.mount}/{name}")
            resctrl.mkdir(f"{resctrl.mount}/{name}")
            if used:
                (Path(resctrl.mount) / name / "tasks").write_text(f"{os.getpid()}\n")
        notes.write("making", f"{resctrl.mount}/never")
    assert Notes(directory).remove() == []
    assert resctrl.groups() == ["used"]
    resctrl.rmdir(f"{resctrl.mount}/used")


def test_what_is_no_resctrl_is_not_written_to(
    resctrl: Resctrl,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()
    with pytest.raises(StepProblem, match="is not on a resctrl file system"):
        groups._write(f"{resctrl.mount}/tasks", str(os.getpid()))


def update(container: libct.Container, *words: str) -> int:
    return main(["--root", state_directory(), "update", *words, container.id])


def test_an_update_of_the_schemata(resctrl: Resctrl) -> None:  # noqa: F811
    config = make_config(intel_rdt=CONTROLS, cgroups=libct.Cgroup())
    with running(config, "/bin/sleep", "60") as container:
        own = container.id
        assert update(container, "--l3-cache-schema", "L3:0=f", "--mem-bw-schema", "MB:0=50") == 0
        assert resctrl.schemata(own) == ["L3:0=f;1=fff", "MB:0=50;1=20"]
        # The next one does not write the line of the configuration again.
        assert update(container, "--mem-bw-schema", "MB:0=60") == 0
        assert resctrl.schemata(own) == ["L3:0=f;1=fff", "MB:0=60;1=20"]
        rdt = libct.load(state_directory(), own).config.intel_rdt
        assert rdt is not None
        assert (rdt.l3_cache_schema, rdt.mem_bw_schema) == ("L3:0=f", "MB:0=60")
        assert rdt.schemata == []
        assert resctrl.tasks(own) == [container.state()["pid"]]
    assert resctrl.groups() == []


def test_an_update_makes_a_class_for_one_without(resctrl: Resctrl) -> None:  # noqa: F811
    """All processes go there, with their threads, and it goes with the container."""
    config = make_config(cgroups=libct.Cgroup())
    with running(config, "/bin/sh", "-c", "sleep 60 & sleep 60 & wait") as container:
        assert wait_until(lambda: len(container.processes()) == 3)
        assert resctrl.groups() == []
        assert update(container, "--l3-cache-schema", "L3:0=f0") == 0
        assert sorted(resctrl.tasks(container.id)) == container.processes()
        assert resctrl.schemata(container.id) == ["L3:0=f0;1=fff", "MB:0=100;1=100"]
        stats = container.stats().intel_rdt_stats
        assert stats is not None
        assert stats.l3_cache_schema == "L3:0=f0;1=fff"
    assert resctrl.groups() == []


def test_threads_go_to_a_class(resctrl: Resctrl) -> None:  # noqa: F811
    ends = threading.Event()
    thread = threading.Thread(target=ends.wait)
    thread.start()
    try:
        resctrl.mkdir(f"{resctrl.mount}/one")
        groups.move(f"{resctrl.mount}/one", lambda: [os.getpid()])
        found = {int(name) for name in os.listdir("/proc/self/task")}
        assert len(found) > 1
        assert set(resctrl.tasks("one")) == found
    finally:
        ends.set()
        thread.join()


@pytest.mark.parametrize("classed", [True, False])
def test_an_update_that_is_refused_changes_nothing(
    resctrl: Resctrl,  # noqa: F811
    capfd: pytest.CaptureFixture[str],
    *,
    classed: bool,
) -> None:
    rdt = CONTROLS if classed else None
    config = make_config(intel_rdt=rdt, cgroups=libct.Cgroup())
    with running(config, "/bin/sleep", "60") as container:
        before = resctrl.groups(), resctrl.schemata(container.id if classed else "")
        limit = pids_limit(container)
        for words, message in (
            (["--l3-cache-schema", "L3:7=f"], "the kernel says: Parsing error"),
            (["--mem-bw-schema", "0=20"], "--mem-bw-schema: does not start with MB: '0=20'"),
        ):
            assert update(container, "--pids-limit", "33", *words) == 1
            assert message in capfd.readouterr().err
            assert (resctrl.groups(), resctrl.schemata(before[0][0] if classed else "")) == before
            assert pids_limit(container) == limit
        # The state cannot be written: what has been changed is changed back.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Held, "write", refuse)
            assert update(container, "--pids-limit", "33", "--mem-bw-schema", "MB:0=50") == 1
        assert "no space" in capfd.readouterr().err
        assert (resctrl.groups(), resctrl.schemata(before[0][0] if classed else "")) == before
        assert pids_limit(container) == limit
        assert container.config.intel_rdt == rdt
    assert resctrl.groups() == []


def pids_limit(container: libct.Container) -> int | None:
    found = container.stats().cgroup_stats.pids_stats
    assert found is not None
    return found.limit


def refuse(*_: object) -> None:
    raise libct.Error("no space")


def test_a_class_is_not_changed_for_another(resctrl: Resctrl) -> None:  # noqa: F811
    config = make_config(intel_rdt=CONTROLS, cgroups=libct.Cgroup())
    with running(config, "/bin/sleep", "60") as container:
        other = container.config.copy(intel_rdt=CONTROLS.copy(clos_id="gold"))
        with pytest.raises(libct.ConfigError, match=r"linux\.intelRdt\.closID: cannot be changed"):
            container.set(other)
