"""Waiting for a process to become its command, and signals that would end the start meanwhile."""

from __future__ import annotations

import os
import select
import signal
import subprocess

import pytest

from libct.bootstrap import becoming
from libct.syscalls.interrupts import StartEnded, deferred

from ..needs import requires
from ..processes import forked

pytestmark = requires("root")


def end_start(number: int, frame: object) -> None:
    raise StartEnded(number)


def wait(pid: int) -> str:
    """With a signal that has come already; somebody else has the other end of the talk."""
    reader, writer = os.pipe()
    pidfd = os.pidfd_open(pid)
    try:
        with deferred():
            os.kill(os.getpid(), signal.SIGTERM)
            return becoming.wait(pidfd, reader, select.POLLIN)
    finally:
        for fd in (reader, writer, pidfd):
            os.close(fd)


def test_what_has_executed_is_not_ended_by_who_would_end_its_start() -> None:
    def body() -> str:
        signal.signal(signal.SIGTERM, end_start)
        with subprocess.Popen(["sleep", "60"]) as process:
            try:
                return wait(process.pid)
            finally:
                process.kill()

    assert forked(body) == becoming.EXECUTED


def test_what_has_not_executed_is_ended_by_who_would_end_its_start() -> None:
    def body() -> int:
        pid = os.fork()
        if not pid:
            signal.pause()
        signal.signal(signal.SIGTERM, end_start)
        try:
            with pytest.raises(StartEnded) as ended:
                wait(pid)
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        return int(ended.value.args[0])

    assert forked(body) == signal.SIGTERM
