"""The scripts that measure: they run, and what they print adds up."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from ..commands import CHECKOUT
from ..needs import requires

pytestmark = [
    requires("root", "busybox", "cgroup2", "crun"),
    pytest.mark.usefixtures("nothing_left"),
]


def test_where_a_starts_time_goes() -> None:
    script = CHECKOUT / "tests/bench/where.py"
    done = subprocess.run(
        [sys.executable, script, "--rounds", "5", "--least", "0"],
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = dict(re.findall(r"(?m)^  (.+?) +(\d+)$", done.stdout))
    parts = [int(found[name]) for name in ("create()", "the steps", "wait()", "destroy()")]
    assert all(parts)
    assert sum(parts) < int(found["all"]) * 1.5
    assert re.search(r"(?m)^ +\d+  init +make the rootfs the root directory", done.stdout)
    assert re.search(r"(?m)^ +\d+  runtime +make the control group", done.stdout)
    assert "  0 shorter steps" in done.stdout
