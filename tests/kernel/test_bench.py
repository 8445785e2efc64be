"""The scripts that measure: they run, and what they print adds up."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from ..commands import CHECKOUT
from ..needs import requires
from ..patience import patient

pytestmark = [
    requires("root", "busybox", "cgroup2", "crun"),
    pytest.mark.usefixtures("nothing_left"),
]


def printed(script: str, *args: str) -> str:
    done = subprocess.run(
        [sys.executable, CHECKOUT / "tests/bench" / script, *args],
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=patient(120),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_many_containers_cost() -> None:
    text = printed("scale.py", "--containers", "100", "--rounds", "2")
    (kept,) = re.findall(r"(?m)^a container that .* +([\d.]+) KiB", text)
    assert 1 < float(kept) < 25
    assert set(re.findall(r"(?m)^(list of|run with [\d,]+)", text)) == {
        *("list of", "run with 2,000", "run with 1,000"),
    }
    assert len(re.findall(r"(?m)^  libct +[\d.]+ +[\d.]+ ", text)) == 3


def test_where_a_starts_time_goes() -> None:
    text = printed("where.py", "--rounds", "5", "--least", "0")
    found = dict(re.findall(r"(?m)^  (.+?) +(\d+)$", text))
    parts = [int(found[name]) for name in ("create()", "the steps", "wait()", "destroy()")]
    assert all(parts)
    assert sum(parts) < int(found["all"]) * 1.5
    assert re.search(r"(?m)^ +\d+  init +make the rootfs the root directory", text)
    assert re.search(r"(?m)^ +\d+  runtime +make the control group", text)
    assert "  0 shorter steps" in text
