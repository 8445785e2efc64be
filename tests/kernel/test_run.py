"""Commands in sandboxes from Python: libct.run(), Popen, Sandbox, and their asyncio forms."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import subprocess
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

import libct
from libct import DEVNULL, PIPE, STDOUT

from ..commands import as_user, libct_environment, user_python
from ..needs import requires

pytestmark = [requires("root", "overlay"), pytest.mark.usefixtures("nothing_left")]

# What subprocess.run() and libct.run() do alike: keyword arguments, and what comes of it.
ALIKE: list[dict[str, Any]] = [
    {"args": ["sh", "-c", "echo out; echo err >&2; exit 3"], "capture_output": True},
    {"args": ["sh", "-c", "echo out; echo err >&2"], "stdout": PIPE, "stderr": STDOUT},
    {"args": ["cat"], "input": b"abc", "stdout": PIPE},
    {"args": ["cat"], "input": "ä\n", "stdout": PIPE, "text": True},
    {"args": ["cat"], "input": "ä\n", "stdout": PIPE, "encoding": "latin-1"},
    {"args": ["printf", r"a\r\nb\rc"], "stdout": PIPE, "universal_newlines": True},
    {"args": ["printf", r"\377"], "stdout": PIPE, "text": True, "errors": "replace"},
    {"args": ["cat"], "stdin": DEVNULL, "stdout": PIPE},
    {"args": ["true"]},
    {"args": ["cat"], "input": b"", "stdout": PIPE},
    {"args": ["sh", "-c", "exec >&-; sleep 0.1; exit 4"], "stdout": PIPE},
    # More than pipes hold, both ways at the same time.
    {"args": ["cat"], "input": b"x" * (1 << 21), "stdout": PIPE},
    {"args": ["true"], "input": b"x" * (1 << 21)},
    {
        "args": ["sh", "-c", "yes | head -c 300000; yes | head -c 300000 >&2"],
        "capture_output": True,
    },
]


@pytest.mark.parametrize("given", ALIKE, ids=lambda given: " ".join(given["args"])[:40])
def test_it_is_like_subprocess(given: dict[str, Any]) -> None:
    def facts(done: subprocess.CompletedProcess[Any]) -> tuple[Any, ...]:
        return done.args, done.returncode, done.stdout, done.stderr

    expected = facts(subprocess.run(**given, check=False))
    assert facts(libct.run(**given)) == expected
    assert facts(asyncio.run(libct.run_async(**given))) == expected


def test_what_subprocess_refuses_is_refused() -> None:
    refused: list[dict[str, Any]] = [
        {"input": b"", "stdin": PIPE},
        {"capture_output": True, "stdout": PIPE},
        {"max_output": 5},
    ]
    for given in refused:
        with pytest.raises(ValueError):
            libct.run(["true"], **given)
    wrong: list[dict[str, Any]] = [{"input": "text"}, {"input": b"bytes", "text": True}]
    for given in wrong:
        with pytest.raises(libct.ConfigError, match=r"^input: "):
            libct.run(["true"], **given)
    for name in ("stdin", "stdout", "stderr"):
        for value in (-7, "file", True, STDOUT if name != "stderr" else -9):
            with pytest.raises(libct.ConfigError, match=f"^{name}: not PIPE"):
                libct.run(["true"], **{name: value})  # type: ignore[arg-type]


def test_files_and_descriptors(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("text")
    with open(tmp_path / "in") as source, open(tmp_path / "out", "w") as sink:
        libct.run(["cat"], stdin=source, stdout=sink.fileno(), check=True)
    assert (tmp_path / "out").read_text() == "text"


def test_a_signal_is_a_negative_return_code() -> None:
    done = libct.run(["sh", "-c", "kill -USR1 $$; sleep 5"], stderr=DEVNULL, cpus=2)
    assert (done.returncode, done.ended_by) in ((-signal.SIGUSR1, "signal"),)


def test_check() -> None:
    with pytest.raises(libct.CalledProcessError) as error:
        libct.run(["sh", "-c", "echo out; echo err >&2; exit 3"], capture_output=True, check=True)
    assert isinstance(error.value, subprocess.CalledProcessError)
    assert isinstance(error.value, libct.Error)
    assert (error.value.returncode, error.value.output) == (3, b"out\n")
    assert (error.value.stdout, error.value.stderr) == (b"out\n", b"err\n")
    assert error.value.usage.wall > 0
    assert error.value.ended_by == "exit"
    assert "returned non-zero exit status 3" in str(error.value)


def by_asyncio(*args: Any, **given: Any) -> libct.CompletedProcess:
    return asyncio.run(libct.run_async(*args, **given))


@pytest.mark.parametrize("run", [libct.run, by_asyncio])
def test_a_time_limit(run: Any) -> None:
    began = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired) as error:
        run(["sh", "-c", "echo so far; sleep 60 & sleep 60"], capture_output=True, timeout=0.5)
    assert time.monotonic() - began < 20
    assert isinstance(error.value, libct.TimeoutExpired)
    assert error.value.stdout == b"so far\n"
    assert error.value.timeout == 0.5
    assert error.value.ended_by == "timeout"
    assert error.value.usage is not None
    assert error.value.usage.wall >= 0.5


def test_a_limit_of_memory() -> None:
    done = libct.run(["/usr/bin/python3", "-c", "x = b'x' * (1 << 30)"], memory="50M")
    assert done.ended_by == "memory"
    assert done.returncode == -signal.SIGKILL
    assert done.usage.memory is not None
    assert 40 << 20 < done.usage.memory <= 50 << 20


def test_a_limit_of_output() -> None:
    done = libct.run(["yes"], capture_output=True, max_output="10K")
    assert done.ended_by == "output"
    assert len(done.stdout) == 10240
    assert libct.run(["echo", "five"], capture_output=True, max_output=5).ended_by == "exit"


@pytest.mark.parametrize("run", [libct.run, by_asyncio])
def test_who_writes_too_much_is_killed_and_meets_no_broken_pipe(run: Any) -> None:
    script = "trap '' PIPE; while :; do echo aaaaaaaaaaaaaaaaaaaa || exit 0; done"
    for _ in range(10):
        done = run(["sh", "-c", script], capture_output=True, max_output="10K")
        assert (done.returncode, done.ended_by) == (-signal.SIGKILL, "output")
        assert len(done.stdout) == 10240


def test_output_that_is_cut_is_no_success() -> None:
    """Whatever the status of who has written too much and ended by itself just then."""
    done = libct.CompletedProcess(["true"], 0, b"cut", ended_by="output")
    with pytest.raises(libct.CalledProcessError, match=r"ended with status 0\. It was killed for"):
        done.check_returncode()


def test_what_was_used() -> None:
    script = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"
    usage = libct.run(["sh", "-c", script], memory="100M").usage
    assert usage.user is not None
    assert 0 < usage.user <= usage.wall * (os.cpu_count() or 1) + 0.1


def test_what_libct_has_used_itself_is_not_counted() -> None:
    """Without a control group the kernel counts what the process was before its command."""
    assert libct.run(["true"]).usage.memory is None
    script = "x = bytearray(200 << 20); x[::4096] = b'x' * len(x[::4096])"
    memory = libct.run(["/usr/bin/python3", "-c", script]).usage.memory
    assert memory is not None
    assert 200 << 20 < memory < 300 << 20


@requires("pids_peak")
def test_the_most_processes() -> None:
    script = "sleep 0.2 & sleep 0.2 & sleep 0.2 & wait"
    assert libct.run(["sh", "-c", script], pids=20).usage.processes == 4


def test_a_popen_is_polled_and_waited_for() -> None:
    with libct.Popen(["cat"], stdin=PIPE, stdout=PIPE) as popen:
        assert popen.poll() is None
        assert popen.ended_by is None
        with pytest.raises(libct.TimeoutExpired):
            popen.wait(0.05)
        with pytest.raises(libct.TimeoutExpired):
            popen.communicate(b"word", timeout=0)
        assert popen.communicate(timeout=20) == (b"word", None)
        assert popen.poll() == popen.returncode == popen.wait() == 0
        assert popen.ended_by == "exit"
        popen.kill()  # nothing happens
        popen.terminate()
    assert repr(popen) == "<Popen: returncode: 0 args: ['cat']>"


def test_a_popen_is_talked_to() -> None:
    with libct.Popen(["cat"], stdin=PIPE, stdout=PIPE, text=True, bufsize=1) as popen:
        popen.stdin.write("line\n")
        assert popen.stdout.readline() == "line\n"
        popen.stdin.close()
        assert popen.wait(20) == 0


def test_the_end_of_the_context_kills() -> None:
    with libct.Popen(["sleep", "60"]) as popen:
        pass
    assert popen.returncode == -signal.SIGKILL
    with pytest.raises(ZeroDivisionError), libct.Popen(["sleep", "60"]):
        raise ZeroDivisionError


def test_so_does_the_last_reference() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        libct.Popen(["sleep", "60"])
    assert [str(one.message) for one in caught if one.category is ResourceWarning] == [
        "<Popen: running args: ['sleep', '60']> was still running"
    ]


def test_what_cannot_be_started_leaves_nothing() -> None:
    for args, kind in (
        (["no-such-command"], FileNotFoundError),
        (["/no/such/command"], FileNotFoundError),
        (["/etc/passwd"], PermissionError),
    ):
        with pytest.raises(kind) as error:
            libct.Popen(args, stdin=PIPE, stdout=PIPE, memory="10M")
        assert isinstance(error.value, libct.StepError)
        assert str(error.value).endswith("[from args]")
        assert args[0] in str(error.value)


@pytest.mark.parametrize(
    ("given", "option"),
    [
        ({"bind": [("/etc", "/etc/passwd/x")]}, "bind"),
        ({"tmpfs": ["/etc/passwd"]}, "tmpfs"),
        ({"user": "nobody-here"}, "user"),
    ],
)
def test_a_failure_is_told_by_the_option(given: dict[str, Any], option: str) -> None:
    with pytest.raises(libct.Error) as error:
        libct.run(["true"], **given)
    assert str(error.value).endswith(f"[from {option}]")
    assert "mounts[" not in str(error.value)


async def _many() -> None:
    began = time.monotonic()
    scripts = [["sh", "-c", f"sleep 0.2; echo {number}"] for number in range(20)]
    found = await asyncio.gather(*[libct.run_async(one, stdout=PIPE) for one in scripts])
    assert [int(one.stdout) for one in found] == list(range(20))
    assert time.monotonic() - began < 20


def test_many_at_a_time() -> None:
    asyncio.run(_many())


def test_many_threads() -> None:
    found: list[int] = []

    def work(number: int) -> None:
        done = libct.run(["echo", str(number)], stdout=PIPE)
        found.append(int(done.stdout))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(10))


async def _cancelled(seconds: float) -> None:
    task = asyncio.create_task(libct.run_async(["sleep", "60"]))
    await asyncio.sleep(seconds)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0.5)  # one that was being started is ended by then


@pytest.mark.parametrize("seconds", [0, 0.002, 0.3])
def test_a_task_that_is_cancelled_ends_its_command(seconds: float) -> None:
    asyncio.run(_cancelled(seconds))


async def _awaited() -> None:
    async with libct.Popen(["cat"], stdin=PIPE, stdout=PIPE) as popen:
        out, err = await popen.communicate_async(b"x" * 300_000)
        assert (len(out), err, await popen, popen.poll()) == (300_000, None, 0, 0)
    async with libct.Popen(["sleep", "60"]) as popen:
        pass
    assert popen.returncode == -signal.SIGKILL


def test_a_popen_is_awaited() -> None:
    asyncio.run(_awaited())


def test_several_commands_in_one_sandbox() -> None:
    with libct.Sandbox(memory="200M", env={"A": "1"}, cwd="/tmp") as box:
        assert box.run(["sh", "-c", "echo $A > file; exit 3"]).returncode == 3
        done = box.run(["sh", "-c", "cat file; echo $A$B; pwd"], env={"B": "2"}, stdout=PIPE)
        assert done.stdout == b"1\n12\n/tmp\n"
        assert box.run(["pwd"], cwd="/usr", stdout=PIPE, text=True).stdout == "/usr\n"
        with pytest.raises(libct.TimeoutExpired):
            box.run(["sleep", "60"], timeout=0.2)
        with box.popen(["sleep", "60"]) as popen:
            assert popen.poll() is None
        assert popen.returncode == -signal.SIGKILL
        assert asyncio.run(box.run_async(["echo", "x"], stdout=PIPE)).stdout == b"x\n"
        with pytest.raises(TypeError, match=r"Sandbox\.run\(\) got an unexpected .* 'memory'"):
            box.run(["true"], memory="1M")  # type: ignore[call-arg]
        with pytest.raises(libct.CalledProcessError):
            box.run(["false"], check=True)
        left = box.popen(["sleep", "60"])
    assert left.wait(20) == -signal.SIGKILL
    with pytest.raises(libct.Error, match="has been closed"):
        box.run(["true"])


def test_what_goes_on_in_a_sandbox_does_not_hold_up_the_end_of_the_time() -> None:
    began = time.monotonic()
    with libct.Sandbox() as box:
        with pytest.raises(libct.TimeoutExpired) as error:
            box.run(["sh", "-c", "echo x; sleep 60 & sleep 60"], timeout=0.5, capture_output=True)
        assert error.value.stdout == b"x\n"
        script = "sleep 60 & yes"
        assert box.run(["sh", "-c", script], capture_output=True, max_output=5).stdout == b"y\ny\ny"
        done = asyncio.run(box.run_async(["sh", "-c", script], capture_output=True, max_output=5))
        assert done.ended_by == "output"
        with pytest.raises(libct.TimeoutExpired):
            asyncio.run(
                box.run_async(["sh", "-c", "sleep 60 & sleep 60"], timeout=0.5, stdout=PIPE)
            )
        with pytest.raises(libct.TimeoutExpired):
            box.call(time.sleep, 60, timeout=0.5, python="/usr/bin/python3")
    assert time.monotonic() - began < 30


def test_odd_time_limits() -> None:
    assert libct.run(["true"], timeout=float("inf")).returncode == 0
    assert libct.run(["true"], timeout=1e300).returncode == 0
    for run in (libct.run, by_asyncio):
        for over in (0, -1):
            with pytest.raises(libct.TimeoutExpired) as expired:
                run(["sleep", "60"], timeout=over, capture_output=True)
            assert expired.value.ended_by == "timeout"
    wrong: list[Any] = ["10", float("nan"), True]
    for timeout in wrong:
        with pytest.raises(libct.ConfigError, match=r"^timeout: "):
            libct.run(["true"], timeout=timeout)


# As the ordinary user: what root's tests show in detail.
PROGRAM = """
import asyncio, libct, os, signal, sys
from libct import PIPE
script = "id -u; cat; touch /usr/x; exit 3"
done = libct.run(["sh", "-c", script], input="in", text=True, capture_output=True)
assert (done.returncode, done.stdout) == (3, f"{os.geteuid()}\\nin"), done
assert "Read-only file system" in done.stderr, done
try:
    libct.run(["sleep", "60"], timeout=0.3)
except libct.TimeoutExpired as error:
    assert error.ended_by == "timeout"
else:
    assert False
assert asyncio.run(libct.run_async(["echo", "x"], stdout=PIPE)).stdout == b"x\\n"
with libct.Popen(["sleep", "60"]) as popen:
    pass
assert popen.returncode == -signal.SIGKILL
with libct.Sandbox() as box:
    box.run(["sh", "-c", "echo 1 > /tmp/file"], check=True)
    assert box.run(["cat", "/tmp/file"], stdout=PIPE).stdout == b"1\\n"
assert libct.call(os.path.join, "a", "b") == "a/b"
assert libct.run(["sh", "-c", "ulimit -n"], rlimits={"NOFILE": 50}, stdout=PIPE).stdout == b"50\\n"
print(libct.list_containers(""))
"""


@requires("user")
def test_as_an_ordinary_user() -> None:
    run = as_user(user_python(), "-W", "error", "-c", PROGRAM, env=libct_environment(user=True))
    assert (run.returncode, run.stdout, run.stderr) == (0, "[]\n", "")


def test_errors_travel_between_processes() -> None:
    """As those of multiprocessing and of executors do."""
    for args, given in (
        (["false"], {"check": True}),
        (["sleep", "60"], {"timeout": 0.1}),
        (["no-such-command"], {}),
        (["true"], {"tmpfs": ["/etc/passwd"]}),
    ):
        with pytest.raises(libct.Error) as error:
            libct.run(args, **given)
        again = pickle.loads(pickle.dumps(error.value))
        assert (type(again), str(again)) == (type(error.value), str(error.value))


def test_a_forked_copy_lets_go_of_what_it_has_not_started() -> None:
    with libct.Popen(["cat"], stdin=PIPE) as popen, libct.Sandbox() as box:
        pid = os.fork()
        if not pid:
            popen.__del__()
            box.__del__()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        pid = os.fork()
        if not pid:
            try:
                popen.__exit__()
                box.__exit__()
            finally:
                os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert popen.poll() is None
        assert box.run(["true"]).returncode == 0


def test_none_is_not_given() -> None:
    """Who wraps subprocess.run() passes it on."""
    done = libct.run(["pwd"], cwd=None, env=None, user=None, stdout=PIPE)  # type: ignore[arg-type]
    assert done.returncode == 0
    with libct.Sandbox(memory=None) as box:  # type: ignore[arg-type]
        assert box.run(["true"], env=None, cwd=None).returncode == 0  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [1 << 63, 1 << 70])
def test_more_memory_than_there_can_be(size: int) -> None:
    with pytest.raises(libct.ConfigError, match=r"^memory: more bytes than there can be"):
        libct.run(["true"], memory=size)


def test_a_limit_of_processes_is_that_of_a_sandboxs_commands() -> None:
    with libct.Sandbox(pids=1) as box:
        for _ in range(20):
            assert box.run(["true"]).returncode == 0


def test_a_sandbox_tells_by_its_callers_words() -> None:
    with libct.Sandbox() as box, pytest.raises(libct.Error) as error:
        box.run(["pwd"], cwd="/nonono")
    assert "config.json" not in str(error.value)
    assert str(error.value).startswith("cannot enter the working directory")
