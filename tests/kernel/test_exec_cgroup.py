"""Which control group a further process is in: the container's, one below, or that of the first."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import libct
from libct.cgroups.layout import detect, parse_own
from libct.config import NEWCGROUP, Cgroup

from ..containers import PATH, USUAL, make_config, run_in, running, state_directory, with_v2
from ..support import requires, unique, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [requires("root", "busybox"), pytest.mark.usefixtures("nothing_left")]


def config(path: str = "") -> libct.Config:
    return make_config(namespaces=(*USUAL, NEWCGROUP), cgroups=Cgroup(path=path))


def groups(container: libct.Container) -> dict[str, str]:
    assert container.manager is not None
    found = container.manager.paths()
    assert found
    return found


def groups_of_a_process(container: libct.Container, **process: dict[str, str]) -> dict[str, str]:
    """The directories of those groups of a further process that the container has groups for."""
    started = libct.Process(["sleep", "60"], env=[PATH], **process)  # type: ignore[arg-type]
    container.run(started)
    own = parse_own(Path(f"/proc/{started.pid}/cgroup").read_text())
    layout = detect()
    found = {}
    for name, hierarchy in {**layout.controllers, "": layout.unified}.items():
        if name in groups(container):
            assert hierarchy is not None
            found[name] = hierarchy.mount + own[name]
    assert started.pid in container.processes()
    started.signal(signal.SIGKILL)
    started.wait()
    return found


def make(container: libct.Container, below: str) -> dict[str, str]:
    """Make such a group below each of the container's; where they are."""
    made = groups(container)
    for part in below.split("/"):
        above, made = made, {name: f"{directory}/{part}" for name, directory in made.items()}
        for directory in dict.fromkeys(made.values()):
            os.mkdir(directory)
        if "cpuset" in made:  # an empty one takes no process
            for file in ("cpuset.cpus", "cpuset.mems"):
                Path(made["cpuset"], file).write_text(Path(above["cpuset"], file).read_text())
    return made


@pytest.fixture
def container() -> Iterator[libct.Container]:
    with running(config()) as made:
        yield made


@requires("cgroup1")
def test_v1_below_in_every_hierarchy(container: libct.Container) -> None:
    below = make(container, "one/two")
    assert groups_of_a_process(container) == groups(container)
    for path in ("one/two", "/one//two/", "./one/two"):
        assert groups_of_a_process(container, sub_cgroup_paths={"": path}) == below
    assert groups_of_a_process(container, sub_cgroup_paths={"": "/"}) == groups(container)


@requires("cgroup1")
def test_v1_below_for_some_controllers(container: libct.Container) -> None:
    below = make(container, "one")
    asked = {"memory": "one", "pids": "one"}
    expected = {**groups(container), "memory": below["memory"], "pids": below["pids"]}
    assert groups_of_a_process(container, sub_cgroup_paths=asked) == expected


BAD: dict[str, tuple[dict[str, str], str]] = {
    "up": ({"": ".."}, r"^bad sub cgroup path: \.\. is not a sub cgroup path \("),
    "beside": ({"memory": "../beside"}, "is not a sub cgroup path"),
    "below and up": ({"": "a/../.."}, "is not a sub cgroup path"),
    "nul": ({"": "a\0b"}, "is not a sub cgroup path"),
    "unknown": ({"no": "x"}, "unknown controller no in sub_cgroup_paths"),
}


@requires("cgroup1")
@pytest.mark.parametrize("name", BAD)
def test_v1_paths_that_are_refused(container: libct.Container, name: str) -> None:
    paths, message = BAD[name]
    with pytest.raises(libct.CgroupError, match=message):
        run_in(container, "true", sub_cgroup_paths=paths)


@requires("cgroup1")
@pytest.mark.parametrize("paths", [{"": "no"}, {"pids": "no"}])
def test_v1_groups_that_are_not_there(container: libct.Container, paths: dict[str, str]) -> None:
    with pytest.raises(libct.StepError, match="No such file") as caught:
        run_in(container, "true", sub_cgroup_paths=paths)
    assert caught.value.place == "sub_cgroup_paths"


def test_without_control_groups() -> None:
    with running(make_config()) as container, pytest.raises(libct.Error, match="no control group"):
        run_in(container, "true", sub_cgroup_paths={"": "x"})


def test_the_first_process_is_in_the_group_itself() -> None:
    process = libct.Process(["true"], env=[PATH], init=True, sub_cgroup_paths={"": "x"})
    message = "sub_cgroup_paths: the first process is in the container's control group itself"
    with pytest.raises(libct.ConfigError, match=message):
        libct.create(state_directory(), unique(), config(), process=process)


def on_v2(body: Callable[[libct.Container, str], None], path: str = "") -> None:
    def enter() -> None:
        with running(config(path)) as container:
            body(container, groups(container)[""])

    with_v2(enter)


@requires("cgroup2")
def test_v2_below() -> None:
    def body(container: libct.Container, own: str) -> None:
        below = make(container, "one/two")
        assert groups_of_a_process(container) == {"": own}
        assert groups_of_a_process(container, sub_cgroup_paths={"": "one/two"}) == below
        assert groups_of_a_process(container, sub_cgroup_paths={"": "/"}) == {"": own}
        for paths in ({"": ".."}, {"memory": "one"}):
            with pytest.raises(libct.CgroupError, match=r"not a sub cgroup|unknown controller"):
                run_in(container, "true", sub_cgroup_paths=paths)
        with pytest.raises(libct.StepError, match="No such file"):
            run_in(container, "true", sub_cgroup_paths={"": "no"})

    on_v2(body)


def move_below(container: libct.Container, own: str) -> str:
    """Do as systemd does in a container: move to a group below, and give groups controllers."""
    below = make(container, "init.scope")[""]
    Path(below, "cgroup.procs").write_text(str(container.state()["pid"]))
    # Of a group above domain controllers nobody may be part (cgroup-v2, No Internal Process).
    available = Path(own, "cgroup.controllers").read_text().split()
    domain = [name for name in available if name not in ("cpu", "cpuset", "perf_event", "pids")]
    if not domain:
        pytest.skip("no controller of cgroup v2 that is for domains alone")
    Path(own, "cgroup.subtree_control").write_text(f"+{domain[0]}")
    return below


@requires("cgroup2")
def test_v2_where_the_first_process_has_gone() -> None:
    def body(container: libct.Container, own: str) -> None:
        below = move_below(container, own)
        assert groups_of_a_process(container) == {"": below}
        # Who asks for a group gets that one or none.
        with pytest.raises(libct.StepError, match="busy"):
            run_in(container, "true", sub_cgroup_paths={"": "/"})

    on_v2(body)


@contextlib.contextmanager
def moved_from(own: str, container: libct.Container) -> Iterator[libct.Process]:
    """A further process, which is where the first one has gone from this group; that is gone."""
    other = own + "-other"
    os.mkdir(other)
    try:
        Path(other, "cgroup.procs").write_text(str(container.state()["pid"]))
        os.rmdir(own)
        process = libct.Process(["sleep", "60"], env=[PATH])
        container.run(process)
        assert str(process.pid) in Path(other, "cgroup.procs").read_text().split()
        yield process
        container.signal(signal.SIGKILL)
        process.wait()
        container.destroy(force=True)
    finally:
        os.rmdir(other)


@requires("cgroup1")
def test_v1_when_one_of_the_groups_is_gone(container: libct.Container) -> None:
    """A further process does not stay in the caller's for want of that."""
    with moved_from(groups(container)["pids"], container) as process:
        assert parse_own(Path(f"/proc/{process.pid}/cgroup").read_text()) == parse_own(
            Path(f"/proc/{container.state()['pid']}/cgroup").read_text()
        )


@requires("cgroup2")
def test_v2_when_the_group_is_gone() -> None:
    def body(container: libct.Container, own: str) -> None:
        # Not the container's any more for others, so what runs there is looked up.
        with moved_from(own, container):
            pass

    on_v2(body)


@requires("cgroup2")
def test_v2_that_a_group_above_has_frozen_is_not_entered() -> None:
    """The container is not paused by itself, and what enters would wait."""

    def body(container: libct.Container, own: str) -> None:
        above = Path(own).parent
        for group in (above, Path(own)):
            (group / "cgroup.freeze").write_text("1")
            assert wait_until(lambda: "frozen 1" in Path(own, "cgroup.events").read_text())
            message = "above it" if group == above else "paused"
            with pytest.raises(libct.Error, match=message):
                run_in(container, "true")
            (group / "cgroup.freeze").write_text("0")
        assert run_in(container, "true").state.success

    on_v2(body, "/" + unique() + "/a")
