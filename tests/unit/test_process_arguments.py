"""What a program of Python may give to a Process, and what is told of the rest."""

from __future__ import annotations

import inspect
import pydoc
from pathlib import Path
from typing import Any

import pytest

import libct
from libct.config import Resources


def test_what_is_understood() -> None:
    process = libct.Process(
        (Path("/bin/ls"), "-l"),
        env={"A": "b"},
        cwd=Path("/usr"),
        user=1000,
        rlimits={"NOFILE": 5, "rlimit_cpu": (1, -1)},
    )
    assert (process.args, process.env) == (["/bin/ls", "-l"], ["A=b"])
    assert (process.cwd, process.user) == ("/usr", "1000")
    assert process.rlimits == [
        libct.Rlimit(7, hard=5, soft=5),
        libct.Rlimit(0, hard=(1 << 64) - 1, soft=1),
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"args": "ls -l"},
            "args: one string where a list is expected: 'ls -l' (write ['ls', '-l'])",
        ),
        ({"args": 5}, "args: not a list of strings: 5"),
        ({"args": ["a", 5]}, "args[1]: not a string: 5"),
        ({"env": "A=b"}, "env: one string where a list is expected: 'A=b' (write ['A=b'])"),
        ({"env": {"A": 1}}, "env['A']: not a string: 1"),
        ({"env": {"": "x"}}, "env['']: not a name of a variable"),
        ({"cwd": 5}, "cwd: not a string: 5"),
        ({"user": True}, "user: not a string: True"),
        ({"additional_groups": "wheel"}, "additional_groups: not a list: 'wheel'"),
        ({"additional_groups": [None]}, "additional_groups[0]: not a number or a name: None"),
        ({"stdin": "file"}, "stdin: not a descriptor or an open file: 'file'"),
        ({"stdout": -1}, "stdout: not a descriptor or an open file: -1"),
        ({"extra_files": 3}, "extra_files: not a list: 3"),
        ({"extra_files": ["x"]}, "extra_files[0]: not a descriptor or an open file: 'x'"),
        ({"rlimits": {"FILES": 5}}, "rlimits['FILES']: unknown limit (known: CPU, "),
        ({"rlimits": {"CPU": "5"}}, "rlimits['CPU']: not a number, or a pair (soft, hard): '5'"),
        ({"rlimits": [5]}, "rlimits[0]: not a libct.Rlimit: 5"),
        ({"terminal": 1}, "terminal: neither True nor False: 1"),
        ({"init": "yes"}, "init: neither True nor False: 'yes'"),
        ({"umask": "022"}, "umask: not a number: '022'"),
    ],
)
def test_what_is_wrong(given: dict[str, Any], message: str) -> None:
    with pytest.raises(libct.ConfigError) as error:
        libct.Process(**{"args": ["true"], **given})
    assert str(error.value).startswith(message)
    assert len(error.value.findings) == 1


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(libct.ConfigError) as error:
        libct.Process("ls", env=5, user=None, umask="x")  # type: ignore[arg-type]
    assert [one.place for one in error.value.findings] == ["args", "env", "user", "umask"]


def test_help_shows_the_fields_of_records() -> None:
    text = pydoc.plain(pydoc.render_doc(libct.Config))
    assert "rootfs: str  # absolute, without symlinks" in text
    assert "oom_score_adj: int | None = None  # -1000 to 1000" in text
    assert "pids_limit: int | None = None" in str(Resources.__doc__)


def test_each_field_of_a_configuration_has_a_line() -> None:
    described = str(libct.Config.__doc__).partition("Fields:")[2].strip().splitlines()
    assert len(described) == len(libct.Config._fields)
    assert [line for line in described if "  # " not in line] == []


def test_the_signature_of_a_record_is_its_fields() -> None:
    parameters = inspect.signature(libct.IDMap).parameters
    assert list(parameters) == ["container_id", "host_id", "size"]
    assert parameters["size"].annotation == "int"
    assert inspect.signature(libct.Config).parameters["rootfs"].default is inspect.Parameter.empty
    libct.Config(*inspect.signature(libct.Config).bind("/").args)
