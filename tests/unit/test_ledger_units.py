"""What a container's ledger says of its unit, and what it has stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from libct.cgroups import killing
from libct.cgroups.ledger import Ledger, parse, parse_units
from libct.cgroups.systemd import stopping
from libct.errors import CgroupError

from ..ledgers import Paper

if TYPE_CHECKING:
    from collections.abc import Iterable

GROUP = "/sys/fs/cgroup/system.slice/libct-c1.scope"


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, bool]]:
    """The units that systemd has been asked to stop."""
    asked: list[tuple[str, str, bool]] = []

    def stop(directory: str, mark: str, *, user: bool) -> None:
        asked.append((directory, mark, user))

    monkeypatch.setattr(stopping, "stop", stop)
    return asked


def test_a_unit_is_noted_before_it_is_there() -> None:
    paper = Paper()
    mark = Ledger(paper).start_unit(GROUP, user=False)
    assert paper.written == f"unit {mark},system {GROUP}\n"
    other = Ledger(paper).start_unit(GROUP, user=True)
    assert mark != other
    assert parse_units(paper.written) == {GROUP: (other, "user")}
    assert parse(paper.written) == {}  # it is no group of ours by that


def test_a_unit_is_stopped_with_its_container(stopped: list[tuple[str, str, bool]]) -> None:
    paper = Paper()
    mark = Ledger(paper).start_unit(GROUP, user=True)
    assert Ledger(paper).remove(by_force=False) == []
    assert stopped == [(GROUP, mark, True)]
    ledger = Ledger(Paper())
    mark = ledger.start_unit(GROUP, user=False)
    assert ledger.undo() == []
    assert stopped[1:] == [(GROUP, mark, False)]


def test_a_container_without_a_unit_asks_nobody(stopped: list[tuple[str, str, bool]]) -> None:
    assert Ledger(Paper("made 0123456789abcdef /sys/fs/cgroup/a\n")).remove(by_force=True) == []
    assert stopped == []


def test_a_unit_is_not_stopped_over_who_is_spared(
    stopped: list[tuple[str, str, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemd would end it."""

    def running(directories: Iterable[str]) -> list[int]:
        return [7]

    monkeypatch.setattr(killing, "running", running)
    ledger = Ledger(Paper())
    ledger.start_unit(GROUP, user=False)
    ledger.remove(by_force=False)
    assert stopped == []


def test_a_start_stops_the_unit_of_the_one_before(
    stopped: list[tuple[str, str, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    paper = Paper()
    mark = Ledger(paper).start_unit(GROUP, user=False)
    Ledger(paper).stop_former_units()
    assert stopped == [(GROUP, mark, False)]
    monkeypatch.setattr(killing, "running", lambda directories: [7])
    Ledger(paper).stop_former_units()
    assert len(stopped) == 1


def test_what_systemd_refuses_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(directory: str, mark: str, *, user: bool) -> None:
        raise CgroupError("cannot stop the unit")

    monkeypatch.setattr(stopping, "stop", stop)
    ledger = Ledger(Paper())
    ledger.start_unit(GROUP, user=False)
    assert ledger.remove(by_force=True) == ["cannot stop the unit"]


@pytest.mark.parametrize(
    "text",
    [
        f"unit 0123456789abcdef,system {GROUP}",  # not to its end
        f"unit 0123456789abcdef,system {GROUP}/../..\n",
        "unit 0123456789abcdef,system \n",
        "unit 0123456789abcdef,system a\n",
        f"unit 0123456789abcdef,other {GROUP}\n",
        f"unit 0123456789abcdef {GROUP}\n",
        f"unit 0123,system {GROUP}\n",
        f"made 0123456789abcdef,system {GROUP}\n",
        "unit\n",
    ],
)
def test_only_whole_lines_are_about_units(text: str) -> None:
    assert parse_units(text) == {}
