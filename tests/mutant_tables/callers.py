"""Mutants of what callers of runc rely on."""

from __future__ import annotations

from . import Mutant

_LOG = "tests/kernel/test_cli_log.py::"
_TERMINAL = "tests/kernel/test_cli_terminal.py::"
_CLI = "tests/kernel/test_cli.py::"
_PLANS = "tests/unit/test_cgroups_plan.py::"
_AFFINITY = "tests/kernel/test_affinity.py::"
_PLAN = "tests/unit/test_plan.py::"
_LOAD = "tests/unit/test_oci_load.py::"
_FUZZ = _LOAD + "test_an_access_without_any_letter_that_is_known"
_EXEC = "tests/kernel/test_exec.py::"
_CALLERS = "tests/kernel/test_cli_callers.py::"
_HOOKS = "tests/kernel/test_hooks.py::"
_DIFFERENTIAL = "tests/kernel/test_differential.py::"

MUTANTS = [
    Mutant(
        "check tries pairs of network devices",
        "cli/check_host.py",
        '    "veth": check_network.veth,\n',
        '    "veth": check_network.intel_rdt,\n',
        ("tests/kernel/test_cli_check.py::test_network_devices_and_rdt",),
    ),
    Mutant(
        "the log of crun's names goes to the daemons",
        "cli/log.py",
        "            if kind:\n",
        "            if False:\n",
        (_LOG + "test_errors_go_to_journald", _LOG + "test_errors_and_warnings_go_to_syslog"),
    ),
    Mutant(
        "crun's receiver gets a pidfd",
        "cli/launch.py",
        "    if process.init and not pidfd_socket:\n",
        "    if False:\n",
        (_LOG + "test_a_pidfd_goes_to_the_receiver",),
    ),
    Mutant(
        "a regular expression chooses among the containers",
        "cli/control.py",
        "        if not matches(name):\n",
        "        if False:\n",
        (_CLI + "test_kill_and_delete_by_a_regular_expression",),
    ),
    Mutant(
        "a regular expression is looked for anywhere in the id",
        "cli/control.py",
        "re.compile(pattern).search",
        "re.compile(pattern).match",
        (_CLI + "test_kill_and_delete_by_a_regular_expression",),
    ),
    Mutant(
        "a directory that is no container is not removed by a regular expression",
        "cli/control.py",
        "            continue  # being made or removed just now, or no container's\n",
        "            _remove_remains(arguments, name)\n",
        (_CLI + "test_delete_by_a_regular_expression_touches_nothing_of_others",),
    ),
    Mutant(
        "standard input that has ended stays at its end",
        "cli/terminal.py",
        "            self._next = now + self._pause\n",
        "            self._next = now + 1e6\n",
        (_TERMINAL + "test_standard_input_stays_at_its_end[late]",),
    ),
    Mutant(
        "a line editor, too, is told of the end of standard input",
        "cli/terminal.py",
        "state[6][termios.VEOF] if lines else _END_OF_FILE",
        'state[6][termios.VEOF] if lines else b""',
        (_TERMINAL + "test_standard_input_stays_at_its_end[shell]",),
    ),
    Mutant(
        "one end of file at a time is in the queue of a terminal",
        "cli/terminal.py",
        "        if not unread:\n",
        "        if True:\n",
        (_TERMINAL + "test_no_end_of_file_is_added_to_one_that_is_unread",),
    ),
    Mutant(
        "a FIFO that nobody writes to is not waited for",
        "loading/paths.py",
        "posix.O_CLOEXEC | posix.O_NONBLOCK)\n    try:\n        posix.set_blocking",
        "posix.O_CLOEXEC)\n    try:\n        posix.set_blocking",
        ("tests/unit/test_paths.py::test_the_contents_of_a_file_and_of_pipes",),
    ),
    Mutant(
        "what execs into a pid namespace is in no session of the caller's",
        "plan/further.py",
        "[ns.new_session()] if staged else []",
        "[]",
        (_PLAN + "test_what_others_see_in_a_pid_namespace_is_the_command",),
    ),
    Mutant(
        "nor is what starts in a pod's",
        "plan/container.py",
        "[ns.new_session(), *own]",
        "own",
        (_PLAN + "test_what_others_see_in_a_pid_namespace_is_the_command",),
    ),
    Mutant(
        "a terminal in the foreground leaves the ends of lines to the caller's",
        "cli/terminal.py",
        "process.console_onlcr = False",
        "process.console_onlcr = True",
        (_TERMINAL + "test_without_a_terminal_of_the_caller",),
    ),
    Mutant(
        "the caller's terminal still makes the ends of lines",
        "cli/terminal.py",
        "    state[2] = state[2] & ~(termios.CSIZE",
        "    state[1] &= ~termios.OPOST\n    state[2] = state[2] & ~(termios.CSIZE",
        (_TERMINAL + "test_a_shell_in_the_foreground",),
    ),
    Mutant(
        "a terminal that is sent away is as the kernel makes it",
        "rootfs/console.py",
        "        if not onlcr:\n",
        "        if True:\n",
        (_DIFFERENTIAL + "test_a_terminal_that_goes_to_a_console_socket",),
    ),
    Mutant(
        "a hook on the host without env has the runtime's",
        "bootstrap/hooks.py",
        "own_environment() if inherits else env",
        "env",
        (_HOOKS + "test_a_hook_that_says_nothing_of_an_environment_has_that_of_who_runs_it",),
    ),
    Mutant(
        "an empty environment of a hook is not one that is absent",
        "oci/load_linux.py",
        'table.strings("env") if table.has("env") else None',
        'table.strings("env") or None',
        (_DIFFERENTIAL + "test_the_environment_of_hooks",),
    ),
    Mutant(
        "the group of a bundle without a path is named by the id",
        "cgroups/resources.py",
        "unnamed = not cgroup.name and",
        'unnamed = cgroup.name in ("", container_id) and',
        (_PLANS + "test_v1_groups_are_below_the_mount_point",),
    ),
    Mutant(
        "with cgroup v1 the configuration that is written has no cgroup namespace",
        "cli/spec.py",
        "cgroup_v2=HostFacts().cgroup_v2",
        "cgroup_v2=True",
        (_CLI + "test_spec",),
    ),
    Mutant(
        "a directory of states that is not there is told of",
        "cli/look.py",
        "if arguments.root and not exists(arguments.root):",
        "if False:",
        (_CLI + "test_list_of_a_directory_that_is_not_there",),
    ),
    Mutant(
        "run and create do not pass on what their caller is bound to",
        "cli/create.py",
        "process.reset_affinity = True",
        "pass",
        (_AFFINITY + "test_the_oci_commands_do_not_pass_on_what_their_caller_is_bound_to",),
    ),
    Mutant(
        "exec does not pass on what its caller is bound to",
        "cli/execute.py",
        'values["reset_affinity"] = True',
        "pass",
        (_AFFINITY + "test_the_oci_commands_do_not_pass_on_what_their_caller_is_bound_to",),
    ),
    Mutant(
        "what is run by the library is bound as its caller is",
        "plan/container.py",
        "[limits.reset_affinity()] if process.reset_affinity else []",
        "[limits.reset_affinity()]",
        (_AFFINITY + "test_sandbox_and_the_library_keep_it",),
    ),
    Mutant(
        "a process is not cloned into a v2 group before it is on its first CPUs",
        "plan/further.py",
        "    if manager is not None and initial and manager.version == 2:\n",
        "    if False:\n",
        (_PLAN + "test_the_first_cpus_come_before_the_groups_and_the_others_after",),
    ),
    Mutant(
        "the last CPUs are set after the first ones",
        "plan/further.py",
        '"join", [*final, *users.group_steps(config)])',
        '"join", [*users.group_steps(config)])',
        (_AFFINITY + "test_of_a_further_process",),
    ),
    Mutant(
        "of names that differ in case the last counts",
        "oci/reader.py",
        "{name.lower(): name for name in self.values}",
        "{name.lower(): name for name in reversed(self.values)}",
        (_LOAD + "test_of_names_that_differ_in_case_the_last_counts",),
    ),
    Mutant(
        "a name in another case is told of",
        "oci/reader.py",
        "        if name != key:\n",
        "        if False:\n",
        (_LOAD + "test_the_case_of_names_does_not_matter",),
    ),
    Mutant(
        "what is read in another way than it is written is said once for each place",
        "oci/reader.py",
        "        if finding not in self.findings:",
        "        if True:",
        (_LOAD + "test_the_case_of_names_does_not_matter",),
    ),
    Mutant(
        "an access without any of the letters is refused",
        "oci/load_resources.py",
        "    if known and known != access:",
        "    if known != access:",
        (_FUZZ,),
    ),
    Mutant(
        "a created container's process shows itself to its user",
        "bootstrap/waiting.py",
        'region.call("prctl", PR_SET_DUMPABLE, 1)',
        'region.call("prctl", PR_SET_DUMPABLE, 0)',
        (_EXEC + "test_an_ordinary_user",),
    ),
    Mutant(
        "with cgroup v1 a path that is asked for is meant",
        "cgroups/v1.py",
        "if not self.cgroup.rootless or self.cgroup.path:",
        "if not self.cgroup.rootless:",
        (_DIFFERENTIAL + "test_a_group_that_an_ordinary_user_may_not_use",),
    ),
    Mutant(
        "with cgroup v2 a path that is asked for is meant",
        "cgroups/v2.py",
        "named = controller in self._named or bool(self.cgroup.path)",
        "named = controller in self._named",
        (_PLANS + "test_without_privilege_a_path_that_is_asked_for_is_required",),
    ),
    Mutant(
        "an ordinary user is told that processes of a container may be left",
        "life/starting.py",
        "            _warn_of_strays(holdings)\n",
        "",
        (_CALLERS + "test_an_ordinary_user_is_warned_of_processes_that_cannot_be_found",),
    ),
]
