"""The configuration of a sandbox."""

from __future__ import annotations

from libct.sandbox.config import sandbox

from ..needs import requires


@requires("root")  # who has a control group to limit
def test_with_a_limit_of_memory_all_of_a_sandbox_ends_when_it_runs_out() -> None:
    for memory, whole in ((1 << 20, True), (0, None)):
        config, _ = sandbox(["true"], memory=memory, pids=5, seccomp="unconfined")
        assert config.cgroups is not None
        assert config.cgroups.resources.memory_oom_group is whole
