"""The tests' own helpers, where a mistake would let other tests pass for nothing."""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from tests import needs
from tests.support import (
    CHECKOUT,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    Snapshot,
    forked,
    in_namespaces,
    merge,
    missing,
    mount,
    requires,
    unique,
)


def test_a_forked_body_returns_its_value() -> None:
    parent = os.getpid()
    assert forked(lambda: os.getppid()) == parent
    assert forked(lambda: "x" * 1_000_000) == "x" * 1_000_000


def test_a_failure_in_a_forked_body_is_the_tests_own() -> None:
    def body() -> None:
        assert 1 + 1 == 3, "arithmetic"

    with pytest.raises(pytest.fail.Exception, match=r"(?s)in body.*arithmetic"):
        forked(body)


def test_a_skip_in_a_forked_body_is_the_tests_own() -> None:
    with pytest.raises(pytest.skip.Exception, match="not today"):
        forked(lambda: pytest.skip("not today"))


def test_a_forked_body_that_dies_fails_the_test() -> None:
    with pytest.raises(pytest.fail.Exception, match="no answer"):
        forked(lambda: os._exit(0))


def test_a_forked_body_has_limited_time() -> None:
    start = time.monotonic()
    with pytest.raises(pytest.fail.Exception, match="no answer"):
        forked(lambda: time.sleep(60), timeout=0.2)
    assert time.monotonic() - start < 30


@requires("userns")
def test_namespaces_are_new_and_failures_come_out_of_them() -> None:
    def body() -> tuple[int, int]:
        mount("tmpfs", "/mnt", "tmpfs")
        Path("/mnt/mark").touch()
        return os.getpid(), os.geteuid()

    def failing() -> None:
        pytest.fail("from inside")

    assert in_namespaces(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID, body) == (1, 0)
    assert not Path("/mnt/mark").exists()
    with pytest.raises(pytest.fail.Exception, match="from inside"):
        in_namespaces(CLONE_NEWUSER | CLONE_NEWPID, failing)


def test_an_unknown_need_is_an_error() -> None:
    with pytest.raises(ValueError, match="knows no unicorn"):
        requires("unicorn")


def test_a_need_is_missing_when_its_trial_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError("no such thing")

    monkeypatch.setitem(needs.NEEDS, "something", lambda: None)
    monkeypatch.setitem(needs.NEEDS, "nothing", fail)
    assert missing("something", "nothing") == ["nothing"]
    needs._met.cache_clear()


def test_a_snapshot_sees_descriptors_and_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.leaks._PATIENCE", 0.1)
    before = Snapshot()
    assert before.left_since() == []
    with open("/dev/null"), subprocess.Popen(["sleep", "1000"]) as child:
        try:
            left = before.left_since()
        finally:
            child.kill()
    assert [line for line in left if "/dev/null" in line]
    assert [line for line in left if f"process {child.pid} sleep 1000" in line]
    assert before.left_since() == []


def test_merge_goes_into_objects_and_removes_by_none() -> None:
    target = {"a": {"b": 1, "c": [1, 2]}, "d": 4}
    assert merge(target, {"a": {"b": None, "c": [3]}, "e": {"f": 5}}) == {
        "a": {"c": [3]},
        "d": 4,
        "e": {"f": 5},
    }


def test_names_are_unique() -> None:
    assert unique("a") != unique("a")
    assert re.fullmatch(r"[\w+.-]+", unique("a"))


def test_what_the_readme_says_is_what_is_run() -> None:
    commands = [
        line.removeprefix("    ")
        for line in (CHECKOUT / "README.md").read_text().splitlines()
        if line.startswith("    python3 -m venv")
    ]
    assert len(commands) == 1
    assert (CHECKOUT / ".ci/run").read_text().splitlines()[-1] == commands[0]
