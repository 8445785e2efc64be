"""Mutants of starts that share the server's memory (bootstrap/sharing.py, plan/sharing.py)."""

from __future__ import annotations

from . import Mutant

_PLAN = "tests/unit/test_sharing.py::test_"
_KERNEL = "tests/kernel/test_sharing.py::test_"
_SHARING = "bootstrap/sharing.py"


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

MUTANTS = [*_REASONS, *_AFTER, *_SERVERS]
