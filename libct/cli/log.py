"""The file of --log, in the forms of runc's: engines read the last error from it."""

from __future__ import annotations

import os
import time

from ..errors import Error
from ..oci import jsontext


class Log:
    """A file that lines are added to.

    form: "json", an object with level, msg and time in each line; or "text".
    """

    def __init__(self, path: str, form: str) -> None:
        self._form = form
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise Error(f"cannot open the log {path!r}: {error.strerror}") from error

    def write(self, level: str, message: str) -> None:
        """Add a line; one that cannot be written is lost, for whom could we tell?"""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        quoted = jsontext.dumps(message)
        if self._form == "json":
            line = f'{{"level":"{level}","msg":{quoted},"time":"{now}"}}\n'
        else:
            line = f'time="{now}" level={level} msg={quoted}\n'
        try:
            os.write(self._fd, line.encode())
        except OSError:
            pass
