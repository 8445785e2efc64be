"""A process 1 that waits for all, and ends as the command does."""

import os


def exercise(host: object) -> None:
    pid = os.fork()
    while pid:
        ended, status = os.wait()
        if ended == pid:
            os._exit(os.waitstatus_to_exitcode(status))
