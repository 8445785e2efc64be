"""run() and run_async(): a command in a sandbox, from its start to its end."""

from __future__ import annotations

from ..life.arguments import read_timeout
from .options import refuse_unknown
from .popen import Popen, in_thread
from .results import TIMEOUT
from .streams import PIPE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from typing_extensions import Unpack

    from .options import Given, Path
    from .results import CompletedProcess


def run(
    args: Sequence[Path],
    *,
    stdin: Any = None,
    input: Any = None,  # noqa: A002  # subprocess's word
    stdout: Any = None,
    stderr: Any = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    text: bool | None = None,
    encoding: str | None = None,
    errors: str | None = None,
    universal_newlines: bool | None = None,
    max_output: int | str | None = None,
    **options: Unpack[Given],
) -> CompletedProcess:
    """Run a command in a sandbox and wait for its end, as subprocess.run() does without one.

        done = libct.run(["python3", "job.py"], rw=["out"], memory="256M", timeout=10,
                         capture_output=True, text=True)

    args: the command and its arguments, as a list; looked up in PATH.
    stdin, stdout, stderr, text, encoding, errors, max_output: as of Popen.
    input: what is written to the command; stdin is a pipe then.
    capture_output: stdout and stderr are pipes.
    timeout: seconds; then it is killed, with all that it has started, and TimeoutExpired
        raised, with the output so far.
    check: raise CalledProcessError unless it exits with status 0.
    options: of the sandbox; see libct.sandbox.options.Options.
    """
    refuse_unknown(options, "run")
    timeout = read_timeout(timeout)
    streams = streams_of(stdin, input, stdout, stderr, capture_output, max_output)
    text = text or universal_newlines
    popen = Popen(args, text=text, encoding=encoding, errors=errors, **streams, **options)
    return finished(popen, input, timeout, check)


async def run_async(
    args: Sequence[Path],
    *,
    stdin: Any = None,
    input: Any = None,  # noqa: A002
    stdout: Any = None,
    stderr: Any = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    text: bool | None = None,
    encoding: str | None = None,
    errors: str | None = None,
    universal_newlines: bool | None = None,
    max_output: int | str | None = None,
    **options: Unpack[Given],
) -> CompletedProcess:
    """run(), for asyncio.  When the task is cancelled, the command is killed."""
    refuse_unknown(options, "run_async")
    timeout = read_timeout(timeout)
    streams = streams_of(stdin, input, stdout, stderr, capture_output, max_output)
    text = text or universal_newlines
    popen = await started(
        lambda: Popen(args, text=text, encoding=encoding, errors=errors, **streams, **options)
    )
    return await finished_async(popen, input, timeout, check)


def streams_of(
    stdin: Any,
    data: Any,
    stdout: Any,
    stderr: Any,
    capture_output: bool,
    max_output: Any,
) -> dict[str, Any]:
    """What of run()'s arguments makes the streams, checked, as Popen takes it."""
    if data is not None:
        if stdin is not None:
            raise ValueError("stdin and input arguments may not both be used.")
        stdin = PIPE
    if capture_output:
        if stdout is not None or stderr is not None:
            raise ValueError("stdout and stderr arguments may not be used with capture_output.")
        stdout = stderr = PIPE
    if max_output is not None and PIPE not in (stdout, stderr):
        raise ValueError("max_output limits what is captured: use it with capture_output")
    return {"stdin": stdin, "stdout": stdout, "stderr": stderr, "max_output": max_output}


def finished(popen: Popen, data: Any, timeout: float | None, check: bool) -> CompletedProcess:
    """To the end of a command that has been started, or of its time."""
    from .results import TimeoutExpired

    with popen:
        try:
            popen.communicate(data, timeout)
        except TimeoutExpired:
            popen._kill(TIMEOUT)
            popen._cut()
            if popen.ended_by == TIMEOUT:
                assert timeout is not None
                raise popen._timed_out(timeout) from None
        done = popen._completed()
    if check:
        done.check_returncode()
    return done


async def started(make: Callable[[], Popen]) -> Popen:
    """Start it in a thread, for that takes milliseconds; killed if we are cancelled meanwhile."""
    import asyncio

    starting = asyncio.get_running_loop().run_in_executor(None, make)
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        starting.add_done_callback(_abandon)
        raise


def _abandon(starting: Any) -> None:
    if not starting.cancelled() and starting.exception() is None:
        starting.result()._end()


async def finished_async(
    popen: Popen, data: Any, timeout: float | None, check: bool
) -> CompletedProcess:
    import asyncio

    async with popen:
        try:
            await asyncio.wait_for(popen.communicate_async(data), timeout)
        except asyncio.TimeoutError:
            popen._kill(TIMEOUT)
            await in_thread(popen._cut)
            if popen.ended_by == TIMEOUT:
                assert timeout is not None
                raise popen._timed_out(timeout) from None
        done = popen._completed()
    if check:
        done.check_returncode()
    return done
