"""Mutants of starts that share the server's memory (bootstrap/sharing.py, plan/sharing.py)."""

from __future__ import annotations

from . import Mutant

_PLAN = "tests/unit/test_sharing.py::test_"
_KERNEL = "tests/kernel/test_sharing.py::test_"
_SHARING = "bootstrap/sharing.py"


def _bare(claim: str, file: str, old: str, new: str, test: str) -> Mutant:
    return Mutant(f"bare: {claim}", file, old, new, (f"tests/kernel/test_bare.py::test_{test}",))


def _light(claim: str, old: str, new: str, test: str) -> Mutant:
    return Mutant(f"bare: {claim}", "plan/sharing.py", old, new, (_PLAN + test,))


_CLONED_BARE = "bootstrap/bare.py"
_LINES = "bootstrap/lined_up.py"
_IDLE = "bootstrap/idle.py"
_BARE = [
    _bare(
        "without the word there is nothing to be executed",
        _CLONED_BARE,
        'region.place(b"\\0" + cstring(path)[len(GO) :] + b"\\0")',
        'region.place(cstring(path) + b"\\0")',
        "without_the_word_nothing_is_executed[killed-/bin/touch]",
    ),
    _bare(
        "a session of its own",
        _CLONED_BARE,
        '                region.call("setsid")\n',
        "                pass\n",
        "it_has_a_session_and_no_descriptor_more",
    ),
    _bare(
        "it ends with the runtime where that is asked for",
        _CLONED_BARE,
        '                region.call("prctl", PR_SET_PDEATHSIG, *arguments)\n',
        "                pass\n",
        "it_ends_with_the_runtime_where_that_is_asked_for",
    ),
    _bare(
        "no signal is ignored",
        _CLONED_BARE,
        '            region.call("signal", signal, _SIG_DFL)\n',
        "            pass\n",
        "it_has_a_session_and_no_descriptor_more",
    ),
    _bare(
        "what execve says is told",
        _CLONED_BARE,
        '        region.call("writev", up, region.with_errno(failed), 3)\n',
        "",
        "words_of_any_size",
    ),
    _bare(
        "a relative path is one from the working directory",
        _CLONED_BARE,
        'f"{here}/{program}"',
        "program",
        "a_program_by_a_relative_path",
    ),
    _bare(
        "the memory of the calls is given back",
        _CLONED_BARE,
        "        region.close()\n",
        "        pass\n",
        "many_leave_nothing",
    ),
    _bare(
        "a stage that is killed beside it is not waited for",
        "bootstrap/client.py",
        "        return self.taken > 0 and any(step.op == _MUTE for step in self.plan)\n",
        "        return False\n",
        "the_stage_is_ended_or_stopped_beside_the_clone[after-9]",
    ),
    _bare(
        "no copy of the interpreter's memory",
        _IDLE,
        "        _advise(idle, MADV_DONTFORK)\n",
        "        pass\n",
        "who_may_trace_finds_nothing_of_the_servers",
    ),
    _bare(
        "no copy of the main stack",
        _IDLE,
        "idle_memory(maps, lined_up.whole_pages(*stack))",
        "idle_memory(maps)",
        "its_memory_is_the_c_librarys_and_its_own_words",
    ),
    _bare(
        "what lies beside the thread's own variables is not kept",
        _IDLE,
        "    return lined_up.whole_pages(min(places), max(places))\n",
        "    return lined_up.whole_pages(min(places) - (1 << 17), max(places))\n",
        "its_memory_is_the_c_librarys_and_its_own_words",
    ),
    _bare(
        "what lies behind the C library is not kept",
        _IDLE,
        "    return lined_up.whole_pages(base, base + max(ends))[1]\n",
        "    return lined_up.whole_pages(base, base + max(ends))[1] + (1 << 17)\n",
        "its_memory_is_the_c_librarys_and_its_own_words",
    ),
    _bare(
        "the server's memory can be copied afterwards",
        _IDLE,
        "        _advise(idle, MADV_DOFORK)\n",
        "        pass\n",
        "many_leave_nothing",
    ),
    _bare(
        "holes in a range are no problem",
        _IDLE,
        "            if error.errno != errno.ENOMEM:",
        "            if True:",
        "what_is_not_marked_is_an_error",
    ),
    _bare(
        "what cannot be marked is one",
        _IDLE,
        "            if error.errno != errno.ENOMEM:",
        "            if False:",
        "what_is_not_marked_is_an_error",
    ),
    _bare(
        "memory that has a name is the interpreter's, too",
        _IDLE,
        ', b"[anon"))',
        "))",
        "memory_with_a_name_is_given_away_too",
    ),
    _light(
        "only who has nothing else to do",
        '    if at < 0 or any(step.op not in (*_LINED_UP, "set_own_rlimit") for step in own):\n',
        "    if at < 0:\n",
        "who_has_more_to_do_than_calls_is_forked",
    ),
    _light(
        "not where the runtime has a turn after it",
        "    if any(step.process == RUNTIME for step in plan.steps[at:]):\n",
        "    if False:\n",
        "who_has_to_say_that_it_is_the_runtimes_turn_is_forked",
    ),
    _light(
        "not under a filter that forbids what it takes",
        '    if any(step.op == "load_filter" and not _is_enough(step) for step in plan):\n',
        "    if False:\n",
        "a_filter_that_forbids_to_clone_bare",
    ),
    _light(
        "its limits are set",
        "    plan.steps[at + 1 : at + 1] = [\n",
        "    _ = [\n",
        "the_stage_sets_the_limits_of_what_is_bare",
    ),
    _light(
        "memory is noted before the filter",
        '"load_filter", "close_descriptors")',
        '"close_descriptors")',
        "a_filter_that_lets_clone_bare",
    ),
]


def _forked(claim: str, old: str, new: str, test: str, file: str = "plan/sharing.py") -> Mutant:
    return Mutant(f"forked: {claim}", file, old, new, (_PLAN + test,))


_REASONS = [
    _forked(
        "who waits for a hook",
        "        if step.op in _HOOKS:\n",
        "        if False:\n",
        "who_waits_for_a_hook_is_forked[prestart]",
    ),
    _forked(
        "who waits for its start",
        '"clone_messenger", "await_start", ',
        "",
        "who_waits_for_its_start_is_forked",
    ),
    _forked(
        "who waits for a hook in the container",
        '"container_hook", ',
        "",
        "who_waits_for_a_hook_is_forked[create_container]",
    ),
    _forked(
        "who waits for a lender",
        ', "lend_sources", "lend_here"}',
        "}",
        "who_waits_for_a_lender_is_forked",
    ),
    _forked(
        "who unshares a user namespace",
        '{"unshare_user", ',
        "{",
        "who_is_refused_by_the_kernel_is_forked",
    ),
    _forked(
        "who joins a time namespace",
        "        return any(flag == CLONE_NEWTIME for flag, _ in step.args[1])\n",
        "        return False\n",
        "who_is_refused_by_the_kernel_is_forked",
    ),
    _forked(
        "who enters a time namespace",
        '"join_process", ',
        "",
        "who_is_refused_by_the_kernel_is_forked",
    ),
    _forked(
        "who has a listener",
        "    if flags & SECCOMP_FILTER_FLAG_NEW_LISTENER:\n",
        "    if False:\n",
        "who_has_a_listener_is_forked",
    ),
    _forked(
        "who does not get from one lined-up call to the next",
        "    return all(allows(program, name) for name in AFTER_SHARING)\n",
        "    return True\n",
        "who_has_a_filter_that_forbids_it_is_forked[mask-True]",
    ),
    _forked(
        "who could not say why execve has failed",
        'AFTER_SHARING = ("rt_sigprocmask", "writev")\n',
        'AFTER_SHARING = ("rt_sigprocmask",)\n',
        "who_has_a_filter_that_forbids_it_is_forked[no word-True]",
        "plan/seccomp.py",
    ),
    _forked(
        "whose call is let through with some arguments alone",
        "    return answers(decode(bytes.fromhex(text)), machine.token, number) == {ALLOW}\n",
        "    return ALLOW in answers(decode(bytes.fromhex(text)), machine.token, number)\n",
        "who_has_a_filter_that_forbids_it_is_forked[some masks-True]",
        "plan/seccomp.py",
    ),
    _forked(
        "who joins a pid namespace",
        "    if host.shares and not shared:\n",
        "    if host.shares and not (shared and not in_user):\n",
        "who_may_be_traced_is_forked",
        "plan/container.py",
    ),
    _forked(
        "who enters a pid namespace that was joined",
        "    if shares and host.shares and not ns.joined_pids(config):\n",
        "    if shares and host.shares:\n",
        "who_may_be_traced_is_forked",
        "plan/further.py",
    ),
    Mutant(
        "forked: who enters where somebody may trace",
        "life/starting.py",
        "                shares=not tracers and",
        "                shares=",
        (_KERNEL + "nobody_shares_memory_who_may_be_traced",),
    ),
    Mutant(
        "forked: what appears in a pid namespace with others",
        "bootstrap/namespaces.py",
        "    return _clone(context, 0, False, INIT_NAME, last=True",
        "    return _clone(context, SHARING, False, INIT_NAME, last=True",
        (_KERNEL + "what_appears_among_others_has_its_own_memory[further]",),
    ),
    Mutant(
        "forked: all, where the environment says so",
        "life/host.py",
        ' and not environment("LIBCT_FORK")',
        "",
        (_KERNEL + "libct_fork_has_all_forked",),
    ),
]

_SHOWN = "the_servers_memory_of_root_is_shown_to_nobody"
_AFTER = [
    Mutant(
        "a clone that was killed in the middle ends its server",
        _SHARING,
        "        if not place.is_whole():\n",
        "        if False:\n",
        (_KERNEL + "one_that_ends_in_the_middle_ends_its_server[ends]",),
    ),
    Mutant(
        "the server imports again after a clone",
        _SHARING,
        "        sys.meta_path[:] = finders\n",
        "",
        (_KERNEL + "the_door_to_imports_is_open_again",),
    ),
    Mutant(
        "a user's server is his to look at after a clone",
        _SHARING,
        "        set_dumpable(dumpable == 1)\n",
        "",
        (_KERNEL + "a_users_server_is_his_to_look_at_again",),
    ),
    Mutant(
        "a stage with a user's ids shows nobody the server's memory",
        _SHARING,
        "        set_dumpable(dumpable == 1)\n",
        "        set_dumpable(posix.geteuid() != 0)\n",
        (f"{_KERNEL}{_SHOWN}[1000:1000]",),
    ),
    Mutant(
        "what a core dump has is as it was after a clone",
        _SHARING,
        "the host's /proc\n            _keep_dumped()\n",
        "the host's /proc\n            pass\n",
        (_KERNEL + "what_a_core_dump_has_is_nobody_elses_to_say[further]",),
    ),
    Mutant(
        "the runtime hears what is told while the stage waits for the command",
        "bootstrap/client.py",
        "        if self.plan.shares:  # it ends when",
        "        if False:  # it ends when",
        (_KERNEL + "a_stage_that_waits_while_much_is_told",),
    ),
    Mutant(
        "an execve that fails is among the traces of who shares memory",
        "bootstrap/started.py",
        "                if last and not message[-1] and self._is_step(last[2]):",
        "                if False:",
        ("tests/kernel/test_trace.py::test_an_execve_that_fails",),
    ),
    Mutant(
        "a failed start leaves no circle of objects in the server",
        "bootstrap/performer.py",
        "                del failure  #",
        "                pass  #",
        (_KERNEL + "the_server_does_not_grow",),
    ),
    Mutant(
        "who has told of a failure ends by itself",
        "bootstrap/started.py",
        "            if self.plan.shares:\n",
        "            if False:\n",
        (_KERNEL + "a_start_that_fails_costs_no_server[first]",),
    ),
    Mutant(
        "a stage whose clone has failed ends by itself",
        "bootstrap/client.py",
        "                if self.plan.shares:  # it ends by itself",
        "                if False:  # it ends by itself",
        (_KERNEL + "a_start_that_fails_costs_no_server[told of]",),
    ),
]

_BUSY = "one_that_waits_for_a_file_system_holds_up_nobody[first]"
_SERVERS = [
    Mutant(
        "a server that is busy is not asked",
        "bootstrap/servers.py",
        "        return self._asked > 0\n",
        "        return False\n",
        (_KERNEL + _BUSY,),
    ),
    Mutant(
        "there are more servers where many are stuck",
        "bootstrap/servers.py",
        "len(busy) - stuck < _most()",
        "len(busy) < _most()",
        (_KERNEL + "many_that_are_stuck_hold_up_nobody",),
    ),
    Mutant(
        "nobody waits for a server that is stuck",
        "bootstrap/servers.py",
        "            if self._asked and not _is_over(self.pidfd, _STUCK):\n",
        "            if False:\n",
        (_KERNEL + "a_server_with_a_stuck_start_is_let_go[first]",),
    ),
]

MUTANTS = [*_REASONS, *_BARE, *_AFTER, *_SERVERS]
