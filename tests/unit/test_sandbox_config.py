"""The configuration of a sandbox."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

from libct.sandbox import call
from libct.sandbox.config import sandbox

from ..needs import requires

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from libct.sandbox.options import Given


@requires("root")  # who has a control group to limit
def test_with_a_limit_of_memory_all_of_a_sandbox_ends_when_it_runs_out() -> None:
    for with_memory, whole in ((True, True), (False, None)):
        given: Given = {"pids": 5, "seccomp": "unconfined"}
        if with_memory:
            given["memory"] = 1 << 20
        config, _ = sandbox(["true"], **given)
        assert config.cgroups is not None
        assert config.cgroups.resources.memory_oom_group is whole


def test_a_virtual_environment_that_is_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both of its prefixes are one directory, which two mounts may not be on."""
    place = (tmp_path / "venv").resolve()
    (place / "lib").mkdir(parents=True)
    monkeypatch.setattr(sys, "prefix", str(place))
    monkeypatch.setattr(sys, "exec_prefix", str(place))
    monkeypatch.setattr(sys, "path", [str(place / "lib")])
    found = [path for path in call._needed(math.factorial, [str(tmp_path)]) if "venv" in path]
    assert found == [str(place)]
