"""Device rules: what they mean, and the program that is made of them."""

from __future__ import annotations

import random
import re

import pytest

from libct.bootstrap.context import Context
from libct.cgroups import files
from libct.cgroups.devices import ALLOWED_DEVICES, DEFAULT_RULES, apply_v1, instructions as ins
from libct.cgroups.devices.disassembler import disassemble
from libct.cgroups.devices.program import assemble
from libct.cgroups.devices.rules import (
    ALLOW,
    DENY,
    Access,
    Inexpressible,
    bits_of,
    parse_text,
    resolve,
    text_of,
)
from libct.config import DeviceRule
from libct.errors import StepProblem

from .device_rules import (
    MAJORS,
    MINORS,
    last_match,
    random_access,
    random_rules,
    run_program,
    trace,
)

ALL = DeviceRule("a")
NONE = DeviceRule("a", allow=False)
NULL = DeviceRule("c", 1, 3)


def allow(type_: str, major: int, minor: int, permissions: str = "rwm") -> DeviceRule:
    return DeviceRule(type_, major, minor, permissions, True)


def deny(type_: str, major: int, minor: int, permissions: str = "rwm") -> DeviceRule:
    return DeviceRule(type_, major, minor, permissions, False)


def applied(*rules: DeviceRule) -> tuple[str, tuple[str, ...]]:
    access = Access()
    for rule in rules:
        access.apply(rule)
    return access.default, access.texts()


# --- the meaning of rules ---


@pytest.mark.parametrize(
    ("rules", "meaning"),
    [
        ([], (DENY, ())),
        ([ALL], (ALLOW, ())),
        ([NULL, ALL], (ALLOW, ())),
        ([ALL, NULL], (ALLOW, ())),
        ([ALL, NONE], (DENY, ())),
        ([NULL], (DENY, ("c 1:3 rwm",))),
        ([allow("c", 1, 3, "r"), allow("c", 1, 3, "w")], (DENY, ("c 1:3 rw",))),
        ([NULL, deny("c", 1, 3, "w")], (DENY, ("c 1:3 rm",))),
        ([NULL, deny("c", 1, 3)], (DENY, ())),
        ([NULL, deny("c", 1, -1)], (DENY, ())),
        ([NULL, deny("c", -1, -1, "m")], (DENY, ("c 1:3 rw",))),
        ([NULL, deny("b", -1, -1)], (DENY, ("c 1:3 rwm",))),
        ([NULL, allow("c", 1, -1)], (DENY, ("c 1:* rwm",))),
        ([allow("c", -1, -1, "r"), NULL], (DENY, ("c *:* r", "c 1:3 rwm"))),
        ([allow("c", -1, -1, "rw"), allow("c", 1, 3, "w")], (DENY, ("c *:* rw",))),
        ([allow("c", -1, 3), allow("c", 1, -1)], (DENY, ("c *:3 rwm", "c 1:* rwm"))),
        # A hole that is not about the same permissions is none.
        ([allow("c", 1, -1, "r"), deny("c", 1, 3, "w")], (DENY, ("c 1:* r",))),
        ([ALL, deny("b", 8, -1, "w")], (ALLOW, ("b 8:* w",))),
        ([ALL, deny("b", 8, -1, "w"), allow("b", 8, -1)], (ALLOW, ())),
        # For all devices, but not all of it: one rule for each type.
        ([allow("a", -1, -1, "r")], (DENY, ("b *:* r", "c *:* r"))),
        ([ALL, deny("a", 1, -1)], (ALLOW, ("b 1:* rwm", "c 1:* rwm"))),
    ],
)
def test_rules_become_exceptions(
    rules: list[DeviceRule], meaning: tuple[str, tuple[str, ...]]
) -> None:
    assert applied(*rules) == meaning


@pytest.mark.parametrize(
    "rules",
    [
        [allow("c", 1, -1), deny("c", 1, 3)],
        [allow("c", -1, 3), deny("c", 1, -1)],
        [allow("c", -1, -1), deny("c", 1, -1, "m")],
        [ALL, deny("b", 8, -1), allow("b", 8, 0, "r")],
    ],
)
def test_exceptions_have_no_exceptions(rules: list[DeviceRule]) -> None:
    with pytest.raises(Inexpressible, match="control groups have no exceptions from exceptions"):
        applied(*rules)


def test_the_last_rule_that_matches_decides() -> None:
    """The definition, against random rules, for every device and permission they can name."""
    source = random.Random(2)
    compared = 0
    for _ in range(400):
        rules = random_rules(source)
        access = Access()
        try:
            for rule in rules:
                access.apply(rule)
        except Inexpressible:
            continue
        compared += 1
        for type_ in "bc":
            for major in (*MAJORS, 99):
                for minor in (*MINORS, 99):
                    for letter in "rwm":
                        asked = (type_, major, minor, letter)
                        assert access.allows(*asked) == last_match(rules, asked), (rules, asked)
    assert compared > 200


def test_one_exception_must_allow_all_of_an_access() -> None:
    access = Access()
    access.apply(allow("c", -1, 3, "r"))
    access.apply(allow("c", 1, -1, "w"))
    assert access.allows("c", 1, 3, "r")
    assert access.allows("c", 1, 3, "w")
    assert not access.allows("c", 1, 3, "rw")


def test_an_exception_denies_what_has_a_part_of_it() -> None:
    access = Access(ALLOW)
    access.apply(deny("c", 1, 3, "w"))
    assert access.allows("c", 1, 3, "r")
    assert not access.allows("c", 1, 3, "rw")


# --- the rules of a configuration ---


def test_every_container_has_the_default_devices() -> None:
    resolved, problems = resolve([NONE])
    assert problems == []
    assert resolved is not None
    default, exceptions = resolved
    assert default == DENY
    assert exceptions == tuple(
        text_of((rule.type, rule.major, rule.minor), bits_of(rule.permissions))
        for rule in DEFAULT_RULES
    )
    assert resolve([]) == (resolved, [])


def test_the_default_rules_are_those_of_the_reference() -> None:
    texts = {
        text_of((rule.type, rule.major, rule.minor), bits_of(rule.permissions))
        for rule in DEFAULT_RULES
    }
    assert texts == {
        *("c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm"),
        *("c 1:9 rwm", "c 5:0 rwm", "c 136:* rwm", "c 5:2 rwm", "c 10:200 rwm"),
    }
    assert {device.path for device in ALLOWED_DEVICES} == {
        *("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"),
    }


def test_they_come_after_the_configuration_s() -> None:
    resolved, _ = resolve([ALL, deny("c", 1, 3), deny("c", 1, 4)])
    assert resolved == (ALLOW, ("c 1:4 rw",))  # of null nothing stays denied, nor of others "m"


def test_everything_allowed_needs_no_exceptions() -> None:
    assert resolve([ALL]) == ((ALLOW, ()), [])


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (DeviceRule("p", 1, 3), "type must be a, b or c, is 'p'"),
        (DeviceRule("c", 1, 3, "rx"), "access must be of the letters r, w and m, is 'rx'"),
        (DeviceRule("c", 1, 3, ""), "access must be of the letters"),
        (DeviceRule("c", -2, 3), "no device has the major number -2"),
        (DeviceRule("c", 1, 1 << 31), "no device has the minor number 2147483648"),
    ],
)
def test_malformed_rules(rule: DeviceRule, message: str) -> None:
    resolved, problems = resolve([NONE, rule, NULL])
    assert resolved is None
    ((index, text),) = problems
    assert index == 1
    assert message in text


def test_all_problems_are_found() -> None:
    rules = [DeviceRule("p", 1, 3), allow("c", 1, -1), deny("c", 1, 3), DeviceRule("x")]
    assert [index for index, _ in resolve(rules)[1]] == [0, 2, 3]


def test_a_rule_may_not_forbid_the_default_devices_with_others() -> None:
    """They cannot be taken out of a denial that has more in it."""
    _, problems = resolve([ALL, deny("c", 5, 1), deny("c", 1, -1, "w")])
    ((index, text),) = problems
    assert index == 2
    assert "every container is allowed that device" in text


def test_texts_are_read_back() -> None:
    for text in ("c *:* m", "b 8:* rw", "c 136:7 rwm", "b *:1 w"):
        assert text_of(*parse_text(text)) == text


# --- the eBPF program ---


def test_the_program_for_no_exceptions() -> None:
    for default, verdict in ((ALLOW, 1), (DENY, 0)):
        program = assemble(default, ())
        assert len(program) == 8 * 8
        assert run_program(program, ("c", 1, 3, "r")) == verdict


def test_nothing_is_compared_twice() -> None:
    prologue = len(assemble(DENY, ()))

    def more(*exceptions: str) -> int:
        """How many instructions more than for none; two are the return at the match."""
        return (len(assemble(DENY, exceptions)) - prologue) // 8 - 2

    assert more("c *:* rwm") == 1 + 1  # the type, the jump
    assert more("c 1:* rwm") == 1 + 1 + 1 + 1  # the major, and the jump to the default
    assert more("c 1:3 rwm") == 1 + 1 + 2 + 1
    assert more("c 1:3 rwm", "c 1:5 rwm") == 1 + 1 + 3 + 1
    assert more("c 1:3 r") == 1 + 1 + (1 + 3) + 2


@pytest.mark.parametrize("text", ["c *:* rwm", "c 1:* rwm", "c *:3 rw"])
def test_what_cannot_be_reached_is_left_out(text: str) -> None:
    """The verifier refuses it: what comes after a jump that is always taken."""
    for default in (ALLOW, DENY):
        program = assemble(default, (text, "c 1:3 rwm", "b *:* rwm", "c 1:5 r"))
        reached = {
            position
            for type_ in "bc-"
            for major in (1, 2)
            for minor in (2, 3, 5)
            for permissions in ("r", "w", "m", "rw")
            for position in trace(program, (type_, major, minor, permissions))
        }
        assert reached == set(range(len(program) // 8))


@pytest.mark.parametrize("seed", range(8))
def test_the_program_agrees_with_the_rules(seed: int) -> None:
    source = random.Random(seed)
    tried = 0
    for _ in range(40):
        rules = random_rules(source)
        resolved, _ = resolve(rules)
        if resolved is None:
            continue
        tried += 1
        default, exceptions = resolved
        access = Access(default)
        access.exceptions = dict(map(parse_text, exceptions))
        program = assemble(default, exceptions)
        for _ in range(40):
            asked = random_access(source)
            assert bool(run_program(program, asked)) == access.allows(*asked), (rules, asked)
    assert tried > 10


# --- the disassembler ---


def test_a_program_is_read() -> None:
    assert disassemble(assemble(DENY, ("c *:* m", "c 1:3 rwm"))) == [
        "   0  r2 = *(u32 *)(r1 + 0)           ; access and type",
        "   1  r3 = r2                         ; access and type",
        "   2  w2 &= 0xffff                    ; type",
        "   3  w3 >>= 16                       ; access",
        "   4  r4 = *(u32 *)(r1 + 4)           ; major",
        "   5  r5 = *(u32 *)(r1 + 8)           ; minor",
        "   6  if r2 != 2 go to 14             ; type: char",
        "   7  r1 = r3                         ; access",
        "   8  w1 &= 0x6                       ; read or write",
        "   9  if r1 == 0 go to 16             ; read or write",
        "  10  if r4 != 1 go to 13             ; major",
        "  11  if r5 == 3 go to 16             ; minor",
        "  12  go to 14",
        "  13  go to 14",
        "  14  r0 = 0                          ; deny",
        "  15  exit                            ; deny",
        "  16  r0 = 1                          ; allow",
        "  17  exit                            ; allow",
    ]


def test_what_is_not_known_any_more_is_not_said() -> None:
    """Where ways meet that have set a register differently, and of other programs' words."""
    program = [
        (ins.LOAD_WORD, 2, 1, 12, 0),
        (ins.JUMP_IF_EQUAL, 2, 0, 2, 0),
        (ins.SET, 0, 0, 0, 0),
        (ins.JUMP, 0, 0, 1, 0),
        (ins.SET, 0, 0, 0, 1),
        (ins.EXIT, 0, 0, 0, 0),
    ]
    assert disassemble(b"".join(map(ins.encode, program))) == [
        "   0  r2 = *(u32 *)(r1 + 12)",
        "   1  if r2 == 0 go to 4",
        "   2  r0 = 0                          ; deny",
        "   3  go to 5",
        "   4  r0 = 1                          ; allow",
        "   5  exit",
    ]


def test_other_instructions_are_refused() -> None:
    with pytest.raises(ValueError, match="instruction 1: unknown code 0x85"):
        disassemble(ins.encode((ins.SET, 0, 0, 0, 0)) + ins.encode((0x85, 0, 0, 0, 1)))
    with pytest.raises(ValueError, match="9 bytes"):
        disassemble(bytes(9))


_FORMS = {
    ins.LOAD_WORD: r"r(?P<r>\d+) = \*\(u32 \*\)\(r(?P<s>\d+) \+ (?P<o>\d+)\)",
    ins.MOVE: r"r(?P<r>\d+) = r(?P<s>\d+)",
    ins.SET: r"r(?P<r>\d+) = (?P<v>\d+)",
    ins.AND: r"w(?P<r>\d+) &= (?P<v>0x[0-9a-f]+)",
    ins.SHIFT_RIGHT: r"w(?P<r>\d+) >>= (?P<v>\d+)",
    ins.JUMP: r"go to (?P<to>\d+)",
    ins.JUMP_IF_EQUAL: r"if r(?P<r>\d+) == (?P<v>\d+) go to (?P<to>\d+)",
    ins.JUMP_IF_DIFFERS: r"if r(?P<r>\d+) != (?P<v>\d+) go to (?P<to>\d+)",
    ins.EXIT: r"exit",
}


def assembled_again(lines: list[str]) -> tuple[bytes, set[int]]:
    """The program that the lines are of, and the operation codes in it."""
    program, codes = b"", set()
    for at, line in enumerate(lines):
        number, _, rest = line.strip().partition("  ")
        assert int(number) == at
        text = rest.partition(";")[0].strip()
        ((code, match),) = [
            (code, found) for code, form in _FORMS.items() if (found := re.fullmatch(form, text))
        ]
        parts = {name: int(word, 0) for name, word in match.groupdict().items()}
        offset = parts["to"] - at - 1 if "to" in parts else parts.get("o", 0)
        values = (code, parts.get("r", 0), parts.get("s", 0), offset, parts.get("v", 0))
        program += ins.encode(values)
        codes.add(code)
    return program, codes


@pytest.mark.parametrize("seed", range(4))
def test_what_is_read_is_what_was_written(seed: int) -> None:
    source, found = random.Random(seed), set()
    for _ in range(40):
        resolved, _ = resolve(random_rules(source))
        if resolved is not None:
            program = assemble(*resolved)
            again, codes = assembled_again(disassemble(program))
            assert again == program
            found |= codes
    assert found == set(_FORMS)  # all that is ever emitted, on which an unknown code fails


# --- the files of v1 ---


def test_the_list_of_v1_is_read() -> None:
    assert apply_v1.parse_list("a *:* rwm\n").default == ALLOW
    listed = apply_v1.parse_list("c *:* m\nb 8:0 rw\n")
    assert (listed.default, listed.texts()) == (DENY, ("c *:* m", "b 8:0 rw"))
    assert apply_v1.parse_list("").texts() == ()


def test_only_differences_are_written() -> None:
    present = apply_v1.parse_list("c 1:3 rwm\nc 1:5 rw\nb 8:0 r\n")
    wanted = ("c 1:3 rwm", "c 1:5 rm", "c 1:9 r")
    assert apply_v1.differences(present, wanted) == (
        ["c 1:5 w", "b 8:0 r"],
        ["c 1:5 m", "c 1:9 r"],
    )
    assert apply_v1.differences(present, ("c 1:3 rwm", "c 1:5 rw", "b 8:0 r")) == ([], [])


class DeviceFiles:
    """devices.allow, .deny and .list in memory; the list can be made to lie."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, listed: str) -> None:
        self.listed, self.writes = listed, list[str]()
        monkeypatch.setattr(files, "read", lambda path: self.listed)
        monkeypatch.setattr(files, "write", self.write)

    def write(self, path: str, *values: str) -> None:
        self.writes += [f"{path.rpartition('.')[2]} {value}" for value in values]


def perform(default: str, *exceptions: str, fresh: int = 0) -> None:
    apply_v1.cgroup_devices_v1(Context(), "/group", default, exceptions, fresh)


def test_a_new_group_is_written_and_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    device_files = DeviceFiles(monkeypatch, "c 1:3 rwm\nb *:* m\n")
    perform(DENY, "b *:* m", "c 1:3 rwm", fresh=1)
    assert device_files.writes == ["deny a", "allow b *:* m", "allow c 1:3 rwm"]
    with pytest.raises(
        StepProblem, match=r"'/group/devices.list' has \['c 1:3 rwm', 'b \*:\* m'\]"
    ):
        perform(DENY, "c 1:3 rwm", fresh=1)
    with pytest.raises(StepProblem):
        perform(ALLOW, fresh=1)


def test_a_live_group_keeps_what_stays_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    device_files = DeviceFiles(monkeypatch, "c 1:3 rwm\nc 1:5 rwm\n")
    with pytest.raises(StepProblem):  # the list in memory does not change
        perform(DENY, "c 1:3 rwm", "c 1:9 r")
    assert device_files.writes == ["deny c 1:5 rwm", "allow c 1:9 r"]
    device_files.writes.clear()
    perform(DENY, "c 1:3 rwm", "c 1:5 rwm")
    assert device_files.writes == []


def test_a_live_group_changes_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    device_files = DeviceFiles(monkeypatch, "a *:* rwm\n")
    with pytest.raises(StepProblem):
        perform(DENY, "c 1:3 rwm")
    assert device_files.writes == ["deny a", "allow c 1:3 rwm"]
    device_files.writes.clear()
    perform(ALLOW, "c 1:3 w")  # exceptions that there were cannot be read
    assert device_files.writes == ["allow a", "deny c 1:3 w"]
