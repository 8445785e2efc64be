"""Sandbox: several commands in one container."""

from __future__ import annotations

import os
import sys

from ..errors import ConfigError, Error, Finding
from ..life.arguments import read_timeout
from ..life.calling import LARGEST
from ..life.process import Process
from .config import Prepared
from .options import command, read
from .popen import Popen, _removed, new_name
from .results import TimeoutExpired
from .running import finished, finished_async, started, streams_of
from .seen import read_only_directory
from .streams import Text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from typing_extensions import Self, Unpack

    from ..life.container import Container
    from .options import Given, Path
    from .results import CompletedProcess


class Sandbox:
    """A container that commands are run in, one after the other or at the same time.

        with libct.Sandbox(rw=["build"], memory="1G") as box:
            box.run(["make"], check=True)
            box.run(["make", "test"], check=True)

    They see the files that the others have left, and share the limits.  At the end of the
    context, by close(), and with this program, all that runs in it is killed.

    options: see libct.sandbox.options.Options.  env, cwd and user are those of commands that
        have none of their own.
    container: the libct.Container, for all else that can be done with one.
    """

    def __init__(self, **options: Unpack[Given]) -> None:
        self._container: Container | None = None
        self._owner = os.getpid()
        # Process 1 waits to be started, which it never is, while others come and go.
        made = Prepared(["/bin/sh"], read(options, type(self).__name__), held=True)
        self._first = made.process
        self._read_only = read_only_directory(made.options)
        container = made.create(new_name())
        try:
            with made.explaining():
                made.start(container, hold=True)
        except BaseException as error:
            _removed(container, error)
            raise
        self._container = container

    @property
    def container(self) -> Container:
        if self._container is None:
            raise Error("the sandbox has been closed")
        return self._container

    def popen(
        self,
        args: Sequence[Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path = "",
        user: str | int = "",
        stdin: Any = None,
        stdout: Any = None,
        stderr: Any = None,
        text: bool | None = None,
        encoding: str | None = None,
        errors: str | None = None,
        universal_newlines: bool | None = None,
        bufsize: int = -1,
        max_output: int | str | None = None,
    ) -> Popen:
        """Start a command in it.

        env: added to the sandbox's own.  cwd, user: as of the options.  All else is as of Popen.
        """
        container, process = self.container, self._process(args, env, cwd, user)
        popen = Popen._inside(
            container,
            process,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            text=Text(text or universal_newlines, encoding, errors),
            bufsize=bufsize,
            max_output=max_output,
        )
        popen._read_only = "" if cwd else self._read_only
        return popen

    def run(
        self,
        args: Sequence[Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path = "",
        user: str | int = "",
        stdin: Any = None,
        input: Any = None,  # noqa: A002  # subprocess's word
        stdout: Any = None,
        stderr: Any = None,
        capture_output: bool = False,
        timeout: float | None = None,
        check: bool = False,
        max_output: int | str | None = None,
        text: bool | None = None,
        encoding: str | None = None,
        errors: str | None = None,
        universal_newlines: bool | None = None,
    ) -> CompletedProcess:
        """Run a command in it and wait for its end, as libct.run().

        usage is of the time alone: the rest is counted for the sandbox as a whole.
        """
        timeout = read_timeout(timeout)
        streams = streams_of(stdin, input, stdout, stderr, capture_output, max_output)
        streams.update(text=text or universal_newlines, encoding=encoding, errors=errors)
        popen = self.popen(args, env=env, cwd=cwd, user=user, **streams)
        return finished(popen, input, timeout, check)

    async def run_async(
        self,
        args: Sequence[Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path = "",
        user: str | int = "",
        stdin: Any = None,
        input: Any = None,  # noqa: A002
        stdout: Any = None,
        stderr: Any = None,
        capture_output: bool = False,
        timeout: float | None = None,
        check: bool = False,
        max_output: int | str | None = None,
        text: bool | None = None,
        encoding: str | None = None,
        errors: str | None = None,
        universal_newlines: bool | None = None,
    ) -> CompletedProcess:
        """run(), for asyncio.  When the task is cancelled, the command is killed."""
        timeout = read_timeout(timeout)
        streams = streams_of(stdin, input, stdout, stderr, capture_output, max_output)
        streams.update(text=text or universal_newlines, encoding=encoding, errors=errors)
        popen = await started(lambda: self.popen(args, env=env, cwd=cwd, user=user, **streams))
        return await finished_async(popen, input, timeout, check)

    def call(
        self,
        function: Callable[..., Any],
        *args: Any,
        python: str = sys.executable,
        timeout: float | None = None,
        max_result: int | str = LARGEST,
    ) -> Any:
        """Call a function of Python in it; see Container.call().  TimeoutExpired as of run().

        The interpreter and the modules are to be where the sandbox shows them.
        """
        try:
            return self.container.call(
                function, *args, python=python, timeout=timeout, max_result=max_result
            )
        except TimeoutError:
            assert timeout is not None
            raise TimeoutExpired([f"{function.__qualname__}()"], timeout) from None

    def close(self) -> None:
        """Kill all that runs in it, and remove it; may be called again.

        A forked copy of the program only lets go of it.
        """
        container, self._container = self._container, None
        if container is not None and self._owner == os.getpid():
            container.destroy(force=True)

    def _process(
        self, args: Any, env: Mapping[str, str] | None, cwd: Path, user: str | int
    ) -> Process:
        given: dict[str, Any] = {"env": env or {}, "cwd": cwd, "user": user}
        asked = read({name: value for name, value in given.items() if value != ""}, "run")
        first = self._first
        if asked.user and os.geteuid() != 0:
            advice = "an ordinary user's sandbox has one user: give it to Sandbox()"
            raise ConfigError([Finding("user", advice)])
        return Process(
            command(args),
            env=[*first.env, *(f"{name}={value}" for name, value in asked.env.items())],
            cwd=asked.cwd or first.cwd,
            user=asked.user or first.user,
            rlimits=first.rlimits,
            init=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        from .popen import in_thread

        await in_thread(self.close)

    def __del__(self) -> None:
        if getattr(self, "_container", None) is not None:
            self.close()
