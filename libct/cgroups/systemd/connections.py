"""The connections of this process: to the manager of the system, and to that of the user.

There is one of each, made when it is first needed.  turn() gives a thread one of them, for as long
as it needs it; who comes later waits.  Whatever goes wrong in a turn, but for an error that
systemd replies with, closes the connection, and with it go late replies and signals.  A fork's
connections are its own.
"""

from __future__ import annotations

import _thread
import posix

from ...errors import SystemdError
from ...loading.paths import environment
from ...syscalls import sd_bus
from .bus import WITHOUT, Bus, Limit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_SYSTEM_BUS = "unix:path=/run/dbus/system_bus_socket"
_SYSTEM_PRIVATE = "/run/systemd/private"


def addresses(*, user: bool) -> list[tuple[str, bool]]:
    """Where systemd may be reached, best first: (address, whether it is systemd itself there).

    The private socket of the system's manager answers root alone; it is there before, and without,
    the daemon.
    """
    if not user:
        found = [(environment("DBUS_SYSTEM_BUS_ADDRESS") or _SYSTEM_BUS, False)]
        if posix.geteuid() == 0:
            found.append((f"unix:path={_SYSTEM_PRIVATE}", True))
        return found
    runtime = environment("XDG_RUNTIME_DIR") or f"/run/user/{_outer_uid()}"
    bus = environment("DBUS_SESSION_BUS_ADDRESS") or f"unix:path={_escaped(runtime)}/bus"
    return [(bus, False), (f"unix:path={_escaped(runtime)}/systemd/private", True)]


def _outer_uid() -> int:
    """Our user, by the number that it has outside of our user namespace.

    Inside it root has no /run/user/0, but the directory of who made the namespace.
    """
    uid = posix.geteuid()
    try:
        with open("/proc/self/uid_map", "rb") as maps:
            for line in maps:
                inside, outside, count = map(int, line.split())
                if inside <= uid < inside + count:
                    return outside + uid - inside
    except OSError:
        pass
    return uid


def _escaped(path: str) -> str:
    """As a value in a D-Bus address."""
    return "".join(
        chr(byte) if _plain(byte) or byte in b"-_/.\\" else f"%{byte:02x}"
        for byte in path.encode("utf-8", "surrogateescape")
    )


def _plain(byte: int) -> bool:
    return byte < 128 and chr(byte).isalnum()


def _connect(choices: Sequence[tuple[str, bool]], *, user: bool, limit: Limit) -> Bus:
    try:
        sd_bus.load()
    except OSError as error:
        raise SystemdError(
            f"cannot load {sd_bus.LIBRARY}: {error}",
            f"install libsystemd0 (systemd-libs, libsystemd), or {WITHOUT}",
        ) from None
    problems = []
    for address, direct in choices:
        try:
            return Bus(address, direct=direct, limit=limit)
        except OSError as error:
            problems.append(f"{address}: {posix.strerror(error.errno or 0)}")
    manager = "systemd's user manager" if user else "systemd"
    hint = (
        "log in, or loginctl enable-linger, so that there is one, and set XDG_RUNTIME_DIR"
        if user
        else "it has to be process 1"
    )
    raise SystemdError(f"cannot reach {manager}: {', '.join(problems)}", f"{hint}; or {WITHOUT}")


# --- whose turn it is ---


class _Process:
    """The connections of one process, and who uses them."""

    def __init__(self) -> None:
        self.locks = {user: _thread.allocate_lock() for user in (False, True)}
        self.buses: dict[bool, tuple[object, Bus]] = {}


# By the process that they are of.  What a fork finds here of its parent is left alone: the lock may
# be held by a thread that it does not have, and the connection is its parent's.
_processes: dict[int, _Process] = {}


class turn:  # a context manager
    """with turn(user=False, limit=limit) as bus: the connection is this thread's meanwhile."""

    def __init__(self, *, user: bool, limit: Limit) -> None:
        self._user, self._limit = user, limit
        self._process = _processes.setdefault(posix.getpid(), _Process())

    def __enter__(self) -> Bus:
        lock = self._process.locks[self._user]
        if not lock.acquire(timeout=self._limit.left()):
            raise SystemdError(
                "cannot ask systemd: another thread has been asking it for"
                f" {self._limit.seconds:g} seconds"
            )
        try:
            return self._usable()
        except BaseException:
            lock.release()
            raise

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        replied = isinstance(error, SystemdError) and (error.name or error.result)
        if error is not None and not replied:
            self._process.buses.pop(self._user)[1].close()
        self._process.locks[self._user].release()

    def _usable(self) -> Bus:
        """The connection of before, if it still is what we would make."""
        choices = addresses(user=self._user)
        key = (choices, posix.geteuid())
        before, bus = self._process.buses.pop(self._user, (None, None))
        if bus is not None and (before != key or not bus.alive()):
            bus.close()
            bus = None
        bus = bus or _connect(choices, user=self._user, limit=self._limit)
        self._process.buses[self._user] = (key, bus)
        return bus


def disconnect() -> None:
    """Close the connections of this process, once nobody uses them."""
    process = _processes.get(posix.getpid())
    for user, lock in process.locks.items() if process else ():
        with lock:
            for _, bus in [process.buses.pop(user)] if process and user in process.buses else ():
                bus.close()
