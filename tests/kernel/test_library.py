"""What users of the library forget, ask for, or find missing."""

from __future__ import annotations

import os

import pytest

import libct
from libct.bootstrap import servers
from libct.cli import main
from libct.syscalls.settings import get_child_subreaper

from ..containers import make_config, run_in, running, state_directory
from ..needs import requires

pytestmark = [requires("root"), pytest.mark.usefixtures("nothing_left")]


def test_the_first_process_is_the_first_said_or_not() -> None:
    with libct.create(state_directory(), "forgotten", make_config()) as container:
        process = libct.Process(["/bin/sh", "-c", "exit $$"])
        container.run(process)
        assert process.wait().status == 1
        assert process.init is True


def test_a_further_process_is_one_said_or_not() -> None:
    with running(make_config(), "/bin/sleep", "60") as container:
        assert run_in(container, "/bin/sh", "-c", "test $$ != 1").state.success


def test_one_that_is_said_to_be_none_is_not_the_first() -> None:
    with (
        libct.create(state_directory(), "none", make_config()) as container,
        pytest.raises(libct.ContainerNotRunning),
    ):
        container.run(libct.Process(["/bin/true"], init=False))


def test_the_state_as_libcontainer_has_it() -> None:
    with running(make_config(), "/bin/sleep", "60") as container:
        state = container.current_state()
        pid = container.state()["pid"]
        assert (state.id, state.init_process_pid) == (container.id, pid)
        assert state.namespace_paths["NEWPID"] == f"/proc/{pid}/ns/pid"
        assert os.path.exists(state.namespace_paths["NEWNS"])
        assert len(state.external_descriptors) == 3
        assert state.config == container.config
        assert state.created == container.state()["created"]


@pytest.mark.usefixtures("one_server")
def test_a_program_that_runs_a_command_line_is_none(capfd: pytest.CaptureFixture[str]) -> None:
    """Its server stays for the next start, as after any other."""
    root = ("--root", state_directory())
    with running(make_config(), "/bin/sleep", "60") as container:
        (server,) = servers._servers
        assert main([*root, "exec", container.id, "echo", "done"]) == 0
        assert main([*root, "check"]) in (0, 1)
        assert main(["sandbox", "--", "echo", "boxed"]) == 0
        assert servers.own_processes() == ()
        assert run_in(container, "/bin/true").state.success
        assert servers._servers == [server]
    assert not get_child_subreaper()
    assert capfd.readouterr().out.splitlines()[0] == "done"
