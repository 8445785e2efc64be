"""What a sandbox sees (libct/sandbox)."""

from __future__ import annotations

from . import Mutant

_SEEN = "tests/kernel/test_sandbox_seen.py::test_"
_ENDS = "tests/kernel/test_sandbox_ends.py::test_"
_READ_ONLY = "tests/unit/test_sandbox_readonly.py::test_"
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
    Mutant(
        "what is refused elsewhere is not about the directory",
        "sandbox/readonly.py",
        "return not paths or any(",
        "return True or any(",
        (f"{_READ_ONLY}what_is_about_the_directory",),
    ),
    Mutant(
        "a line may come in pieces",
        "sandbox/readonly.py",
        "        text = self._rest + data\n",
        "        text = data\n",
        (f"{_READ_ONLY}what_is_about_the_directory",),
    ),
    Mutant(
        "who has asked for a read-only directory is told nothing",
        "sandbox/seen.py",
        "directory != here or _is_below(here, asked):",
        "directory != here:",
        (f"{_READ_ONLY}which_directory_is_read_only_unasked",),
    ),
    Mutant(
        "what a terminal is given is looked at",
        "cli/terminal.py",
        "            self._printed(self._to_output)\n",
        "            pass\n",
        (f"{_ENDS}what_to_do_where_the_directory_is_read_only",),
    ),
    Mutant(
        "what the caller's terminal is given is looked at",
        "cli/watch.py",
        "                if to == 2:\n",
        "                if False:\n",
        (f"{_ENDS}what_to_do_where_the_directory_is_read_only",),
    ),
    Mutant(
        "a command that has not failed gets no hint",
        "cli/watch.py",
        "        if status and self._refusals.found:\n",
        "        if self._refusals.found:\n",
        (f"{_ENDS}what_to_do_where_the_directory_is_read_only",),
    ),
    Mutant(
        "a colon may be part of a path",
        "cli/sandbox.py",
        '        if parts[-1].endswith("\\\\"):\n',
        "        if False:\n",
        (f"{_SEEN}a_colon_in_a_path",),
    ),
    Mutant(
        "a limit of 0 is not taken for none",
        "sandbox/readers.py",
        '        if not found:\n            raise Wrong(f"a limit',
        '        if False:\n            raise Wrong(f"a limit',
        (f"{_OPTIONS}what_is_wrong",),
    ),
    Mutant(
        "a size is not taken for a part of the path",
        "sandbox/readers.py",
        "    if sized:\n",
        "    if False:\n",
        (f"{_OPTIONS}what_is_wrong",),
    ),
    Mutant(
        "a surrounding filter is named",
        "bootstrap/hints.py",
        '    if "\\nSeccomp:\\t2" not in _read("/proc/self/status"):\n',
        "    if True:\n",
        (f"{_ENDS}in_a_container_whose_filter_refuses",),
    ),
    Mutant(
        "a missing call of a newer kernel is hidden",
        "syscalls/core.py",
        " if here >= there else",
        " if False else",
        ("tests/unit/test_syscalls.py::test_a_missing_call_of_a_newer_kernel_is_hidden",),
    ),
    Mutant(
        "a descriptor that is told of the end is open for writing",
        "cli/watch.py",
        "    if mode & os.O_ACCMODE == os.O_RDONLY:  # O_PATH, too\n",
        "    if False:\n",
        (f"{_ENDS}a_descriptor_that_cannot_be_told_anything",),
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
