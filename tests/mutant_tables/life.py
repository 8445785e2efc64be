"""Mutants of control groups, of the life of a container, and of the commands about it."""

from __future__ import annotations

from . import Mutant

_CONTAINER = "tests/kernel/test_container.py::"
_LEDGER_TESTS = "tests/kernel/test_ledger.py::"
_OWNERSHIP = "tests/kernel/test_ownership.py::"
_V1, _V2 = "tests/kernel/test_cgroups_v1.py::", "tests/kernel/test_cgroups_v2.py::"
_STEPS = "tests/unit/test_cgroups_steps.py::"
_STATE = "tests/unit/test_state.py::"
_CLI = "tests/kernel/test_cli.py::"
_DEVICES = "tests/kernel/test_cgroups_devices.py::"
_SERVICES = "tests/kernel/test_cli_services.py::"
_CALLERS = "tests/kernel/test_cli_callers.py::"
_TERMINAL = "tests/kernel/test_cli_terminal.py::"
_BAD_INPUT = "tests/kernel/test_cli_bad_input.py::"
_HOOKS = "tests/kernel/test_hooks.py::"
_LIFE = "tests/kernel/test_life.py::"

_ENTRY = '    plan.add(who, "identity", entry)\n'
_IDENTITY = """\
    if host.euid != 0:
        plan.add(who, "identity", [ns.make_undumpable()])
    sources = mounts.early_sources(config, lent) if lent or maps or config.rootfs_view else []
    own = _identity(config, sources if lent or maps else [], bool(maps))
    # What appears in a shared pid namespace must not be in the caller's, with his terminal.
    plan.add(who, "identity", [ns.new_session(), *own])
"""

_RECORD = [
    Mutant(
        "a later process of the same number is not the container's",
        "life/proc.py",
        "return found == start",
        "return True",
        (_STATE + "test_a_process_is_known_by_its_start",),
    ),
    Mutant(
        "a process without marks is not alive",
        "life/proc.py",
        "if pid <= 0 or not (start or inode):",
        "if pid <= 0:",
        (_STATE + "test_a_process_is_known_by_its_start",),
    ),
    Mutant(
        "a process of another boot is not the container's",
        "life/record.py",
        " and of_this_boot(self.boot)",
        "",
        (
            _STATE + "test_a_process_of_another_boot_is_not_the_first",
            _CLI + "test_a_container_of_another_boot_has_stopped",
        ),
    ),
    Mutant(
        "a record has the boot that its numbers are of",
        "life/starting.py",
        "        record.boot = boot_id()\n",
        "",
        (_CLI + "test_a_container_of_another_boot_has_stopped",),
    ),
    Mutant(
        "a hook of another boot is none",
        "life/directory.py",
        'if not of_this_boot(" ".join(words[5:])):',
        "if False:",
        (_CLI + "test_a_container_of_another_boot_has_stopped",),
    ),
    Mutant(
        "where the boot is not known nothing is of another one",
        "life/proc.py",
        'boot_id() in ("", noted)',
        "boot_id() == noted",
        (_STATE + "test_a_boot_that_is_not_known_is_taken_for_this_one",),
    ),
    Mutant(
        "a pidfd is of the first process and of no later one",
        "life/holdings.py",
        "alive = self.record.alive",
        "alive = True",
        (_STATE + "test_a_process_is_opened_only_if_it_is_the_first",),
    ),
    Mutant(
        "a container's processes are those of the pid namespace that its start has noted",
        "life/holdings.py",
        'namespace = record.namespaces.get("pid")',
        "namespace = None",
        (_CONTAINER + "test_processes_are_of_the_pid_namespace_of_the_start",),
    ),
    Mutant(
        "a pid namespace that was not noted is that of the first process and of no later one",
        "life/holdings.py",
        "                pidfds.send(pidfd, 0)  # that was not a later one of its number\n",
        "",
        (_CONTAINER + "test_the_first_process_ends_while_its_processes_are_looked_for",),
    ),
    Mutant(
        "a container whose first process ends while it is looked at has no processes",
        "life/holdings.py",
        "return found or ([record.pid] if record.alive else [])",
        "return found or [record.pid]",
        (_CONTAINER + "test_the_first_process_ends_while_its_processes_are_looked_for",),
    ),
    Mutant(
        "a failed start leaves no state that was to be",
        "life/starting.py",
        "    for remove in (held.discard, held.remove_fifo):\n",
        "    for remove in (held.remove_fifo,):\n",
        (_LIFE + "test_a_start_that_has_failed_leaves_what_create_had_made",),
    ),
    Mutant(
        "a directory in the place of a file is nothing to undo",
        "life/directory.py",
        "except (FileNotFoundError, IsADirectoryError):",
        "except FileNotFoundError:",
        (_LIFE + "test_a_next_state_that_cannot_be_written_is_the_error",),
    ),
    Mutant(
        "a handle is of the container that it was made for",
        "life/holdings.py",
        "if record.created != self.record.created:",
        "if False:",
        (_CONTAINER + "test_a_handle_of_a_former_container_does_not_touch_the_present_one",),
    ),
    Mutant(
        "one whose maker is gone is not being created",
        "life/holdings.py",
        "return CREATING if self.directory.locked() else STOPPED",
        "return CREATING",
        ("tests/kernel/test_bootstrap_kill.py::test_a_caller_is_killed[recorded]",),
    ),
    Mutant(
        "one whose maker works is being created",
        "life/holdings.py",
        "return CREATING if self.directory.locked() else STOPPED",
        "return STOPPED",
        (_CONTAINER + "test_while_it_is_being_created",),
    ),
    Mutant(
        "a released process is running, also with the fifo still there",
        "life/holdings.py",
        "exists(self.directory.fifo) and name_of(record.pid) in (INIT_NAME, None)",
        "exists(self.directory.fifo)",
        ("tests/kernel/test_bootstrap_kill.py::test_a_caller_is_killed[released]",),
    ),
    Mutant(
        "what is done to a container is done to groups of its own",
        "life/holdings.py",
        "if path in own}",
        "if own is not None}",
        (_OWNERSHIP + "test_what_was_left_and_taken_over_is_not_touched",),
    ),
]

_P = "tests/kernel/test_proc_mounts.py::"
_HIDDEN = _P + "test_what_is_hidden_does_end"
_NUMBERS = _P + "test_nothing_is_done_by_the_numbers_of_another_pid_namespace"
_SAYS = _P + "test_a_command_says_what_is_wrong_with_proc"
_MARKS = _P + "test_a_hidden_process_is_known_by_its_marks"
_PROCFS = [
    Mutant(
        "nothing is looked at by the numbers of another pid namespace",
        "syscalls/procfs.py",
        "    if not own:\n",
        "    if False:\n",
        (_NUMBERS, _SAYS),
    ),
    Mutant(
        "the same number in another pid namespace is not believed",
        "syscalls/procfs.py",
        "if own and number != _known:",
        "if False:",
        (_P + "test_it_is_of_another_pid_namespace_though_our_number_is_the_same",),
    ),
    Mutant(
        "a proc of a pid namespace that we are not in is none of ours",
        "syscalls/procfs.py",
        "        own = False  # also in a proc of a namespace that this process is not in\n",
        "        own = True\n",
        (_SAYS,),
    ),
    Mutant(
        "children in another pid namespace are not taken by their numbers there",
        "life/starting.py",
        "    procfs.require_own_children()\n",
        "",
        (_P + "test_nothing_is_started_where_children_are_in_another_pid_namespace",),
    ),
    Mutant(
        "nor are they where nobody is in there yet",
        "syscalls/procfs.py",
        "        same = False  # it is new, and nobody is in there\n",
        "        same = True\n",
        (_P + "test_nothing_is_started_where_children_are_in_another_pid_namespace[False]",),
    ),
    Mutant(
        "no container is made where numbers are not ours",
        "life/directory.py",
        "        require_own_proc()\n        self.root, self.id",
        "        self.root, self.id",
        (_SAYS + "[another-create]", _NUMBERS + "[create]"),
    ),
    Mutant(
        "a forked copy looks again before it reads what is noted",
        "life/directory.py",
        "        require_own_proc()  # again,",
        "        #",
        (_NUMBERS + "[processes]",),
    ),
    Mutant(
        "a list of containers is not empty because nothing can be looked at",
        "life/container.py",
        "    require_own_proc()\n    try:\n        return sorted",
        "    try:\n        return sorted",
        (_NUMBERS + "[list]", _SAYS + "[another-list]"),
    ),
    Mutant(
        "a process that /proc hides has not ended",
        "life/proc.py",
        'return None if _is_there(pid) else b""',
        'return b""',
        (_HIDDEN, _MARKS),
    ),
    Mutant(
        "a hidden process that nobody has waited for has ended",
        "life/proc.py",
        "return not poll.poll(0)",
        "return True",
        (_MARKS,),
    ),
    Mutant(
        "a hidden process is known by the inode of its pidfds",
        "life/proc.py",
        "return _inode(pid) == inode",
        "return True",
        (_MARKS,),
    ),
    Mutant(
        "what cannot be told is not guessed",
        "life/proc.py",
        "        return _inode(pid) == inode\n    raise _hidden(pid)",
        "        return _inode(pid) == inode\n    return False",
        (_P + "test_nothing_is_removed_where_it_is_not_known_what_lives", _MARKS),
    ),
    Mutant(
        "a hidden first process has not executed its command",
        "life/holdings.py",
        "in (INIT_NAME, None)",
        "== INIT_NAME",
        (_P + "test_an_ordinary_user_runs_containers_where_processes_are_hidden",),
    ),
    Mutant(
        "a first process that is hidden is one of the container's",
        "life/holdings.py",
        "return found or ([record.pid] if record.alive else [])",
        "return found",
        (_P + "test_an_ordinary_user_runs_containers_where_processes_are_hidden",),
    ),
    Mutant(
        "a container with a hidden first process is running, but not to be entered",
        "life/starting.py",
        "        if holdings.record.alive:\n            # It has not",
        "        if False:\n            # It has not",
        (_P + "test_an_ordinary_user_runs_containers_where_processes_are_hidden",),
    ),
    Mutant(
        "what is hidden has not executed its command yet",
        "bootstrap/becoming.py",
        "return bool(poll.poll(0)) and unknown  # gone, or else hidden",
        "return True",
        (_P + "test_what_is_hidden_has_not_executed",),
    ),
    Mutant(
        "what is hidden and has ended is not waited for",
        "bootstrap/becoming.py",
        "return bool(poll.poll(0)) and unknown  # gone, or else hidden",
        "return False",
        (_P + "test_what_is_hidden_has_not_executed",),
    ),
    Mutant(
        "who has no descriptors left is not told to mount proc",
        "bootstrap/inherited.py",
        "missing = code in (errno.ENOENT, errno.ENOTDIR)",
        "missing = True",
        ("tests/kernel/test_bootstrap_server.py::test_no_descriptor_left_is_no_missing_proc",),
    ),
]

_DIRECTORY = [
    Mutant(
        "a lock is of the directory that is there now",
        "life/directory.py",
        "                if self._is(fd):\n                    return Held",
        "                if True:\n                    return Held",
        (_STATE + "test_a_lock_is_of_the_container_that_is_there",),
    ),
    Mutant(
        "a directory is removed only if it is the one that was emptied",
        "life/directory.py",
        "                if self._is(fd):\n                    mark = self._rename_mark",
        "                if True:\n                    mark = self._rename_mark",
        (_STATE + "test_only_the_directory_that_was_emptied_is_removed",),
    ),
    Mutant(
        "the record is removed last",
        "life/directory.py",
        "for name in sorted(names, key=STATE.__eq__):",
        "for name in sorted(names, key=STATE.__ne__):",
        (_STATE + "test_the_record_is_removed_last_and_then_the_mark",),
    ),
    Mutant(
        "a link is not followed to what is removed",
        "life/directory.py",
        "flags = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC",
        "flags = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC",
        (_STATE + "test_a_link_to_another_container_is_damage",),
    ),
    Mutant(
        "a directory with anything else in it is not removed",
        "life/directory.py",
        "            if name not in _OURS:\n",
        "            if not name:\n",
        (_CLI + "test_delete_force_removes_nothing_of_others",),
    ),
    Mutant(
        "no link in a container's directory of ours is followed",
        "life/directory.py",
        "os.fwalk(path, topdown=False, dir_fd=parent)",
        "os.fwalk(path, topdown=False, dir_fd=parent, follow_symlinks=True)",
        (_SERVICES + "test_whatever_a_container_leaves_in_the_directory_is_removed",),
    ),
    Mutant(
        "a copy that a fork has made does not keep a lock",
        "life/directory.py",
        "        fcntl.flock(self._fd, fcntl.LOCK_UN)  # also for copies that a fork has made\n",
        "",
        (_STATE + "test_a_forked_copy_does_not_keep_a_lock",),
    ),
    Mutant(
        "who holds the lock of a removed container writes to no other one's files",
        "life/directory.py",
        "return posix.open(name, flags | posix.O_CLOEXEC, 0o600, dir_fd=self._fd)",
        'return posix.open(f"{self.path}/{name}", flags | posix.O_CLOEXEC, 0o600)',
        (_STATE + "test_who_holds_a_lock_writes_to_the_directory_of_the_lock",),
    ),
    Mutant(
        "who holds the lock of a removed container replaces no other one's record",
        "life/directory.py",
        'posix.rename(f".{STATE}", STATE, src_dir_fd=self._fd, dst_dir_fd=self._fd)',
        'posix.rename(f"{self.path}/.{STATE}", f"{self.path}/{STATE}")',
        (_STATE + "test_who_holds_a_lock_writes_to_the_directory_of_the_lock",),
    ),
    Mutant(
        "a record is of the container that has the directory's name",
        "life/directory.py",
        "        if record.id != self.id:\n",
        "        if not record.id:\n",
        (_STATE + "test_a_link_to_another_container_is_damage",),
    ),
    Mutant(
        "a fifo that a killed start has left is replaced",
        "life/directory.py",
        "        self.remove_fifo()  # of a start that was killed\n",
        "",
        (_STATE + "test_a_fifo_of_a_start_that_was_killed_is_replaced",),
    ),
    Mutant(
        "a directory below /tmp is the user's own",
        "life/directory.py",
        "if found.st_uid != uid or not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o022:",
        "if not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o022:",
        (_STATE + "test_default_roots", _CONTAINER + "test_the_default_root_of_an_ordinary_user"),
    ),
]

_STARTS = [
    Mutant(
        "what a start that fails has made of groups is undone at once",
        "life/starting.py",
        "        failures += ledger.undo()\n",
        "        pass\n",
        (_OWNERSHIP + "test_a_start_that_fails_leaves_a_container_without_groups",),
    ),
    Mutant(
        "what could not be undone is told in the error",
        "life/starting.py",
        "        note(error, failure)\n",
        "        pass\n",
        (_OWNERSHIP + "test_what_a_start_could_not_undo_is_noted_in_its_error",),
    ),
    Mutant(
        "a start that fails leaves no fifo",
        "life/starting.py",
        "    for remove in (held.discard, held.remove_fifo):\n",
        "    for remove in (held.discard,):\n",
        (_OWNERSHIP + "test_a_start_that_fails_leaves_a_container_without_groups",),
    ),
    Mutant(
        "a group that is not the container's is none of its groups",
        "life/starting.py",
        "{name: paths[name] for name in paths if paths[name] in own}",
        "paths",
        (_OWNERSHIP + "test_groups_that_were_not_to_be_had_are_not_looked_at",),
    ),
    Mutant(
        "an exit status is written to the start that it is of",
        "life/starting.py",
        "            if (record.pid, record.start, record.inode) == first:\n",
        "            if pid:\n",
        (_CONTAINER + "test_an_exit_status_is_not_written_to_a_later_start",),
    ),
    Mutant(
        "a container has one first process",
        "life/starting.py",
        '    rules.require("start", status, holdings.id)\n',
        "",
        (_CONTAINER + "test_two_starts_at_once",),
    ),
    Mutant(
        "a container whose poststart hook fails is stopped",
        "life/hooks.py",
        "    except BaseException:\n        stop(holdings)\n        raise\n",
        "    except BaseException:\n        raise\n",
        (_HOOKS + "test_a_hook_that_fails",),
    ),
    Mutant(
        "without a pid namespace all end when a container is stopped",
        "life/killing.py",
        "    if not holdings.record.own_pids and holdings.record.cgroup_paths:\n",
        "    if False:\n",
        (_HOOKS + "test_a_container_without_a_pid_namespace_is_stopped_with_all_in_it",),
    ),
    Mutant(
        "of two who release a container one is refused",
        "life/releasing.py",
        '        rules.require("exec", holdings.live_status(), holdings.id)\n',
        "",
        (_CONTAINER + "test_several_release_it_at_once",),
    ),
    Mutant(
        "that the first process died before it was released is told",
        "life/releasing.py",
        "    if is_none(said):\n",
        "    if False:\n",
        (_CONTAINER + "test_a_first_process_that_dies_as_it_is_released",),
    ),
    Mutant(
        "a container that could not be registered leaves no directory",
        "life/creating.py",
        "    except BaseException:\n        directory.remove()\n        raise\n",
        "    except BaseException:\n        raise\n",
        (_CONTAINER + "test_a_full_state_directory",),
    ),
    Mutant(
        "a process enters its groups while it has the rights to",
        "plan/container.py",
        _ENTRY + _IDENTITY,
        _IDENTITY + _ENTRY,
        ("tests/kernel/test_rootfs_cgroup.py::test_v1_with_a_cgroup_namespace",),
    ),
    Mutant(
        "a process is cloned into its group",
        "plan/container.py",
        "    into = manager is not None and manager.cgroup_directory() is not None\n",
        "    into = False\n",
        (_OWNERSHIP + "test_an_empty_group_is_taken_over_and_removed[v2]",),
    ),
]

_ENDS = [
    Mutant(
        "who ends a first process under the lock does not wait for its own lock",
        "life/killing.py",
        "            holdings.reap_further()\n",
        "            reap(holdings.children())\n",
        (_CONTAINER + "test_a_first_process_that_ends_late_is_not_waited_for_under_the_lock",),
    ),
    Mutant(
        "a hook that removes its container lives on",
        "life/killing.py",
        "for group in found - _groups({posix.getpid(), *spare}):",
        "for group in found - _groups(spare):",
        (_HOOKS + "test_a_hook_removes_its_container",),
    ),
    Mutant(
        "a later process of a hook's number is not ended",
        "life/killing.py",
        "found = {pid} if is_same(pid, *marks) else set()",
        "found = {pid} if marks[0] else set()",
        (_HOOKS + "test_a_later_process_of_a_hook_s_number_is_not_ended",),
    ),
    Mutant(
        "a hook that goes on is ended with its container",
        "life/ending.py",
        "    if directory.hook() is not None:\n        killing.end_hook(directory, spare=spare)\n",
        "",
        (_HOOKS + "test_the_caller_is_killed_in_a_hook_of_create",),
    ),
    Mutant(
        "a frozen process is thawed to die",
        "life/killing.py",
        "        while not wait_for(pidfd, 0):\n            groups = thaw(holdings)\n",
        "        while not wait_for(pidfd, 0):\n            groups = []\n",
        (_CONTAINER + "test_a_paused_container_is_destroyed",),
    ),
    Mutant(
        "a first process that ends has its others waited for",
        "life/killing.py",
        "            holdings.reap_further()\n",
        "",
        (_CONTAINER + "test_further_processes_that_nobody_waited_for",),
    ),
    Mutant(
        "a container that runs is not removed without force",
        "life/ending.py",
        '        rules.require("destroy", status, holdings.id)\n    children =',
        "        pass\n    children =",
        (_CONTAINER + "test_destroy",),
    ),
    Mutant(
        "removal by force waits for no lock",
        "life/ending.py",
        "held = _locked_by_force(holdings) if force else holdings.directory.lock()",
        "held = holdings.directory.lock()",
        (_HOOKS + "test_removal_by_force_ends_a_hook_that_hangs",),
    ),
    Mutant(
        "removal by force ends the hook that holds it up",
        "life/ending.py",
        "        spare = directory.holders()\n        killing.end_hook(directory, spare=spare)\n",
        "        spare = directory.holders()\n",
        (_HOOKS + "test_removal_by_force_ends_a_hook_that_hangs",),
    ),
    Mutant(
        "without a pid namespace a removal ends what the first process has left",
        "life/ending.py",
        "by_force=force or not record.own_pids",
        "by_force=force",
        (_OWNERSHIP + "test_what_the_first_process_has_left_is_ended",),
    ),
    Mutant(
        "a container whose groups cannot be removed is still there",
        "life/ending.py",
        '    if failures:\n        raise CgroupError("; ".join(failures))\n'
        "    links = remove_links(",
        "    links = remove_links(",
        (_OWNERSHIP + "test_what_cannot_be_cleaned_up_is_told_after_the_first_error",),
    ),
    Mutant(
        "a removal by force does not touch another container of the name",
        "life/ending.py",
        "            if force:\n                return None\n            raise\n",
        "            if not force:\n                raise\n",
        (_CONTAINER + "test_a_handle_of_a_former_container_does_not_touch_the_present_one",),
    ),
    Mutant(
        "without a pid namespace SIGKILL goes to all",
        "life/container.py",
        "manager = None if self._has.record.own_pids else self._has.manager",
        "manager = None",
        (_CONTAINER + "test_kill_without_a_pid_namespace_kills_all",),
    ),
    Mutant(
        "what SIGKILL was sent to is thawed to die",
        "life/container.py",
        "        thaw(self._has)  # on cgroup v1 a frozen process does not die\n",
        "",
        (_CONTAINER + "test_sigkill_ends_a_paused_container",),
    ),
    Mutant(
        "a signal ends a container that waits for its start",
        "life/container.py",
        "            elif not self._end_created(signal):\n",
        "            else:\n",
        (_CONTAINER + "test_a_signal_ends_a_container_that_waits_for_its_start",),
    ),
    Mutant(
        "the end of a block that is interrupted as it begins is gone through again",
        "life/container.py",
        "            if not begun:",
        "            if False:",
        ("tests/kernel/test_life.py::test_the_end_of_a_block_is_interrupted",),
    ),
]

_LEDGER = [
    Mutant(
        "a group that another has made since it was intended stays",
        "cgroups/ledger.py",
        '"intended": (b"", mark.encode(), marks.ABOVE)',
        '"intended": (marks.read(path),)',
        (_OWNERSHIP + "test_a_group_that_another_has_made_since",),
    ),
    Mutant(
        "groups below one that is made anew are others'",
        "cgroups/ledger.py",
        "            if self._is_own(path):\n                files.remove",
        "            if True:\n                files.remove",
        (_OWNERSHIP + "test_groups_below_one_that_is_made_anew",),
    ),
    Mutant(
        "what another container has frozen is not waited for",
        "life/killing.py",
        "            _refuse_frozen(holdings, groups)\n",
        "",
        (_OWNERSHIP + "test_one_below_the_group_of_another_that_is_paused",),
    ),
    Mutant(
        "a group that has another mark is another's",
        "cgroups/ledger.py",
        "return self._lines.get(path, _NONE)[0] in _OWN and self._has_mark(path)",
        "return self._lines.get(path, _NONE)[0] in _OWN",
        (_OWNERSHIP + "test_what_was_left_and_taken_over_is_not_touched",),
    ),
    Mutant(
        "that a group is about to be made is written before",
        "cgroups/ledger.py",
        '        self._write("intended", path, mark)\n        try:\n            marks.make(path)\n',
        "        try:\n            marks.make(path)\n",
        (_OWNERSHIP + "test_killed_between_the_levels",),
    ),
    Mutant(
        "what is in a group that was only intended is not killed",
        "cgroups/ledger.py",
        '_OWN = ("made", "taken")',
        '_OWN = ("made", "taken", "intended")',
        (_OWNERSHIP + "test_killed_between_the_levels",),
    ),
    Mutant(
        "a level that was made is written down",
        "cgroups/ledger.py",
        '            self._write("above", path)\n',
        '            self._write("left", path)\n',
        (_STEPS + "test_levels_are_removed_when_a_lower_one_cannot_be_made",),
    ),
    Mutant(
        "who leaves a level last removes it, whoever has made it",
        "cgroups/ledger.py",
        "    while marks.read(path) == marks.ABOVE and",
        "    while False and",
        (_OWNERSHIP + "test_a_level_of_two_containers",),
    ),
    Mutant(
        "a group that was there stays after a start that fails",
        "cgroups/ledger.py",
        '            if what == "taken":\n                failures',
        "            if False:\n                failures",
        (_STEPS + "test_an_empty_group_is_taken_and_not_removed",),
    ),
    Mutant(
        "a group that was taken and given back has no mark of ours",
        "cgroups/ledger.py",
        "                marks.put_back(fd, former)\n",
        "                pass\n",
        (_LEDGER_TESTS + "test_killed_while_a_group_is_given_back",),
    ),
    Mutant(
        "the lowest levels are removed first",
        "cgroups/ledger.py",
        "in reversed(list(self._lines.items())):",
        "in list(self._lines.items()):",
        (_LEDGER_TESTS + "test_levels_that_cannot_be_marked",),
    ),
    Mutant(
        "what runs in the groups is ended by a removal by force",
        "cgroups/ledger.py",
        "            if by_force:\n                self._kill(own, spare)\n",
        "",
        (_OWNERSHIP + "test_what_the_first_process_has_left_is_ended",),
    ),
    Mutant(
        "a line of the ledger that was not written to its end is none",
        "cgroups/ledger.py",
        'if not line.endswith("\\n") or not known',
        "if not known",
        (_STEPS + "test_a_line_of_the_ledger_that_was_not_written_to_its_end",),
    ),
    Mutant(
        "a group that a container has left is made anew",
        "cgroups/steps.py",
        "if not ledger.discard(directory):",
        "if True:",
        (_CONTAINER + "test_it_can_be_started_again_after_all_in_its_groups_was_killed",),
    ),
    Mutant(
        "a group of nobody's is not made anew",
        "cgroups/ledger.py",
        "if not marks.is_made(self._held[path]) or not _is_removed",
        "if not _is_removed",
        (_OWNERSHIP + "test_an_empty_group_is_taken_over_and_removed",),
    ),
    Mutant(
        "a group with processes in it is not taken",
        "cgroups/steps.py",
        "    if used:\n        listed",
        "    if False:\n        listed",
        (_OWNERSHIP + "test_the_group_of_another_container",),
    ),
    Mutant(
        "a group that is frozen is not taken",
        "cgroups/steps.py",
        "    if not freezer.stops(directory):\n",
        "    if True:\n",
        (_V1 + "test_a_frozen_group_is_not_taken", _V2 + "test_groups_in_use_are_not_taken"),
    ),
    Mutant(
        "a group that cannot be written is not taken",
        "cgroups/steps.py",
        '            posix.close(files.open_file(f"{directory}/cgroup.procs", posix.O_WRONLY))\n',
        "",
        (_OWNERSHIP + "test_an_ordinary_user_has_a_container_of_the_same_name",),
    ),
    Mutant(
        "a process is not cloned into a group of another user's",
        "cgroups/entry.py",
        'if optional and not posix.access(f"{directory}/cgroup.procs", posix.W_OK):',
        "if False:",
        (
            "tests/kernel/test_cgroups_v2.py::test_no_process_is_cloned_into_a_group_of_another_users",
        ),
    ),
    Mutant(
        "a level that another container's end has removed is made again",
        "cgroups/steps.py",
        "            if not next(waiting):\n                raise\n",
        "            raise\n",
        (_STEPS + "test_levels_are_made_again_that_go_meanwhile",),
    ),
]

_KILLING = [
    Mutant(
        "v1 has frozen all when it says so",
        "cgroups/v1.py",
        'freezer.read(f"{self._paths[\'freezer\']}/freezer.state") == "FROZEN"',
        "freezer.read(f\"{self._paths['freezer']}/freezer.state\")",
        (_V1 + "test_freezing_waits_until_all_have_stopped",),
    ),
    Mutant(
        "v2 has frozen all when it says so",
        "cgroups/v2.py",
        'while b"frozen 1" not in posix.pread(fd, 4096, 0):',
        'while b"frozen" not in posix.pread(fd, 4096, 0):',
        (_V2 + "test_freezing_waits_until_all_have_stopped",),
    ),
    Mutant(
        "a container that is about to freeze is paused",
        "cgroups/freezer.py",
        '        return read(f"{paths[\'freezer\']}/freezer.state") in ("FREEZING", "FROZEN")\n',
        '        return read(f"{paths[\'freezer\']}/freezer.state") in ("FREEZING",)\n',
        (_V1 + "test_a_frozen_process_does_nothing",),
    ),
    Mutant(
        "a file of a control group is on a cgroup file system",
        "cgroups/files.py",
        "    if not on_cgroup_filesystem(fd):\n",
        "    if False:\n",
        (_STEPS + "test_other_file_systems_are_refused",),
    ),
    Mutant(
        "no link is followed to a file of a control group",
        "cgroups/files.py",
        "flags | posix.O_CLOEXEC | posix.O_NOFOLLOW",
        "flags | posix.O_CLOEXEC",
        (_STEPS + "test_symbolic_links_are_not_followed",),
    ),
    Mutant(
        "a process that is exiting is moved at another try",
        "cgroups/files.py",
        "if error.errno != errno.EINVAL or not next(waiting):",
        "if True:",
        (_STEPS + "test_an_exiting_process_is_tried_again",),
    ),
    Mutant(
        "removal waits for what is about to leave a group",
        "cgroups/files.py",
        "        if not next(waiting):\n            raise explained(OSError(errno.EBUSY",
        "        if True:\n            raise explained(OSError(errno.EBUSY",
        (_V1 + "test_removal_waits_for_the_dying",),
    ),
    Mutant(
        "what is not there needs no removing, whatever the kernel says",
        "cgroups/files.py",
        "        if not is_directory(directory):\n",
        "        if error.errno == errno.ENOENT:\n",
        (_OWNERSHIP + "test_what_is_not_there_needs_no_removing",),
    ),
    Mutant(
        "groups below a container's go with it",
        "cgroups/files.py",
        "busy = [path for path in tree(directory) if not _removed(path)]",
        "busy = [directory]",
        (_OWNERSHIP + "test_groups_made_inside_go_with_it",),
    ),
    Mutant(
        "limits that depend on each other are written in any order",
        "cgroups/limiting.py",
        "                if error.errno != errno.EINVAL:\n",
        "                if True:\n",
        (_V1 + "test_limits_change_in_any_direction",),
    ),
    Mutant(
        "a v2 limit below what is used is refused where that is asked for",
        "cgroups/limiting.py",
        "    if used > limit:\n",
        "    if False:\n",
        (_STEPS + "test_a_limit_above_use_is_checked",),
    ),
    Mutant(
        "the rules of devices are those that were written",
        "cgroups/devices/apply_v1.py",
        "    if not _agrees(listed, default, exceptions):\n",
        "    if False:\n",
        ("tests/unit/test_devices.py::test_a_new_group_is_written_and_verified",),
    ),
    Mutant(
        "device programs that were there before go",
        "cgroups/devices/apply_v2.py",
        "            bpf.prog_detach(group, former)\n",
        "            pass\n",
        (_DEVICES + "test_a_v2_group_has_one_program_whatever_it_had_before",),
    ),
    Mutant(
        "device rules that are refused are an error",
        "cgroups/devices/apply_v2.py",
        "        raise _hinted(error) from None\n    finally:",
        "        return\n    finally:",
        (_OWNERSHIP + "test_device_rules_that_are_refused",),
    ),
    Mutant(
        "a group that must be had is an error where it cannot be",
        "cgroups/v1.py",
        "return controller in asked(limits.settings(self.cgroup.resources))",
        "return False",
        (_V1 + "test_without_delegation_a_limit_is_an_error_with_a_remedy",),
    ),
]

_BECOMING = "tests/kernel/test_becoming.py::test_"

_COMMANDS = [
    Mutant(
        "a signal that the caller ignores stays ignored",
        "cli/signals.py",
        "if handler is not None and handler != _signal.SIG_IGN:",
        "if handler is not None:",
        (_CLI + "test_a_signal_that_is_ignored_stays_ignored",),
    ),
    Mutant(
        "a command puts handlers back",
        "cli/signals.py",
        "            _signal.signal(number, handler)\n        _signal.set_wakeup_fd",
        "            pass\n        _signal.set_wakeup_fd",
        ("tests/unit/test_cli_signals.py::test_signals_are_noted_and_then_handled_as_before",),
    ),
    Mutant(
        "a signal ends a start that waits",
        "cli/foreground.py",
        "            signals.starting = True\n",
        "",
        ("tests/kernel/test_seccomp_notify.py::test_a_signal_ends_a_start_that_waits",),
    ),
    Mutant(
        "a signal that ended a start is told as one",
        "cli/dispatch.py",
        "    return 128 + (error.args[0] if error.args else 2)\n",
        "    return 128 + 2\n",
        ("tests/kernel/test_seccomp_notify.py::test_a_signal_ends_a_start_that_waits",),
    ),
    Mutant(
        "a signal that comes after the start is passed on",
        "bootstrap/becoming.py",
        "StartEnded) or not has_executed(pidfd):",
        "StartEnded) or True:",
        (_BECOMING + "what_has_executed_is_not_ended_by_who_would_end_its_start",),
    ),
    Mutant(
        "a signal that comes before the command is not lost",
        "bootstrap/becoming.py",
        "StartEnded) or not has_executed(pidfd):",
        "StartEnded):",
        (_BECOMING + "what_has_not_executed_is_ended_by_who_would_end_its_start",),
    ),
    Mutant(
        "a start that is over passes signals on",
        "cli/signals.py",
        "self.starting and number in ENDING and is_deferring()",
        "self.starting and number in ENDING",
        ("tests/unit/test_cli_signals.py::test_a_signal_ends_a_start_only_while_that_waits",),
    ),
    Mutant(
        "what a container leaves behind is taken",
        "cli/foreground.py",
        "        set_child_subreaper(True)\n",
        "",
        (_CLI + "test_run_takes_orphans_of_the_container",),
    ),
    Mutant(
        "what was taken is waited for",
        "cli/foreground.py",
        "        _reap_orphans(process.pid)\n",
        "",
        (_CLI + "test_run_waits_for_what_it_has_taken",),
    ),
    Mutant(
        "the process itself is waited for by who wants its status",
        "cli/foreground.py",
        "if found is None or found.si_pid == own:",
        "if found is None:",
        ("tests/unit/test_cli_signals.py::test_orphans_are_reaped_up_to_the_process_itself",),
    ),
    Mutant(
        "a process that was started in vain is ended",
        "cli/foreground.py",
        "                end(process)\n                raise\n",
        "                raise\n",
        (_BAD_INPUT + "test_an_exec_whose_pid_file_cannot_be_written",),
    ),
    Mutant(
        "a process that handles a signal is left to it",
        "cli/foreground.py",
        "if mortal and number in ENDING and not _minds(process.pid, number):",
        "if mortal and number in ENDING:",
        (_CLI + "test_a_signal_ends_what_runs_in_a_sandbox",),
    ),
    Mutant(
        "a job in the background waits for the terminal",
        "cli/foreground.py",
        "as it should be.\n        with Signals(but=_JOB_CONTROL if relay else ())",
        "as it should be.\n        with Signals()",
        (_TERMINAL + "test_a_job_that_starts_in_the_background_waits_for_the_foreground",),
    ),
    Mutant(
        "the terminal is restored",
        "cli/foreground.py",
        "            relay.restore()\n",
        "            pass\n",
        (_TERMINAL + "test_a_shell_in_the_foreground",),
    ),
    Mutant(
        "a detached process that was started in vain is ended",
        "cli/launch.py",
        "    except BaseException:\n        end(process)\n        raise\n",
        "    except BaseException:\n        raise\n",
        (_BAD_INPUT + "test_an_exec_whose_pid_file_cannot_be_written",),
    ),
    Mutant(
        "a pid file takes no device's place",
        "cli/launch.py",
        "not in (stat.S_IFREG, stat.S_IFLNK):",
        "not in (stat.S_IFREG, stat.S_IFLNK, stat.S_IFIFO):",
        (_BAD_INPUT + "test_a_pid_file_that_cannot_be_written",),
    ),
    Mutant(
        "sockets of another process are not passed on",
        "cli/launch.py",
        'if environment("LISTEN_PID") != str(posix.getpid()):',
        "if False:",
        (_SERVICES + "test_what_is_not_meant_for_us_is_not_passed_on",),
    ),
    Mutant(
        "a container whose hook fails at its start is removed",
        "cli/control.py",
        "            remove(arguments, container, error)\n",
        "            pass\n",
        (_OWNERSHIP + "test_a_start_that_fails_after_create",),
    ),
    Mutant(
        "what there is of a container without a record is removed by force",
        "cli/control.py",
        "    remove_remains(Directory(arguments.root or default_root(), container_id))\n",
        "",
        (_CLI + "test_delete_force_removes_the_leftovers_of_a_killed_create",),
    ),
    Mutant(
        "a container that failed to start is removed",
        "cli/removal.py",
        "        container.destroy(force=True)\n",
        "        pass\n",
        (_OWNERSHIP + "test_a_start_that_fails[the command-own pids-v1]",),
    ),
    Mutant(
        "what failed in the cleaning up is told",
        "cli/dispatch.py",
        "for text in notes(error)]",
        "for text in ()]",
        (_OWNERSHIP + "test_what_cannot_be_cleaned_up_is_told_after_the_first_error",),
    ),
]

_FUNCTIONS_HOOKS = "tests/kernel/test_function_hooks.py::"

_FUNCTIONS = [
    Mutant(
        "a function is told the pid",
        "bootstrap/functions.py",
        '        found["pid"] = context.pid\n',
        "        pass\n",
        (_FUNCTIONS_HOOKS + "test_an_exception_fails_the_start_and_is_its_cause",),
    ),
    Mutant(
        "functions of a later time are known",
        "life/holdings.py",
        "return self.hooks.kinds() if self.hooks is not None else self.record.hooks",
        "return self.record.hooks",
        (_FUNCTIONS_HOOKS + "test_a_poststop_function_that_fails_is_a_warning",),
    ),
    Mutant(
        "no function runs in the container",
        "config/rules_process.py",
        '("hooks.createContainer", "hooks.startContainer")',
        '("hooks.createContainer",)',
        (_FUNCTIONS_HOOKS + "test_no_function_runs_in_the_container",),
    ),
]

_EXECUTOR = "tests/kernel/test_executor.py::"
_EXECUTORS = [
    Mutant(
        "an executor is read after the descriptors of the caller",
        "life/calling.py",
        "fd = _ARGUMENTS + len(process.extra_files)",
        "fd = _ARGUMENTS",
        (_EXECUTOR + "test_it_is_the_container_s_process",),
    ),
    Mutant(
        "what a process was to run is the same after an executor",
        "life/calling.py",
        "        self._process.args, self._process.extra_files = self._given\n",
        "",
        (_EXECUTOR + "test_it_may_become_the_command",),
    ),
    Mutant(
        "what an executor returns is the exit status",
        "life/calling.py",
        "sys.exit(called(fd))",
        "called(fd)",
        (_EXECUTOR + "test_it_is_the_container_s_process",),
    ),
]

MUTANTS = [
    *_EXECUTORS,
    *_FUNCTIONS,
    *_RECORD,
    *_PROCFS,
    *_DIRECTORY,
    *_STARTS,
    *_ENDS,
    *_LEDGER,
    *_KILLING,
    *_COMMANDS,
]
