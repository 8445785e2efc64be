"""What a sandbox sees (libct/sandbox)."""

from __future__ import annotations

from . import Mutant

_SEEN = "tests/kernel/test_sandbox_seen.py::test_"
_OPTIONS = "tests/unit/test_sandbox_options.py::test_"

MUTANTS: list[Mutant] = [
    Mutant(
        "an inner place is mounted after the outer one",
        "sandbox/seen.py",
        '        asked.sort(key=lambda one: one[1].destination.count("/"))\n',
        "",
        (f"{_OPTIONS}outer_places_come_before_inner_ones",),
    ),
    Mutant(
        "two mounts on one place are an error",
        "sandbox/seen.py",
        "        if path in taken:\n",
        "        if False:\n",
        (f"{_OPTIONS}what_cannot_be_together",),
    ),
    Mutant(
        "what is no device is not shown as one",
        "sandbox/seen.py",
        'name == "dev" and not _is_device(source)',
        "False",
        (f"{_OPTIONS}what_cannot_be_together",),
    ),
    Mutant(
        "without a proc, the host's is left out",
        "plan/view.py",
        'entry.kind == "empty"',
        "False",
        (f"{_SEEN}without_proc_and_sys",),
    ),
    Mutant(
        "a link that is made replaces nothing",
        "rootfs/entries.py",
        "if _link(parent, name) != target:",
        "if False:",
        (f"{_SEEN}what_cannot_be_made_is_told_by_the_option",),
    ),
    Mutant(
        "a file that is made replaces nothing",
        "rootfs/entries.py",
        "posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL",
        "posix.O_WRONLY | posix.O_CREAT",
        (f"{_SEEN}what_cannot_be_made_is_told_by_the_option",),
    ),
    Mutant(
        "the group of terminals is left out where it is not mapped",
        "sandbox/seen.py",
        "(options.subids or _is_mapped(5))",
        "True",
        (f"{_SEEN}as_root_of_a_user_namespace_with_one_id",),
    ),
    Mutant(
        "a home belongs to the sandbox's user",
        "sandbox/config.py",
        "    return known.pw_uid, known.pw_gid\n",
        "    return 0, 0\n",
        (f"{_SEEN}ids_by_number",),
    ),
    Mutant(
        "a resolv.conf in /run is shown",
        "sandbox/seen.py",
        "return [path] if os.path.isfile(path) and _is_below",
        "return [path] if False and _is_below",
        (f"{_SEEN}names_are_found_where_resolv_conf_leads_into_run",),
    ),
    Mutant(
        "in a chroot, the root is made a mount",
        "rootfs/root.py",
        "        _leave_chroot(propagation)\n",
        "        raise\n",
        (f"{_SEEN}in_a_chroot",),
    ),
    Mutant(
        "in a chroot, no mount reaches the host",
        "rootfs/root.py",
        '            mount("", "/proc", "", MS_PRIVATE, "")\n',
        '            mount("", "/proc", "", 0, "") if False else None\n',
        (f"{_SEEN}in_a_chroot",),
    ),
    Mutant(
        "root without rights has a user namespace",
        "sandbox/config.py",
        " or _lacks_rights():",
        ":",
        (f"{_SEEN}as_root_without_the_rights_of_root",),
    ),
]

MUTANTS += [
    Mutant(
        "a virtual environment that is hidden is shown once to call()",
        "sandbox/call.py",
        "    once = dict.fromkeys(found)",
        "    once = list(found)",
        ("tests/unit/test_sandbox_config.py::test_a_virtual_environment_that_is_hidden",),
    ),
]
