"""Mutants of AppArmor profiles and SELinux labels."""

from __future__ import annotations

from . import Mutant

_LABELS = "tests/unit/test_labels.py::test_"
_FILES = "tests/kernel/test_attributes.py::test_"
_RELABEL = "tests/kernel/test_relabel.py::test_"

MUTANTS = [
    Mutant(
        "an AppArmor profile needs AppArmor",
        "config/rules_labels.py",
        "    if wanted and not facts.apparmor:\n",
        "    if False:\n",
        (_LABELS + "what_the_host_does_not_have_is_refused_by_name",),
    ),
    Mutant(
        "a label needs SELinux",
        "config/rules_labels.py",
        " and not facts.selinux:",
        " and False:",
        (_LABELS + "what_the_host_does_not_have_is_refused_by_name",),
    ),
    Mutant(
        "the labels of a further process are looked at",
        "config/rules_process.py",
        "    if process.apparmor_profile or process.label:\n",
        "    if False:\n",
        (_LABELS + "and_so_it_is_of_a_further_process",),
    ),
    Mutant(
        "a label of mounts is looked at",
        "config/validate.py",
        "config.apparmor_profile or config.process_label or config.mount_label",
        "config.apparmor_profile or config.process_label",
        (_LABELS + "the_kind_of_context_is_one_that_selinux_has",),
    ),
    Mutant(
        "directories of the host's are not labelled anew",
        "config/rules_labels.py",
        "    if normal(mount.source) in _NEVER_RELABELLED:\n",
        "    if False:\n",
        (_LABELS + "what_is_labelled_anew",),
    ),
    Mutant(
        "a command is confined by its profile and label",
        "plan/process.py",
        '    plan.add(who, "process", label_steps(config, process, host))\n',
        "",
        (_LABELS + "who_becomes_the_command_says_what_it_is_confined_by",),
    ),
    Mutant(
        "a further process may have a label of its own",
        "plan/labels.py",
        "    return process.label or config.process_label\n",
        "    return config.process_label\n",
        (_LABELS + "a_further_process_has_its_own_or_those_of_the_container",),
    ),
    Mutant(
        "keys that are made later have the label of who makes them",
        "plan/labels.py",
        ', *steps, set_key_label("", why=why)]',
        ", *steps]",
        (_LABELS + "who_becomes_the_command_says_what_it_is_confined_by",),
    ),
    Mutant(
        "new file systems have the label of mounts",
        "plan/container.py",
        "        config = with_mount_labels(config)\n",
        "        with_mount_labels(config)\n",
        (_LABELS + "a_label_of_mounts_goes_where_the_kernel_takes_it",),
    ),
    Mutant(
        "masks have the label of mounts",
        "plan/masks.py",
        "        options = (context_options(config),)\n",
        "        context_options(config)\n",
        (_LABELS + "mounts_of_libcts_own_have_the_label_too",),
    ),
    Mutant(
        "AppArmor is told by its own file where there is one",
        "security/labels.py",
        '        path = f"{_OWN}/apparmor/exec"\n',
        '        path = f"{_OWN}/exec"\n',
        (_LABELS + "a_profile_goes_to_apparmors_own_file",),
    ),
    Mutant(
        "a label is written to a file of proc's",
        "attributes/procfs.py",
        "    if fstatfs(fd).type != PROC_SUPER_MAGIC:\n",
        "    if False:\n",
        (_FILES + "a_handle_that_is_not_of_proc_takes_no_label",),
    ),
    Mutant(
        "a label is written to no file that covers it",
        "attributes/procfs.py",
        "_RESOLVE = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV\n",
        "_RESOLVE = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS\n",
        (_FILES + "nothing_stands_in_for_the_file_of_a_label",),
    ),
    Mutant(
        "what a link leads to is not labelled",
        "rootfs/relabel.py",
        "value, links=False)",
        "value)",
        (_RELABEL + "all_files_of_a_mount_are_labelled_and_nothing_else",),
    ),
    Mutant(
        "a tree to be labelled has a depth that can be gone",
        "rootfs/relabel.py",
        "    if depth > _DEEPEST:\n",
        "    if False:\n",
        (_RELABEL + "a_tree_that_is_too_deep_is_an_error",),
    ),
]
