"""Mutants of the systemd driver; those of tests/vm need a machine with systemd."""

from __future__ import annotations

from . import Mutant

_UNITS = "tests/unit/test_systemd_units.py::test_"
_VM = "tests/vm/test_systemd.py::test_"
_LOAD = "tests/unit/test_oci_load.py::test_"
_CALLERS = "tests/kernel/test_cli_callers.py::test_"

MUTANTS = [
    Mutant(
        "a slice is below those that its name says",
        "cgroups/systemd/names.py",
        "for count in range(len(parts))]",
        "for count in range(len(parts) - 1, len(parts))]",
        (_UNITS + "a_unit_has_its_group_where_systemd_makes_it",),
    ),
    Mutant(
        "a slice has no empty part",
        "cgroups/systemd/names.py",
        ' or "" in parts',
        "",
        (_UNITS + "what_is_no_slice_is_refused_in_runc_s_words",),
    ),
    Mutant(
        "a unit's name has the letters that systemd takes",
        "cgroups/systemd/names.py",
        "letter.isascii() and (",
        "True or (",
        (_UNITS + "a_unit_has_its_group_where_systemd_makes_it",),
    ),
    Mutant(
        "a unit's name is not too long",
        "cgroups/systemd/names.py",
        "len(made) > _LONGEST",
        "False",
        (_UNITS + "a_name_is_not_too_long",),
    ),
    Mutant(
        "a directory is not called like a file of the kernel's",
        "cgroups/systemd/names.py",
        'return f"_{name}" if clashes',
        'return f"_{name}" if False and clashes',
        (_UNITS + "a_directory_is_not_called_like_a_file",),
    ),
    Mutant(
        "a quota is rounded up to whole percents",
        "cgroups/systemd/properties.py",
        "return -(-(quota * _SECOND // period) // _PERCENT) * _PERCENT",
        "return quota * _SECOND // period",
        (_UNITS + "limits_are_properties_of_v2",),
    ),
    Mutant(
        "the file has the quota that systemd comes to",
        "cgroups/systemd/properties.py",
        "    if resources.cpu_quota <= 0:\n",
        "    if True:\n",
        (_UNITS + "the_file_has_the_quota_that_systemd_comes_to",),
    ),
    Mutant(
        "an idle group has no weight",
        "cgroups/systemd/properties.py",
        "    elif resources.cpu_idle == 1:\n",
        "    elif False:\n",
        (_UNITS + "limits_are_properties_of_v2",),
    ),
    Mutant(
        "what an older systemd does not know is left out",
        "cgroups/systemd/properties.py",
        "    if systemd < _CPUSET:\n",
        "    if False:\n",
        (_UNITS + "what_an_older_systemd_does_not_know_is_left_out",),
    ),
    Mutant(
        "a group that is idle no more is told to systemd",
        "cgroups/systemd/properties.py",
        "            weight = NO_LIMIT  # none",
        "            weight = 0  # none",
        (_UNITS + "limits_are_properties_of_v2", _VM + "what_is_set_back_stays_so"),
    ),
    Mutant(
        "cpu.idle of unified is that of the group",
        "cgroups/systemd/properties.py",
        '    if idle in ("0", "1"):\n',
        "    if False:\n",
        (_UNITS + "what_is_idle_and_what_has_a_weight",),
    ),
    Mutant(
        "an idle group has no weight of unified either",
        "cgroups/systemd/properties.py",
        '            if file == "cpu.weight" and resources.cpu_idle == 1:\n',
        "            if False:\n",
        (_UNITS + "what_is_idle_and_what_has_a_weight",),
    ),
    Mutant(
        "no CPUs of its own are told to systemd",
        "cgroups/systemd/properties.py",
        'bitmask(text) if text else b"")] if systemd >= _CPUSET else []',
        "bitmask(text))] if text and systemd >= _CPUSET else []",
        (_UNITS + "unified_files_are_properties",),
    ),
    Mutant(
        "a device without a weight of its own has none with systemd",
        "cgroups/systemd/properties.py",
        '[("IODeviceWeight", "a(st)", ())] if emptied else []',
        "[]",
        (_UNITS + "unified_files_are_properties",),
    ),
    Mutant(
        "unified holds where both are given",
        "cgroups/systemd/properties.py",
        "            found = [one for one in found if one[0] not in names] + more\n",
        "            found = found + more\n",
        (_UNITS + "unified_holds_where_both_are_given",),
    ),
    Mutant(
        "what cannot be said of devices is not said in part",
        "cgroups/systemd/properties.py",
        '        if major == "*" != minor:\n',
        "        if False:\n",
        (_UNITS + "devices_are_listed_before_the_policy",),
    ),
    Mutant(
        "a list of denied devices is not one of those that are allowed",
        "cgroups/systemd/properties.py",
        'entries = [] if default == "allow" else _entries(exceptions)',
        "entries = _entries(exceptions)",
        (_UNITS + "devices_are_listed_before_the_policy",),
    ),
    Mutant(
        "seconds are microseconds on the bus",
        "cgroups/systemd/variant.py",
        "int(value * _SECOND)  # type",
        "int(value)  # type",
        (_UNITS + "seconds_are_microseconds",),
    ),
    Mutant(
        "a number is in the range of its type",
        "cgroups/systemd/variant.py",
        "        if not low <= number <= high:\n",
        "        if False:\n",
        (_UNITS + "variants_are_read",),
    ),
    Mutant(
        "a variant is not deeper than Python goes",
        "cgroups/systemd/variant.py",
        "        if self._depth > _DEEPEST:\n",
        "        if False:\n",
        (_UNITS + "variants_are_read",),
    ),
    Mutant(
        "a scope's OOM policy is its memory.oom.group",
        "cgroups/systemd/manager.py",
        "        if inner.version == 2 and not is_slice:\n",
        "        if False:\n",
        (_UNITS + "the_oom_policy_of_a_scope_is_its_oom_group",),
    ),
    Mutant(
        "what systemd sets anew is warned of",
        "cli/update.py",
        "    if whole and facts.cgroup_v2 and cgroup.systemd:\n",
        "    if False:\n",
        ("tests/unit/test_cli_update.py::test_what_systemd_sets_anew_is_warned_of",),
    ),
    Mutant(
        "properties are told by name",
        "cgroups/systemd/update.py",
        "sorted(properties, key=lambda one: one[0])",
        "properties",
        (
            _UNITS + "properties_are_told_by_name_and_a_list_is_emptied_first",
            _VM + "a_change_wants_no_reload",
        ),
    ),
    Mutant(
        "a weight of unified is one before systemd is told",
        "cgroups/systemd/properties.py",
        "    if not least <= weight <= most:\n",
        "    if False:\n",
        (_UNITS + "unified_text_that_is_no_value_is_a_problem",),
    ),
    Mutant(
        "of a group of CPUs the first are used",
        "config/number_lists.py",
        "            first, count = counts\n",
        "            pass\n",
        (_UNITS + "a_list_of_numbers_is_a_bitmask",),
    ),
    Mutant(
        "annotated properties hold",
        "cgroups/systemd/manager.py",
        "        properties[:] = [one for one in properties if one[0] != found[0]]\n",
        "",
        (_UNITS + "annotated_properties_hold",),
    ),
    Mutant(
        "a user's unit needs v2",
        "cgroups/systemd/manager.py",
        '    if systemd.user and layout.mode != "v2":\n',
        "    if False:\n",
        (_UNITS + "a_users_unit_needs_v2",),
    ),
    Mutant(
        "a group below the unit's stays below",
        "cgroups/systemd/manager.py",
        '        if ".." in _parts(path) or "\\n" in path',
        '        if "\\n" in path',
        (_UNITS + "a_group_below_stays_below",),
    ),
    Mutant(
        "nothing is cloned into the group of a unit that is not there",
        "cgroups/systemd/manager.py",
        "        return self.is_made and not self.attaches\n",
        "        return not self.attaches\n",
        (_UNITS + "nothing_is_cloned_into_a_group_that_is_not_there",),
    ),
    Mutant(
        "a process is put into a group below before that distributes controllers",
        "cgroups/systemd/manager.py",
        """\
            *(steps.systemd_join(*step.args, why=step.why) for step in self.files.join_steps()),
            *rest,
""",
        """\
            *rest,
            *(steps.systemd_join(*step.args, why=step.why) for step in self.files.join_steps()),
""",
        (_UNITS + "the_first_process_waits_for_its_unit",),
    ),
    Mutant(
        "a stage waits for the unit",
        "plan/container.py",
        """\
        plan.add(SERVER, "clone", [ns.clone_stage(0, into, why="linux.namespaces")])
        plan.add(RUNTIME, "attach", attach)
""",
        """\
        plan.add(SERVER, "clone", [ns.clone_stage(0, into, why="linux.namespaces")])
""",
        (_UNITS + "a_stage_waits_for_the_unit_and_its_clones_are_in_it",),
    ),
    Mutant(
        "a process is moved to the delegated group after its cgroup namespace is made",
        "plan/container.py",
        """\
    plan.add(who, "identity", [ns.new_session(), *own])
    plan.add(RUNTIME, "identity", manager.delegate_steps() if manager is not None else [])
""",
        """\
    plan.add(RUNTIME, "identity", manager.delegate_steps() if manager is not None else [])
    plan.add(who, "identity", [ns.new_session(), *own])
""",
        (_UNITS + "limits_are_in_the_sub_group_and_in_the_unit",),
    ),
    Mutant(
        "systemd is asked where it is process 1 alone",
        "life/host.py",
        "        if not cgroup.systemd or not self.layout.systemd:\n",
        "        if not cgroup.systemd:\n",
        (_CALLERS + "without_systemd_its_flag_is_refused_where_groups_are_made",),
    ),
    Mutant(
        "another container's unit is not stopped",
        "cgroups/systemd/stopping.py",
        '        if has_mark(str(units.unit_property(unit, "Description", user=user)), mark):\n',
        "        if True:\n",
        (
            _UNITS + "a_unit_with_another_mark_is_left",
            _VM + "another_containers_unit_is_not_stopped",
        ),
    ),
    Mutant(
        "without a bus a unit that may be there is not forgotten",
        "cgroups/systemd/stopping.py",
        "        if error.name or is_directory(directory):\n",
        "        if error.name:\n",
        (_UNITS + "without_a_bus_a_unit_without_a_group_is_gone",),
    ),
    Mutant(
        "the mark is the end of the description",
        "cgroups/systemd/description.py",
        'return description.endswith(f" [{mark}]")',
        "return mark in description",
        (_UNITS + "a_unit_is_known_by_the_mark_in_its_description",),
    ),
    Mutant(
        "a unit's end is not forgotten",
        "cgroups/ledger.py",
        "                self._stop_units()\n",
        "                pass\n",
        ("tests/unit/test_ledger_units.py::test_a_unit_is_stopped_with_its_container",),
    ),
    Mutant(
        "a unit is stopped when nothing runs in it any more",
        "cgroups/ledger.py",
        "            if not killing.running(own):\n                self._stop_units()\n",
        "            self._stop_units()\n",
        ("tests/unit/test_ledger_units.py::test_a_unit_is_not_stopped_over_who_is_spared",),
    ),
    Mutant(
        "a start stops no unit in which something runs",
        "cgroups/ledger.py",
        "        if not killing.running(self.own()):\n",
        "        if True:\n",
        ("tests/unit/test_ledger_units.py::test_a_start_stops_the_unit_of_the_one_before",),
    ),
    Mutant(
        "a line about a unit is one to its end",
        "cgroups/ledger.py",
        '        if known and line.endswith("\\n") and is_plain_path(path):\n'
        "            found[path] = mark, whose\n",
        "        if known:\n            found[path] = mark, whose\n",
        ("tests/unit/test_ledger_units.py::test_only_whole_lines_are_about_units",),
    ),
    Mutant(
        "cgroupsPath is three words for systemd",
        "oci/load.py",
        "        if len(parts) == 3:\n",
        "        if parts := (parts * 3)[:3]:\n",
        (_LOAD + "units_of_systemd", _CALLERS + "systemd_wants_three_words"),
    ),
    Mutant(
        "without control groups there are no limits",
        "oci/load.py",
        '        elif name != "devices" and resources.get(name):\n',
        "        elif False:\n",
        (_CALLERS + "a_container_without_control_groups",),
    ),
    Mutant(
        "one alone makes the control groups",
        "cli/create.py",
        '    if arguments.systemd_cgroup and name not in ("", "systemd"):\n',
        "    if False:\n",
        (_CALLERS + "only_one_makes_them",),
    ),
    # In a machine: python3 -m tests.vm --lane debian12 -- python3 -m tests.mutants TEXT
    Mutant(
        "a unit that is there is not touched",
        "cgroups/systemd/steps.py",
        "        raise (_exists(unit, user) if error.name == _EXISTS else error) from None\n",
        "        raise\n",
        (_VM + "a_unit_that_is_there_is_not_touched",),
    ),
    Mutant(
        "a unit is noted before systemd is asked for it",
        "cgroups/ledger.py",
        '        self._paper.append(NAME, f"{_UNIT} {mark},{whose} {path}\\n")\n',
        "",
        (_VM + "a_caller_is_killed",),
    ),
    Mutant(
        "the unit has its old limits where the files refuse the new ones",
        "cgroups/systemd/update.py",
        "            _set(manager, present, resources)\n",
        "            pass\n",
        (_VM + "a_limit_that_cannot_be_set_changes_nothing",),
    ),
    Mutant(
        "a change that fails leaves what systemd sets by itself",
        "cgroups/systemd/update.py",
        "                manager.files.set(again)\n",
        "                pass\n",
        (_VM + "a_group_that_ends_as_a_whole_does_so_after_a_change",),
    ),
]
