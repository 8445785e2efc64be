"""From a step to the code: plan --where and --source."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import libct
from libct.cli import main
from libct.cli.where import plan_with_places
from libct.errors import Error
from libct.life.creating import plan
from tests.support import libct_environment

if TYPE_CHECKING:
    from libct.plan.step import Plan


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "rootfs").mkdir()
    monkeypatch.chdir(tmp_path)
    assert main(["spec"]) == 0
    return tmp_path


def made(bundle: Path) -> Plan:
    return plan(*libct.from_bundle(str(bundle)))


def test_each_step_says_where_it_is_planned_and_performed(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/usr")
    steps, places = plan_with_places(lambda: made(bundle))
    assert steps.segments() == made(bundle).segments()
    assert len(steps) == len(places) > 50
    named = 0
    for step, (planned, performed) in zip(steps, places):
        file, line = performed.rsplit(":", 1)
        text = Path(file).read_text().splitlines()[int(line) - 1]
        assert text.startswith(f"def {step.op}("), (performed, text)
        file, line = planned.rsplit(":", 1)
        text = Path(file).read_text().splitlines()[int(line) - 1]
        named += f"{step.op}(" in text
        assert "(" in text, planned
    # Elsewhere the operation was chosen before, as a value.
    assert named > 0.8 * len(steps)


def test_places_are_said_from_here_where_they_are_below(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    above = Path(libct.__file__).parents[1]
    monkeypatch.chdir(above)
    _, places = plan_with_places(lambda: made(bundle))
    assert all(place.startswith("libct/") for pair in places for place in pair)
    monkeypatch.chdir("/usr")
    _, full = plan_with_places(lambda: made(bundle))
    assert [tuple(f"{above}/{place}" for place in pair) for pair in places] == full


def test_the_profiler_is_as_before_when_planning_fails() -> None:
    def fail() -> Plan:
        raise Error("no plan")

    before = sys.getprofile()
    with pytest.raises(Error, match="no plan"):
        plan_with_places(fail)
    assert sys.getprofile() is before


def test_the_command_shows_places(bundle: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--json", "--where"]) == 0
    steps = json.loads(capfd.readouterr().out)
    assert all(step["planned"] and step["performed"] for step in steps)
    assert main(["plan", "--where"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert [line.split(": ", 1)[1].strip() for line in lines if line.strip()[:8] == "planned:"] == [
        step["planned"] for step in steps
    ]
    assert main(["plan"]) == 0
    assert "planned:" not in capfd.readouterr().out


def test_the_command_shows_a_performer(bundle: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--json"]) == 0
    steps = json.loads(capfd.readouterr().out)
    step = next(step for step in steps if step["op"] == "mask")
    number = step["number"]
    assert main(["plan", "--source", str(number)]) == 0
    title, place, first, second, *_ = capfd.readouterr().out.splitlines()
    assert title == f"# step {number}: {step['title']}"
    assert place.startswith("# ")
    assert "rootfs/masks.py:" in place
    assert first.startswith("def mask(")
    assert '"""' in second
    for number in (0, len(steps) + 1, -1):
        assert main(["plan", f"--source={number}"]) == 1
        problem = f"no step {number}: the plan has steps 1 to {len(steps)}"
        assert problem in capfd.readouterr().err


def test_who_only_plans_loads_no_performer(bundle: Path) -> None:
    program = "import sys; from libct.cli import main; main(['plan']); print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", program], env=libct_environment(), capture_output=True, check=True
    )
    found = run.stdout.decode().split()
    assert "libct.plan.masks" in found
    assert not {"libct.cli.where", "libct.rootfs.masks", "libct.bootstrap.performer"} & set(found)
