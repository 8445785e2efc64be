"""Access to devices, trees of threads, and the end of all in a group."""

from __future__ import annotations

from . import Mutant

_STEPS = "tests/unit/test_cgroups_steps.py::"
_DEVICES = "tests/unit/test_devices.py::"
_SHOW = "tests/unit/test_cli_show.py::"
_KERNEL = "tests/kernel/test_cgroups_devices.py::"
_PLANS = "tests/unit/test_cgroups_plan.py::"
_UPDATE = "tests/unit/test_cli_update.py::"
_V1 = "tests/kernel/test_cgroups_v1.py::"
_V2 = "tests/kernel/test_cgroups_v2.py::"
_THREADED = "tests/kernel/test_cgroups_threaded.py::"

_THREADS = [
    Mutant(
        "each level among threads is made threaded",
        "cgroups/controllers.py",
        "        _make_threaded(level, needed)\n",
        "    _make_threaded(level, needed)\n",
        (_THREADED + "test_each_level_becomes_threaded",),
    ),
    Mutant(
        "a limit that threads cannot have is refused",
        "cgroups/controllers.py",
        "    if whole:\n",
        "    if False:\n",
        (_STEPS + "test_what_cannot_limit_threads_is_refused_among_them",),
    ),
    Mutant(
        "beside processes nothing is enabled that is not needed",
        "cgroups/controllers.py",
        "        if problem.errno == errno.EBUSY and controller not in needed:\n",
        "        if False:\n",
        (_STEPS + "test_beside_processes_only_what_is_needed_is_enabled",),
    ),
    Mutant(
        "what was enabled for a start that is refused is enabled no more",
        "cgroups/controllers.py",
        "for level, controller in reversed(enabled):",
        "for level, controller in ():",
        (_STEPS + "test_what_cannot_limit_threads_is_refused_among_them",),
    ),
    Mutant(
        "what was enabled before stays so",
        "cgroups/controllers.py",
        "wanted = [controller for controller in offered if controller not in before]",
        "wanted = list(offered)",
        (_STEPS + "test_what_was_enabled_before_stays_so_after_a_refusal",),
    ),
    Mutant(
        "threads are told as their processes",
        "cgroups/files.py",
        "_process_of(int(word)) for word",
        "int(word) for word",
        (_THREADED + "test_threads_are_told_as_their_processes",),
    ),
]

_KILLING = [
    Mutant(
        "what forks is frozen to be killed",
        "cgroups/killing.py",
        '    _freeze(directories, "1", "FROZEN")\n',
        "    pass\n",
        (_V2 + "test_what_forks_away_is_frozen_before_it_is_killed",),
    ),
    Mutant(
        "what has forked until it was frozen is killed, too",
        "cgroups/killing.py",
        "            if not found:\n                break\n",
        "            break\n",
        (_V2 + "test_what_forks_away_is_frozen_before_it_is_killed",),
    ),
    Mutant(
        "many are frozen at once",
        "cgroups/killing.py",
        "many = len(found) > _MANY or ",
        "many = ",
        (_V2 + "test_what_forks_away_is_frozen_before_it_is_killed",),
    ),
    Mutant(
        "who ends a group that he is in does not freeze himself",
        "cgroups/killing.py",
        " and own not in present:",
        ":",
        (_V2 + "test_who_is_in_the_group_himself_is_not_frozen",),
    ),
    Mutant(
        "what is frozen to be killed is thawed",
        "cgroups/killing.py",
        '        _freeze(directories, "0", "THAWED")\n',
        "        pass\n",
        (_V2 + "test_what_forks_away_is_frozen_before_it_is_killed",),
    ),
    Mutant(
        "what v1 has frozen is thawed to die",
        "cgroups/killing.py",
        "        thaw(directories)\n        if len(found)",
        "        if len(found)",
        (_V1 + "test_killing_gets_frozen_and_forking_processes",),
    ),
    Mutant(
        "what v1 has frozen in groups below is thawed to die",
        "cgroups/killing.py",
        "for path in reversed(list(files.tree(directory))):",
        "for path in [directory]:",
        (_V1 + "test_killing_gets_what_is_frozen_below",),
    ),
    Mutant(
        "what cannot end for a group above is told at once",
        "cgroups/killing.py",
        "        if now - progress > _ABOVE_SECONDS:\n",
        "        if False:\n",
        (_V1 + "test_what_a_group_above_has_frozen_is_told_at_once",),
    ),
    Mutant(
        "as long as some end, it is waited for the others",
        "cgroups/killing.py",
        "            fewest, progress = len(found), now\n",
        "            pass\n",
        (_V2 + "test_who_ends_late_is_waited_for_while_others_end",),
    ),
    Mutant(
        "what is spared is not killed with its group",
        "cgroups/killing.py",
        "    if not reused and not spared.intersection(present):\n",
        "    if not reused:\n",
        (_V2 + "test_what_is_spared_lives_on",),
    ),
    Mutant(
        "what is spared is not killed one by one",
        "cgroups/killing.py",
        "found := [pid for pid in present if pid not in spared]",
        "found := [pid for pid in present]",
        (_V1 + "test_what_is_spared_lives_on",),
    ),
]

_FROZEN = [
    Mutant(
        "what a group above has frozen is not entered",
        "life/starting.py",
        "            if manager is not None and not ignore_paused:\n",
        "            if False:\n",
        ("tests/kernel/test_exec_cgroup.py::test_v2_that_a_group_above_has_frozen_is_not_entered",),
    ),
]

_PROGRAM = [
    Mutant(
        "a plan shows the instructions of a device program",
        "cli/show.py",
        "for line in _program(step))",
        "for line in ())",
        (_SHOW + "test_the_instructions_of_a_device_program_are_shown",),
    ),
    Mutant(
        "what several ways have set differently is not known",
        "cgroups/devices/disassembler.py",
        "if before.get(name) == what}",
        "}",
        (_DEVICES + "test_what_is_not_known_any_more_is_not_said",),
    ),
    Mutant(
        "a register that is set is known for what is in it, and not for what was",
        "cgroups/devices/disassembler.py",
        "            state[register] = about\n",
        "            state.setdefault(register, about)\n",
        (_DEVICES + "test_a_program_is_read",),
    ),
]

_NUMBERS = [
    Mutant(
        "a number that is somebody else's by now is not signalled",
        "cgroups/killing.py",
        "                if pid in present:\n",
        "                if True:\n",
        (_V2 + "test_a_number_that_is_somebody_elses_by_now_is_not_signalled",),
    ),
]

_CHANGES = [
    Mutant(
        "the program of rules that are in force stays",
        "cgroups/devices/apply_v2.py",
        "                return False\n            if old",
        "                pass\n            if old",
        (_KERNEL + "test_the_same_rules_leave_the_program_that_is_there",),
    ),
    Mutant(
        "another program is not taken for the one that is asked for",
        "cgroups/devices/apply_v2.py",
        " and _is_same(old[0], loaded):",
        ":",
        (_KERNEL + "test_the_same_rules_leave_the_program_that_is_there",),
    ),
    Mutant(
        "a program that is attached as the only one is replaced as such",
        "cgroups/devices/apply_v2.py",
        "            if old and flags != bpf.BPF_F_ALLOW_MULTI:\n",
        "            if False:\n",
        (_KERNEL + "test_a_program_that_allows_no_others_is_replaced_at_once",),
    ),
    Mutant(
        "v1 does not write exceptions again that it has",
        "cgroups/v1.py",
        'access[0] == "allow" and access == self._recorded_access():',
        "False:",
        (_PLANS + "test_exceptions_that_v1_does_not_list_are_not_written_again",),
    ),
    Mutant(
        "rules of devices in a file are applied",
        "cli/update.py",
        "skip_devices=not asked.devices)",
        "skip_devices=True)",
        (_UPDATE + "test_rules_of_devices_take_the_place_of_all",),
    ),
]

MUTANTS = [*_CHANGES, *_NUMBERS, *_FROZEN, *_THREADS, *_KILLING, *_PROGRAM]
