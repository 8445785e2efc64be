"""An executor: a function of Python in the place of the command, in the container's process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import libct
from libct.config import Mount
from libct.config.mount_flags import MS_BIND, MS_RDONLY, MS_REC

from ..commands import CHECKOUT
from ..containers import make_config, running, state_directory
from ..names import unique
from ..needs import requires

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = [requires("root", "busybox"), pytest.mark.usefixtures("nothing_left")]


def tell(args: list[str]) -> int:
    """What it is, on standard output."""
    status = Path("/proc/self/status").read_text()
    effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff"))
    print(args, os.getpid(), os.getuid(), os.getcwd(), os.environ["WORD"], effective)
    print(sys.argv, os.path.exists("/etc/passwd"), sorted(map(int, os.listdir("/proc/self/fd"))))
    return 7


def become(args: list[str]) -> None:
    """The command, after something before."""
    print("before", flush=True)
    os.execvp(args[0], args)


def go_wrong(args: list[str]) -> None:
    raise LookupError("why")


def do_nothing(args: list[str]) -> None:
    """Ends with 0."""


def config() -> libct.Config:
    """With the host's Python and these tests."""
    base = make_config()
    places = {"/usr", "/lib", "/lib64", str(CHECKOUT), sys.prefix, sys.base_prefix}
    shown = sorted(place for place in places if os.path.exists(place))
    flags = MS_BIND | MS_REC | MS_RDONLY
    mounts = [Mount(place, os.path.realpath(place), "bind", flags=flags) for place in shown]
    return base.copy(mounts=[*base.mounts, *mounts])


def run(
    tmp_path: Path, executor: Any, args: Sequence[str] = ("one", "two"), **more: Any
) -> tuple[libct.ProcessState, str]:
    """How the first process ends, and what it has printed."""
    out = tmp_path / "out"
    with open(out, "w") as file, open("/dev/null") as null:
        process = libct.Process(
            args,
            env=["PATH=/bin", "WORD=here"],
            executor=executor,
            python=sys.executable,
            init=True,
            **{"stdin": null, "stdout": file, "stderr": file, **more},
        )
        with libct.create(state_directory(), unique(), config()) as container:
            container.run(process)
            ended = process.wait(30)
    assert process.args == list(args)
    return ended, out.read_text()


def test_it_is_the_container_s_process(tmp_path: Path) -> None:
    """With all that the configuration says, and none of libct's descriptors."""
    none = libct.Capabilities()
    with open(tmp_path / "file", "w") as given:
        ended, said = run(tmp_path, tell, cwd="/tmp", capabilities=none, extra_files=[given])
    assert ended.exit_code == 7, said
    first, second = said.splitlines()
    assert first == "['one', 'two'] 1 0 /tmp here 0000000000000000"
    # 3 is the caller's; the last is of the directory that is read.
    assert second == "[''] True [0, 1, 2, 3, 4]"


def test_it_may_become_the_command(tmp_path: Path) -> None:
    ended, said = run(tmp_path, become, ["sh", "-c", "echo $$ after; exit 3"])
    assert (ended.exit_code, said) == (3, "before\n1 after\n")


def test_what_it_returns_and_raises(tmp_path: Path) -> None:
    assert run(tmp_path, do_nothing)[0].exit_code == 0
    ended, said = run(tmp_path, go_wrong)
    assert ended.exit_code == 1
    assert said.endswith("LookupError: why\n")


def test_in_a_container_that_waits_and_in_a_further_process(tmp_path: Path) -> None:
    process = libct.Process(
        ["sleep", "60"], env=["PATH=/bin"], executor=become, python=sys.executable, init=True
    )
    with libct.create(state_directory(), unique(), config()) as container:
        container.start(process)
        assert container.status() == "created"
        container.exec()
        with open(tmp_path / "out", "w+") as out:
            further = libct.Process(
                ["echo", "further"],
                env=["PATH=/bin"],
                executor=become,
                python=sys.executable,
                stdout=out,
                init=False,
            )
            container.run(further)
            assert further.wait(30).exit_code == 0
            out.seek(0)
            assert out.read() == "before\nfurther\n"
        container.signal(signal.SIGKILL)
        assert process.wait(30).signal == signal.SIGKILL


def test_one_that_cannot_travel_starts_nothing() -> None:
    process = libct.Process(["true"], executor=lambda args: None, init=True)
    with libct.create(state_directory(), unique(), config()) as container:
        with pytest.raises(libct.ConfigError, match="a lambda cannot be found by its name"):
            container.run(process)
        assert container.status() == "stopped"
        assert process.args == ["true"]


def test_without_an_interpreter_inside() -> None:
    with running(make_config(), "/bin/sleep", "60") as container:
        process = libct.Process(["true"], env=["PATH=/bin"], executor=do_nothing, init=False)
        with pytest.raises(libct.StepError, match="python3"):
            container.run(process)


@pytest.mark.parametrize("stream", [subprocess.DEVNULL, subprocess.PIPE])
def test_a_stream_that_is_no_descriptor(stream: int) -> None:
    process = libct.Process(["/bin/true"], init=True)
    process.stdout = stream  # after the constructor's look at it
    with libct.create(state_directory(), unique(), config()) as container:
        with pytest.raises(libct.Error, match=f"not a descriptor for the process: {stream}"):
            container.run(process)
        assert container.status() == "stopped"
