"""Mutants of the compiler of system call filters, and of what it is made of."""

from __future__ import annotations

from . import Mutant

_BPF = "tests/unit/test_seccomp_bpf.py::test_"
_COMPILER = "tests/unit/test_seccomp_compiler.py::test_"
_DIFFERENTIAL = "tests/unit/test_seccomp_differential.py::test_"


def _of(file: str, claim: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(claim, f"seccomp/{file}.py", old, new, tests)


_START = "tests/kernel/test_seccomp_start.py::test_"
_NOTIFY = "tests/kernel/test_seccomp_notify.py::test_"
_STRACE = "tests/kernel/test_seccomp_strace.py::test_"
_LEARN = "tests/kernel/test_seccomp_learn.py::test_"
_PLAN = "tests/unit/test_seccomp_plan.py::test_"

_STARTS = [
    Mutant(
        "a start that waits is prepared before the filter is loaded",
        "plan/container.py",
        "*wait])\n        add_filter(plan, INIT, *filtered)\n",
        '])\n        add_filter(plan, INIT, *filtered)\n        plan.add(INIT, "process", wait)\n',
        (f"{_PLAN}the_filter_is_the_last_that_the_process_is_given",),
    ),
    Mutant(
        "a first process is filtered",
        "plan/container.py",
        '        add_filter(plan, INIT, *filtered)\n        plan.add(INIT, "process", close)\n',
        '        plan.add(INIT, "process", close)\n',
        (f"{_START}a_call_that_is_forbidden_fails_inside",),
    ),
    Mutant(
        "a further process is filtered",
        "plan/further.py",
        "        add_filter(plan, INIT, *filtered)\n",
        "        pass\n",
        (f"{_START}a_call_that_is_forbidden_fails_inside",),
    ),
    Mutant(
        "who loads a filter without no_new_privs keeps the right to",
        "plan/process.py",
        "    more = 0 if privileges or config.seccomp is None else SYS_ADMIN\n",
        "    more = 0\n",
        (f"{_START}a_call_that_is_forbidden_fails_inside",),
    ),
    Mutant(
        "that right is given up after it",
        "plan/process.py",
        '        plan.add(who, "process", capabilities.last_steps(granted, SYS_ADMIN))\n',
        "        pass\n",
        (f"{_START}who_waits_has_not_got_the_right_any_more",),
    ),
    Mutant(
        "nobody has that right in a pid namespace with others: a first process",
        "plan/container.py",
        "    under_filter = bool(shared) and filters_early(config, process)\n",
        "    under_filter = False\n",
        (f"{_PLAN}nobody_has_that_right_in_a_pid_namespace_with_others",),
    ),
    Mutant(
        "nobody has that right in a pid namespace with others: a further process",
        "plan/further.py",
        "    under_filter = staged and filters_early(config, process)\n",
        "    under_filter = False\n",
        (
            "tests/kernel/test_attacks.py::test_what_execs_into_a_container_shows_nothing_of_the_host",
        ),
    ),
    Mutant(
        "who is under a filter clones by the call that filters know",
        "bootstrap/namespaces.py",
        "        elif filtered:\n",
        "        elif False:\n",
        (
            f"{_START}who_is_cloned_into_a_pid_namespace_with_others_is_under_the_filter",
            f"{_START}few_calls_are_made_under_the_filter_by_who_is_cloned_late",
        ),
    ),
    Mutant(
        "without the right to load it a start is refused before it",
        "plan/process.py",
        "    if not privileges and not in_user and not host.capabilities.permitted & SYS_ADMIN:\n",
        "    if False:\n",
        (f"{_START}without_the_right_to_load_it_the_start_is_refused_by_name",),
    ),
    Mutant(
        "what is handed over is a listener",
        "seccomp/listener.py",
        '    if posix.readlink(f"/proc/self/fd/{fd}") != _KIND:\n',
        "    if False:\n",
        (f"{_NOTIFY}what_is_no_listener_is_not_handed_over",),
    ),
    Mutant(
        "the process keeps no copy of the listener",
        "seccomp/load.py",
        "    close_range(fd, fd)\n",
        "",
        (f"{_NOTIFY}who_waits_for_its_start_has_no_listener_that_others_might_take",),
    ),
    Mutant(
        "a filter fakes no call of a first process's start",
        "plan/container.py",
        "    check_filter(plan, config)\n",
        "",
        (f"{_START}a_filter_that_fakes_a_call_of_the_start_is_refused",),
    ),
    Mutant(
        "a filter fakes no call of a further process's start",
        "plan/further.py",
        "    check_filter(plan, config)\n",
        "",
        (f"{_START}a_filter_that_fakes_a_call_of_the_start_is_refused",),
    ),
    Mutant(
        "a filter fakes no call that only some starts make",
        "plan/seccomp.py",
        "        calls += _BY_STEP.get(op, ())\n",
        "        pass\n",
        (f"{_PLAN}a_filter_that_fakes_a_call_of_the_start_is_refused",),
    ),
    Mutant(
        "a filter returns no number that it computes as an answer to a call of a start",
        "plan/seccomp.py",
        "{None, ERRNO} & ",
        "{ERRNO} & ",
        (f"{_PLAN}a_program_that_may_fake_a_call_is_refused",),
    ),
    Mutant(
        "what a program may answer holds under all conditions",
        "seccomp/interpreter.py",
        "        elif a is None or code & X:\n            waiting += [(at + 1 + jt, None), ",
        "        elif a is None or code & X:\n            waiting += [",
        (
            f"{_BPF}all_answers_are_among_those_that_a_call_may_get",
            f"{_BPF}answers_to_other_calls_are_not_among_them",
        ),
    ),
    Mutant(
        "what is computed of arguments is not known",
        "seccomp/interpreter.py",
        "        return None if a is None or code & X else ",
        "        return None if a is None else ",
        (f"{_BPF}all_answers_are_among_those_that_a_call_may_get",),
    ),
    Mutant(
        "a message that is not written is not told for ever",
        "bootstrap/talk.py",
        "            if not written:",
        "            if written < 0:",
        (f"{_START}a_message_that_is_not_written_is_not_told_for_ever",),
    ),
    Mutant(
        "an ordinary user's process lets the runtime take the listener",
        "seccomp/load.py",
        "    set_dumpable(True)\n",
        "    pass\n",
        (f"{_NOTIFY}an_ordinary_user_has_notifications_too",),
    ),
    Mutant(
        "calls that bring the listener out cannot be notified",
        "config/rules_seccomp.py",
        "for name in rule.names if name in BEFORE_LISTENER)",
        'for name in rule.names if name == "write")',
        (f"{_NOTIFY}calls_that_bring_the_listener_out_cannot_be_notified",),
    ),
    Mutant(
        "the last that is called while the listener is inside cannot be notified",
        "config/rules_seccomp.py",
        '"close_range", "brk"',
        '"brk"',
        (
            f"{_NOTIFY}calls_that_bring_the_listener_out_cannot_be_notified",
            f"{_STRACE}what_is_called_while_the_listener_is_inside_cannot_be_notified",
        ),
    ),
    Mutant(
        "an exception is no way past the filter",
        "seccomp/notifications.py",
        "        value, code = 0, errno.EPERM\n        _tell",
        "        flags = 1\n        _tell",
        (f"{_NOTIFY}an_answer_that_fails_is_eperm",),
    ),
    Mutant(
        "an error number that is none is no way past the filter",
        "seccomp/notifications.py",
        "isinstance(error.errno, int) and 0 < error.errno <= _HIGHEST_ERRNO",
        "isinstance(error.errno, int)",
        (f"{_NOTIFY}an_answer_that_fails_is_eperm",),
    ),
    Mutant(
        "a number that is none of a call's ends no answering",
        "seccomp/notifications.py",
        "            if not -_SIGNED <= value < _SIGNED:",
        "            if False:",
        (f"{_NOTIFY}a_wrong_answer_is_not_the_last",),
    ),
    Mutant(
        "an error number that is no number ends no answering",
        "seccomp/notifications.py",
        "if isinstance(error.errno, int) and 0",
        "if 0",
        (f"{_NOTIFY}a_wrong_answer_is_not_the_last",),
    ),
    Mutant(
        "a hook of the host program that fails ends no answering",
        "seccomp/notifications.py",
        "    except BaseException:\n        pass  #",
        "    except ValueError:\n        pass  #",
        (f"{_NOTIFY}a_wrong_answer_is_not_the_last",),
    ),
    Mutant(
        "a signal does not end the connecting to an agent",
        "seccomp/listener.py",
        "    socket.setblocking(False)\n    waiting",
        "    waiting",
        (f"{_NOTIFY}signals_do_not_keep_the_listener_from_an_agent_that_is_slow",),
    ),
    Mutant(
        "a path that no socket has is refused",
        "config/rules_seccomp.py",
        "            if size > _LONGEST_SOCKET:",
        "            if size > 2 * _LONGEST_SOCKET:",
        (f"{_NOTIFY}a_path_that_no_socket_has_is_refused",),
    ),
    Mutant(
        "who ends under a filter without a word is told of it",
        "bootstrap/started.py",
        "text, None, hint_for_filter(self.plan, number))",
        "text)",
        (f"{_START}what_is_forbidden_to_the_start_is_told",),
    ),
    Mutant(
        "who ends under a filter has not ended before it",
        "bootstrap/client.py",
        '("container_hook", "load_filter")',
        '("container_hook",)',
        (f"{_START}what_is_forbidden_to_the_start_is_told",),
    ),
    Mutant(
        "a call that is not execve is not told as one",
        "bootstrap/started.py",
        "and failure.errno and failure.path is not None:",
        "and failure.errno:",
        (f"{_START}what_is_forbidden_to_the_start_is_told",),
    ),
    Mutant(
        "a created container that its filter has ended says so",
        "life/releasing.py",
        "_ended_by(pidfd) == SIGSYS",
        "False",
        (f"{_START}what_is_forbidden_to_the_start_is_told",),
    ),
    Mutant(
        "a hook that fails by itself is not the filter's",
        "bootstrap/started.py",
        "_UNTOLD = (errno.EPERM",
        "_UNTOLD = (None, errno.EPERM",
        (f"{_START}a_hook_that_fails_by_itself_is_not_the_filter_s",),
    ),
    Mutant(
        "what starts under a learned profile has what a start needs",
        "cli/learn.py",
        "self._learner.profile((*AFTER, *AFTER_WAIT, *AFTER_RIGHTS))",
        "self._learner.profile(())",
        (f"{_LEARN}a_command_runs_under_what_was_learned_of_it",),
    ),
    Mutant(
        "a learned profile allows what was seen and no more",
        "seccomp/learning.py",
        '            "defaultAction": "SCMP_ACT_ERRNO",\n',
        '            "defaultAction": "SCMP_ACT_ALLOW",\n',
        (f"{_LEARN}a_command_runs_under_what_was_learned_of_it",),
    ),
    Mutant(
        "a profile that cannot be written is told before the run",
        "cli/learn.py",
        "        self.write()  # a place that cannot be written is told before the run\n",
        "",
        (f"{_LEARN}a_file_that_cannot_be_written_is_told_before_the_run",),
    ),
    Mutant(
        "a profile that cannot be compiled is a finding",
        "plan/seccomp.py",
        "    except ValueError as error:\n",
        "    except KeyError as error:\n",
        (f"{_START}a_profile_that_cannot_be_compiled_is_refused_with_its_place",),
    ),
]

_PROFILES = "tests/unit/test_oci_profiles.py::test_"


def _of_profiles(claim: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(claim, "oci/profiles.py", old, new, tuple(f"{_PROFILES}{one}" for one in tests))


_FILES = [
    _of_profiles(
        "a rule is for who has all capabilities that it includes",
        "or False in capabilities or kernel is False",
        "or True not in capabilities or kernel is False",
        "conditions",
    ),
    _of_profiles(
        "a rule is for nobody who has one of the capabilities that it excludes",
        "or True in capabilities or kernel)",
        "or False in capabilities or kernel)",
        "conditions",
    ),
    _of_profiles(
        "a rule is for one of the machines that it includes",
        "if (machines and True not in machines)",
        "if False in machines",
        "conditions",
    ),
    _of_profiles(
        "kernels are compared by numbers",
        "    return int(major), int(minor)\n",
        "    return int(major), int(minor[0])\n",
        "conditions",
    ),
    _of_profiles(
        "places are those of the file, where rules have been left out",
        "            indexes.append(index)\n",
        "            indexes.append(len(indexes))\n",
        "conditions",
    ),
    _of_profiles(
        "mistakes are found in rules that do not apply",
        "        found = _rule(rule)\n        if _applies(rule, circumstances):\n",
        "        if _applies(rule, circumstances):\n            found = _rule(rule)\n",
        "mistakes_are_found_together_each_with_its_place",
    ),
    _of_profiles(
        "an unknown error is refused",
        'getattr(errno, name, None) if name.startswith("E") else None',
        "getattr(errno, name, None)",
        "names_of_errors",
    ),
]

_DEFAULT = "tests/unit/test_seccomp_default.py::test_"
_SANDBOX = "tests/kernel/test_seccomp_sandbox.py::test_"

_DEFAULTS = [
    _of(
        "default",
        "no flag of clone makes a namespace",
        "_NAMESPACES = 0x7E020000",
        "_NAMESPACES = 0x6E020000",
        f"{_DEFAULT}arguments",
    ),
    _of(
        "default",
        "arguments of 32 bits are compared as such",
        'return SeccompArg(index, bits, value, "SCMP_CMP_MASKED_EQ")',
        'return SeccompArg(index, bits | 1 << 32, value, "SCMP_CMP_MASKED_EQ")',
        f"{_DEFAULT}arguments",
        f"{_SANDBOX}arguments_decide_inside",
    ),
    _of(
        "default",
        "a family cannot be hidden in socketcall",
        "        multiplexer = _errno(",
        '        multiplexer = _allow(["socketcall"]) if machine else _errno(',
        f"{_DEFAULT}a_family_cannot_be_hidden_in_socketcall",
        f"{_SANDBOX}a_32_bit_program_has_no_way_around_it",
    ),
    _of(
        "default",
        "other families of sockets are refused",
        "        _errno(names, unknown, _any(0)),\n",
        "        _allow(names, _any(0)),\n",
        f"{_DEFAULT}arguments",
        f"{_SANDBOX}arguments_decide_inside",
    ),
    _of(
        "default",
        "on s390 the flags of clone are its second argument",
        'flags = 1 if machine.name in ("S390", "S390X") else 0',
        "flags = 0",
        f"{_DEFAULT}on_s390_the_flags_of_clone_are_its_second_argument",
    ),
    Mutant(
        "a sandbox has libct's own profile",
        "sandbox/config.py",
        "    config.seccomp = _filter(options.seccomp, config.capabilities)\n",
        "",
        (f"{_SANDBOX}what_is_left_out_fails_inside", f"{_SANDBOX}arguments_decide_inside"),
    ),
    Mutant(
        "a sandbox's profile knows the capabilities",
        "sandbox/config.py",
        "        return default_profile(machine, has)\n",
        "        return default_profile(machine)\n",
        (f"{_SANDBOX}without_the_profile_it_is_the_kernel_that_answers",),
    ),
    Mutant(
        "an engine's profile knows them, too",
        "sandbox/config.py",
        "Circumstances(machine, has)",
        "Circumstances(machine)",
        (f"{_SANDBOX}a_file_is_a_profile",),
    ),
]

_EXPLAIN = "tests/unit/test_seccomp_explain.py::test_"
_COMMAND = "tests/unit/test_cli_seccomp.py::test_"

_EXPLAINED = [
    _of(
        "explain",
        "conditions that do not hold are left out",
        "            if not all(_holds(one, arguments)",
        "            if conditions is None and not all(_holds(one, arguments)",
        f"{_EXPLAIN}what_is_told_is_what_the_filter_answers",
    ),
    _of(
        "explain",
        "what is tried after a rule that holds is not told",
        "            if not words:\n",
        "            if conditions is None:\n",
        f"{_EXPLAIN}what_depends_on_arguments_is_told_in_the_order_it_is_tried",
    ),
    _of(
        "explain",
        "a rule with the default action is told",
        "            if rule.answer is None and number in",
        "            if rule.answer and number in",
        f"{_EXPLAIN}the_place_that_decides",
    ),
    _of(
        "lint",
        "a rule that another one makes futile is found",
        "            by = found.get(()) or found[conditions]\n",
        "            by = found.get((), rule)\n",
        f"{_EXPLAIN}rules_that_decide_on_nothing",
    ),
    _of(
        "lint",
        "a call by way of another one, which is decided on already, is no mistake",
        "            if number in own:",
        "            if number:",
        f"{_EXPLAIN}what_another_architecture_needs_is_no_mistake",
    ),
    _of(
        "lint",
        "a comparison of 64 bits of what has 32 is found",
        "        if avoided and _avoidable(rule, one):\n",
        "        if not rule and _avoidable(rule, one):\n",
        f"{_EXPLAIN}conditions_that_another_bit_avoids",
    ),
    _of(
        "lint",
        "two conditions on one argument are found",
        "        if one.index in seen:\n",
        "        if one.index == 7:\n",
        f"{_EXPLAIN}conditions_that_are_not_what_they_look_like",
    ),
    _of(
        "lint",
        "what the start needs is looked at",
        "for answer in answers if answer.value not in _PASSING]\n",
        "for answer in answers if answer.value < 0]\n",
        f"{_EXPLAIN}what_the_start_needs",
        f"{_COMMAND}lint",
    ),
    _of(
        "lint",
        "names that Linux does not have are found",
        "        if name not in names:\n",
        "        if not name:\n",
        f"{_EXPLAIN}names_that_linux_does_not_have",
    ),
    Mutant(
        "the exit status of lint tells of errors",
        "cli/seccomp.py",
        "return 1 if any(one.level",
        "return 0 if any(one.level",
        (f"{_COMMAND}lint",),
    ),
    Mutant(
        "places in a message are those of the file, too",
        "oci/profiles.py",
        "{self._indexes[int(index)]}",
        "{int(index)}",
        (f"{_COMMAND}lint",),
    ),
]

MUTANTS: list[Mutant] = [
    *_EXPLAINED,
    *_DEFAULTS,
    *_STARTS,
    *_FILES,
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
    Mutant(
        "a rule that notifies asks for a listener",
        "config/rules_seccomp.py",
        'any(rule.action == "SCMP_ACT_NOTIFY"',
        'all(rule.action == "SCMP_ACT_NOTIFY"',
        (f"{_COMPILER}flags",),
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
        "            if () in found:\n",
        "            if number < 0:\n",
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
        "        if architecture.socketcall:\n",
        "        if not architecture:\n",
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
        "            if number > newest and not _private(number):\n",
        "            if rule.answer is not None and number > newest and not _private(number):\n",
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
        "compiler",
        "only tables of what is listed are loaded",
        "for found in ranges if found[1]}",
        "for found in ranges}",
        f"{_COMPILER}only_tables_of_what_is_listed_are_loaded",
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
    _of(
        "given",
        "a given program is one that the kernel takes",
        "        check(decode(code))\n",
        "",
        "tests/unit/test_seccomp_given.py::test_what_the_kernel_would_not_take_is_refused",
    ),
    _of(
        "given",
        "a given program is base64 and nothing else",
        "        exact = binascii.b2a_base64(code, newline=False).decode() == text\n",
        "        exact = True\n",
        "tests/unit/test_seccomp_given.py::test_what_the_kernel_would_not_take_is_refused",
    ),
    Mutant(
        "a name that no architecture has is refused where that is asked",
        "plan/seccomp.py",
        "        check_names(seccomp)\n",
        "",
        (
            "tests/unit/test_seccomp_given.py::test_names_that_no_architecture_has_are_refused_if_that_is_asked",
        ),
    ),
    Mutant(
        "plugins are refused",
        "life/unsupported.py",
        "    if annotation(config, SECCOMP_PLUGINS) is not None:\n",
        "    if False:\n",
        ("tests/unit/test_seccomp_given.py::test_plugins_are_refused_by_name",),
    ),
]
