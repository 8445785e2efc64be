"""Mutants of what is read from a container's directory, and of what is printed."""

from __future__ import annotations

from . import Mutant

MUTANTS: list[Mutant] = []

# --- files of a container's state, and of its callers ---

_CALLERS = "tests/kernel/test_cli_callers.py::test_"

_STATE = "tests/unit/test_state.py::test_"
_NO_FILE = f"{_STATE}what_is_no_file_of_ours_is_damage"
_NO_FIELD = f"{_STATE}a_field_that_no_record_has_is_damage"
_NOT_WRITTEN = f"{_STATE}nothing_is_written_where_no_file_of_ours_is"
_SHOW = "tests/unit/test_cli_show.py::test_"

_STATE_FILES = [
    Mutant(
        "a pid file's new file is not one that was there",
        "cli/launch.py",
        "            flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC\n",
        "            flags = posix.O_WRONLY | posix.O_CREAT | posix.O_CLOEXEC\n",
        (f"{_CALLERS}the_new_pid_file_is_nobody_elses",),
    ),
    Mutant(
        "nobody can guess the name of a pid file's new file",
        "cli/launch.py",
        '".libct-{posix.urandom(8).hex()}"',
        '".{name}"',
        (f"{_CALLERS}nobody_can_guess_the_name_of_a_new_pid_file",),
    ),
    Mutant(
        "a pid file takes the place of files and links alone",
        "cli/launch.py",
        "            _check_replaceable(name, place)\n",
        "",
        ("tests/kernel/test_cli_bad_input.py::test_a_pid_file_that_cannot_be_written",),
    ),
    Mutant(
        "a state file is a regular one",
        "life/directory.py",
        "        if found.st_mode & _TYPE != _REGULAR:\n",
        "        if False:\n",
        (_NO_FILE,),
    ),
    Mutant(
        "a state file is no link",
        "life/directory.py",
        "posix.O_PATH | posix.O_NOFOLLOW | posix.O_CLOEXEC)",
        "posix.O_PATH | posix.O_CLOEXEC)",
        (_NO_FILE,),
    ),
    Mutant(
        "a state file is bounded",
        "life/directory.py",
        "        if found.st_size > _LARGEST:\n",
        "        if False:\n",
        (_NO_FILE,),
    ),
    Mutant(
        "what is written to is no link and no FIFO",
        "life/directory.py",
        " | posix.O_NOFOLLOW | posix.O_NONBLOCK\n",
        "\n",
        (_NOT_WRITTEN,),
    ),
    Mutant(
        "fields of a record have their types",
        "life/record.py",
        "                if not _fits(name, found[name]):\n",
        "                if False:\n",
        (_NO_FIELD,),
    ),
    Mutant(
        "numbers in a record are bounded",
        "life/record.py",
        "type(value) is int and 0 <= value <= _LARGEST[name]",
        "type(value) is int",
        (_NO_FIELD,),
    ),
    Mutant(
        "control groups in a record are absolute and plain",
        "life/record.py",
        "all(map(is_plain_path, value.values()))",
        "all(map(_is_text, value.values()))",
        (_NO_FIELD,),
    ),
    Mutant(
        "a configuration in a record has its types",
        "life/record.py",
        "        if wrong:\n",
        "        if False:\n",
        (f"{_STATE}a_configuration_of_wrong_types_is_damage",),
    ),
    Mutant(
        "an error about a state does not repeat all of it",
        "life/record.py",
        "    if len(reason) > _LONGEST_REASON:\n",
        "    if False:\n",
        (_NO_FIELD,),
    ),
    Mutant(
        "a ledger is of control groups alone",
        "cgroups/ledger.py",
        " if _is_group(path)}",
        "}",
        (f"{_STATE}a_ledger_is_of_control_groups_alone",),
    ),
    Mutant(
        "what is no line of a ledger is left out",
        "cgroups/ledger.py",
        " or not is_plain_path(path):\n",
        ":\n",
        (f"{_STATE}lines_that_are_none_are_left_out_of_a_ledger",),
    ),
    Mutant(
        "a line without a mark is no line",
        "cgroups/ledger.py",
        "known = marks.is_mark(mark) if",
        "known = True if",
        (f"{_STATE}what_no_mark_is_of_is_not_the_containers",),
    ),
    Mutant(
        "the root of a hierarchy is nobody's",
        "cgroups/ledger.py",
        " and posix.fstat(fd).st_dev == above.st_dev\n",
        "\n",
        (f"{_STATE}where_a_hierarchy_is_mounted_is_nobodys",),
    ),
    Mutant(
        "a damaged ledger keeps nothing from being removed by force",
        "cgroups/ledger.py",
        "            if not by_force:\n                raise\n",
        "            raise\n",
        (_NO_FILE,),
    ),
    Mutant(
        "no process is put beside the groups of a damaged ledger",
        "cgroups/ledger.py",
        "            if not by_force:\n                raise\n",
        "            pass\n",
        (_NO_FILE,),
    ),
    Mutant(
        "a damaged note of a hook keeps nothing from being removed",
        "life/directory.py",
        "        except (ValueError, ContainerDamaged):\n",
        "        except ValueError:\n",
        (_NO_FILE,),
    ),
    Mutant(
        "an error is one line, of what is written out",
        "cli/dispatch.py",
        "{PROGRAM}: {printable(line)}\\n",
        "{PROGRAM}: {line}\\n",
        (f"{_CALLERS}what_a_hook_says_in_several_lines_is_told_in_one",),
    ),
    Mutant(
        "a traceback is written out",
        "cli/dispatch.py",
        'posix.write(2, printable(text, "\\n").encode())',
        'posix.write(2, text.encode("utf-8", "replace"))',
        (f"{_CALLERS}a_traceback_tells_a_terminal_nothing",),
    ),
    Mutant(
        "the log is written out",
        "cli/log.py",
        "jsontext.dumps(printable(message))",
        "jsontext.dumps(message)",
        (f"{_CALLERS}no_name_tells_a_terminal_what_to_do",),
    ),
    Mutant(
        "output is written out",
        "cli/program.py",
        "    if not styled:\n",
        "    if False:\n",
        (f"{_SHOW}output_is_what_a_terminal_only_shows",),
    ),
    Mutant(
        "a cell of a table is one line",
        "cli/look.py",
        "[printable(text) for text in row]",
        "list(row)",
        (f"{_SHOW}tables_keep_their_lines_and_columns",),
    ),
    Mutant(
        "a step of a plan is one line",
        "cli/show.py",
        "(number, step, printable(step.title),",
        "(number, step, step.title,",
        (f"{_SHOW}a_plan_as_text_is_what_a_terminal_only_shows",),
    ),
    Mutant(
        "check shows names written out",
        "cli/check.py",
        "{printable(line.text)}",
        "{line.text}",
        ("tests/unit/test_cli_check.py::test_text",),
    ),
    Mutant(
        "what a hook prints is written out",
        "bootstrap/hooks.py",
        'printable(streams.caught.decode("utf-8", "replace").strip(), "\\n\\t")',
        'streams.caught.decode("utf-8", "replace").strip()',
        (
            "tests/kernel/test_hooks.py::test_what_a_failed_hook_says_does_not_reach_the_terminal_as_it_is",
        ),
    ),
]
MUTANTS += _STATE_FILES

# --- runc's words in errors ---

_PHRASES = "tests/unit/test_phrases.py::test_"
_POLICIES = "tests/kernel/test_phrases.py::test_memory_policies"

_RUNC = [
    Mutant(
        "a mount that fails is told in runc's words",
        "bootstrap/phrases.py",
        '    if step.why.startswith("mounts["):\n',
        '    if step.why.startswith("mounts[") and step.op == "bind":\n',
        (f"{_PHRASES}every_step_of_a_mount_begins_with_runcs_words",),
    ),
    Mutant(
        "hooks are counted by kind",
        "bootstrap/phrases.py",
        "hook #{_index(step.why)}",
        "hook #0",
        (f"{_PHRASES}every_hook_begins_with_runcs_words",),
    ),
    Mutant(
        "a limit without a group is told in runc's words where that was refused, and only there",
        "bootstrap/phrases.py",
        " and failure.errno in _REFUSALS:\n",
        ":\n",
        (f"{_PHRASES}a_group_that_fails_in_another_way_has_no_such_words",),
    ),
    Mutant(
        "CPUs and memory nodes are of the controller cpuset",
        "bootstrap/phrases.py",
        '"cpuset" if limit in ("cpu.cpus", "cpu.mems") else limit',
        "limit",
        (f"{_PHRASES}a_limit_without_a_group_begins_with_runcs_words",),
    ),
    Mutant(
        "the limit that a group is missing for is one of that group",
        "bootstrap/phrases.py",
        "        if step.args[:2] == (mount, below) or",
        "        if True or",
        (f"{_PHRASES}a_limit_without_a_group_begins_with_runcs_words",),
    ),
    Mutant(
        "access to devices is no limit that a group is missing for",
        "bootstrap/phrases.py",
        ' or limit == "devices"',
        "",
        (f"{_PHRASES}a_limit_without_a_group_begins_with_runcs_words",),
    ),
    Mutant(
        "an execve that fails is told in runc's words",
        "bootstrap/started.py",
        '    if step.op == "execute" and failure.errno and failure.path is not None:\n',
        "    if False:\n",
        (f"{_PHRASES}a_command_that_is_not_executed",),
    ),
    Mutant(
        "a memory policy that the kernel refuses is told in runc's words",
        "bootstrap/phrases.py",
        '        return "invalid memory policy"\n',
        '        return ""\n',
        (f"{_PHRASES}a_memory_policy_that_the_kernel_refuses", _POLICIES),
    ),
    Mutant(
        "a memory policy that cannot be read is told in runc's words",
        "oci/load_linux.py",
        'if at.level == "error" else at',
        'if at.level != "error" else at',
        (_POLICIES,),
    ),
    Mutant(
        "SCHED_DEADLINE on some of the CPUs is told in runc's words",
        "attributes/scheduling.py",
        "        if policy == SCHED_DEADLINE and cpus:\n",
        "        if False:\n",
        ("tests/kernel/test_phrases.py::test_a_deadline_on_some_of_the_cpus",),
    ),
    Mutant(
        "an exec in a paused container is told in runc's words",
        "life/rules.py",
        "    if status == PAUSED and operation in _ENTER:\n",
        "    if False:\n",
        ("tests/unit/test_rules.py::test_the_words_that_engines_look_for",),
    ),
    Mutant(
        "an exec in a stopped container is told in runc's words",
        "life/rules.py",
        "    if status == STOPPED and operation in _ENTER:\n",
        "    if False:\n",
        ("tests/unit/test_rules.py::test_the_words_that_engines_look_for",),
    ),
    Mutant(
        "that proc is to be mounted on a link is told in runc's words",
        "rootfs/filesystems.py",
        '            error.strerror = f"{_ordinary(fstype)}: {problem}"\n',
        "",
        ("tests/kernel/test_rootfs_mounts.py::test_proc_and_sys_want_real_directories",),
    ),
    Mutant(
        "that proc is to be mounted on a file is told in runc's words",
        "rootfs/filesystems.py",
        'problem if links else f"{_ordinary(fstype)}: {problem}"',
        "problem",
        ("tests/kernel/test_rootfs_mounts.py::test_proc_and_sys_want_real_directories",),
    ),
]
MUTANTS += _RUNC

MUTANTS += [
    Mutant(
        "a kernel that has a call is told apart from one that has not",
        "syscalls/core.py",
        'if here >= there else ""',
        'if here > there else ""',
        ("tests/unit/test_syscalls.py::test_a_version_of_the_kernel",),
    ),
]

_HINTS = "tests/unit/test_plan_hints.py::test_"
MUTANTS += [
    Mutant(
        "AppArmor's restriction is told at the steps after the clone, too",
        "bootstrap/hints.py",
        "if not made and not failure.call.startswith(_MOUNT):",
        "if not made:",
        (f"{_HINTS}user_namespaces_that_apparmor_restricts",),
    ),
    Mutant(
        "who has a profile is not told to install one",
        "bootstrap/hints.py",
        ' or label != "unconfined"',
        "",
        (f"{_HINTS}user_namespaces_that_apparmor_restricts",),
    ),
    Mutant(
        "a profile is named where it is enforced",
        "bootstrap/hints.py",
        '.endswith(" (enforce)")',
        '.endswith(")")',
        (f"{_HINTS}a_profile_of_apparmor_that_libct_runs_under",),
    ),
    Mutant(
        "root who lacks CAP_SETFCAP is told so",
        "bootstrap/hints.py",
        'step.op == "write_id_map" and',
        'step.op == "write_id_maps" and',
        (f"{_HINTS}root_of_a_namespace_above_that_may_not_be_mapped",),
    ),
    Mutant(
        "it is told when newuidmap gains no privilege",
        "bootstrap/mapping.py",
        "        if get_no_new_privs():\n",
        "        if False:\n",
        ("tests/kernel/test_hosts.py::test_no_new_privs_and_subordinate_ids",),
    ),
]
