"""call(): a function of Python in a sandbox."""

from __future__ import annotations

import _signal
import os
import sys
import time

from ..errors import CallError
from ..life.calling import LARGEST, Call
from .config import Prepared, hidden_paths
from .measure import ended_by, measured
from .options import read
from .popen import new_name
from .results import TimeoutExpired

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from typing_extensions import Unpack

    from .options import Given
    from .results import Usage


def call(
    function: Callable[..., Any],
    *args: Any,
    timeout: float | None = None,
    max_result: int | str = LARGEST,
    **options: Unpack[Given],
) -> Any:
    """Call a function of Python in a sandbox of its own, and return its result.

        lines = libct.call(parse, "/data/upload.xml", ro=["/data"], memory="512M", timeout=5)

    function: one that is found by the names of its module and its own: no lambda, and none
        that is defined in a function.  Its module is imported inside, by this interpreter;
        where modules and interpreter are in the home directory or /tmp, they are shown there.
    args: what pickle can send.  The result is None, bool, int, float, str, bytes, or a list,
        tuple or dict of these.
    timeout: seconds; then it is killed, with all that it has started.
    max_result: bytes, or a text like "1M".
    options: of the sandbox; see libct.sandbox.options.Options.

    Raises CallError for what was raised inside, TimeoutExpired, ConfigError for a function,
    argument or option that is wrong.
    """
    asked = read(options, "call")
    python = sys.executable
    with Call(function, args, {}, python, timeout=timeout, largest=max_result) as made:
        shown = {*asked.ro, *asked.ro_try, *asked.rw, *asked.rw_try}
        needed = _needed(function, hidden_paths(asked))
        asked.ro_try += [path for path in needed if path not in shown]
        prepared = Prepared(made.args, asked)
        process = prepared.process
        process.extra_files = list(made.extra_files)
        with prepared.create(new_name()) as container:
            with prepared.explaining():
                prepared.start(container)

            def kill() -> None:
                container.signal(_signal.SIGKILL)

            began = time.monotonic()

            def used() -> tuple[Usage, str]:
                state = process.wait()
                usage, killed = measured(container, state, time.monotonic() - began)
                return usage, ended_by(state, "", killed)

            try:
                return made.result(process, kill)
            except TimeoutError:
                assert timeout is not None
                raise TimeoutExpired([made.name], timeout, usage=used()[0]) from None
            except CallError as error:
                error.usage, error.ended_by = used()
                raise


def _needed(function: Any, hidden: list[str]) -> list[str]:
    """Where the interpreter and its modules are, as far as the sandbox would hide it.

    Of a directory that it hides as a whole, as a home directory with programs in it, the files
    alone that are known to be needed.
    """
    found: list[str] = []
    for path in _places(function):
        place = os.path.realpath(path)
        if not os.path.exists(place) or not any(_is_in(place, other) for other in hidden):
            continue
        if place not in hidden and not any(_is_in(other, place) for other in hidden):
            found.append(place)
    once = dict.fromkeys(found)  # of a virtual environment both prefixes are one
    return [one for one in once if not any(_is_in(one, other) for other in once if one != other)]


def _places(function: Any) -> Iterator[str]:
    yield from (sys.prefix, sys.base_prefix, sys.exec_prefix, sys.executable)
    yield from sys.path
    module = sys.modules.get(function.__module__)
    for one in (module, sys.modules.get("__main__")):
        if path := getattr(one, "__file__", None):
            yield path


def _is_in(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")
