"""Bodies of tests in processes of their own: forked, or in new namespaces.

The test process itself never unshares, mounts, pivots or drops anything.  The
few calls that this takes are made by ctypes directly and not by the bindings
of libct, which are what is tested.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import select
import signal
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from .patience import patient

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

# include/uapi/linux/sched.h, clone(2)
CLONE_NEWTIME = 0x00000080
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

# include/uapi/linux/mount.h, mount(2)
MS_REC = 0x4000
MS_PRIVATE = 0x40000

_PR_SET_PDEATHSIG = 1  # include/uapi/linux/prctl.h

_libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """unshare(2), which the os module has from Python 3.12 on."""
    if _libc.unshare(ctypes.c_int(flags)) == -1:
        code = ctypes.get_errno()
        raise OSError(code, f"unshare({flags:#x}): {os.strerror(code)}")


def mount(source: str, target: str, fstype: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2)."""
    texts = [os.fsencode(text) for text in (source, target, fstype)]
    if _libc.mount(*texts, ctypes.c_ulong(flags), os.fsencode(data)) == -1:
        code = ctypes.get_errno()
        raise OSError(code, f"mount({source!r}, {target!r}, {fstype!r}): {os.strerror(code)}")


def forked(body: Callable[[], Any], *, timeout: float = 60) -> Any:
    """Run body in a forked child; return what it returns, which must be picklable.

    A failure or a skip of the child becomes one of the calling test, with the
    child's traceback; so does a child that dies, or that takes longer than
    timeout seconds.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _answer(body, writer)
    os.close(writer)
    try:
        answer = _read_answer(reader, time.monotonic() + patient(timeout))
    finally:
        os.close(reader)
        os.kill(pid, signal.SIGKILL)  # it has answered, or never will
        status = os.waitpid(pid, 0)[1]
    if answer is None:
        pytest.fail(f"the forked body gave no answer (wait status {status:#x})", pytrace=False)
    kind, value = pickle.loads(answer)
    if kind == "skip":
        pytest.skip(value)
    if kind == "failure":
        pytest.fail(f"in the forked body:\n{value}", pytrace=False)
    return value


def in_namespaces(
    flags: int,
    body: Callable[[], Any],
    *,
    uid_map: str | None = None,
    gid_map: str | None = None,
    timeout: float = 60,
) -> Any:
    """Run body in a forked child in new namespaces; answers and failures as forked().

    flags: CLONE_NEW* bits.  In a new mount namespace propagation is made
        private; in a new pid namespace body is process 1, and /proc is still
        the host's.
    uid_map, gid_map: of the new user namespace, in the form of its files.
        Default: every id as it is for root, and the caller as root for others.
    """

    def enter() -> Any:
        if flags & CLONE_NEWUSER:
            unshare_mapped(flags, uid_map, gid_map)
        else:
            unshare(flags)
        if flags & CLONE_NEWNS:
            mount("none", "/", flags=MS_REC | MS_PRIVATE)
        if flags & (CLONE_NEWPID | CLONE_NEWTIME):  # only children are in these
            return forked(body, timeout=timeout)
        return body()

    return forked(enter, timeout=timeout)


def unshare_mapped(flags: int, uid_map: str | None = None, gid_map: str | None = None) -> None:
    """unshare(2), and have the maps written by a process that has stayed outside.

    uid_map, gid_map: as of in_namespaces().
    """
    privileged = os.geteuid() == 0
    maps = {
        "uid_map": uid_map or ("0 0 4294967295" if privileged else f"0 {os.geteuid()} 1"),
        "gid_map": gid_map or ("0 0 4294967295" if privileged else f"0 {os.getegid()} 1"),
    }
    target = os.getpid()
    reader, writer = os.pipe()
    helper = os.fork()
    if helper == 0:
        try:
            os.close(writer)
            os.read(reader, 1)
            if not privileged:
                _write(f"/proc/{target}/setgroups", "deny")
            for name, text in maps.items():
                _write(f"/proc/{target}/{name}", text)
            os._exit(0)
        except OSError as error:
            os.write(2, f"{error}\n".encode())
        finally:
            os._exit(1)
    unshare(flags)
    os.close(reader)
    os.close(writer)
    assert os.waitpid(helper, 0)[1] == 0, f"the id maps cannot be written: {maps}"


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def _answer(body: Callable[[], Any], writer: int) -> NoReturn:
    """The child's side of forked()."""
    _libc.prctl(ctypes.c_int(_PR_SET_PDEATHSIG), ctypes.c_ulong(signal.SIGKILL))
    try:
        answer = pickle.dumps(("value", body()))
    except pytest.skip.Exception as skip:
        answer = pickle.dumps(("skip", str(skip)))
    except pytest.fail.Exception as failure:
        answer = pickle.dumps(("failure", str(failure)))
    except BaseException:
        answer = pickle.dumps(("failure", traceback.format_exc()))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    # The length goes first: processes that body has left behind may hold the pipe.
    message = len(answer).to_bytes(8, "little") + answer
    while message:
        message = message[os.write(writer, message) :]
    os._exit(0)


def _read_answer(reader: int, deadline: float) -> bytes | None:
    """The answer of _answer(); None if the child has died or the time is up."""
    data = b""
    while len(data) < 8 or len(data) < 8 + int.from_bytes(data[:8], "little"):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([reader], [], [], left)[0]:
            return None
        chunk = os.read(reader, 65536)
        if not chunk:
            return None
        data += chunk
    return data[8:]
