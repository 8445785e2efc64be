"""The attacks of cves.py gain nothing, and would without what docs/security.md has against them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ..support import CHECKOUT, requires, session_directory, unique
from .cves import CASES

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [requires("root", "busybox", "cgroup2"), pytest.mark.usefixtures("nothing_left")]


@pytest.fixture
def weakened(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of libct without the counter-measure of the case."""
    shutil.copytree(CHECKOUT / "libct", tmp_path / "copy/libct")
    for file, old, new in CASES[request.param].edits:
        path = tmp_path / "copy/libct" / file
        text = path.read_text()
        assert text.count(old) == 1, f"{file} has {old!r} {text.count(old)} times, not once"
        path.write_text(text.replace(old, new))
    return tmp_path / "copy"


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that who is in a user namespace may enter, too."""
    made = session_directory() / unique("cve")
    made.mkdir()
    yield made
    shutil.rmtree(made)


@pytest.mark.parametrize("name", CASES)
def test_an_attack_gains_nothing(name: str, place: Path) -> None:
    assert CASES[name].attack(place) == ""


@pytest.mark.parametrize("weakened", CASES, indirect=True)
def test_it_succeeds_without_the_counter_measure(
    weakened: Path, place: Path, request: pytest.FixtureRequest
) -> None:
    name = request.node.callspec.params["weakened"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.kernel.cves", name, str(place)],
        cwd="/",
        env={**os.environ, "PYTHONPATH": f"{weakened}:{CHECKOUT}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    used, gained = json.loads(done.stdout)
    assert used == str(weakened / "libct")
    assert gained
