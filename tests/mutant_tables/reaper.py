"""Mutants of process 1 of a sandbox, of its end with libct, and of what is left then."""

from __future__ import annotations

from . import Mutant

_REAPER = "tests/kernel/test_reaper.py::"
_TERMINAL = "tests/kernel/test_cli_terminal.py::"

MUTANTS = [
    Mutant(
        "the reaper ends with the runtime",
        "bootstrap/reaper.py",
        "            awaited += [runtime] if runtime >= 0 else []\n",
        "",
        (_REAPER + "test_a_container_ends_with_its_process_not_with_a_thread_of_that[root]",),
    ),
    Mutant(
        "the reaper ends with the command",
        "bootstrap/reaper.py",
        "            awaited = [pidfd_open(_COMMAND)]\n",
        "            awaited: list[int] = []\n",
        (_REAPER + "test_what_has_been_left_behind_ends_while_nobody_waits",),
    ),
    Mutant(
        "the kernel reaps what is orphaned",
        "bootstrap/reaper.py",
        "        _signal.signal(_signal.SIGCHLD, _signal.SIG_IGN)\n",
        "",
        (_REAPER + "test_orphans_go",),
    ),
    Mutant(
        "the reaper has nothing open but what it waits by",
        "bootstrap/reaper.py",
        "        close_all_but(0, [",
        "        close_all_but(3, [",
        (_REAPER + "test_it_holds_next_to_nothing",),
    ),
    Mutant(
        "the reaper has no capability",
        "bootstrap/reaper.py",
        "        capset(0, 0, 0)\n",
        "",
        (_REAPER + "test_it_holds_next_to_nothing",),
    ),
    Mutant(
        "the reaper is under a filter",
        "bootstrap/reaper.py",
        "            if program:\n",
        "            if False:\n",
        (_REAPER + "test_it_holds_next_to_nothing",),
    ),
    Mutant(
        "the reaper is not dumpable",
        "bootstrap/reaper.py",
        "        set_dumpable(False)\n",
        "        set_dumpable(True)\n",
        (_REAPER + "test_the_command_gets_nothing_from_it",),
    ),
    Mutant(
        "the reaper's arguments name no file of the host",
        "bootstrap/reaper.py",
        "        _cover_arguments()\n",
        "",
        (_REAPER + "test_it_holds_next_to_nothing",),
    ),
    Mutant(
        "the reaper gives the interpreter's memory back",
        "bootstrap/reaper.py",
        "        region.give_back(idle)\n",
        "",
        (_REAPER + "test_it_is_small",),
    ),
    Mutant(
        "the reaper may wait again after a stop",
        "plan/reaper.py",
        '"restart_syscall", ',
        "",
        (_REAPER + "test_it_goes_on_after_a_stop",),
    ),
    Mutant(
        "the server goes back into its own pid namespace",
        "bootstrap/reaper.py",
        "                setns(outside, CLONE_NEWPID)\n",
        "                pass\n",
        (_REAPER + "test_the_server_is_in_its_own_pid_namespace_afterwards",),
    ),
    Mutant(
        "nobody may trace a reaper that has a pidfd of the runtime",
        "config/rules_process.py",
        "    if find(config, NEWUSER) is None and (\n",
        "    if False and (\n",
        (_REAPER + "test_nobody_inside_may_trace_it",),
    ),
    Mutant(
        "no further process may trace a reaper",
        "life/starting.py",
        "    if record.reaper:\n",
        "    if False:\n",
        (_REAPER + "test_nobody_inside_may_trace_it",),
    ),
    Mutant(
        "a reaper is there only for a pid namespace of the container's own",
        "config/rules_process.py",
        "    if not is_private(config, NEWPID):\n",
        "    if False:\n",
        (_REAPER + "test_it_needs_a_pid_namespace_and_a_first_process",),
    ),
    Mutant(
        "nothing runs any more when a command's end is told",
        "life/process.py",
        "                on_end()\n",
        "                pass\n",
        (_REAPER + "test_with_the_command_all_ends_before_anybody_is_told",),
    ),
    Mutant(
        "a start that fails at its last step ends the reaper",
        "bootstrap/started.py",
        "        for _, pidfd in companions.values():",
        "        for _, pidfd in ():",
        (_REAPER + "test_a_start_that_fails_leaves_no_reaper",),
    ),
    Mutant(
        "a reaper is none of a container's processes",
        "life/container.py",
        " if [pid] != self._has.record.reaper[:1]]",
        "]",
        (_REAPER + "test_further_processes_end_with_it_and_are_waited_for",),
    ),
    Mutant(
        "what is left is not shown",
        "life/container.py",
        "            if not _is_left(container._has.record):\n",
        "            if True:\n",
        (_REAPER + "test_what_is_left_is_not_shown_and_goes_with_the_next_command",),
    ),
    Mutant(
        "what is left does not block its id",
        "life/creating.py",
        "        sweep(directory.root)  # it",
        "        pass  # it",
        (_REAPER + "test_what_is_left_does_not_block_its_id",),
    ),
    Mutant(
        "a mark goes after the directory",
        "life/directory.py",
        "                    posix.rmdir(self.path)\n                    if mark:\n"
        "                        posix.unlink(mark)\n",
        "                    if mark:\n                        posix.unlink(mark)\n"
        "                    posix.rmdir(self.path)\n",
        (_REAPER + "test_killed_at_any_call_that_makes_or_removes_a_name[rmdir]",),
    ),
    Mutant(
        "what is left without a record is emptied",
        "life/mortal.py",
        "            directory.remove()\n",
        "            posix.rmdir(directory.path)\n",
        (_REAPER + "test_killed_at_any_call_that_makes_or_removes_a_name",),
    ),
    Mutant(
        "what is being created is left alone",
        "life/mortal.py",
        "    if held is None:\n        raise Error(\"it is another's",
        "    if held is None:\n        return\n        raise Error(\"it is another's",
        (_REAPER + "test_what_is_being_created_is_left_alone",),
    ),
    Mutant(
        "an old mark does no harm to a later container",
        "life/mortal.py",
        "    if record.mortal != owner:\n",
        "    if False:\n",
        (_REAPER + "test_a_mark_of_an_earlier_container_does_no_harm_to_a_later_one",),
    ),
    Mutant(
        "numbers of another pid namespace mean nothing",
        "life/mortal.py",
        "    return namespace == _pid_namespace() and not",
        "    return not",
        (_REAPER + "test_marks_that_mean_nothing_here_are_left_alone",),
    ),
    Mutant(
        "a stopped job of a sandbox stops all of it",
        "cli/foreground.py",
        "    stopped = stop_all(container)\n",
        "    stopped: list[int] = []\n",
        (_TERMINAL + "test_a_sandbox_is_a_job_of_the_shell",),
    ),
    Mutant(
        "nothing is stopped that nobody could let go on",
        "cli/foreground.py",
        "    if not is_job():\n",
        "    if False:\n",
        (_TERMINAL + "test_a_stop_that_nobody_could_end_is_none",),
    ),
    Mutant(
        "a shell in a sandbox keeps its jobs to itself",
        "cli/foreground.py",
        "if job is not None and not _ignores(process.pid, number):",
        "if job is not None:",
        (_TERMINAL + "test_a_shell_in_a_sandbox_has_jobs_of_its_own",),
    ),
]
