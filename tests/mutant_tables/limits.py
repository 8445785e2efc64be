"""Mutants of the limits of control groups, and of how a change of them is taken back."""

from __future__ import annotations

from . import Mutant

_CONTAINER = "tests/kernel/test_container.py::test_"
_LIMITS = "tests/unit/test_cgroups_limits.py::test_"
_LOAD = "tests/unit/test_oci_load.py::test_"
_PLANS = "tests/unit/test_cgroups_plan.py::test_"
_STEPS = "tests/unit/test_cgroups_steps.py::test_"
_VALIDATE = "tests/unit/test_config_validate.py::test_"
_UPDATE = "tests/unit/test_cli_update.py::test_"
_V1 = "tests/kernel/test_cgroups_v1.py::test_"
_NOTHING = _V1 + "nothing_is_changed_where_one_limit_is_refused"

_CHANGES = [
    Mutant(
        "limits that could not be set as a whole are the old ones again",
        "cgroups/manager.py",
        "            failed = change.take_back()\n",
        "            failed: list[str] = []\n",
        (_CONTAINER + "limits_that_cannot_all_be_set_stay_as_they_were", _NOTHING),
    ),
    Mutant(
        "what was written over is remembered",
        "cgroups/limiting.py",
        "        written.append((path, former(split(path)[1], text, line)))\n",
        "        pass\n",
        (_STEPS + "a_change_remembers_what_it_writes_over", _NOTHING),
    ),
    Mutant(
        "the last that was written is the first to be taken back",
        "cgroups/perform.py",
        "self._written.pop()",
        "self._written.pop(0)",
        (_NOTHING,),
    ),
    Mutant(
        "what cannot be taken back is told",
        "cgroups/manager.py",
        "                note(error, text)\n",
        "                pass\n",
        (_V1 + "what_cannot_be_taken_back_is_told",),
    ),
    Mutant(
        "rules of devices are taken back, too",
        "cgroups/manager.py",
        'if any("devices" in step.op for step in change.begun):',
        "if False:",
        (_NOTHING,),
    ),
    Mutant(
        "what was frozen is frozen after a change that fails",
        "cgroups/manager.py",
        "again.append(self.freeze if was_frozen else self.thaw)",
        "again.append(self.thaw)",
        (_V1 + "a_change_freezes_and_thaws",),
    ),
    Mutant(
        "limits that cannot be kept are taken back",
        "cgroups/manager.py",
        "        except BaseException as error:\n            failed",
        "        except CgroupError as error:\n            failed",
        (_CONTAINER + "limits_that_cannot_be_kept_are_taken_back",),
    ),
    Mutant(
        "a configuration that cannot be kept is not that of the container",
        "life/container.py",
        "                    record.config = old\n",
        "                    pass\n",
        (_CONTAINER + "limits_that_cannot_be_kept_are_taken_back",),
    ),
    Mutant(
        "limits are checked before they are set",
        "life/container.py",
        "        check_limits(config.cgroups.resources)\n",
        "",
        (_CONTAINER + "limits_are_checked_before_they_are_set",),
    ),
    Mutant(
        "to freeze is done once",
        "life/container.py",
        '                freezer="",\n',
        "",
        (_CONTAINER + "freezing_is_done_once",),
    ),
    Mutant(
        "a file that says what is wanted is not written",
        "cgroups/limiting.py",
        "    if text is not None and says(text, line):\n",
        "    if False:\n",
        (_STEPS + "a_change_remembers_what_it_writes_over",),
    ),
    Mutant(
        "a container is never short of both memory and swap",
        "cgroups/limiting.py",
        "left = (*higher, *(one for one in settings if one not in higher))",
        "left = settings",
        (_STEPS + "a_container_is_never_short_of_both_memory_and_swap",),
    ),
    Mutant(
        "a device that had no line has none again",
        "cgroups/limits/former.py",
        'return found or [f"{name} {_NOTHING_SET[file]}"]',
        "return found",
        (_LIMITS + "what_takes_a_file_back", _V1 + "block_io_is_weighed_and_throttled"),
    ),
]

_SETTINGS = [
    Mutant(
        "a container cannot start frozen",
        "cgroups/resources.py",
        '    if resources.freezer == "FROZEN":\n',
        "    if False:\n",
        (_V1 + "a_change_freezes_and_thaws",),
    ),
    Mutant(
        "BFQ's weights are preferred where they are",
        "cgroups/limiting.py",
        "if (file, value) == last or exists(path):",
        "if (file, value) == last:",
        (_STEPS + "the_first_file_that_is_there_is_written",),
    ),
    Mutant(
        "each line is a write of its own",
        "cgroups/limits/v2.py",
        'for line in value.strip("\\n").split("\\n"):',
        'for line in [value.strip("\\n")]:',
        (_LIMITS + "everything_at_once_with_v2",),
    ),
    Mutant(
        "real time is in force before there is a process",
        "cgroups/limits/v1.py",
        "        *_real_time(resources),\n",
        "",
        (
            _V1 + "real_time_is_there_before_the_first_process",
            _LIMITS + "everything_at_once_with_v1",
        ),
    ),
    Mutant(
        "with cgroup v2 a rate of nothing is no limit",
        "cgroups/limits/v2.py",
        "{at.rate or 'max'}",
        "{at.rate}",
        (_LIMITS + "everything_at_once_with_v2",),
    ),
    Mutant(
        "a file of the unified tree needs its controller",
        "cgroups/limits/v2.py",
        'needed = "" if controller == "cgroup" else controller',
        'needed = ""',
        (_LIMITS + "which_controllers_are_needed_and_who_asks",),
    ),
    Mutant(
        "a limit by name is a file of the group",
        "config/unified.py",
        'if not name or "/" in name or name in _DOTS:',
        "if not name:",
        (_VALIDATE + "rules_of_control_groups",),
    ),
    Mutant(
        "v1 has no limit of swap below that of memory",
        "cgroups/limits/v1.py",
        "    elif 0 < both < memory:\n",
        "    elif False:\n",
        (_LIMITS + "v1_has_no_limit_of_swap_below_that_of_memory",),
    ),
    Mutant(
        "unified takes no order of the core",
        "config/unified.py",
        '    if controller == "cgroup" and name not in _CORE:\n',
        "    if False:\n",
        (_VALIDATE + "unified_gives_no_orders",),
    ),
    Mutant(
        "unified takes no order of a controller",
        "config/unified.py",
        '    if name in _ORDERS or file == "pressure":\n',
        "    if False:\n",
        (_VALIDATE + "unified_gives_no_orders",),
    ),
    Mutant(
        "a manager takes no order either",
        "cgroups/limits/v2.py",
        "            check_unified(file)\n",
        "            pass\n",
        (_VALIDATE + "unified_gives_no_orders",),
    ),
    Mutant(
        "what the kernel refuses says what it takes",
        "cgroups/limiting.py",
        "        if file in _TAKES:\n",
        "        if False:\n",
        (_STEPS + "what_the_kernel_refuses_says_what_it_takes",),
    ),
    Mutant(
        "a file that is missing says what would make it",
        "cgroups/limiting.py",
        'if controller == "cgroup" or exists(f"{directory}/tasks"):',
        "if False:",
        (_STEPS + "a_file_that_is_missing_says_what_would_make_it",),
    ),
    Mutant(
        "swappiness of -1 is none",
        "oci/load_resources.py",
        "    if found.memory_swappiness == UINT64[1]:",
        "    if False:",
        (_LOAD + "limits_in_the_spellings_of_engines",),
    ),
    Mutant(
        "an option wins over a file of the unified tree",
        "cli/update.py",
        "    _make_way(after, asked)\n",
        "",
        (
            _UPDATE + "a_group_of_victims_is_asked_for_by_one_of_two_ways",
            _UPDATE + "a_limit_wins_over_what_unified_said_before",
        ),
    ),
    Mutant(
        "a period that is asked for leaves the quota that there is",
        "cli/update.py",
        "            if not asked.cpu_quota and quota.isdecimal():\n",
        "            if False:\n",
        (_UPDATE + "of_a_quota_and_a_period_one_may_be_asked_for",),
    ),
    Mutant(
        "a limit that there is not is warned of",
        "cli/update.py",
        "    if asked.memory_oom_group is not None and not facts.cgroup_v2:\n",
        "    if False:\n",
        (_UPDATE + "limits_of_one_version_alone_are_ignored_by_the_other",),
    ),
    Mutant(
        "a sandbox without memory ends as a whole",
        "sandbox/config.py",
        "memory_oom_group=True if options.memory else None,",
        "memory_oom_group=None,",
        ("tests/unit/test_sandbox_config.py",),
    ),
]

MUTANTS = [*_CHANGES, *_SETTINGS]
