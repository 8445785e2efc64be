"""A stand-in for CRIU: it speaks the protocol, and does nothing; put first in PATH as `criu`.

It reads what it is to do from CRIU_STAND_IN, a JSON file:

    version: [major, minor, sublevel]
    features: {"mem_track": true, ...}
    scripts: what it tells of, in order, before it answers
    failure: the errno that it fails with; log: what it writes to its log
    ends: true has it end without an answer
    holds: it ends so, too, and a child of it has its socket for that many seconds
    quiet: it says nothing, to the end of its caller
    type: of its answer, in the place of the request's
    tells: the pid that it tells of at a restore, for which it makes no process
    takes: seconds until it answers; log, pages: what it writes meanwhile, the latter a number
        of bytes
    kills: whether a dump kills the process, as CRIU's does

Requests that it gets are appended to the file of the same name with .requests, one JSON text a
line, and what it was told of each script.  It decodes by itself, not by libct's codec.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

# Of criu_req and criu_resp, and what is in them as far as needed here.
REQUEST = {1: "type", 2: "opts", 3: "notify_success", 5: "features"}
OPTS = {
    1: "images_dir_fd",
    2: "pid",
    3: "leave_running",
    8: "file_locks",
    10: "log_file",
    13: "root",
    17: "work_dir_fd",
    23: "ext_mnt",
    25: "cg_root",
    26: "rst_sibling",
    27: "inherit_fd",
    34: "manage_cgroups_mode",
    37: "external",
    44: "freeze_cgroup",
    51: "config_file",
}
DUMP, RESTORE, CHECK, PRE_DUMP, NOTIFY, FEATURES, VERSION = 1, 2, 3, 4, 6, 9, 10


def varint(data: bytes) -> tuple[int, bytes]:
    value = shift = 0
    while True:
        byte, data = data[0], data[1:]
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, data


def read(data: bytes, names: dict[int, str]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    while data:
        key, data = varint(data)
        value: Any
        if key & 7 == 0:
            value, data = varint(data)
        else:
            length, data = varint(data)
            value, data = data[:length], data[length:]
        found.setdefault(names.get(key >> 3, str(key >> 3)), []).append(value)
    return found


def number(field: int, value: int) -> bytes:
    return packed(field << 3) + packed(value)


def text(field: int, value: bytes) -> bytes:
    return packed(field << 3 | 2) + packed(len(value)) + value


def packed(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def main() -> None:
    what = json.loads(Path(os.environ["CRIU_STAND_IN"]).read_text())
    assert sys.argv[1:] == ["swrk", "3"], sys.argv
    sock = socket.socket(fileno=3)
    assert sock.type & socket.SOCK_SEQPACKET == socket.SOCK_SEQPACKET
    request = read(sock.recv(65536), REQUEST)
    kind = request["type"][0]
    opts = read(request.get("opts", [b""])[0], OPTS)
    note(
        {
            "type": kind,
            "path": os.environ["PATH"],
            "opts": {name: list(map(shown, opts[name])) for name in opts},
        }
    )
    if what.get("ends"):
        print("gone wrong", file=sys.stderr, flush=True)
        sys.exit(1)
    if what.get("quiet"):
        sock.recv(1)
        return
    if kind == VERSION:
        major, minor, sublevel = what["version"]
        version = number(1, major) + number(2, minor) + number(4, sublevel)
        sock.send(answer(kind) + text(10, version))
        return
    if kind == FEATURES:
        found = what.get("features", {})
        fields = number(1, found.get("mem_track", 0)) + number(2, found.get("lazy_pages", 0))
        sock.send(answer(kind) + text(8, fields))
        return
    if what.get("holds"):
        if os.fork() == 0:
            time.sleep(what["holds"])
        os._exit(1)
    if what.get("takes"):
        for field, name, data in (
            ("work_dir_fd", opts["log_file"][0].decode(), what["log"].encode()),
            ("images_dir_fd", "pages-1.img", bytes(what["pages"])),
        ):
            directory = opts.get(field, opts["images_dir_fd"])[0]
            Path(f"/proc/{os.getppid()}/fd/{directory}", name).write_bytes(data)
        time.sleep(what["takes"])
    pid = opts["pid"][0] if "pid" in opts else 0
    if kind == RESTORE and not what.get("failure"):
        pid = what["tells"] if "tells" in what else restored()
    for script in what.get("scripts", []):
        sock.send(answer(NOTIFY) + text(5, text(1, script.encode()) + number(2, pid)))
        told = read(sock.recv(65536), REQUEST)
        note({"script": script, "success": told["notify_success"][0]})
        if not told["notify_success"][0]:
            what["failure"] = 125
            break
    if what.get("failure"):
        directory = opts.get("work_dir_fd", opts["images_dir_fd"])[0]
        log = Path(f"/proc/{os.getppid()}/fd/{directory}", opts["log_file"][0].decode())
        log.write_text(what.get("log", ""))
        if kind == RESTORE and pid:
            os.kill(pid, signal.SIGKILL)
        sock.send(answer(kind, success=0) + number(7, what["failure"]))
        return
    if kind == DUMP and what.get("kills") and not opts.get("leave_running"):
        os.kill(pid, signal.SIGKILL)
    more = text(4, number(1, pid)) if kind == RESTORE else b""
    sock.send(answer(what.get("type", kind)) + more)


def restored() -> int:
    """A process that is a child of our parent, as with rst_sibling: it sleeps."""
    sys.path.insert(0, os.environ["CRIU_STAND_IN_PATH"])
    from libct.syscalls.namespaces import clone3

    pid = clone3(0x8000)[0]  # CLONE_PARENT
    if pid == 0:
        os.closerange(3, 256)
        os.execv("/bin/sleep", ["sleep", "1000"])
    return pid


def answer(kind: int, success: int = 1) -> bytes:
    return number(1, kind) + number(2, success)


def shown(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def note(what: object) -> None:
    with open(os.environ["CRIU_STAND_IN"] + ".requests", "a", encoding="utf-8") as file:
        file.write(json.dumps(what) + "\n")


if __name__ == "__main__":
    main()
