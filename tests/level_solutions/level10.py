"""One option for each."""

import libct


def exercise(command: list[str], data: str) -> libct.CompletedProcess:
    return libct.run(
        command, bind=[(data, "/data")], memory="64M", pids=20, capture_output=True, text=True
    )
