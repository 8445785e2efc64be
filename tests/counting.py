"""A program that counts in several ways, and tells the counts over TCP; run in a container.

    python3 counting.py PORT FILE

Threads, a timer and a pipe count; FILE has a line for each count of the timer.  Who connects
gets the counts as JSON, and is counted, too.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time

counts = {"thread": 0, "timer": 0, "pipe": 0, "connections": 0}


def main() -> None:
    port, path = int(sys.argv[1]), sys.argv[2]
    reader, writer = os.pipe()
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    # Waited for by one thread: a handler of Python's may be interrupted by itself.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})

    def tick() -> None:
        while signal.sigwait({signal.SIGALRM}):
            counts["timer"] += 1
            os.write(file, f"{counts['timer']}\n".encode())

    def count() -> None:
        while True:
            time.sleep(0.02)
            counts["thread"] += 1
            os.write(writer, b"x")

    def read() -> None:
        while os.read(reader, 1):
            counts["pipe"] += 1

    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    for target in (count, read, tick):
        threading.Thread(target=target, daemon=True).start()
    listener = socket.create_server(("127.0.0.1", port))
    print("listening", flush=True)
    while True:
        connection, _ = listener.accept()
        with connection:
            counts["connections"] += 1
            connection.sendall(json.dumps({**counts, "pid": os.getpid()}).encode())


if __name__ == "__main__":
    main()
