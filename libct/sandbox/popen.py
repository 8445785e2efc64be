"""Popen: a command in a sandbox, with the methods of subprocess.Popen, for asyncio too."""

from __future__ import annotations

import _signal
import itertools
import math
import os
import select
import threading
import time
import warnings

from ..errors import ConfigError, Error, Finding, note
from .config import Prepared
from .failures import Explaining
from .measure import ended_by, measured
from .options import command, read, read_size
from .readonly import Refusals, hint
from .results import EXIT, OUTPUT, SIGNAL, TIMEOUT, CompletedProcess, TimeoutExpired, Usage
from .seen import read_only_directory
from .streams import Exchange, Streams, Text

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Generator, Sequence
    from typing import Any

    from typing_extensions import Self, Unpack

    from ..life.container import Container
    from ..life.process import Process, ProcessState
    from .options import Given, Path

_numbers = itertools.count()  # of the sandboxes of this process


def new_name() -> str:
    """The id of a sandbox."""
    # Whatever another process of this number has left, of other namespaces or killed.
    return f"sandbox-{os.getpid()}-{next(_numbers)}-{os.urandom(3).hex()}"


class Popen:
    """A command that runs in a sandbox of its own.

        with libct.Popen(["sort"], stdin=libct.PIPE, stdout=libct.PIPE, text=True) as sort:
            out, _ = sort.communicate("b\\na\\n", timeout=5)

    args: the command and its arguments, as a list; looked up in PATH.
    stdin, stdout, stderr: None for the caller's own, PIPE, DEVNULL, a descriptor or a file;
        stderr may be STDOUT.
    text, encoding, errors, bufsize: as of subprocess.Popen.
    max_output: bytes, as a number or "1M", that communicate() reads of the output in all; the
        command is killed if there is more.
    options: of the sandbox; see libct.sandbox.options.Options.

    As a context manager it kills the command at the end, with all that it has started.  So does
    the end of this program, and of the last reference to the Popen.

    args, returncode, pid, stdin, stdout, stderr: as of subprocess.Popen.
    usage, ended_by: as of CompletedProcess, once it has ended; None before.

    Raises ConfigError for options that are wrong, naming each, and StepError where the sandbox
    cannot be made; a command that is not there is one, with errno ENOENT.
    """

    def __init__(
        self,
        args: Sequence[Path],
        *,
        stdin: Any = None,
        stdout: Any = None,
        stderr: Any = None,
        text: bool | None = None,
        encoding: str | None = None,
        errors: str | None = None,
        universal_newlines: bool | None = None,
        bufsize: int = -1,
        max_output: int | str | None = None,
        **options: Unpack[Given],
    ) -> None:
        made = Prepared(command(args), read(options, type(self).__name__))
        self._set_up(made.process, max_output, Text(text or universal_newlines, encoding, errors))
        self._read_only = read_only_directory(made.options)
        streams = self._streams(stdin, stdout, stderr, bufsize)
        try:
            container = made.create(new_name())
            with made.explaining():
                self._start(container, streams, made)
        except BaseException:
            self._discard(streams)
            raise

    @classmethod
    def _inside(
        cls,
        container: Container,
        process: Process,
        *,
        stdin: Any = None,
        stdout: Any = None,
        stderr: Any = None,
        text: Text,
        bufsize: int = -1,
        max_output: int | str | None = None,
    ) -> Self:
        """The same in a container that is there, and stays."""
        made = cls.__new__(cls)
        made._set_up(process, max_output, text)
        streams = made._streams(stdin, stdout, stderr, bufsize)
        try:
            with Explaining({}):
                made._start(container, streams)
        except BaseException:
            made._discard(streams)
            raise
        return made

    def _set_up(self, process: Process, max_output: int | str | None, text: Text) -> None:
        self.args: list[str] = process.args
        self.returncode: int | None = None
        self.usage: Usage | None = None
        self.ended_by: str | None = None
        self.stdin: Any = None
        self.stdout: Any = None
        self.stderr: Any = None
        self._process, self._text = process, text
        self._limit = None if max_output is None else read_size("max_output", max_output)
        self._container: Container | None = None
        self._exchange: Exchange | None = None
        self._lock = threading.RLock()
        self._killed_for = ""
        self._read_only = ""  # the directory that it starts in, if that is so unasked
        self._owner = os.getpid()
        self._began = 0.0

    def _streams(self, stdin: Any, stdout: Any, stderr: Any, bufsize: int) -> Streams:
        streams = Streams(stdin, stdout, stderr)
        try:
            while streams.parent:
                name, fd = streams.parent.popitem()
                try:
                    setattr(self, name, self._text.open(name, fd, bufsize))
                except BaseException:
                    os.close(fd)
                    raise
            for name, fd in streams.child.items():
                setattr(self._process, name, fd)
        except BaseException:
            self._discard(streams)
            raise
        return streams

    def _start(
        self, container: Container, streams: Streams, prepared: Prepared | None = None
    ) -> None:
        """prepared: what the container has been made of for this command alone."""
        self._own = own = prepared is not None
        self._began = time.monotonic()
        self._container = container
        try:
            prepared.start(container) if prepared else container.start(self._process)
        except BaseException as error:
            self._container = None
            if own:
                _removed(container, error)
            raise
        streams.started()
        self.pid = self._process.pid

    def _discard(self, streams: Streams) -> None:
        streams.close()
        for file in (self.stdin, self.stdout, self.stderr):
            if file is not None:
                file.close()

    def __repr__(self) -> str:
        state = "running" if self.returncode is None else f"returncode: {self.returncode}"
        return f"<{type(self).__name__}: {state} args: {self.args!r}>"

    # --- signals ---

    def send_signal(self, sig: int) -> None:
        """Send it to the command; nothing happens where that has ended."""
        if self.poll() is None:
            try:
                self._process.signal(sig)
            except ProcessLookupError:
                pass  # just now

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(_signal.SIGTERM)

    def kill(self) -> None:
        """End the command, and all that it has started; in a Sandbox, the command alone."""
        self._kill(SIGNAL)

    def _kill(self, why: str) -> None:
        with self._lock:
            container = self._container
            if self.returncode is not None or container is None:
                return
            self._killed_for = self._killed_for or why
            try:
                if self._own:
                    container.signal(_signal.SIGKILL)
                else:
                    self._process.signal(_signal.SIGKILL)
            except (Error, ProcessLookupError):
                pass  # it has ended

    # --- waiting ---

    def poll(self) -> int | None:
        """The return code, or None while it runs."""
        if self.returncode is None:
            try:
                state = self._process.wait(0)
            except TimeoutError:
                return None
            self._finish(state)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; TimeoutExpired after that many seconds, and it runs on."""
        if self.returncode is None:
            try:
                state = self._process.wait(None if timeout == math.inf else timeout)
            except TimeoutError:
                assert timeout is not None
                raise TimeoutExpired(self.args, timeout) from None
            self._finish(state)
        assert self.returncode is not None
        return self.returncode

    async def wait_async(self) -> int:
        """wait(), for asyncio."""
        if self.returncode is None:
            state = await self._process.wait_async()
            await in_thread(self._finish, state)
        assert self.returncode is not None
        return self.returncode

    def __await__(self) -> Generator[Any, None, int]:
        return self.wait_async().__await__()

    def _finish(self, state: ProcessState) -> None:
        """It has ended: say how, and remove what is left of the sandbox."""
        with self._lock:
            if self.returncode is not None:
                return
            container, self._container = self._container, None
            wall = time.monotonic() - self._began
            try:
                self.usage, killed = measured(container if self._own else None, state, wall)
            finally:
                if container is not None and self._own:
                    container.destroy(force=True)
            self.ended_by = ended_by(state, self._killed_for, killed)
            self.returncode = -state.signal if state.signal is not None else state.status

    # --- input and output ---

    def communicate(self, input: Any = None, timeout: float | None = None) -> tuple[Any, Any]:  # noqa: A002
        """Write input to the command, read all that it writes, and wait for its end.

        Returns what came from stdout and stderr, None for what is no pipe.  TimeoutExpired
        after that many seconds: nothing is lost then, and it may be called again.
        """
        timeout = None if timeout == math.inf else timeout
        end = None if timeout is None else time.monotonic() + timeout
        exchange = self._exchanged(input)
        poll = select.poll()
        watched: dict[int, int] = {}
        while exchange.open:
            for fd in watched.keys() - exchange.open.keys():
                poll.unregister(fd)
            for fd in exchange.open.keys() - watched.keys():
                poll.register(fd, exchange.open[fd])
            watched = exchange.open
            for fd, _ in poll.poll(_left(end)):
                exchange.ready(fd)
            self._stop_exceeding(exchange)
            if end is not None and time.monotonic() >= end and exchange.open:
                raise self._expired(timeout)
        try:
            self.wait(None if end is None else max(0.0, end - time.monotonic()))
        except TimeoutExpired:
            raise self._expired(timeout) from None
        exchange.stop()
        return self._outputs()

    async def communicate_async(self, input: Any = None) -> tuple[Any, Any]:  # noqa: A002
        """communicate(), for asyncio; asyncio.wait_for() gives it a time limit."""
        import asyncio

        exchange = self._exchanged(input)
        if exchange.open:
            loop = asyncio.get_running_loop()
            done: asyncio.Future[None] = loop.create_future()
            watching = _Watching(loop, exchange, done, lambda: self._stop_exceeding(exchange))
            try:
                await done
            finally:
                watching.end()
        await self.wait_async()
        exchange.stop()
        return self._outputs()

    def _exchanged(self, data: Any) -> Exchange:
        if data is not None and self.stdin is None:
            raise ConfigError([Finding("input", "there is no pipe for it: give stdin=PIPE")])
        if self._exchange is None:
            given = {"stdin": self.stdin, "stdout": self.stdout, "stderr": self.stderr}
            files = {name: file for name, file in given.items() if file is not None}
            encoded = b"" if data is None else self._text.encode(data)
            self._exchange = Exchange(files, self._limit)
            if self.stdin is not None:
                try:
                    self.stdin.flush()
                except BrokenPipeError:
                    pass  # it has ended, or reads no more
                self._exchange.give(encoded)
        elif data is not None:
            raise ConfigError([Finding("input", "given already, by an earlier communicate()")])
        return self._exchange

    def _stop_exceeding(self, exchange: Exchange) -> None:
        if exchange.exceeded:
            self._kill(OUTPUT)

    def _cut(self) -> None:
        """It has been killed: what others in a Sandbox may still write is not waited for."""
        self.wait()
        if self._exchange is not None:
            self._exchange.drain()

    def _expired(self, timeout: float | None) -> TimeoutExpired:
        exchange = self._exchange  # None where its time was over before it began
        found = [exchange and exchange.text_of(name) for name in ("stdout", "stderr")]
        return TimeoutExpired(self.args, timeout or 0.0, *(text or None for text in found))

    def _outputs(self) -> tuple[Any, Any]:
        exchange = self._exchange
        assert exchange is not None
        found = (exchange.text_of("stdout"), exchange.text_of("stderr"))
        out, err = (None if data is None else self._text.decode(data) for data in found)
        return out, err

    def _completed(self) -> CompletedProcess:
        assert self.returncode is not None
        out, err = self._outputs()
        return CompletedProcess(
            self.args,
            self.returncode,
            out,
            err,
            usage=self.usage,
            ended_by=self.ended_by or EXIT,
            hint=self._hint(),
        )

    def _hint(self) -> str:
        refusals, exchange = Refusals(self._read_only), self._exchange
        if self.returncode and exchange is not None:
            for name in ("stderr", "stdout"):
                refusals.see(exchange.text_of(name) or b"")
        return hint('rw=["."]') if refusals.found else ""

    def _timed_out(self, timeout: float) -> TimeoutExpired:
        """After it has been killed for that."""
        error = self._expired(timeout)
        error.usage, error.ended_by = self.usage, TIMEOUT
        return error

    # --- the end ---

    def _end(self) -> None:
        """Kill it, if it runs still, and let go of everything.

        A forked copy of the program, which has not started it, only lets go.
        """
        if self._owner != os.getpid():
            self._container = None
        self._kill(SIGNAL)
        for file in (self.stdin, self.stdout, self.stderr):
            if file is not None:
                try:
                    file.close()
                except BrokenPipeError:
                    pass  # what was buffered for a command that has ended
        if self._container is not None:
            self.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await in_thread(self._end)

    def __del__(self) -> None:
        # A forked copy of the program has not started it.
        if getattr(self, "_container", None) is not None and self._owner == os.getpid():
            warnings.warn(f"{self!r} was still running", ResourceWarning, 2, source=self)
            self._end()


class _Watching:
    """An exchange that goes on whenever the running loop says that it can."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        exchange: Exchange,
        done: asyncio.Future[None],
        after: Any,
    ) -> None:
        self._loop, self._exchange, self._done, self._after = loop, exchange, done, after
        self._watched: dict[int, int] = {}
        self._update()

    def _update(self) -> None:
        wanted = self._exchange.open
        for fd in self._watched.keys() - wanted.keys():
            self._remove(fd)
        for fd in wanted.keys() - self._watched.keys():
            self._watched[fd] = wanted[fd]
            add = self._loop.add_writer if wanted[fd] == select.POLLOUT else self._loop.add_reader
            add(fd, self._ready, fd)

    def _ready(self, fd: int) -> None:
        if self._done.done():
            return
        try:
            # Before the descriptor is closed: its number may be another file's at once.
            self._remove(fd)
            self._exchange.ready(fd)
            self._after()
            self._update()
            if not self._exchange.open:
                self._done.set_result(None)
        except BaseException as error:
            self._done.set_exception(error)

    def _remove(self, fd: int) -> None:
        events = self._watched.pop(fd, None)
        if events == select.POLLOUT:
            self._loop.remove_writer(fd)
        elif events is not None:
            self._loop.remove_reader(fd)

    def end(self) -> None:
        for fd in list(self._watched):
            self._remove(fd)


async def in_thread(function: Any, *args: Any) -> Any:
    """What takes milliseconds, and would hold up the loop."""
    import asyncio

    return await asyncio.get_running_loop().run_in_executor(None, function, *args)


def _left(end: float | None) -> float | None:
    """Milliseconds."""
    return None if end is None else max(0.0, end - time.monotonic()) * 1000


def _removed(container: Container, error: BaseException) -> None:
    try:
        container.destroy(force=True)
    except Error as failure:
        note(error, str(failure))
