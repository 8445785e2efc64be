"""The terminal of a process in the foreground, between it and the caller's terminal.

The container's terminal is a pseudo terminal of its own; libct holds the master,
puts the caller's terminal into raw mode, and copies both ways.  So an interrupt
typed there is a byte here, and a signal only in the container.

When the caller's terminal is hung up, or nobody reads the output any more, the
container's terminal is hung up too, by closing its master, as sshd(8) does.  The
kernel then sends SIGHUP to the process, which leads the session, and when that has
ended to those in the foreground.  Later reads give end of file and later writes
EIO, so nobody in there is blocked; how long they go on is up to them.

Where standard input is no terminal and ends, whoever reads the container's is told so, each
time: there is always one end of file in its queue.  One alone, at once, would be lost when a
shell sets the terminal for its line editor.  script(1) waits until what it wrote has been read,
as we do, and then writes one.
"""

from __future__ import annotations

import _signal
import _socket
import errno
import os
import select
import termios
import time

from ..errors import Error
from ..syscalls.sockets import receive
from ..syscalls.terminals import get_window_size, open_peer, set_window_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..life.process import Process

_ROOM = 65536  # bytes read at once
# A terminal or a pipe that is writable takes so much without blocking (pipe(7), PIPE_BUF).
_AT_ONCE = 4096
_END_OF_FILE = b"\x04"  # to a line editor, which has no VEOF
_PATIENCE = 0.25  # seconds between looks at a terminal that nobody has open
_FIRST_LOOK, _LONGEST_LOOK = 0.005, 0.2  # seconds between looks for who has read an end of file


class Terminal:
    """Relays between the caller's standard streams and the terminal of a process.

    In this order: made, which gives the process its console socket; begin(),
    after the process has been started; poll for wanted() and hand what is ready
    to relay(); finish() when the process has ended; and in any case restore().

    printed: called with what the process writes there.
    """

    def __init__(self, process: Process, printed: Callable[[bytes], object] | None = None) -> None:
        self._printed = printed
        self._socket, self._theirs = _socket.socketpair(
            _socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC, 0
        )
        process.terminal, process.console_socket = True, self._theirs
        self._terminals = [fd for fd in (0, 1, 2) if _is_terminal(fd)]
        process.console_height, process.console_width = self._size()
        process.console_onlcr = False  # that is for the caller's terminal to do, if it is one
        self._saved: list[Any] | None = None
        self._master = -1
        self._to_master, self._to_output = b"", b""
        self._typed = b""  # what the terminal has been given last
        self._hung_up = False  # and nobody has asked for the signal of that
        self._input_open = self._output_open = True
        self.idle = False  # nobody has the terminal open at present
        self._pause, self._next = _FIRST_LOOK, 0.0  # until the next end of file, by the clock

    def begin(self) -> None:
        """Take the master from the socket, and make the caller's terminal raw."""
        self._theirs.close()
        self._master = _receive(self._socket)
        self._socket.close()
        os.set_blocking(self._master, False)
        self.resize()
        self._make_raw()

    def wanted(self) -> dict[int, int]:
        """Which descriptors to poll, for which events."""
        if self._master < 0:  # hung up, with output left for who still reads it
            return {1: select.POLLOUT} if self._to_output else {}
        events = dict.fromkeys(self._terminals, 0)  # a hang-up is always reported
        if self._input_open and not self._to_master:
            events[0] = select.POLLIN
        if not self.idle:
            master = select.POLLIN * (not self._to_output) | select.POLLOUT * bool(self._to_master)
            if master:  # a terminal nobody has open would report that for ever
                events[self._master] = master
        if self._to_output:
            events[1] = select.POLLOUT
        return events

    def patience(self) -> float | None:
        """After how many seconds at most to call look(), if nothing is ready before."""
        if self._master < 0:
            return None
        if self.idle:
            return _PATIENCE
        return None if self._input_open else max(0.0, self._next - time.monotonic())

    def look(self) -> None:
        """Whether somebody has opened the terminal again, or has read the end of file."""
        self.idle = False
        if self._input_open or self._to_master or self._master < 0:
            return
        now = time.monotonic()
        if now >= self._next:
            self._repeat_end()
            self._next = now + self._pause

    def _repeat_end(self) -> None:
        """Type an end of file, where there is none that is still to be read.

        In the middle of a line it only hands that over, and the next one is the end.
        """
        try:
            state = termios.tcgetattr(self._master)
            peer = open_peer(self._master, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, termios.error):
            return  # nobody has it open
        try:
            poll = select.poll()
            poll.register(peer, select.POLLIN)
            unread = bool(poll.poll(0))
        finally:
            os.close(peer)
        lines = state[3] & termios.ICANON
        if not unread:
            self._to_master = state[6][termios.VEOF] if lines else _END_OF_FILE
            if lines:
                return
        self._pause = min(2 * self._pause, _LONGEST_LOOK)

    def relay(self, fd: int) -> None:
        """Copy what can be copied now that fd is ready."""
        if self._master < 0:
            if fd == 1:  # the others were ready before the terminal was hung up
                self._write_output(_AT_ONCE)
        elif fd != self._master and self.is_lost(fd):
            self.hang_up()
        elif fd == 0:
            self._read_input()
        elif fd == 1:
            self._write_output(_AT_ONCE)
        else:
            if not self._to_output:
                self._read_master()
            self._write_master()

    def is_lost(self, *fds: int) -> bool:
        """Whether the caller's terminal has been hung up: one of those given, or any of ours."""
        poll = select.poll()
        for fd in fds or self._terminals:
            if fd in self._terminals:
                poll.register(fd, 0)
        return any(events & select.POLLHUP for _, events in poll.poll(0))

    def hang_up(self) -> None:
        """Hang up the process's terminal.  What it has printed so far is still written out."""
        if self._master < 0:
            return
        kept, self._to_output = self._to_output, b""
        while len(kept) < _ROOM and self._read_master():
            kept, self._to_output = kept + self._to_output, b""
        self._to_output = kept if self._output_open else b""
        self._to_master = self._typed = b""
        os.close(self._master)
        self._master, self.idle, self._hung_up = -1, False, True
        self._give_back()  # where it is still there: an interrupt is a signal to us again

    def sent_signals(self, group: int) -> list[int]:
        """The signals that relay() has made the terminal send to this process group."""
        typed, self._typed = self._typed, b""
        if self._master < 0:
            hung_up, self._hung_up = self._hung_up, False
            return [_signal.SIGHUP] if hung_up else []
        try:
            state = termios.tcgetattr(self._master)
            if not typed or not state[3] & termios.ISIG or os.tcgetpgrp(self._master) != group:
                return []
        except (OSError, termios.error):
            return []  # nobody has it open
        senders = (
            (termios.VINTR, _signal.SIGINT),
            (termios.VQUIT, _signal.SIGQUIT),
            (termios.VSUSP, _signal.SIGTSTP),
        )
        # A character of NUL is none (_POSIX_VDISABLE).
        return [number for at, number in senders if state[6][at] in typed and state[6][at] != b"\0"]

    def finish(self) -> None:
        """Write out what the process has left."""
        while True:
            while self._to_output:
                self._write_output(_ROOM)
            if self._master < 0 or not self._read_master():
                return

    def restore(self) -> None:
        """Give the caller's terminal back as it was, and close everything.  May be called twice."""
        self._give_back()
        self._theirs.close()
        self._socket.close()
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def resize(self) -> None:
        """Hand the size of the caller's terminal on; who is in the foreground there is told."""
        size = self._size()
        if size != (0, 0) and self._master >= 0:
            set_window_size(self._master, *size)

    def suspend(self) -> None:
        """Stop, as a job of the caller's shell, with its terminal as it was; then go on."""
        self._give_back()
        os.kill(os.getpid(), _signal.SIGSTOP)
        self.resume()

    def resume(self) -> None:
        """After a stop: in the background this stops us again, as any other job (SIGTTOU)."""
        self._make_raw()
        self.resize()

    # --- the caller's terminal ---

    def _size(self) -> tuple[int, int]:
        """(0, 0) where it has none, or has been hung up."""
        try:
            return get_window_size(self._terminals[0]) if self._terminals else (0, 0)
        except OSError:
            return 0, 0

    def _make_raw(self) -> None:
        """As cfmakeraw(3) but for output, where we read from it, and copy to the process's."""
        while 0 in self._terminals and self._master >= 0:
            try:
                before = termios.tcgetattr(0)
                termios.tcsetattr(0, termios.TCSADRAIN, _raw(termios.tcgetattr(0)))
            except termios.error as error:
                if error.args[0] == errno.EINTR:
                    continue  # stopped in the background: in the foreground it may be set otherwise
                if self.is_lost(0):
                    return  # relay() will be told
                raise Error(f"cannot make the terminal raw: {error.args[1]}") from error
            if self._saved is None:
                self._saved = before
            return

    def _give_back(self) -> None:
        saved, self._saved = self._saved, None
        while saved is not None:
            try:
                termios.tcsetattr(0, termios.TCSADRAIN, saved)
            except termios.error as error:
                if error.args[0] == errno.EINTR:
                    continue  # as above
                # Otherwise it has been hung up.
            return

    # --- copying ---

    def _read_input(self) -> None:
        try:
            data = os.read(0, _AT_ONCE)
        except OSError:  # hung up, or we are an orphan in the background
            data = b""
        if not data:
            if self.is_lost(0):
                self.hang_up()
                return
            self._input_open = False
        self._to_master = data

    def _write_master(self) -> None:
        if self._to_master:
            try:
                count = os.write(self._master, self._to_master)
                self._typed = self._to_master[:count]
                self._to_master = self._to_master[count:]
            except BlockingIOError:
                pass  # its input is full: the process does not read

    def _read_master(self) -> bool:
        """Whether there was anything."""
        try:
            self._to_output = os.read(self._master, _ROOM)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            self.idle = True
        if self._printed is not None:
            self._printed(self._to_output)
        return bool(self._to_output)

    def _write_output(self, most: int) -> None:
        if self._output_open:
            try:
                self._to_output = self._to_output[os.write(1, self._to_output[:most]) :]
                return
            except BlockingIOError:  # somebody else has made it so
                poll = select.poll()
                poll.register(1, select.POLLOUT)
                poll.poll()
                return
            except OSError as error:
                # What cannot be written is dropped: the process must not block on it.
                self._output_open = False
                if error.errno in (errno.EPIPE, errno.EIO):  # nobody reads any more
                    self.hang_up()
        self._to_output = b""


def _is_terminal(fd: int) -> bool:
    """Also one that has been hung up already, which isatty(3) says is none."""
    try:
        termios.tcgetattr(fd)
    except termios.error as error:
        return bool(error.args[0] == errno.EIO)
    return True


def _raw(state: list[Any]) -> list[Any]:
    """The settings of a terminal that are raw and otherwise those of state, which is changed.

    Output is processed as before: the container's terminal leaves the ends of lines to it.
    """
    state[0] &= ~(
        termios.IGNBRK
        | termios.BRKINT
        | termios.PARMRK
        | termios.ISTRIP
        | termios.INLCR
        | termios.IGNCR
        | termios.ICRNL
        | termios.IXON
    )
    state[2] = state[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
    state[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
    state[6][termios.VMIN], state[6][termios.VTIME] = 1, 0
    return state


def _receive(sock: _socket.socket) -> int:
    """The descriptor that is sent over a socket (SCM_RIGHTS)."""
    _, fds, _ = receive(sock, 4096, 1)
    if not fds:
        raise Error("the process has not sent its terminal")
    return fds[0]
