"""Fixtures, and the hook that judges what tests require."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from . import commands, leaks, names, needs
from .patience import patient

if TYPE_CHECKING:
    from collections.abc import Iterator


# Seconds that one test may take, also on a busy machine; attacks may be repeated.
_LONGEST = 180 * (1 + int(os.environ.get("LIBCT_ATTACKS", "1")) // 10)


def pytest_configure() -> None:
    names.run_mark()  # for the environment of all that is started from here
    commands.session_directory()  # before a forked child has one to itself, and leaves it
    # A shell's background jobs ignore the first two, and what nohup(1) starts the third.
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, default)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test, or fail it with LIBCT_NO_SKIP=1, whose needs this machine lacks."""
    wanted = {need: None for mark in item.iter_markers("requires") for need in mark.args}
    lacking = needs.missing(*wanted)
    if lacking:
        reason = f"this machine lacks: {', '.join(lacking)}"
        if needs.no_skip() and not set(lacking) <= needs.lacked_by_nature():
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


@pytest.fixture(autouse=True)
def _time_limit(request: pytest.FixtureRequest) -> Iterator[None]:
    """Ends a test that hangs, with the place where it does."""
    marker = request.node.get_closest_marker("longest")
    longest = int(patient(marker.args[0] if marker else _LONGEST))

    def over(*_: object) -> None:
        raise TimeoutError(f"the test has taken longer than {longest} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(longest)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def nothing_left(tmp_path: Path) -> Iterator[None]:
    """Fails the test if a process, mount, cgroup, state or descriptor is left by it."""
    leaks.stop_server()
    before = leaks.Snapshot(tmp_path)
    yield
    leaks.stop_server()
    left = before.left_since()
    if left:
        pytest.fail("left behind:\n  " + "\n  ".join(left), pytrace=False)


@pytest.fixture
def user_path() -> Iterator[Path]:
    """An empty directory that the ordinary user owns, and others may enter."""
    path = Path(tempfile.mkdtemp(prefix="user-", dir=commands.session_directory()))
    path.chmod(0o755)
    commands.give_to_user(path)
    yield path
    shutil.rmtree(path, ignore_errors=True)
