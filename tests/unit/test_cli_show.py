"""How plans are printed, and what the file of --trace holds."""

from __future__ import annotations

import json

import pytest

from libct.cgroups.devices.disassembler import disassemble
from libct.cgroups.devices.program import assemble
from libct.cli.look import chosen_lines, table
from libct.cli.program import output
from libct.cli.show import plan_as_json, plan_as_text
from libct.cli.trace import lines
from libct.config import Config, Mount, Namespace
from libct.errors import printable
from libct.life.host import Host
from libct.life.process import Process
from libct.plan.cgroups import cgroup_devices_v2
from libct.plan.container import plan_start
from libct.plan.namespaces import new_session
from libct.plan.step import INIT, RUNTIME, Performers, Plan, operation


@operation(Performers("nowhere").put_for_a_test, "put {0} on {1}")
def put_for_a_test(what: str, where: str) -> list[str]:
    return [f'put("{what}")', f'on("{where}")']


def example() -> Plan:
    plan = Plan()
    plan.add(RUNTIME, "cgroup", [put_for_a_test("a", "b", why="mounts[2]")])
    plan.add(INIT, "identity", [new_session(), put_for_a_test("c", ("d", None, b"e\xff"))])
    return plan


def test_text() -> None:
    assert plan_as_text(example()) == (
        "runtime: cgroup\n"
        "  1  put a on b                      mounts[2]\n"
        '       put("a")\n'
        '       on("b")\n'
        "\n"
        "init: identity\n"
        "  2  start a new session\n"
        "       setsid()\n"
        "  3  put c on ('d', None, b'e\\xff')\n"
        '       put("c")\n'
        "       on(\"('d', None, b'e\\xff')\")\n"
    )


def test_json() -> None:
    steps = json.loads(plan_as_json(example()))
    assert [step["number"] for step in steps] == [1, 2, 3]
    assert steps[0] == {
        "number": 1,
        "process": "runtime",
        "phase": "cgroup",
        "op": "put_for_a_test",
        "args": ["a", "b"],
        "title": "put a on b",
        "calls": ['put("a")', 'on("b")'],
        "place": "mounts[2]",
    }
    assert steps[2]["args"] == ["c", ["d", None, "e\udcff"]]


def test_a_whole_plan_can_be_shown() -> None:
    config = Config(
        "/rootfs",
        namespaces=[Namespace("NEWNS"), Namespace("NEWPID")],
        mounts=[Mount("/proc", "proc", "proc")],
    )
    plan = plan_start(config, Process(["/bin/true"], init=True), Host(), None, "one")
    text = plan_as_text(plan)
    assert "mounts[0]\n" in text
    assert len(json.loads(plan_as_json(plan))) == len(plan)
    for number, step in enumerate(plan, 1):
        assert f" {number}  {step.title}" in text


def test_the_instructions_of_a_device_program_are_shown() -> None:
    plan, steps = (
        Plan(),
        [
            cgroup_devices_v2("/a", "deny", ("c 1:3 rwm",)),
            cgroup_devices_v2("/b", "allow", ()),  # which needs none
        ],
    )
    plan.add(RUNTIME, "cgroup", steps)
    lines = disassemble(assemble("deny", ("c 1:3 rwm",)))
    text = plan_as_text(plan)
    assert "".join(f"       {line}\n" for line in lines) in text
    assert text.count("exit") == 2
    first, second = json.loads(plan_as_json(plan))
    assert first["program"] == lines
    assert "program" not in second


def test_trace() -> None:
    traces = [(2, 3_000_500_000, 1_500, "ok"), (1, 3_000_000_000, 400_000, "failed: no")]
    found = [json.loads(line) for line in lines(example(), traces).splitlines()]
    assert found == [
        {
            "number": 2,
            "process": "init",
            "phase": "identity",
            "op": "new_session",
            "title": "start a new session",
            "place": "",
            "start": 0.0005,
            "duration_us": 1.5,
            "result": "ok",
        },
        {
            "number": 1,
            "process": "runtime",
            "phase": "cgroup",
            "op": "put_for_a_test",
            "title": "put a on b",
            "place": "mounts[2]",
            "start": 0.0,
            "duration_us": 400.0,
            "result": "failed: no",
        },
    ]


def test_a_trace_of_nothing_is_empty() -> None:
    assert lines(Plan(), []) == ""


EVIL = "a\x1b]0;evil\x07\r\u202e\n\x9b\udcff\x00\u2028b"
ESCAPED = "a\\x1b]0;evil\\x07\\r\\u202e\\n\\x9b\\udcff\\x00\\u2028b"


def test_what_a_terminal_acts_upon_is_written_out() -> None:
    assert printable(EVIL) == ESCAPED
    assert printable("caf\u00e9 'x' \\ \U0001f600") == "caf\u00e9 'x' \\ \U0001f600"
    assert printable("a\n\tb\r", "\n\t") == "a\n\tb\\r"


def test_a_plan_as_text_is_what_a_terminal_only_shows() -> None:
    plan = Plan()
    plan.add(RUNTIME, "prepare", [put_for_a_test(EVIL, EVIL, why=EVIL)])
    text = plan_as_text(plan)
    assert text.count("\n") == 4
    assert printable(text, "\n") == text
    assert json.loads(plan_as_json(plan))[0]["args"][0] == EVIL


def test_tables_keep_their_lines_and_columns() -> None:
    assert table([["ID", "BUNDLE", "X"], ["1", EVIL, "y"]]).splitlines() == [
        f"ID   {'BUNDLE':{len(ESCAPED)}}   X",
        f"1    {ESCAPED}   y",
    ]


def test_ps_shows_no_line_that_is_of_no_process() -> None:
    text = "PID CMD\n1 a\u20287 b\x1c7 c\n7 d\n"
    assert chosen_lines(text, [7]) == "PID CMD\n7 d\n"


def test_output_is_what_a_terminal_only_shows(capfd: pytest.CaptureFixture[str]) -> None:
    output(f"{EVIL}\n\tx\n")
    assert capfd.readouterr().out == ESCAPED.replace("\\n", "\n") + "\n\tx\n"
