"""Calling a function of Python in a container: what travels there, and what comes back.

The function travels by the names of its module and its own, as with multiprocessing's "spawn";
its arguments by pickle, towards the inside alone.  What comes back is read with the suspicion
that whatever comes from inside deserves: it is JSON of a few types, up to a size, and neither
pickle nor marshal, which could be made to run code here.

The program that runs inside is _PROGRAM, or _EXECUTOR.  It is passed on a command line, needs no
file of libct there, and works with any Python from 3.6 on.
"""

from __future__ import annotations

import os
import select
import sys
import time

from ..config.sizes import parse_size
from ..errors import CallError, ConfigError, Finding
from ..syscalls.memfd import data_file
from .arguments import read_timeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .process import Process, ProcessState

# Bytes of a result.  As objects it may take fifty times as much memory, of many empty lists.
LARGEST = 4 << 20
# Keys of a dict of it that are no texts: whoever chooses numbers can have them all collide.
_MOST_KEYS = 4096
_ARGUMENTS, _RESULT = 3, 4  # descriptors inside

# Calls the function whose names and arguments are to be read there.
_CALLED = r"""
import importlib, pickle, runpy, sys, types

def called(fd):
    with open(fd, "rb") as file:
        path, main, function, arguments = pickle.load(file)
        sys.path[:] = path
        sys.argv[:] = [""]
        if main is not None:
            kind, place = main
            module = types.ModuleType("__mp_main__")
            run = runpy.run_module if kind == "module" else runpy.run_path
            module.__dict__.update(run(place, run_name="__mp_main__"))
            sys.modules["__main__"] = sys.modules["__mp_main__"] = module
        found = importlib.import_module(function[0])
        for name in function[1].split("."):
            found = getattr(found, name)
        args, kwargs = pickle.loads(arguments)
    return found(*args, **kwargs)
"""

_PROGRAM = (
    _CALLED
    + r"""
import base64, json, os, traceback

for fd in (3, 4):  # what it leaves running has nothing of them
    os.set_inheritable(fd, False)

def said(error):
    try:
        return str(error)
    except Exception:
        return "(its message cannot be told)"

def plain(value):
    kind = type(value)
    if value is None or kind in (bool, str, float):
        return value
    if kind is int:
        return value if -(1 << 63) <= value < 1 << 63 else {"int": hex(value)}
    if kind is bytes:
        return {"bytes": base64.b64encode(value).decode()}
    if kind is list:
        return [plain(one) for one in value]
    if kind is tuple:
        return {"tuple": [plain(one) for one in value]}
    if kind is dict:
        return {"dict": [[plain(key), plain(one)] for key, one in value.items()]}
    raise TypeError("a result is None, bool, int, float, str, bytes, list, tuple or dict, not "
                    + kind.__name__)

try:
    answer = {"result": plain(called(3))}
    text = json.dumps(answer, ensure_ascii=False)
except BaseException as error:
    text = json.dumps({"error": [type(error).__name__, said(error)[:65536],
                                 traceback.format_exc()[-65536:]]}, ensure_ascii=False)
try:
    sys.stdout.flush()
    sys.stderr.flush()
except Exception:
    pass
with open(4, "wb") as file:
    file.write(text.encode("utf-8", "surrogatepass"))
"""
)

# What it returns is the exit status; what it raises is an interpreter's to show.
_EXECUTOR = _CALLED + "\nfd = int(sys.argv[1])\nsys.exit(called(fd))\n"


class Call:
    """A call that is to be made.

    args, extra_files: of the Process that makes it; python is the interpreter there.
    timeout: seconds; None, or infinity, is no limit.  largest: bytes of a result.

    Raises ConfigError for a function or arguments that cannot travel, or limits that are none.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        python: str,
        *,
        timeout: float | None = None,
        largest: int | str = LARGEST,
    ) -> None:
        self._timeout = read_timeout(timeout)
        self._largest = _read_largest(largest)
        self._sent = _sent(pickled(function, args, kwargs))
        self.name = f"{function.__module__}.{function.__qualname__}()"
        self.args = [python, "-c", _PROGRAM]
        try:
            self._reading, self._writing = os.pipe()
        except BaseException:
            os.close(self._sent)
            raise
        self.extra_files = [self._sent, self._writing]

    def result(self, process: Process, kill: Callable[[], None]) -> Any:
        """What the function returns, in a process that has been started.

        kill: ends it, when its time is over or its result too large.

        Raises CallError for what was raised inside, TimeoutError.
        """
        os.close(self._writing)
        self._writing = -1
        end = None if self._timeout is None else time.monotonic() + self._timeout
        data = self._read(process, kill, end)
        state = self._ended(process, kill, end)
        if len(data) > self._largest:
            raise CallError("", f"the result of {self.name} is larger than {self._largest} bytes")
        if not data:
            how = f"by signal {state.signal}" if state.signal else f"with status {state.status}"
            raise CallError("", f"{self.name} did not return: its process ended {how}")
        return self._answer(data)

    def close(self) -> None:
        for fd in (self._sent, self._reading, self._writing):
            if fd >= 0:
                os.close(fd)

    def __enter__(self) -> Call:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ended(self, process: Process, kill: Callable[[], None], end: float | None) -> ProcessState:
        """How the process has ended, which may go on when it has answered."""
        try:
            return process.wait(None if end is None else max(0.0, end - time.monotonic()))
        except TimeoutError:
            kill()
            process.wait()
            raise self._late() from None

    def _late(self) -> TimeoutError:
        return TimeoutError(f"{self.name} took longer than its time limit")

    def _read(self, process: Process, kill: Callable[[], None], end: float | None) -> bytes:
        """All that comes, up to a byte more than the largest; the process is killed for more.

        What it has forked may hold the pipe, and go on when it has ended: so that ends it, too.
        """
        pieces: list[bytes] = []
        size = 0
        poll = select.poll()
        poll.register(self._reading, select.POLLIN)
        ended = process.watch()
        try:
            if ended >= 0:
                poll.register(ended, select.POLLIN)
            while size <= self._largest:
                left = None if end is None else max(0.0, end - time.monotonic()) * 1000
                ready = dict(poll.poll(left)) if left != 0 else {}
                if not ready:
                    kill()
                    process.wait()
                    raise self._late()
                if self._reading not in ready:
                    break
                piece = os.read(self._reading, min(65536, self._largest + 1 - size))
                if not piece:
                    break
                pieces.append(piece)
                size += len(piece)
            else:
                kill()
        finally:
            if ended >= 0:
                os.close(ended)
        return b"".join(pieces)

    def _answer(self, data: bytes) -> Any:
        import json

        try:
            answer = json.loads(data.decode("utf-8", "surrogatepass"), parse_int=_number)
            if "error" in answer:
                kind, message, traceback = map(str, answer["error"])
                raise CallError(kind, message, traceback)
            return _value(answer["result"])
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise CallError("", f"what came back of {self.name} is not a result: {error}") from None


class Executing:
    """Meanwhile what process executes is an interpreter, which calls its executor.

    Raises ConfigError for an executor that cannot travel.
    """

    def __init__(self, process: Process) -> None:
        assert process.executor is not None
        self._process, self._given = process, (process.args, process.extra_files)
        self._sent = _sent(pickled(process.executor, (list(process.args),), {}))
        fd = _ARGUMENTS + len(process.extra_files)
        process.args = [process.python, "-c", _EXECUTOR, str(fd)]
        process.extra_files = [*process.extra_files, self._sent]

    def __enter__(self) -> Executing:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._sent)
        self._process.args, self._process.extra_files = self._given


def _sent(data: bytes) -> int:
    """A descriptor that data is read from."""
    fd = data_file("libct-call")
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(data)
        os.lseek(fd, 0, os.SEEK_SET)
    except BaseException:
        os.close(fd)
        raise
    return fd


def pickled(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """What the program inside reads from descriptor 3."""
    import pickle

    module, name = _names(function)
    path = [os.path.abspath(one or ".") for one in sys.path]
    try:
        arguments = pickle.dumps((args, kwargs))
    except Exception as error:
        text = f"an argument cannot be sent: {type(error).__name__}: {error}"
        raise ConfigError([Finding("args", text)]) from error
    main = _main() if module == "__main__" or b"__main__" in arguments else None
    return pickle.dumps((path, main, (module, name), arguments))


def _names(function: Any) -> tuple[str, str]:
    """The module and the qualified name of a function that can be found by these."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
    text = ""
    if not callable(function) or not module or not name:
        text = f"not a function of a module: {function!r}"
    elif "<lambda>" in name:
        text = "a lambda cannot be found by its name: define a function in a module"
    elif "<locals>" in name:
        text = f"{name} is defined in a function, so it cannot be found by its name: move it out"
    else:
        found: Any = sys.modules.get(module)
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is None:
            text = f"there is no {name} in the module {module}"
        elif found is not function and not (_is_bound(function) and found == function):
            text = f"{module}.{name} is another object than {function!r}, which cannot be found"
            if _is_bound(function):
                text += ": call a function that makes the object inside"
    if text:
        raise ConfigError([Finding("function", text)])
    return str(module), str(name)


def _is_bound(function: Any) -> bool:
    """Whether it is a method with its object; a class's own is found by its name, too."""
    return getattr(function, "__self__", None) is not None and hasattr(function, "__func__")


def _read_largest(value: Any) -> int:
    try:
        size = parse_size(value) if isinstance(value, str) else value
        if isinstance(size, bool) or not isinstance(size, int) or size <= 0:
            raise ValueError(f"not a number of bytes, or a text like '1M': {value!r}")
    except ValueError as error:
        raise ConfigError([Finding("max_result", str(error))]) from None
    return int(size)


def _main() -> tuple[str, str]:
    """How the program that is run here is found inside: as a module, or as a file."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return "module", str(spec.name)
    path = getattr(main, "__file__", None)
    if not path or not os.path.exists(path):
        text = "it is of a program that is in no file, as in an interactive session"
        raise ConfigError([Finding("function", text)])
    return "file", os.path.abspath(str(path))


def _number(digits: str) -> int:
    if len(digits) > 20:  # longer ones come as hexadecimal, which takes no time to read
        raise ValueError("a number with too many digits")
    return int(digits)


def _value(plain: Any) -> Any:
    if isinstance(plain, list):
        return [_value(one) for one in plain]
    if not isinstance(plain, dict):
        return plain
    ((kind, value),) = plain.items()
    if kind == "int":
        return int(value, 16)
    if kind == "bytes":
        import binascii

        return binascii.a2b_base64(value)
    if kind == "tuple":
        return tuple(_value(one) for one in value)
    if kind == "dict":
        if sum(not isinstance(key, str) for key, _ in value) > _MOST_KEYS:
            raise ValueError(f"a dict of more than {_MOST_KEYS} keys that are not strings")
        return {_value(key): _value(one) for key, one in value}
    raise ValueError(f"unknown kind: {kind!r}")
