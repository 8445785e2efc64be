"""The log, in the forms of runc's: engines read the last error from it.

dispatch.py writes the error that a command ends with, to the file of --log and
as a line of its own to standard error, or there as JSON where that is asked for and
there is no file.  What else there is to say, warnings and with --debug what has been
done, goes through report().
"""

from __future__ import annotations

import os
import time

from ..errors import Error, printable
from ..loading import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .datagrams import Datagrams
    from .options import Arguments


class Log:
    """A file that lines are added to; "" is standard error; or crun's journald:ID, syslog:ID.

    form: "json", an object with level, msg and time in each line; or "text".

    shown: whether it is standard error.
    """

    _datagrams: Datagrams | None = None

    def __init__(self, path: str, form: str) -> None:
        self._form, self.shown = form, not path
        self._fd = 2
        if not path:
            return
        if ":" in path:
            from .datagrams import Datagrams, named

            kind, path = named(path)
            if kind:
                self._datagrams = Datagrams(kind, path)
                return
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise Error(f"cannot open the log {path!r}: {error.strerror}") from error

    def write(self, level: str, message: str) -> None:
        """Add a line; one that cannot be written is lost, for whom could we tell?"""
        if self._datagrams is not None:
            self._datagrams.write(level, printable(message))
            return
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        quoted = jsontext.dumps(printable(message))  # engines show it as it was before JSON
        if self._form == "json":
            line = f'{{"level":"{level}","msg":{quoted},"time":"{now}"}}\n'
        else:
            line = f'time="{now}" level={level} msg={quoted}\n'
        try:
            os.write(self._fd, line.encode())
        except OSError:
            pass

    def close(self) -> None:
        if self._datagrams is not None:
            self._datagrams.close()
        if self._fd != 2:
            os.close(self._fd)


def report(arguments: Arguments, level: str, *messages: str) -> None:
    """Log messages, level "warning" or "debug"; the latter only where it was asked for.

    Without --log they go to standard error, as runc's do.
    """
    if not messages or (level == "debug" and not arguments.debug):
        return
    log = Log(arguments.log, arguments.log_format)
    for message in messages:
        log.write(level, message)
    log.close()
