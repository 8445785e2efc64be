"""What `libct sandbox` watches while the command runs, and what it tells of its end."""

from __future__ import annotations

import _signal
import fcntl
import os
import threading
import time

from ..errors import ConfigError, Error, Finding
from ..loading import jsontext
from ..sandbox.measure import ended_by, measured
from ..sandbox.readonly import hint
from ..sandbox.results import MEMORY, OUTPUT, TIMEOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..life.container import Container
    from ..life.process import Process
    from ..sandbox.readonly import Refusals

TIMED_OUT = 124  # the exit status, as of timeout(1)
_CHUNK = 65536
_LONGEST = 1 << 40  # seconds


class Watch:
    """A limit of time, one of output, and a descriptor that is told of start and end.

    timeout: seconds, 0 for any time.
    max_output: bytes that are written to standard output and error in all; None: any number.
    status_fd: gets a line of JSON with the pid, and one with the end; -1 for none.
    refusals: are told of what passes through.
    """

    def __init__(
        self, timeout: float, max_output: int | None, status_fd: int, refusals: Refusals
    ) -> None:
        self._refusals = refusals
        self._timeout, self._left, self._status_fd = timeout, max_output, status_fd
        self._killed_for = ""
        self._timer: threading.Timer | None = None
        self._relays: list[threading.Thread] = []
        self._ends: list[int] = []
        self._lock = threading.Lock()
        self._began = 0.0
        self._typed = -1

    def prepare(self, process: Process) -> None:
        """Have what it writes come to us first, where that is limited.

        And where it would get a terminal of the caller's: by that it could read what is
        typed to others, and change its settings.
        """
        if process.terminal:
            return  # one of its own
        for name, to in (("stdout", 1), ("stderr", 2)):
            if self._left is not None or _is_terminal(to):
                reading, writing = os.pipe()
                setattr(process, name, writing)
                self._ends.append(writing)
                self._relays.append(threading.Thread(target=self._relay, args=(reading, to)))
        if _is_terminal(0):
            process.stdin, self._typed = os.pipe()
            self._ends.append(process.stdin)
            # Who waits for what is typed is not waited for.
            threading.Thread(target=self._pass_on, daemon=True).start()

    def _pass_on(self) -> None:
        with open(self._typed, "wb", buffering=0) as sink:
            try:
                while data := os.read(0, _CHUNK):
                    sink.write(data)
            except OSError:
                pass  # it reads no more, or we are in the background

    def started(self, container: Container, process: Process) -> None:
        self._container = container
        self._began = time.monotonic()
        while self._ends:
            os.close(self._ends.pop())
        for relay in self._relays:
            relay.start()
        if self._timeout:
            self._timer = threading.Timer(self._timeout, self._kill, (TIMEOUT,))
            self._timer.daemon = True
            self._timer.start()
        self._tell({"pid": process.pid})

    def _relay(self, reading: int, to: int) -> None:
        with open(reading, "rb", buffering=0) as source:
            while data := source.read(_CHUNK):
                if to == 2:
                    self._refusals.see(data)
                exceeded = False
                if self._left is not None:
                    with self._lock:
                        exceeded = len(data) > self._left
                        data = data[: self._left]
                        self._left -= len(data)
                try:
                    view = memoryview(data)
                    while view:
                        view = view[os.write(to, view) :]
                except OSError:
                    break  # nobody reads it: the command gets its SIGPIPE
                if exceeded:
                    self._kill(OUTPUT)
                    break

    def _kill(self, why: str) -> None:
        self._killed_for = self._killed_for or why
        try:
            self._container.signal(_signal.SIGKILL)
        except Error:
            pass  # it has ended

    def finish(self, status: int, process: Process) -> tuple[int, str]:
        """The exit status, and a line of what the end was, "" where that is all there is to say."""
        if self._timer is not None:
            self._timer.cancel()
        for relay in self._relays:
            relay.join()
        state = process.wait()
        wall = time.monotonic() - self._began
        usage, killed = measured(self._container, state, wall)
        why = ended_by(state, self._killed_for, killed)
        told = {"exit_code": state.exit_code, "signal": state.signal, "ended_by": why}
        self._tell({**told, "usage": usage.to_dict()})
        if why == TIMEOUT:
            return TIMED_OUT, f"the command was killed: it took longer than {self._timeout:g} s"
        if why == OUTPUT:
            return status, "the command was killed: it has written more than --max-output"
        if why == MEMORY:
            return status, "the command was killed: it was out of memory (--memory)"
        if state.signal == _signal.SIGXCPU:
            return status, "the command was killed: it has used up its CPU time (--cpu-time)"
        if status and self._refusals.found:
            return status, hint("--rw .")
        return status, ""

    def _tell(self, values: dict[str, object]) -> None:
        if self._status_fd >= 0:
            line = jsontext.dumps(values) + "\n"
            try:
                os.write(self._status_fd, line.encode())
            except OSError:
                pass  # who asked for it has gone


def _is_terminal(fd: int) -> bool:
    try:
        return os.isatty(fd)
    except OSError:
        return False


def seconds(option: str, text: str) -> float:
    """A time limit: 10, 0.5, 2m; 0 where none is given."""
    if not text:
        return 0
    units = {"s": 1, "m": 60, "h": 3600}
    number, unit = (text[:-1], units[text[-1]]) if text[-1] in units else (text, 1)
    try:
        found = float(number) * unit
    except ValueError:
        found = -1.0
    if not 0 < found < _LONGEST:
        raise ConfigError([Finding(option, f"not a time like 10, 0.5 or 2m: {text!r}")])
    return found


def open_descriptor(option: str, number: int) -> int:
    """The number of a descriptor that is given to us to write to; -1 where none is."""
    if number == -1:
        return -1
    try:
        mode = fcntl.fcntl(number, fcntl.F_GETFL)
    except (OSError, OverflowError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) else "no number of a descriptor"
        raise ConfigError([Finding(option, f"{number}: {what}")]) from None
    if mode & os.O_ACCMODE == os.O_RDONLY:  # O_PATH, too
        raise ConfigError([Finding(option, f"{number}: it is not open for writing")])
    os.set_inheritable(number, False)
    return number
