"""The configuration of a sandbox."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

import pytest

import libct
from libct.errors import ConfigError
from libct.sandbox import call
from libct.sandbox.config import sandbox

from ..needs import requires

if TYPE_CHECKING:
    from pathlib import Path

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


def test_a_directory_to_start_in_has_to_be_there() -> None:
    with pytest.raises(ConfigError, match=r"^cwd: '/no/such' is not a directory$"):
        sandbox(["true"], cwd="/no/such")
    assert sandbox(["true"], cwd="/tmp/made")[1].cwd == "/tmp/made"  # /tmp is an empty one
    assert sandbox(["true"], cwd="/made", dir=["/made"])[1].cwd == "/made"


def test_an_unknown_keyword_is_told_of_who_was_called() -> None:
    message = r"^run\(\) got an unexpected keyword argument 'memroy' \(did you mean memory\?\)$"
    with pytest.raises(TypeError, match=message):
        libct.run(["true"], memroy="1M")  # type: ignore[call-arg]
