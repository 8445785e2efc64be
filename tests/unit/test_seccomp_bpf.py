"""Classic BPF: instructions, assembler, interpreter and disassembler, without any profile."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from libct.seccomp import instructions as bpf
from libct.seccomp.assembler import Assembler
from libct.seccomp.disassembler import disassemble, returned
from libct.seccomp.instructions import ALU, JA, JEQ, JGE, JGT, JSET, LD_ABS, RET_A, RET_K, X, check
from libct.seccomp.interpreter import answers, call_data, run

if TYPE_CHECKING:
    from libct.seccomp.instructions import Instruction

_END = (RET_K, 0, 0, 0)


def test_a_program_is_laid_out_as_the_kernel_has_it() -> None:
    code = bpf.encode([(LD_ABS, 0, 0, 4), (JEQ, 1, 2, 0xC000003E)], "<")
    assert code == bytes.fromhex("2000000004000000 150001023e0000c0")
    assert bpf.decode(code, "<") == [(LD_ABS, 0, 0, 4), (JEQ, 1, 2, 0xC000003E)]
    assert bpf.encode([(JEQ, 1, 2, 3)], ">") == bytes.fromhex("0015010200000003")
    with pytest.raises(ValueError, match="not 9"):
        bpf.decode(code[:9])


REFUSED = [
    ([], "not 0"),
    ([_END] * 4097, "not 4097"),
    ([(0x30, 0, 0, 0), _END], "instruction 0: unknown code 0x30"),
    ([(LD_ABS, 0, 0, 2), _END], "no word at 2"),
    ([(LD_ABS, 0, 0, 64), _END], "no word at 64"),
    ([(bpf.ST, 0, 0, 16), _END], "no word 16"),
    ([(ALU | bpf.DIV, 0, 0, 0), _END], "divides by 0"),
    ([(ALU | bpf.LSH, 0, 0, 32), _END], "shifts by 32"),
    ([(JA, 0, 0, 1), _END], "instruction 0: jumps out"),
    ([(JEQ, 0, 1, 1), _END], "instruction 0: jumps out"),
    ([(JEQ, 1, 0, 1), _END], "instruction 0: jumps out"),
    ([_END, (LD_ABS, 0, 0, 0)], "does not return"),
]


@pytest.mark.parametrize(("program", "message"), REFUSED)
def test_what_the_kernel_would_refuse_is_refused(
    program: list[bpf.Instruction], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        check(program)


def test_all_that_seccomp_takes_is_taken() -> None:
    operations = [(ALU | one, 0, 0, 1) for one in bpf.OPERATIONS]
    check([*operations, (JEQ | X, 0, 0, 0), (bpf.TAX, 0, 0, 0), (RET_A, 0, 0, 0)])


def answer_of(*program: bpf.Instruction, number: int = 0, argument: int = 0) -> int:
    check(program)
    return run(program, call_data(1, number, (argument,)))[0]


COMPUTED = [
    (bpf.ADD, 3, 0xFFFFFFFE, 1),
    (bpf.SUB, 3, 2, 0xFFFFFFFF),
    (bpf.MUL, 3, 0x80000001, 0x80000003),
    (bpf.DIV, 3, 10, 3),
    (bpf.OR, 3, 4, 7),
    (bpf.AND, 6, 3, 2),
    (bpf.XOR, 6, 3, 5),
    (bpf.LSH, 4, 0x18000000, 0x80000000),
    (bpf.RSH, 4, 0x80000010, 0x08000001),
    (bpf.NEG, 0, 1, 0xFFFFFFFF),
]


@pytest.mark.parametrize(("operation", "k", "before", "after"), COMPUTED)
def test_the_interpreter_computes_in_32_bits(
    operation: int, k: int, before: int, after: int
) -> None:
    load, end = (LD_ABS, 0, 0, 0), (RET_A, 0, 0, 0)
    assert answer_of(load, (ALU | operation, 0, 0, k), end, number=before) == after
    if operation != bpf.NEG:
        index = ((bpf.LDX_IMM, 0, 0, k), load, (ALU | operation | X, 0, 0, 0), end)
        assert answer_of(*index, number=before) == after


def test_the_interpreter_ends_where_the_index_register_divides_by_0() -> None:
    divide = (ALU | bpf.DIV | X, 0, 0, 0)
    assert answer_of((bpf.LD_IMM, 0, 0, 5), divide, (RET_K, 0, 0, 7)) == 0


def test_the_interpreter_moves_words() -> None:
    moves = [
        (bpf.LD_IMM, 0, 0, 9),
        (bpf.ST, 0, 0, 3),
        (bpf.LDX_MEM, 0, 0, 3),
        (bpf.LD_LEN, 0, 0, 0),
    ]
    assert answer_of(*moves, (bpf.TXA, 0, 0, 0), (RET_A, 0, 0, 0)) == 9
    assert answer_of(*moves, (RET_A, 0, 0, 0)) == 64
    assert (
        answer_of(
            *moves, (bpf.TAX, 0, 0, 0), (bpf.STX, 0, 0, 1), (bpf.LD_MEM, 0, 0, 1), (RET_A, 0, 0, 0)
        )
        == 64
    )
    assert answer_of((bpf.LDX_LEN, 0, 0, 0), (bpf.TXA, 0, 0, 0), (RET_A, 0, 0, 0)) == 64
    upper = [(LD_ABS, 0, 0, 20), (RET_A, 0, 0, 0)]
    assert run(upper, call_data(1, 2, (5 << 32,), byte_order="<"), "<") == (5, 2)
    assert run(upper, call_data(1, 2, (5,), byte_order=">"), ">") == (5, 2)


TESTS = [
    (JEQ, {5}),
    (JGT, {6, 0xFFFFFFFF}),
    (JGE, {5, 6, 0xFFFFFFFF}),
    (JSET, {1, 4, 5, 6, 0xFFFFFFFF}),
]


@pytest.mark.parametrize(("test", "holding"), TESTS)
def test_the_interpreter_tests(test: int, holding: set[int]) -> None:
    for number in (0, 1, 2, 4, 5, 6, 0xFFFFFFFF):
        ends = ((RET_K, 0, 0, 1), (RET_K, 0, 0, 2))
        expected = 1 if number in holding else 2
        assert answer_of((LD_ABS, 0, 0, 0), (test, 0, 1, 5), *ends, number=number) == expected
        load = ((bpf.LDX_IMM, 0, 0, 5), (LD_ABS, 0, 0, 0), (test | X, 0, 1, 0))
        assert answer_of(*load, *ends, number=number) == expected


def test_the_assembler_places_what_is_the_same_once() -> None:
    assembler = Assembler()
    yes, no = assembler.ret(1), assembler.ret(2)
    first = assembler.test(JEQ, 7, yes, no)
    assert assembler.test(JEQ, 7, assembler.ret(1), assembler.ret(2)) == first
    assert assembler.test(JEQ, 8, yes, yes) == yes
    assert assembler.load(0, first) == assembler.load(0, first)
    program = assembler.program(assembler.load(0, first))
    assert program == [(LD_ABS, 0, 0, 0), (JEQ, 1, 0, 7), (RET_K, 0, 0, 2), (RET_K, 0, 0, 1)]


def test_the_assembler_goes_on_where_it_is_told_to() -> None:
    assembler = Assembler()
    one = assembler.ret(1)
    assembler.ret(2)
    assert run(assembler.program(assembler.load(0, one)), call_data(0, 0))[0] == 1
    assembler = Assembler()
    one = assembler.ret(1)
    assembler.ret(2)
    assert run(assembler.program(one), call_data(0, 0))[0] == 1


@pytest.mark.parametrize("seed", range(30))
def test_the_assembler_reaches_what_is_far(seed: int) -> None:
    """Tests of which both goals, or one, are at the edge of what a byte reaches, or over it."""
    dice = random.Random(seed)
    assembler = Assembler()
    goals = {assembler.ret(0x100): 0x100}
    expected: dict[int, tuple[int, int, int]] = {}
    for k in range(1, 1200):
        yes, no = (dice.choice(list(goals)[-dice.choice((2, 300, 2000)) :]) for _ in range(2))
        if dice.random() < 0.05:
            label = assembler.ret(0x100 + k)
            goals[label] = 0x100 + k
        elif yes != no:
            label = assembler.test(JEQ, k, yes, no)
            expected[label] = (k, goals[yes], goals[no])
            goals[label] = goals[no]  # for any other number
    label, (k, yes, no) = max(expected.items())
    program = assembler.program(assembler.load(0, label))
    check(program)
    assert any(code == JA for code, *_ in program)
    assert run(program, call_data(0, k))[0] == yes
    assert run(program, call_data(0, 0))[0] == no


@pytest.mark.parametrize("between", [0, 1])
@pytest.mark.parametrize("distance", [1, 2, *range(250, 260)])
def test_the_assembler_knows_how_far_a_byte_reaches(distance: int, between: int) -> None:
    for first, second in ((1, 2), (2, 1)):
        assembler = Assembler()
        goals = {first: assembler.ret(first)}
        label = assembler.ret(3)
        for k in range(between):
            label = assembler.mask(k, label)
        goals[second] = assembler.ret(second)
        label = goals[second]
        for k in range(distance):
            label = assembler.mask(1000 + k, label)
        start = assembler.test(JEQ, 7, goals[1], goals[2])
        program = assembler.program(assembler.load(0, start))
        check(program)
        assert bpf.decode(bpf.encode(program)) == program
        assert run(program, call_data(0, 7))[0] == 1
        assert run(program, call_data(0, 8))[0] == 2


def test_a_program_that_is_too_long_is_refused() -> None:
    def program(size: int) -> list[bpf.Instruction]:
        assembler = Assembler()
        label = assembler.ret(0)
        for k in range(size - 1):
            label = assembler.mask(k, label)
        return assembler.program(label)

    check(program(4096))
    with pytest.raises(ValueError, match="4097 instructions; the kernel takes at most 4096"):
        program(4097)


def test_a_program_as_text() -> None:
    program = [
        (LD_ABS, 0, 0, 4),
        (JEQ, 0, 5, 0xC000003E),
        (LD_ABS, 0, 0, 0),
        (JGE, 3, 0, 0x40000001),
        (JEQ, 2, 0, 59),
        (LD_ABS, 0, 0, 20),
        (JSET, 0, 1, 0xFF),
        (RET_K, 0, 0, 0x00050001),
        (RET_K, 0, 0, 0x7FFF0000),
    ]
    check(program)
    assert disassemble(program) == [
        "   0  A = architecture",
        "   1  if A == X86_64 go to 2 else 7",
        "   2  A = number",
        "   3  if A >= 1073741825 (write) go to 7 else 4",
        "   4  if A == 59 (execve) go to 7 else 5",
        "   5  A = upper half of argument 0",
        "   6  if A & 0xff go to 7 else 8",
        "   7  return ERRNO(EPERM)",
        "   8  return ALLOW",
    ]


def test_a_number_has_no_name_where_it_may_be_of_two_architectures() -> None:
    program = [
        (LD_ABS, 0, 0, 4),
        (JEQ, 1, 0, 0x40000003),
        (JEQ, 0, 5, 0xC000003E),
        (LD_ABS, 0, 0, 0),
        (JEQ, 0, 0, 11),
        (ALU | bpf.AND, 0, 0, 15),
        (JA, 0, 0, 0),
        (JEQ | X, 0, 0, 0),
        (RET_K, 0, 0, 0x7FF00005),
    ]
    text = disassemble(program)
    assert text[4:] == [
        "   4  if A == 11 go to 5 else 5",
        "   5  A = A & 0xf",
        "   6  go to 7",
        "   7  if A == X go to 8 else 8",
        "   8  return TRACE(5)",
    ]


def test_what_a_filter_returns_has_names() -> None:
    values = (0, 0x80000000, 0x30000, 0x50026, 0x50FFF, 0x7FC00000, 0x7FFC0000, 0x12340000)
    assert " ".join(map(returned, values)) == (
        "KILL_THREAD KILL_PROCESS TRAP ERRNO(ENOSYS) ERRNO(4095) NOTIFY LOG 0x12340000"
    )


def random_program(source: random.Random) -> bpf.Program:
    """Of jumps forward, loads and calculations; what is computed is returned at times."""
    program: list[Instruction] = []
    size = source.randrange(4, 30)
    for left in range(size, 0, -1):
        then, other = (source.randrange(min(left, 4)) for _ in range(2))
        value = source.choice([0, 1, 2, 3, 0xC000003E])
        instruction: Instruction = source.choice(
            [
                (LD_ABS, 0, 0, source.choice([0, 4, 16, 24])),
                (source.choice([JEQ, JGT, JGE, JSET]), then, other, value),
                (JEQ | X, then, other, 0),
                (source.choice([bpf.TAX, bpf.TXA]), 0, 0, 0),
                (ALU | source.choice([bpf.ADD, bpf.AND, bpf.NEG]), 0, 0, value),
                (ALU | bpf.ADD | X, 0, 0, 0),
                (source.choice([bpf.LD_IMM, bpf.LDX_IMM]), 0, 0, value),
                (source.choice([bpf.LD_LEN, bpf.LDX_LEN]), 0, 0, 0),
                (source.choice([bpf.LD_MEM, bpf.LDX_MEM, bpf.ST, bpf.STX]), 0, 0, 1),
                (JA, 0, 0, then),
                (RET_K, 0, 0, value),
                (RET_A, 0, 0, 0),
            ]
        )
        program.append(instruction)
    program.append((RET_A, 0, 0, 0))
    check(program)
    return program


def test_all_answers_are_among_those_that_a_call_may_get() -> None:
    source = random.Random(5)
    exact = 0
    for _ in range(400):
        program = random_program(source)
        possible = answers(program, 0xC000003E, 2)
        exact += None not in possible
        for _ in range(20):
            arguments = [source.choice([0, 1, 2, 3]) for _ in range(2)]
            value, _ = run(program, call_data(0xC000003E, 2, arguments))
            assert value in possible or None in possible
    assert exact > 100


def test_answers_to_other_calls_are_not_among_them() -> None:
    program = [(LD_ABS, 0, 0, 0), (JEQ, 0, 1, 7), (RET_K, 0, 0, 1), (RET_K, 0, 0, 2)]
    assert answers(program, 0xC000003E, 7) == {1}
    assert answers(program, 0xC000003E, 8) == {2}
    program[0] = (LD_ABS, 0, 0, 16)
    assert answers(program, 0xC000003E, 7) == {1, 2}
