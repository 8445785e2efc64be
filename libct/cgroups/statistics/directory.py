"""A control group as its statistics are read: files by name, as far as they are there."""

from __future__ import annotations

import errno
import os

from .. import files
from ..files import failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Group(Protocol):
        """What v1.py and v2.py see of a control group."""

        def read(self, name: str) -> str:
            """The text of a file, "" if it is not there."""

        def read_all(self, name: str) -> list[str]:
            """The texts of this file of the group and of those below it, as far as it is there."""

        def names(self) -> list[str]:
            """The names of all files."""


# What it is to be without a file: the controller or the kernel has none, the
# group goes away just now (ENODEV), or pressure is not being measured (EOPNOTSUPP).
_MISSING = (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP)


class Directory:
    """A Group that is there, or not."""

    def __init__(self, path: str | None) -> None:
        self._path = path

    def read(self, name: str) -> str:
        if self._path is None:
            return ""
        try:
            return files.read(f"{self._path}/{name}")
        except OSError as error:
            if error.errno in _MISSING:
                return ""
            raise failure("read statistics", error) from error

    def read_all(self, name: str) -> list[str]:
        if self._path is None:
            return []
        texts = [Directory(path).read(name) for path in files.tree(self._path)]
        return [text for text in texts if text]

    def names(self) -> list[str]:
        try:
            return os.listdir(self._path) if self._path is not None else []
        except OSError as error:
            if error.errno in _MISSING:
                return []
            raise failure("list statistics", error) from error
