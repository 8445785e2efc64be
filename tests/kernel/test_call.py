"""Functions of Python called in sandboxes and containers: what travels, and what comes back."""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import libct
from libct.life import calling

from ..commands import CHECKOUT, libct_environment, run
from ..needs import requires

pytestmark = [requires("root", "overlay"), pytest.mark.usefixtures("nothing_left")]


SEEN = [str(CHECKOUT), sys.prefix, sys.base_prefix]  # for an interpreter that imports this module


def echo(value: Any) -> Any:
    return value


def fail(message: str) -> None:
    raise LookupError(message)


def leave(status: int) -> None:
    os._exit(status)


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def exit_politely() -> None:
    raise SystemExit(3)


def answer(data: bytes) -> None:
    os.write(4, data)
    os._exit(0)


class Holder:
    @staticmethod
    def method(number: int) -> int:
        return number + 1


def nested(depth: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


VALUES: list[Any] = [
    None,
    True,
    0,
    -(1 << 63),
    1 << 200,
    0.1,
    float("inf"),
    "text \0 \U0001f600 \udcff",
    "\ud800\udcff",
    b"\0\xff",
    [],
    [1, [2, (3, [4])]],
    (),
    {"a": {1: (2,), None: b"x"}, (1, 2): [3]},
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_values_come_back_as_they_are(value: Any) -> None:
    found = libct.call(echo, value, ro=[CHECKOUT])
    assert found == value
    assert repr(found) == repr(value)


@pytest.mark.parametrize("value", [{1, 2}, Path("/"), bytearray(b"x"), 1j, [object]], ids=repr)
def test_other_values_do_not(value: Any) -> None:
    with pytest.raises(libct.CallError, match="a result is None, bool, int, float, str, bytes"):
        libct.call(echo, value, ro=[CHECKOUT])


def test_what_is_raised_inside() -> None:
    with pytest.raises(libct.CallError) as error:
        libct.call(fail, "why")
    assert (error.value.type, error.value.message) == ("LookupError", "why")
    assert "in fail\n    raise LookupError(message)" in error.value.traceback
    with pytest.raises(libct.CallError, match="SystemExit: 3"):
        libct.call(exit_politely)


def test_a_process_that_does_not_return() -> None:
    with pytest.raises(libct.CallError, match="did not return: its process ended with status 5"):
        libct.call(leave, 5)
    with pytest.raises(libct.CallError, match="did not return: its process ended by signal 9"):
        libct.call(kill)


def test_a_method_is_found_by_its_qualified_name() -> None:
    assert libct.call(Holder.method, 1) == 2


def test_what_cannot_travel_is_refused() -> None:
    def inner() -> None: ...

    given: list[tuple[Any, str]] = [
        (lambda: 1, "a lambda cannot be found by its name"),
        (inner, "is defined in a function"),
        (5, "not a function of a module"),
    ]
    for function, message in given:
        with pytest.raises(libct.ConfigError, match=f"^function: .*{message}"):
            libct.call(function)
    with pytest.raises(libct.ConfigError, match=r"^args: an argument cannot be sent"):
        libct.call(echo, lambda: 1)


class Odd(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def raise_odd() -> None:
    raise Odd


def fork_and_return(way: str) -> str:
    """Something goes on in there, and has what it inherits."""
    if way == "fork":
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
    else:
        os.system("sleep 60 &")
    return way


def test_an_error_that_has_no_text() -> None:
    with pytest.raises(libct.CallError, match="its message cannot be told") as error:
        libct.call(raise_odd)
    assert error.value.type == "Odd"
    assert "in raise_odd" in error.value.traceback


def plus(one: int, other: int) -> int:
    return one + other


class Adder:
    def add(self, one: int) -> int:
        return one

    @classmethod
    def made(cls) -> str:
        return cls.__name__


def test_what_its_name_does_not_lead_to_is_refused() -> None:
    """As by pickle; what is there would be called in its place."""
    one = functools.update_wrapper(functools.partial(plus, 1), plus)
    wrong: list[Any] = [one, Adder().add]
    for function in wrong:
        with pytest.raises(libct.ConfigError, match=r"^function: .* is another object"):
            libct.call(function, 1)
    assert libct.call(Adder.made) == "Adder"


@pytest.mark.parametrize("way", ["fork", "another program"])
def test_what_is_left_running_does_not_hold_up_the_result(way: str) -> None:
    with libct.Sandbox(ro=SEEN) as box:
        assert box.call(fork_and_return, way, timeout=20) == way
    assert libct.call(fork_and_return, way, timeout=20) == way


def test_odd_limits_of_a_call() -> None:
    wrong: list[tuple[str, Any]] = [
        ("timeout", "1"),
        ("timeout", float("nan")),
        ("max_result", "x"),
        ("max_result", 0),
        ("max_result", None),
    ]
    with libct.Sandbox(ro=SEEN) as box:
        for name, value in wrong:
            for call in (libct.call, box.call, box.container.call):
                with pytest.raises(libct.ConfigError, match=f"^{name}: "):
                    call(echo, 1, **{name: value})
        assert box.call(echo, 1, timeout=float("inf"), max_result="1M") == 1
        with pytest.raises(libct.CallError, match="larger than 100 bytes"):
            box.call(echo, "x" * 1000, max_result=100)


def test_a_time_limit() -> None:
    began = time.monotonic()
    with pytest.raises(libct.TimeoutExpired) as error:
        libct.call(time.sleep, 60, timeout=0.5)
    assert time.monotonic() - began < 20
    assert error.value.ended_by == "timeout"
    assert error.value.usage is not None


def hoard() -> None:
    bytearray(1 << 30)


def test_what_a_failed_call_has_used_and_how_it_ended() -> None:
    with pytest.raises(libct.CallError) as error:
        libct.call(fail, "why", memory="100M")
    assert error.value.ended_by == "exit"
    assert error.value.usage.memory > 1 << 20
    with pytest.raises(libct.CallError, match="ended by signal 9") as error:
        libct.call(hoard, memory="50M")
    assert error.value.ended_by == "memory"


def linger(seconds: float) -> None:
    """Answer, and go on."""
    os.write(4, b'{"result": 1}')
    os.close(4)
    time.sleep(seconds)
    os._exit(0)


def test_who_has_answered_and_goes_on_is_ended_in_time() -> None:
    began = time.monotonic()
    with pytest.raises(libct.TimeoutExpired):
        libct.call(linger, 60, timeout=1)
    assert time.monotonic() - began < 20
    assert libct.call(linger, 0.1) == 1


def test_keys_that_may_collide_are_few() -> None:
    data = json.dumps({"result": {"dict": [[key, 0] for key in range(5000)]}}).encode()
    with pytest.raises(libct.CallError, match="more than 4096 keys that are not strings"):
        libct.call(answer, data)
    assert libct.call(echo, {str(key): key for key in range(9000)})["8999"] == 8999


def test_the_size_of_a_result_is_limited() -> None:
    with pytest.raises(libct.CallError, match="is larger than 1000 bytes"):
        libct.call(echo, "x" * 1000, max_result=1000)
    assert libct.call(echo, "x" * 900, max_result=1000) == "x" * 900


# What a hostile program could write in the place of the answer.
HOSTILE = [
    b"",
    b"{",
    b"[]",
    b"5",
    b"{}",
    b'{"result": {"int": "x"}}',
    b'{"result": {"pickle": "x"}}',
    b'{"result": {"bytes": 5}}',
    b'{"result": {"bytes": "\\ud800"}}',
    b'{"result": {"dict": [[[], 1]]}}',
    b'{"result": {"a": 1, "b": 2}}',
    b'{"error": 5}',
    b'{"error": ["a"]}',
    b'{"result": ' + b"9" * 1_000_000 + b"}",
    b'{"result": ' + b"[" * 1_000_000 + b"}",
    b"\xff\xfe",
    b"\0" * 100,
]


@pytest.mark.parametrize("data", HOSTILE, ids=lambda data: repr(data[:40]))
def test_an_answer_that_is_none(data: bytes) -> None:
    began = time.monotonic()
    with pytest.raises(libct.CallError):
        libct.call(answer, data)
    assert time.monotonic() - began < 20


def test_a_deep_result_does_not_break_us() -> None:
    with pytest.raises(libct.CallError):
        libct.call(nested, 100_000)
    calling._value(json.loads(json.dumps(nested(100))))


def test_a_program_calls_its_own_functions(tmp_path: Path) -> None:
    """Those of __main__, which is imported inside by another name; below /tmp, which is hidden."""
    program = tmp_path / "program.py"
    (tmp_path / "beside.py").write_text("WORD = 'beside'\n")
    program.write_text(
        "import libct, beside\n"
        "class Box:\n"
        "    def __init__(self, value): self.value = value\n"
        "def open_box(box): return box.value, beside.WORD, __name__\n"
        "if __name__ == '__main__':\n"
        "    print(libct.call(open_box, Box(5)))\n"
    )
    done = run([sys.executable, program], env=libct_environment())
    assert (done.stdout, done.stderr) == ("(5, 'beside', '__mp_main__')\n", "")


def test_in_a_container() -> None:
    with libct.Sandbox(ro=[CHECKOUT, sys.prefix, sys.base_prefix]) as box:
        assert box.container.call(os.path.join, "a", "b", python=sys.executable) == "a/b"
        assert box.call(os.getpid) > 1
        with pytest.raises(libct.TimeoutExpired):
            box.call(time.sleep, 60, timeout=0.3)
        with pytest.raises(TimeoutError):
            box.container.call(time.sleep, 60, timeout=0.3, python=sys.executable)
