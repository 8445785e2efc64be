"""The configuration of a sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

from libct.sandbox.config import sandbox

if TYPE_CHECKING:
    from libct.sandbox.options import Given


def test_with_a_limit_of_memory_all_of_a_sandbox_ends_when_it_runs_out() -> None:
    for with_memory, whole in ((True, True), (False, None)):
        given: Given = {"pids": 5, "seccomp": "unconfined"}
        if with_memory:
            given["memory"] = 1 << 20
        config, _ = sandbox(["true"], **given)
        assert config.cgroups is not None
        assert config.cgroups.resources.memory_oom_group is whole
