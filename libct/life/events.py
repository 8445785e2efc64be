"""To be told when a container runs out of memory, or when memory gets scarce in it.

What events are to who waits for them.  How the kernel tells of them, events_v1.py
and events_v2.py know; watching.py chooses.

Sources: eventfd(2); epoll(7).
"""

from __future__ import annotations

import _thread
import os
import select
import sys

from ..syscalls.notify import EFD_CLOEXEC, EFD_NONBLOCK, eventfd
from .process import readable


class Events:
    """Events of one kind, of one container, as they come.

        with container.oom_events() as events:
            for count in events:
                ...

    Iterating, also with `async for`, waits for the next and gives how many
    there were since the last; it ends when the container has stopped, or when
    another thread or task calls close().  Or poll fileno() for reading, and then
    take().  No thread is used; one task at a time may wait.  To be closed: a
    context manager.

    ended: nothing more will come.
    """

    def __init__(self) -> None:
        """Subclasses watch() descriptors."""
        self.ended = False
        self._closed = False
        self._users = 0  # calls that use the descriptors just now
        self._lock = _thread.RLock()  # reentrant, for a signal handler may come here too
        self._fds: list[int] = []
        self._epoll = select.epoll()
        self._bell = self.watch(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))

    def watch(self, fd: int, mask: int = select.EPOLLIN) -> int:
        """Wake up for fd, which is the Events' from here on, and is returned."""
        self._fds.append(fd)
        self._epoll.register(fd, mask)
        return fd

    def fileno(self) -> int:
        """A descriptor that polls readable when take() has something to say; the Events' own."""
        return self._epoll.fileno()

    def take(self) -> int:
        """How many events there were since the last call, 0 for none; does not wait."""
        if not self._enter():
            return 0
        try:
            count, over = self._look()
            if over:
                self.ended = True
            return count
        finally:
            self._leave()

    def _look(self) -> tuple[int, bool]:
        """How many there were, and whether it was the end."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the descriptors; whoever waits, in any thread, stops.  May be called again."""
        with self._lock:
            self.ended = self._closed = True
            if self._users:
                # Whoever waits would not notice that what it waits for is closed.
                os.write(self._bell, (1).to_bytes(8, sys.byteorder))
                return
            self._release()

    def _enter(self) -> bool:
        """Keep the descriptors open until _leave(); False where nothing more will come."""
        with self._lock:
            if self.ended:
                return False
            self._users += 1
            return True

    def _leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._closed and not self._users:
                self._release()

    def _release(self) -> None:
        fds, self._fds = self._fds, []
        for fd in fds:
            os.close(fd)
        self._epoll.close()

    def __iter__(self) -> Events:
        return self

    def __next__(self) -> int:
        while self._enter():
            try:
                count = self.take()
                if count:
                    return count
                if not self.ended:
                    self._poll()
            finally:
                self._leave()
        raise StopIteration

    def _poll(self) -> None:
        """Wait.  By poll(2), which leaves to take() what epoll_wait(2) would take."""
        waiting = select.poll()
        waiting.register(self._epoll.fileno(), select.POLLIN)
        waiting.poll()

    def __aiter__(self) -> Events:
        return self

    async def __anext__(self) -> int:
        while self._enter():
            try:
                count = self.take()
                if count:
                    return count
                if not self.ended:
                    await readable(self.fileno())
            finally:
                self._leave()
        raise StopAsyncIteration

    def __enter__(self) -> Events:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_fds", None):
            self.close()
