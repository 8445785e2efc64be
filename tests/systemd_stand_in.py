"""A stand-in for systemd on a bus of the tests': what it does depends on the unit's name.

    python -m tests.systemd_stand_in ADDRESS LOG PID-OF-THE-DAEMON
    python -m tests.systemd_stand_in --direct SOCKET LOG

It says in LOG, a line of JSON for each, what it was called for.  The start of a unit, up to the
first dot or dash, is its ending: see Systemd.start.  With --direct it is the server of one
connection after the other, as systemd is on its private socket.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
import time
from typing import Any

from libct.syscalls import sd_bus
from libct.syscalls.c import byref, c_char_p, c_int, c_void_p, library

NAME = "org.freedesktop.systemd1"
MANAGER = "org.freedesktop.systemd1.Manager"
PATH = "/org/freedesktop/systemd1"
ERRORS = "org.freedesktop.DBus.Error"

# Properties that Get finds, by interface and name.
PROPERTIES = {
    (MANAGER, "Version"): ("s", "252.38-1~deb12u1"),
    (MANAGER, "ControlGroup"): ("s", ""),
    ("org.freedesktop.systemd1.Scope", "ControlGroup"): ("s", "/system.slice/done.scope"),
    ("org.freedesktop.systemd1.Scope", "MemoryMax"): ("t", 2**64 - 1),
    ("org.freedesktop.systemd1.Unit", "Description"): ("s", "the unit"),
    ("org.freedesktop.systemd1.Unit", "InvocationID"): ("ay", bytes(range(16))),
}


class Id(ctypes.Structure):
    """sd_id128_t, which is passed by value."""

    _fields_ = (("bytes", ctypes.c_uint8 * 16),)


_found = library(sd_bus.LIBRARY)


def function(name: str, *arguments: Any) -> Any:
    """A function that only a server needs."""
    function = _found(name)
    function.argtypes, function.restype = arguments, c_int
    return function


_set_fd = function("sd_bus_set_fd", c_void_p, c_int, c_int)
_set_server = function("sd_bus_set_server", c_void_p, c_int, Id)
_set_destination = function("sd_bus_message_set_destination", c_void_p, c_char_p)
_copy = function("sd_bus_message_copy", c_void_p, c_void_p, c_int)


class Systemd:
    def __init__(self, bus: c_void_p, log: str, daemon: int) -> None:
        self.bus, self.log, self.daemon = bus, log, daemon
        self.jobs = 0
        self.reset: set[str] = set()
        self.values: list[Any] = []

    def serve(self) -> None:
        """Until the connection ends."""
        while True:
            message = c_void_p()
            try:
                if not sd_bus.call("sd_bus_process", self.bus, byref(message)):
                    sd_bus.call("sd_bus_wait", self.bus, 60 * 10**6)
            except OSError:
                return
            if message:
                if sd_bus.kind_of(message) == sd_bus.METHOD_CALL:
                    self.handle(message)
                sd_bus.release(message)

    def handle(self, message: c_void_p) -> None:
        member = sd_bus.header(message, "member")
        if member == "Echo":
            return self.send(self.reply(message, copied=message))
        self.values = sd_bus.read(message)
        self.note(member, *self.values)
        action = getattr(self, member, None)
        if action is None:
            self.refuse(message, f"{ERRORS}.UnknownMethod", member)
        else:
            action(message, *self.values)

    def note(self, *values: Any) -> None:
        with open(self.log, "a", encoding="ascii") as log:
            print(json.dumps(values, default=repr), file=log)

    # --- methods ---

    def Subscribe(self, message: c_void_p) -> None:
        self.send(self.reply(message))

    def StartTransientUnit(
        self, message: c_void_p, unit: str, mode: str, properties: Any, aux: Any
    ) -> None:
        given = dict(properties)
        for fd in given.get("PIDFDs", ()):
            with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as info:
                self.note("process", *(line.split()[1] for line in info if line[:4] == "Pid:"))
            os.close(fd)
        self.start(message, unit, given)

    def StopUnit(self, message: c_void_p, unit: str, mode: str) -> None:
        if unit.startswith("missing"):
            return self.refuse(message, f"{NAME}.NoSuchUnit", f"Unit {unit} not loaded.")
        return self.start(message, unit, {})

    def ResetFailedUnit(self, message: c_void_p, unit: str) -> None:
        if unit not in self.reset and unit.startswith("exists-once"):
            self.reset.add(unit)
            return self.send(self.reply(message))
        return self.refuse(message, f"{NAME}.NoSuchUnit", f"Unit {unit} not loaded.")

    def SetUnitProperties(
        self, message: c_void_p, unit: str, runtime: bool, properties: Any
    ) -> None:
        if "NoSuch" in dict(properties):
            text = "Cannot set property NoSuch, or unknown property."
            return self.refuse(message, f"{ERRORS}.PropertyReadOnly", text)
        return self.send(self.reply(message))

    def AttachProcessesToUnit(self, message: c_void_p, unit: str, below: str, pids: Any) -> None:
        self.send(self.reply(message))

    def Get(self, message: c_void_p, interface: str, name: str) -> None:
        found = PROPERTIES.get((interface, name))
        if found is None:
            return self.refuse(message, f"{ERRORS}.UnknownProperty", f"Unknown property {name}.")
        return self.send(self.reply(message, "v", found))

    # --- what becomes of a job ---

    def start(self, message: c_void_p, unit: str, properties: dict[str, Any]) -> None:
        self.jobs += 1
        job = f"{PATH}/job/{self.jobs}"
        kind, _, detail = unit.rpartition(".")[0].partition("-")
        if kind == "denied":
            text = "Interactive authentication required."
            return self.refuse(message, f"{ERRORS}.InteractiveAuthorizationRequired", text)
        if kind == "exists" and unit not in self.reset:
            text = f"Unit {unit} was already loaded or has a fragment file."
            return self.refuse(message, f"{NAME}.UnitExists", text)
        if kind == "old" and "PIDFDs" in properties:
            text = "Cannot set property PIDFDs, or unknown property."
            return self.refuse(message, f"{ERRORS}.PropertyReadOnly", text)
        if kind == "busdies":  # before its reply
            os.kill(self.daemon, signal.SIGKILL)
        if kind in ("silent", "busdies"):
            return None
        if kind == "dies":
            os._exit(0)
        if kind == "slow":
            time.sleep(0.5)
        if kind == "early":
            self.removed(job, unit, "done")
        if kind == "forged":  # by somebody else on the bus, to the caller alone
            forger = connected(os.environ["STAND_IN_ADDRESS"])
            sender = sd_bus.header(message, "sender")
            self.removed(job, unit, "failed", bus=forger, to=sender)
            self.signal("u", (1,), bus=forger, to=sender)
            while sd_bus.call("sd_bus_process", forger, None):
                pass
            time.sleep(0.2)  # the daemon has to pass it on first
        if kind == "other":  # jobs, of the same unit
            self.removed(f"{job}0", unit, "failed")
        if kind == "neighbour":  # has jobs, too
            self.removed(f"{job}0", "another.scope", "failed")
        self.send(self.reply(message, "o", job))
        if kind == "latebusdies":
            sd_bus.call("sd_bus_process", self.bus, None)
            time.sleep(0.2)
            os.kill(self.daemon, signal.SIGKILL)
        elif kind not in ("endless", "early"):
            self.removed(job, unit, detail if kind == "result" else "done")
        return None

    def removed(self, job: str, unit: str, result: str, **how: Any) -> None:
        self.signal("uoss", (self.jobs, job, unit, result), **how)

    def signal(self, kind: str, values: Any, bus: c_void_p | None = None, to: str = "") -> None:
        bus = bus or self.bus
        names = (name.encode() for name in (PATH, MANAGER, "JobRemoved"))
        made = sd_bus.made("sd_bus_message_new_signal", bus, None, *names)
        sd_bus.append(made, kind, values)
        if to:
            _set_destination(made, to.encode())
        self.send(made, bus)

    # --- replies ---

    def reply(
        self, message: c_void_p, kind: str = "", *values: Any, copied: c_void_p | None = None
    ) -> c_void_p:
        made = sd_bus.made("sd_bus_message_new_method_return", message, None)
        sd_bus.append(made, kind, values)
        if copied is not None:
            assert _copy(made, copied, 1) >= 0
        return made

    def refuse(self, message: c_void_p, name: str, text: str) -> None:
        error = sd_bus.Error(name.encode(), text.encode(), 0)
        self.send(sd_bus.made("sd_bus_message_new_method_error", message, None, byref(error)))

    def send(self, made: c_void_p, bus: c_void_p | None = None) -> None:
        sd_bus.call("sd_bus_send", bus or self.bus, made, None)
        sd_bus.release(made)


def connected(address: str) -> c_void_p:
    bus = sd_bus.made("sd_bus_new", None)
    sd_bus.call("sd_bus_set_address", bus, address.encode())
    sd_bus.call("sd_bus_set_bus_client", bus, 1)
    sd_bus.call("sd_bus_start", bus)
    while not sd_bus.call("sd_bus_is_ready", bus):
        if not sd_bus.call("sd_bus_process", bus, None):
            sd_bus.call("sd_bus_wait", bus, 10**6)
    return bus


def accepted(listening: socket.socket) -> c_void_p:
    """The next connection, as the server of it."""
    fd = listening.accept()[0].detach()
    os.set_blocking(fd, False)
    bus = sd_bus.made("sd_bus_new", None)
    assert _set_fd(bus, fd, fd) >= 0
    assert _set_server(bus, 1, Id((ctypes.c_uint8 * 16)(1))) >= 0
    return bus


def main() -> None:
    sd_bus.load()
    if sys.argv[1] == "--direct":
        path, log = sys.argv[2:]
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path)
            listening.listen(0)
            while True:
                bus = accepted(listening)
                try:
                    sd_bus.call("sd_bus_start", bus)
                    Systemd(bus, log, 0).serve()
                except OSError:
                    pass  # it has hung up
                sd_bus.close(bus)
    address, log, daemon = sys.argv[1:]
    os.environ["STAND_IN_ADDRESS"] = address
    bus = connected(address)
    sd_bus.call("sd_bus_request_name", bus, NAME.encode(), 0)
    systemd = Systemd(bus, log, int(daemon))
    systemd.note("ready")
    systemd.serve()


if __name__ == "__main__":
    main()
