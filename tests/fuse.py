"""A FUSE file system that answers when a test likes: until then, who looks below it waits."""

from __future__ import annotations

import errno
import os
import select
import struct
import subprocess
import threading
from typing import TYPE_CHECKING

from .processes import mount

if TYPE_CHECKING:
    from pathlib import Path

# include/uapi/linux/fuse.h: numbers of requests
_LOOKUP, _FORGET, _GETATTR, _INIT, _BATCH_FORGET = 1, 2, 3, 26, 42
_HEAD = struct.Struct("=IIQQIIIHH")  # struct fuse_in_header
_ANSWER = struct.Struct("=IiQ")  # struct fuse_out_header
_DIRECTORY = struct.pack("=6Q10I", 1, 0, 0, 0, 0, 0, 0, 0, 0, 0o040755, 2, 0, 0, 0, 4096, 0)


class Held:
    """Mounted at a directory.  All names below are those of directories, once it answers."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        data = f"fd={self._fd},rootmode=40000,user_id=0,group_id=0,allow_other"
        mount("held", str(place), "fuse", data=data)
        self._thread: threading.Thread | None = None
        self._over = threading.Event()

    def answer(self) -> None:
        """Let those go on who wait."""
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """Whoever still waits gets an error."""
        # Copies of the mount go with their namespaces.
        subprocess.run(["umount", "-l", self.place], check=True)
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        os.close(self._fd)

    def _serve(self) -> None:
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        while not self._over.is_set():
            if not poll.poll(20):
                continue
            try:
                data = os.read(self._fd, 1 << 17)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.EINTR):
                    continue  # who has asked does not wait any more
                return  # it is unmounted
            _, kind, unique, *_ = _HEAD.unpack_from(data)
            if kind in (_FORGET, _BATCH_FORGET):
                continue
            body, code = b"", 0
            if kind == _INIT:
                body = struct.pack("=IIIIHHII36x", 7, 31, 0, 0, 1, 1, 4096, 1)
            elif kind == _LOOKUP:
                body = struct.pack("=4Q2I", 2, 0, 60, 60, 0, 0) + _DIRECTORY
            elif kind == _GETATTR:
                body = struct.pack("=QII", 60, 0, 0) + _DIRECTORY
            else:
                code = -errno.ENOSYS
            try:
                os.write(self._fd, _ANSWER.pack(_ANSWER.size + len(body), code, unique) + body)
            except OSError:
                pass  # as above
