"""Mutants of how a plan is shown, and of what ties it to the code."""

from __future__ import annotations

from . import Mutant

_WHERE = "tests/unit/test_cli_where.py::"

_PAGE = "tests/unit/test_cli_page.py::"
_WRITING = "tests/unit/test_oci_writing.py::"
_LOAD = "tests/unit/test_oci_load.py::"
_KEYS = "tests/unit/test_oci_unknown_keys.py::"

MUTANTS = [
    Mutant(
        "no text of a container is code in a page",
        "cli/page.py",
        '(("&", "amp"), ("<", "lt"), ',
        '(("&", "amp"), ',
        (_PAGE + "test_a_page_is_whole_and_needs_nothing",),
    ),
    Mutant(
        "what is done ahead hands over to nobody",
        "cli/lanes.py",
        "for bar in shown if not bar.aside]",
        "for bar in shown]",
        (_PAGE + "test_each_process_has_a_lane_and_hands_over",),
    ),
    Mutant(
        "a trace is drawn in its time",
        "cli/lanes.py",
        "lane_of(step), start - first, duration, result)",
        "lane_of(step), number, 1, result)",
        (_PAGE + "test_each_process_has_a_lane_and_hands_over",),
    ),
    Mutant(
        "what a bundle cannot say is found",
        "oci/writing.py",
        "        findings = _lost(config, spec, bundle)\n",
        "        pass\n",
        (_WRITING + "test_what_no_bundle_can_say_is_refused",),
    ),
    Mutant(
        "a bundle that is there is not replaced",
        "oci/writing.py",
        "posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | ",
        "posix.O_WRONLY | posix.O_CREAT | ",
        (_WRITING + "test_no_bundle_is_replaced",),
    ),
    Mutant(
        "a mistake of reading hides none that the rules find",
        "oci/load.py",
        "        findings += certain(rule_findings(config, arguments), findings)\n",
        "        pass\n",
        (_LOAD + "test_a_mistake_of_reading_hides_no_other",),
    ),
    Mutant(
        "what may follow from a default is not said",
        "oci/partial.py",
        '        or ("[" in bad and bad.partition("[")[0] in finding.message)\n',
        "",
        (_LOAD + "test_what_may_follow_from_a_default_is_not_said",),
    ),
    Mutant(
        "check looks on after a mistake of reading",
        "cli/check_bundle.py",
        "            findings=read,\n",
        "",
        ("tests/kernel/test_cli_check.py::test_all_that_is_wrong_is_said_at_once",),
    ),
    Mutant(
        "keys of objects in lists are looked at",
        "oci/unknown_keys.py",
        "    if isinstance(value, list):\n",
        "    if False:\n",
        (_KEYS + "test_an_unknown_key_is_told_with_what_was_meant",),
    ),
    Mutant(
        "an editor is led to the module that performs",
        "plan/masks.py",
        "    from ..rootfs import masks\n",
        "    from ..rootfs import mounts as masks\n",
        ("tests/unit/test_operations.py::test_an_editor_finds_the_module_that_performs",),
    ),
    Mutant(
        "plan --where leaves no profiler behind",
        "cli/where.py",
        "        sys.setprofile(before)\n",
        "        pass\n",
        (_WHERE + "test_the_profiler_is_as_before_when_planning_fails",),
    ),
    Mutant(
        "a step's place is where it was made",
        "cli/where.py",
        "frame.f_back.f_lineno)",
        "frame.f_lineno)",
        (_WHERE + "test_each_step_says_where_it_is_planned_and_performed",),
    ),
]
