"""The standard streams of a command in a sandbox, and the talk over them, as of subprocess."""

from __future__ import annotations

import io
import os
import select
import subprocess

from ..errors import ConfigError, Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PIPE, STDOUT, DEVNULL = subprocess.PIPE, subprocess.STDOUT, subprocess.DEVNULL
_CHUNK = 65536  # bytes of a read
_WRITE = select.PIPE_BUF  # bytes that poll(2) promises room for; more would block
_NAMES = ("stdin", "stdout", "stderr")


class Streams:
    """The three, from the values that subprocess takes for them.

    child: the descriptors that the command gets; own: of these, those that were opened for it.
    parent: our ends of pipes, by name.
    """

    def __init__(self, stdin: Any, stdout: Any, stderr: Any) -> None:
        given = dict(zip(_NAMES, (stdin, stdout, stderr)))
        _check(given)
        self.child: dict[str, int] = {}
        self.parent: dict[str, int] = {}
        self._own: list[int] = []
        try:
            for number, (name, value) in enumerate(given.items()):
                self.child[name] = self._open(name, number, value)
        except BaseException:
            self.close()
            raise

    def _open(self, name: str, number: int, value: Any) -> int:
        if value is None:
            return number
        if value == PIPE:
            reading, writing = os.pipe()
            self.parent[name], child = (writing, reading) if number == 0 else (reading, writing)
        elif value == DEVNULL:
            child = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        elif value == STDOUT:
            return self.child["stdout"]
        else:
            return value if isinstance(value, int) else int(value.fileno())
        self._own.append(child)
        return child

    def started(self) -> None:
        """The command has its ends."""
        while self._own:
            os.close(self._own.pop())

    def close(self) -> None:
        """There will be no command."""
        self.started()
        while self.parent:
            os.close(self.parent.popitem()[1])


def _check(given: dict[str, Any]) -> None:
    findings = []
    for name, value in given.items():
        if isinstance(value, int) and not isinstance(value, bool):
            good = value in (PIPE, DEVNULL) or (value == STDOUT and name == "stderr")
            good = good or (value >= 0 and _is_open(value))
        else:
            good = value is None or hasattr(value, "fileno")
        if not good:
            wanted = "PIPE, DEVNULL, an open descriptor or an open file"
            findings.append(Finding(name, f"not {wanted}: {value!r}"))
    if findings:
        raise ConfigError(findings)


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except (OSError, OverflowError):
        return False
    return True


class Text:
    """How the streams are text, if they are: by text, encoding or errors."""

    def __init__(self, text: bool | None, encoding: str | None, errors: str | None) -> None:
        self.on = bool(text or encoding or errors)
        self.encoding, self.errors = encoding, errors or "strict"

    def open(self, name: str, fd: int, buffering: int) -> Any:
        """A file for our end of a pipe, as subprocess makes it."""
        mode = "wb" if name == "stdin" else "rb"
        line = self.on and buffering == 1
        file: Any = open(fd, mode, -1 if line else buffering)  # noqa: SIM115  # the caller's
        if self.on:
            file = io.TextIOWrapper(
                file,
                encoding=self.encoding,
                errors=self.errors,
                line_buffering=line,
                write_through=name == "stdin" and not line,
            )
        return file

    def encode(self, data: Any) -> bytes:
        """What is written to the command's input."""
        if self.on:
            if not isinstance(data, str):
                raise ConfigError([Finding("input", f"not a str, with text=True: {data!r:.80}")])
            data = data.replace("\n", os.linesep).encode(self._codec(), self.errors)
        elif isinstance(data, str):
            advice = "give bytes, or text=True"
            raise ConfigError([Finding("input", f"a str where bytes are expected ({advice})")])
        elif not isinstance(data, (bytes, bytearray, memoryview)):
            raise ConfigError([Finding("input", f"not bytes: {data!r:.80}")])
        return bytes(data)

    def decode(self, data: bytes) -> Any:
        if not self.on:
            return data
        text = data.decode(self._codec(), self.errors)
        return text.replace("\r\n", "\n").replace("\r", "\n")

    def _codec(self) -> str:
        if self.encoding:
            return self.encoding
        import locale

        return locale.getpreferredencoding(False)


class Exchange:
    """Writing all of the input and reading all of the output, whichever is possible, in turn.

    A command that waits for its output to be read while we wait for it to read would wait for
    ever: nothing here blocks on one stream alone.

    limit: bytes of output in all that are read, None for any number; exceeded: there was more,
        and nothing is read any more.  The pipes stay until stop(), so that the command is
        killed for it, and does not end by itself because nobody reads what it writes.
    """

    def __init__(self, files: dict[str, Any], limit: int | None) -> None:
        self.output: dict[str, list[bytes]] = {name: [] for name in files if name != "stdin"}
        self.exceeded = False
        self._files, self._left = files, limit
        self._input = memoryview(b"")
        self._fds = {file.fileno(): name for name, file in files.items()}

    def give(self, data: bytes) -> None:
        """What is to be written to the input."""
        self._input = memoryview(data)
        if not data:
            self._close("stdin")

    @property
    def open(self) -> dict[int, int]:
        """Descriptor -> POLLIN or POLLOUT, of those that are not done with."""
        if self.exceeded:
            return {}
        return {
            fd: select.POLLOUT if name == "stdin" else select.POLLIN
            for fd, name in self._fds.items()
        }

    def ready(self, fd: int) -> None:
        """Go on with a descriptor that poll(2) has reported."""
        name = self._fds.get(fd)
        if name == "stdin":
            try:
                self._input = self._input[os.write(fd, self._input[:_WRITE]) :]
            except BrokenPipeError:
                self._input = memoryview(b"")
            if not self._input:
                self._close(name)
        elif name is not None:
            data = os.read(fd, _CHUNK)
            if self._left is not None and len(data) > self._left:
                self.exceeded, data = True, data[: self._left]
            if self._left is not None:
                self._left -= len(data)
            if data:
                self.output[name].append(data)
            if not data:
                self._close(name)

    def text_of(self, name: str) -> bytes | None:
        """What has been read of an output; None where it is no pipe."""
        return b"".join(self.output[name]) if name in self.output else None

    def _close(self, name: str) -> None:
        file = self._files.get(name)
        for fd, known in list(self._fds.items()):
            if known == name:
                del self._fds[fd]
        if file is not None:
            try:
                file.close()
            except BrokenPipeError:
                pass  # what was buffered, of a command that has ended

    def drain(self) -> None:
        """Take what has been written already, and no more: others may have the pipes still."""
        poll = select.poll()
        for fd, events in self.open.items():
            if events == select.POLLIN:
                poll.register(fd, events)
        while ready := poll.poll(0):
            for fd, _ in ready:
                self.ready(fd)
                if fd not in self.open:
                    poll.unregister(fd)
        self.stop()

    def stop(self) -> None:
        """Read and write no more."""
        for name in list(self._fds.values()):
            self._close(name)
