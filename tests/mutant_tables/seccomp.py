"""Mutants of the compiler of system call filters, and of what it is made of."""

from __future__ import annotations

from . import Mutant

_BPF = "tests/unit/test_seccomp_bpf.py::test_"
_COMPILER = "tests/unit/test_seccomp_compiler.py::test_"
_DIFFERENTIAL = "tests/unit/test_seccomp_differential.py::test_"


def _of(file: str, claim: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(claim, f"seccomp/{file}.py", old, new, tests)


_START = "tests/kernel/test_seccomp_start.py::test_"
_PLAN = "tests/unit/test_seccomp_plan.py::test_"

_STARTS = [
    Mutant(
        "a start that waits is prepared before the filter is loaded",
        "plan/process.py",
        "    prepared = [execute.prepare_wait(shown)] if hold and not hooks else []\n",
        "    prepared: list[Step] = []\n",
        (f"{_PLAN}the_filter_is_the_last_that_the_process_is_given",),
    ),
    Mutant(
        "a first process is filtered",
        "plan/container.py",
        '    plan.add(INIT, "process", seccomp_steps(config))\n',
        "",
        (f"{_START}a_call_that_is_forbidden_fails_inside",),
    ),
    Mutant(
        "a further process is filtered",
        "plan/further.py",
        '    plan.add(INIT, "process", seccomp_steps(config))\n',
        "",
        (f"{_START}a_call_that_is_forbidden_fails_inside",),
    ),
    Mutant(
        "a filter is refused where the kernel would ask for more than is left of rights",
        "life/unsupported.py",
        "    if not (config.no_new_privileges if privileges is None else privileges):\n",
        "    if not (config.no_new_privileges or privileges):\n",
        (f"{_START}what_is_not_done_yet_is_refused",),
    ),
    Mutant(
        "a rule that notifies is refused",
        "life/unsupported.py",
        '        if rule.action == "SCMP_ACT_NOTIFY":\n',
        '        if rule.action == "NOTIFY":\n',
        (f"{_START}what_is_not_done_yet_is_refused",),
    ),
    Mutant(
        "a profile that cannot be compiled is a finding",
        "plan/seccomp.py",
        "    except ValueError as error:\n",
        "    except KeyError as error:\n",
        (f"{_START}a_profile_that_cannot_be_compiled_is_refused_with_its_place",),
    ),
]

MUTANTS: list[Mutant] = [
    *_STARTS,
    _of(
        "instructions",
        "a program that is longer than the kernel takes is noticed",
        "if not 0 < size <= MAX_INSTRUCTIONS:",
        "if not 0 < size:",
        f"{_BPF}what_the_kernel_would_refuse_is_refused",
    ),
    _of(
        "instructions",
        "a jump out of the program is noticed, on either side",
        "max(jt, jf)",
        "jt",
        f"{_BPF}what_the_kernel_would_refuse_is_refused",
    ),
    _of(
        "instructions",
        "only words of the data are loaded",
        "(k % 4 or k >= DATA_SIZE)",
        "k >= DATA_SIZE",
        f"{_BPF}what_the_kernel_would_refuse_is_refused",
    ),
    _of(
        "interpreter",
        "the interpreter computes in 32 bits",
        "    return result & _MASK\n",
        "    return result\n",
        f"{_BPF}the_interpreter_computes_in_32_bits",
    ),
    _of(
        "interpreter",
        "a division by 0 ends the program",
        "if code == ALU | DIV | X and not x:",
        "if code == ALU | DIV | X and x < 0:",
        f"{_BPF}the_interpreter_ends_where_the_index_register_divides_by_0",
    ),
    _of(
        "assembler",
        "a test reaches 255 instructions and no more",
        "if len(self._placed) - label < _FARTHEST:",
        "if len(self._placed) - label < _FARTHEST + 2:",
        f"{_BPF}the_assembler_knows_how_far_a_byte_reaches",
    ),
    _of(
        "assembler",
        "a test jumps over a JA only where it has to",
        "- min(yes, no) >= _FARTHEST:",
        "- max(yes, no) >= _FARTHEST:",
        f"{_BPF}the_assembler_knows_how_far_a_byte_reaches",
    ),
    _of(
        "assembler",
        "what is loaded goes on where it is told to",
        "        if label != len(self._placed):\n",
        "        if label > len(self._placed):\n",
        f"{_BPF}the_assembler_goes_on_where_it_is_told_to",
    ),
    _of(
        "assembler",
        "the compiler makes no program that the kernel does not take",
        "if len(self._placed) > MAX_INSTRUCTIONS:",
        "if len(self._placed) > 2 * MAX_INSTRUCTIONS:",
        f"{_BPF}a_program_that_is_too_long_is_refused",
    ),
    _of(
        "disassembler",
        "a name is given only where all ways agree on what is compared",
        "state[1] if state[1] == before[1] else None,",
        "state[1],",
        f"{_BPF}a_number_has_no_name_where_it_may_be_of_two_architectures",
    ),
    _of(
        "actions",
        "an error number that the kernel would change is refused",
        "if not 0 <= data <= _DATA[value]:",
        "if data < 0:",
        f"{_COMPILER}a_number_that_an_action_cannot_carry_is_refused",
    ),
    _of(
        "actions",
        "an unknown flag of a filter is refused",
        "        if name not in _FLAGS:\n",
        "        if not name:\n",
        f"{_COMPILER}flags",
    ),
    _of(
        "actions",
        "a rule that notifies asks for a listener",
        'if any(rule.action == "SCMP_ACT_NOTIFY"',
        'if all(rule.action == "SCMP_ACT_NOTIFY"',
        f"{_COMPILER}flags",
    ),
    _of(
        "actions",
        "no flag of listeners is given where there is none",
        "return flags & ~SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
        "return flags",
        f"{_COMPILER}flags",
    ),
    _of(
        "architectures",
        "arguments of x32 are compared as 32 bits",
        '_NARROW = ("X32", "MIPS64N32"',
        '_NARROW = ("MIPS64N32"',
        f"{_COMPILER}x32_has_numbers_of_its_own",
    ),
    _of(
        "rules",
        "the first rule without conditions decides alone",
        "                if number in plain:\n",
        "                if not number:\n",
        f"{_COMPILER}a_rule_without_conditions_decides_alone",
    ),
    _of(
        "rules",
        "a rule without conditions takes the place of those with conditions",
        "                    conditional.pop(number, None)\n",
        "                    pass\n",
        f"{_COMPILER}a_rule_without_conditions_decides_alone",
    ),
    _of(
        "rules",
        "two conditions on one argument are two rules",
        "if len({condition[0] for condition in conditions}) < len(conditions):",
        "if not conditions:",
        f"{_COMPILER}where_two_conditions_are_about_one_argument_each_is_a_rule",
    ),
    _of(
        "rules",
        "a condition with an empty mask always holds",
        "for condition in conditions if condition[2])",
        "for condition in conditions)",
        f"{_COMPILER}a_mask_of_no_bits_always_holds",
    ),
    _of(
        "rules",
        "socketcall and ipc stand for the calls behind them",
        "            if architecture.socketcall:\n",
        "            if not architecture:\n",
        f"{_COMPILER}sockets_and_ipc_by_one_call",
    ),
    _of(
        "rules",
        "private numbers of arm make no call the newest",
        "    return _PRIVATE <= number < _PRIVATE + 16\n",
        "    return number < 0\n",
        f"{_COMPILER}calls_that_arm_alone_has_are_not_the_newest",
    ),
    _of(
        "rules",
        "a rule with the default action counts as naming its calls",
        """        newest = max((newest, *(number for number in known if not _private(number))))
        if rule.answer is None:
            continue
""",
        """        if rule.answer is None:
            continue
        newest = max((newest, *(number for number in known if not _private(number))))
""",
        f"{_COMPILER}a_rule_with_the_default_action_makes_a_call_known",
    ),
    _of(
        "rules",
        "rules are tried in the order of libseccomp",
        "return sorted(choices.items(), key=key, reverse=True)",
        "return list(choices.items())",
        f"{_COMPILER}the_more_particular_of_two_rules_comes_first",
    ),
    _of(
        "rules",
        "rules that differ in the mask alone are tried in the profile's order",
        "                found.append(-seen.setdefault(path, len(seen)))\n",
        "",
        f"{_DIFFERENTIAL}profiles_by_hand",
    ),
    _of(
        "compiler",
        "an architecture that is not listed is killed",
        "label = assembler.ret(KILL_THREAD)",
        "label = assembler.ret(default)",
        f"{_COMPILER}an_architecture_that_is_not_listed_is_killed",
    ),
    _of(
        "compiler",
        "x32 is killed where it is not listed",
        "ranges.append((first, KILL_THREAD, named(name)))",
        "ranges.append((first, default, named(name)))",
        f"{_COMPILER}an_architecture_that_is_not_listed_is_killed",
    ),
    _of(
        "compiler",
        "an architecture of the other byte order is refused",
        "if architecture.byte_order != native.byte_order:",
        "if not architecture.byte_order:",
        f"{_COMPILER}an_architecture_without_a_table_is_refused_by_name",
    ),
    _of(
        "compiler",
        "what is newer than the profile gets ENOSYS",
        "            start = found.newest + 1\n        if start <= end:\n"
        "            ranges.append((start, newer, architecture))\n",
        "            start = found.newest + 1\n        if start <= end:\n"
        "            ranges.append((start, default, architecture))\n",
        f"{_COMPILER}what_is_newer_than_the_profile_does_not_exist",
    ),
    _of(
        "compiler",
        "a default that lets through does so with what is newer",
        "    if default in (ALLOW, LOG) or default & 0xFFFF0000 == TRACE:\n",
        "    if default == ALLOW:\n",
        f"{_COMPILER}a_default_that_lets_through_does_so_with_what_is_newer",
    ),
    _of(
        "compiler",
        "a number that s390 cannot carry gets ENOSYS",
        'if architecture.name in ("S390", "S390X") and newer != default:',
        'if architecture.name == "S390" and newer != default:',
        f"{_COMPILER}a_number_that_s390_cannot_carry",
    ),
    _of(
        "compiler",
        "calls that are made most are found early",
        "_WEIGHT = 4  # of one, in ranges",
        "_WEIGHT = -0.02",
        f"{_COMPILER}every_call_is_decided_by_the_logarithm_of_the_profile",
        f"{_COMPILER}a_hot_call_is_decided_in_twelve_instructions",
    ),
    _of(
        "conditions",
        "both halves of an argument are compared",
        "        if architecture.wide:\n",
        "        if not value:\n",
        f"{_COMPILER}operators_compare_64_bits",
    ),
    _of(
        "conditions",
        "what has been masked is loaded again",
        "    return mask == _ALL or value == 0\n",
        "    return mask > 0 or value == 0\n",
        f"{_DIFFERENTIAL}random_profiles_mean_what_they_say",
    ),
    _of(
        "conditions",
        "the halves of an argument are where the byte order has them",
        '        little = architecture.byte_order == "<"\n',
        "        little = True\n",
        f"{_DIFFERENTIAL}random_profiles_mean_what_they_say",
    ),
]
