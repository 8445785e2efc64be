"""Mutants of what is as runc has it, or is said in docs/compatibility.md not to be."""

from __future__ import annotations

from . import Mutant

_DEFAULTS = "tests/kernel/test_exec_defaults.py::"
_DIFFERENTIAL = "tests/kernel/test_differential.py::"
_CALLERS = "tests/kernel/test_cli_callers.py::"
_SAID = _DIFFERENTIAL + "test_a_start_that_fails"
_OPTIONS = "tests/unit/test_cli_options.py::"
_DEVICES = "tests/kernel/test_rootfs_devices.py::"
_BUNDLE = _DEFAULTS + "test_it_is_the_first_processs_whatever_becomes_of_the_bundle"
_LIBRARY = _DEFAULTS + "test_a_container_of_the_library_has_no_bundle"

_DEFAULT = [
    Mutant(
        "what exec takes from the first process does not depend on the bundle",
        "cli/execute.py",
        "    if defaults is None:\n",
        "    if container.bundle:\n",
        (_BUNDLE,),
    ),
    Mutant(
        "the user is one thing that it takes",
        "config/attributes.py",
        '    user: str = ""\n    additional_groups',
        "    additional_groups",
        (_BUNDLE, _LIBRARY),
    ),
    Mutant(
        "what the library gave to the first process alone is kept, too",
        "config/attributes.py",
        '    label: str = ""\n    no_new_privileges: bool | None = None\n',
        '    label: str = ""\n',
        (_LIBRARY,),
    ),
    Mutant(
        "a state of an earlier version without a bundle makes nobody root",
        "cli/execute.py",
        "    if process is None:\n        what",
        '    if process is None:\n        return {"env": []}\n        what',
        (_DEFAULTS + "test_the_state_of_an_earlier_version", _LIBRARY),
    ),
    Mutant(
        "a service manager's variables are not kept",
        "life/process.py",
        "if one not in self.own_env]",
        "if True]",
        (_DEFAULTS + "test_a_service_managers_variables_are_the_first_processs_alone",),
    ),
    Mutant(
        "what a state says of the first process is looked at",
        "life/record.py",
        '        return value is None or type(value) is dict\n    if name in ("annotations"',
        '        return True\n    if name in ("annotations"',
        ("tests/unit/test_state.py::test_defaults_of_wrong_types_are_damage",),
    ),
]

_NODES = [
    Mutant(
        "what is no node is not removed for a device",
        "rootfs/devices.py",
        "    if stat.S_IFMT(found.st_mode) not in _NODES:\n",
        "    if False:\n",
        (_DEVICES + "test_what_is_no_node_stays_where_a_device_is_to_be",),
    ),
    Mutant(
        "nor is a link, to bind the host's device",
        "rootfs/devices.py",
        " in (stat.S_IFLNK, stat.S_IFDIR):\n",
        " in (stat.S_IFDIR,):\n",
        (_DEVICES + "test_what_is_no_node_stays_where_a_device_is_to_be",),
    ),
    Mutant(
        "a mount on it is no reason to warn",
        "rootfs/devices.py",
        "        if place >= 0:\n            posix.close(place)\n"
        "            _leave(context, path)\n",
        "        _leave(context, path)\n",
        (_DEVICES + "test_mounts_of_the_user_on_device_nodes_stay",),
    ),
    Mutant(
        "of a mount that was there only the device itself is taken",
        "rootfs/devices.py",
        "    return (stat.S_IFMT(found.st_mode), found.st_rdev) == (kind, number)\n",
        "    return True\n",
        (_DEVICES + "test_a_dev_that_is_mounted_before_the_start",),
    ),
    Mutant(
        "a link of the image to a mount is none that was there before",
        "rootfs/held.py",
        "parent, symlinks=False, missing_ok=True)\n    except OSError as error:\n"
        "        if error.errno != errno.ELOOP:\n",
        "parent, missing_ok=True)\n    except OSError as error:\n"
        "        if error.errno != errno.ELOOP:\n",
        (_DEVICES + "test_a_link_to_a_mount_is_not_followed_to_its_devices",),
    ),
]

_GROUPS = [
    Mutant(
        "update says runc's words where there is no group",
        "life/container.py",
        '("update", _no_group(config.cgroups.resources))',
        '("update")',
        (_DIFFERENTIAL + "test_an_ordinary_users_container_without_groups",),
    ),
    Mutant(
        "and so does pause",
        "life/container.py",
        '("pause", _NO_FREEZER)',
        '("pause")',
        (_DIFFERENTIAL + "test_an_ordinary_users_container_without_groups",),
    ),
    Mutant(
        "pids need no limit",
        "oci/load_resources.py",
        "    if pids is not None:\n",
        '    if pids is not None and pids.require("limit"):\n',
        (_DIFFERENTIAL + "test_pids_without_a_limit",),
    ),
]

_CLI = [
    Mutant(
        "nothing beside the file of a process changes it",
        "cli/execute.py",
        "            if getattr(arguments, key):\n",
        "            if False:\n",
        ("tests/kernel/test_cli.py::test_exec_of_a_process_file",),
    ),
    Mutant(
        "who gives --criu is told that it has no effect",
        "cli/dispatch.py",
        "    if arguments.criu:\n",
        "    if False:\n",
        (_OPTIONS + "test_options_that_runc_has_given_up",),
    ),
    Mutant(
        "an error is JSON where that is asked for",
        "cli/dispatch.py",
        '        if arguments.log or arguments.log_format == "json":\n',
        "        if arguments.log:\n",
        (_OPTIONS + "test_json_without_a_file_is_on_standard_error",),
    ),
    Mutant(
        "so is one in the command line",
        "cli/dispatch.py",
        '    if not values or not (values["log"] or values["log_format"] == "json"):\n',
        '    if not values or not values["log"]:\n',
        (_OPTIONS + "test_json_without_a_file_is_on_standard_error",),
    ),
    Mutant(
        "and nothing else is in between",
        "cli/dispatch.py",
        "            if log is not None and log.shown:\n",
        "            if False:\n",
        (_OPTIONS + "test_json_without_a_file_is_on_standard_error",),
    ),
]

_WORDS = [
    Mutant(
        "texts of errno are Go's on the command line",
        "cli/dispatch.py",
        "            text = text.replace(said, said.lower())\n",
        "            pass\n",
        (_SAID + "[no source, by its errno]",),
    ),
    Mutant(
        "also of a cause",
        "cli/dispatch.py",
        "        seen = seen.__cause__ or seen.__context__\n",
        "        seen = None\n",
        (_CALLERS + "test_texts_of_errno_have_no_capitals",),
    ),
    Mutant(
        "what is mounted in /proc is told with runc's words",
        "rootfs/attach.py",
        'inside if target.startswith("/proc/") else ',
        "",
        (_SAID + "[below proc]",),
    ),
    Mutant(
        "and what is no proc on /proc",
        "rootfs/attach.py",
        "'\"/proc\" cannot be mounted because it is not of type proc'",
        "'it is none'",
        (_SAID + "[not proc]",),
    ),
    Mutant(
        "what cannot be masked is told with runc's words",
        "bootstrap/phrases.py",
        'if step.op == "mask":',
        "if False:",
        (_SAID + "[masked by a link to itself]",),
    ),
    Mutant(
        "and what cannot be made read-only",
        "bootstrap/phrases.py",
        'if step.op == "make_read_only":',
        "if False:",
        (_SAID + "[read-only by a link to itself]",),
    ),
    Mutant(
        "so is a hook that cannot be executed",
        "bootstrap/phrases.py",
        " if executing else text\n",
        " if False else text\n",
        (_SAID + "[createRuntime cannot be run]",),
    ),
    Mutant(
        "a hook that is killed has its signal named",
        "bootstrap/hooks.py",
        "(_signal.strsignal(number) or str(number))",
        "str(number)",
        (_SAID + "[a hook that is killed]",),
    ),
    Mutant(
        "a working directory that is missing is told with runc's words",
        "bootstrap/phrases.py",
        'if step.op == "change_directory" and failure.errno:',
        "if False:",
        (_DIFFERENTIAL + "test_an_exec_that_fails",),
    ),
    Mutant(
        "so is a start of what runs",
        "life/rules.py",
        'if operation == "exec" and status in (RUNNING, PAUSED):',
        "if False:",
        (_DIFFERENTIAL + "test_a_start_or_a_pause_at_the_wrong_time",),
    ),
    Mutant(
        "a start of what has stopped",
        "life/rules.py",
        'if operation == "exec" and status == STOPPED:',
        "if False:",
        (_DIFFERENTIAL + "test_a_start_or_a_pause_at_the_wrong_time",),
    ),
    Mutant(
        "and a second pause",
        "life/rules.py",
        'if operation == "pause" and status == PAUSED:',
        "if False:",
        (_DIFFERENTIAL + "test_a_start_or_a_pause_at_the_wrong_time",),
    ),
    Mutant(
        "a field that is there twice is refused",
        "loading/jsontext.py",
        "    if len(found) != len(pairs):\n",
        "    if False:\n",
        ("tests/unit/test_jsontext.py::test_mistakes_have_their_place",),
    ),
]

_REST = [
    Mutant(
        "a program in PATH that nobody may execute is named",
        "bootstrap/execute.py",
        "found in $PATH', denied)",
        "found in $PATH')",
        ("tests/kernel/test_exec.py::test_commands_are_looked_up_in_path",),
    ),
    Mutant(
        "a process that has ended has no number",
        "bootstrap/hooks.py",
        " if pid else state\n",
        "\n",
        ("tests/kernel/test_hooks.py::test_all_kinds_in_order_each_in_its_place",),
    ),
    Mutant(
        "fewer than no descriptors are not passed on",
        "cli/dispatch.py",
        "    if count < 0:\n",
        "    if False:\n",
        ("tests/kernel/test_cli.py::test_what_exec_refuses",),
    ),
]

MUTANTS = [*_DEFAULT, *_NODES, *_GROUPS, *_CLI, *_WORDS, *_REST]
