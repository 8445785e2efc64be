"""What is in the memory of processes that need no interpreter (bootstrap/idle.py)."""

from __future__ import annotations

from mmap import PAGESIZE
from pathlib import Path

import pytest

import libct
from libct.syscalls.core import machine

from ..containers import PATH, make_config, shared_rootfs, state_directory
from ..leaks import wait_until
from ..support import requires, unique
from .test_bare import OWN, SECRET, memory_of, with_secret
from .test_sharing import own_servers

__all__ = ["own_servers"]

pytestmark = [requires("root", "busybox", "contexts"), pytest.mark.usefixtures("own_servers")]


def test_the_reapers_memory_has_nothing_of_the_servers() -> None:
    with with_secret() as other:
        config = make_config()
        with libct.create(state_directory(), unique(), config) as container:
            process = libct.Process(
                ["sleep", "600"], init=True, reaper=True, env=[PATH, f"NOT={SECRET}"]
            )
            container.run(process)
            pid = container._has.refresh().reaper[0]
            mappings = memory_of(pid)
            assert Path(f"/proc/{pid}/environ").read_bytes().strip(b"\0") == b""
        secrets = [SECRET, other.id, "libct.bootstrap", str(shared_rootfs())]
        for line, data in mappings.items():
            assert "[heap]" not in line
            assert "python" not in line or (machine() == "aarch64" and len(data) == PAGESIZE)
            assert len(data) <= 8192 or "[stack]" not in line
            for secret in secrets:
                assert secret.encode() not in data, line
        # What is left of the stack, which need not be called so any more.
        assert b"libct:reaper" in {data.strip(b"\0") for data in mappings.values()}


def test_what_waits_for_its_start_has_nothing_of_the_servers() -> None:
    """By the same means, and with its stack."""
    with with_secret(), libct.create(state_directory(), unique(), make_config()) as container:
        process = libct.Process(["sleep", "600"], init=True, env=[PATH, OWN])
        container.start(process)
        assert process.pid is not None
        pid = process.pid
        assert wait_until(lambda: b"[heap]" not in _used(pid))
        for line, data in memory_of(pid).items():
            assert SECRET.encode() not in data, line


def _used(pid: int) -> bytes:
    """The names of the private mappings that it has written to."""
    names, name = [], b""
    for line in Path(f"/proc/{pid}/smaps").read_bytes().splitlines():
        words = line.split()
        if b"-" in words[0]:
            name = words[5] if len(words) > 5 else b""
        elif words[0] == b"Private_Dirty:" and words[1] != b"0":
            names.append(name)
    return b" ".join(names)
