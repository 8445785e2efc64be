"""Mutants of what is done between the server and execve (libct/bootstrap/, libct/syscalls/)."""

from __future__ import annotations

from . import Mutant

_KERNEL = "tests/kernel/"
_INVARIANTS = "tests/kernel/test_bootstrap_invariants.py::"
_SERVER = "tests/kernel/test_bootstrap_server.py::"
_PLAN = "tests/kernel/test_bootstrap_plan.py::"
_SECURITY = "tests/kernel/test_security.py::"
_SEAL = "tests/kernel/test_bootstrap_seal.py::"
_NAMESPACES = "tests/kernel/test_namespaces.py::"
_EXEC = "tests/kernel/test_exec.py::"
_HOOKS = "tests/kernel/test_hooks.py::"
_WAITING = "tests/kernel/test_waiting.py::"
_MOUNTS = "tests/kernel/test_rootfs_mounts.py::"
_ATTACKS = "tests/kernel/test_attacks.py::"
_CHANNEL = "tests/unit/test_channel.py::"
_INTERRUPTED = "tests/kernel/test_interrupted.py::"
_INTERRUPTS = "tests/unit/test_interrupts.py::"
_SYSCALLS = "tests/unit/test_syscalls.py::"
_FINDER = "tests/unit/test_finder.py::"
_CONTEXTS = (
    "tests/kernel/test_syscalls.py::"
    "test_a_file_system_is_configured_mounted_and_moved_by_descriptors"
)

# --- the door, the server and its owner ---

_DOOR = [
    Mutant(
        "a clone has no finder left to import by, not libct's own either",
        "bootstrap/door.py",
        "    sys.meta_path.clear()\n",
        "    sys.path.clear()\n    sys.path_hooks.clear()\n    sys.path_importer_cache.clear()\n",
        (_INVARIANTS + "test_the_door_is_closed",),
    ),
    Mutant(
        "the door of a clone is closed",
        "bootstrap/namespaces.py",
        "        close_the_door()\n",
        "",
        (_INVARIANTS + "test_the_door_is_closed",),
    ),
    Mutant(
        "the door of a lender is closed",
        "bootstrap/lending.py",
        "            close_the_door()\n",
        "",
        (_INVARIANTS + "test_the_door_of_a_lender_is_closed",),
    ),
    Mutant(
        "the server is not dumpable, and what it clones is not from birth",
        "bootstrap/server.py",
        "        set_dumpable(False)\n",
        "        pass\n",
        (_PLAN + "test_the_process_is_not_dumpable_before_it_enters[exec]",),
    ),
    Mutant(
        "a process of an ordinary user's is not dumpable where others can see it",
        "bootstrap/namespaces.py",
        "    set_dumpable(False)\n",
        "    pass\n",
        (_SECURITY + "test_a_process_makes_itself_undumpable",),
    ),
    Mutant(
        "the root of a user namespace is not dumpable, whatever fs.suid_dumpable is",
        "bootstrap/namespaces.py",
        "    set_dumpable(False)  #",
        "    #",
        (_SECURITY + "test_who_changes_its_ids_stays_undumpable",),
    ),
    Mutant(
        "who becomes another user is not dumpable, whatever fs.suid_dumpable is",
        "security/users.py",
        "    set_dumpable(False)  #",
        "    #",
        (
            _SECURITY + "test_who_changes_its_ids_stays_undumpable",
            _SECURITY + "test_a_created_container_is_not_dumpable",
        ),
    ),
    Mutant(
        "the server closes what its owner has left inheritable",
        "bootstrap/server.py",
        "    close_range(REQUESTS + 1, _HIGHEST)\n",
        "",
        (_SERVER + "test_it_holds_nothing_of_its_owner",),
    ),
    Mutant(
        "the socket of requests is close-on-exec",
        "bootstrap/server.py",
        "    posix.set_inheritable(REQUESTS, False)\n",
        "",
        (_SERVER + "test_it_holds_nothing_of_its_owner",),
    ),
    Mutant(
        "the server does not hold its owner's directory",
        "bootstrap/server.py",
        '    posix.chdir("/")',
        '    posix.chdir(".")',
        (_SERVER + "test_it_holds_nothing_of_its_owner",),
    ),
    Mutant(
        "the signals of Python and of the C library are at their defaults in a clone",
        "bootstrap/server.py",
        "        default_signal(number)\n",
        "        pass\n",
        (
            _SERVER + "test_it_takes_no_signal_settings_along",
            _WAITING + "test_a_signal_ends_the_wait_where_it_would_end_the_command",
        ),
    ),
    Mutant(
        "a stage leaves as soon as it has cloned",
        "bootstrap/server.py",
        "            posix._exit(1)",
        "            pass",
        (_KERNEL + "test_bootstrap_plan.py::test_it_leaves_by_exit",),
    ),
    Mutant(
        "a failure of the command is told to who starts it",
        "bootstrap/server.py",
        "            posix.write(start, encode(failure.values()))\n",
        "            pass\n",
        (_WAITING + "test_a_command_that_cannot_be_executed",),
    ),
    Mutant(
        "no signal is blocked in the server",
        "bootstrap/servers.py",
        "        setsigmask=(),\n",
        "",
        (_SERVER + "test_it_takes_no_signal_settings_along",),
    ),
    Mutant(
        "no signal is ignored in the server",
        "bootstrap/servers.py",
        "        setsigdef=_signal.valid_signals() - _NOT_SETTABLE,\n",
        "",
        (_SERVER + "test_it_takes_no_signal_settings_along",),
    ),
    Mutant(
        "nor one of the C library's own, whose number depends on it",
        "bootstrap/server.py",
        "(*range(32, _signal.SIGRTMIN), _signal.SIGINT)",
        "(_signal.SIGINT,)",
        (_SERVER + "test_it_takes_no_signal_settings_along",),
    ),
    Mutant(
        "what is typed at the owner's terminal does not reach the server",
        "bootstrap/servers.py",
        "        setpgroup=0,\n",
        "",
        (_SERVER + "test_what_is_typed_at_the_owners_terminal_does_not_end_it",),
    ),
    Mutant(
        "a closed standard stream is filled before anything is opened",
        "bootstrap/servers.py",
        "    fill_standard_streams()\n",
        "",
        (_SERVER + "test_a_server_is_started_without_standard_streams",),
    ),
    Mutant(
        "the interpreter to execute is not in the way of the socket of requests",
        "bootstrap/servers.py",
        "        sealed = _move_above(sealed, REQUESTS + 1)\n",
        "",
        (_SERVER + "test_it_is_started_by_the_lowest_descriptors",),
    ),
    Mutant(
        "a forked copy of the owner has no server",
        "bootstrap/servers.py",
        "        posix.register_at_fork(after_in_child=_forked)\n",
        "        pass\n",
        (
            _SERVER + "test_a_forked_copy_of_the_owner_has_its_own",
            _SERVER + "test_a_fork_while_another_thread_is_busy_with_it",
        ),
    ),
    Mutant(
        "the lock of a forked copy is a new one",
        "bootstrap/servers.py",
        "    _lock = _thread.allocate_lock()\n    _forget",
        "    _forget",
        (_SERVER + "test_a_fork_while_another_thread_is_busy_with_it",),
    ),
    Mutant(
        "a server is stopped also while a forked copy holds its socket",
        "bootstrap/servers.py",
        "            self.channel.hang_up()  #",
        "            pass  #",
        (_SERVER + "test_a_copy_of_the_owner_does_not_keep_it_alive",),
    ),
    Mutant(
        "a copy of the owner that Python knows nothing of has a server of its own",
        "bootstrap/servers.py",
        "    return (posix.getpid(), interpreter(), *inherited())",
        "    return (0, interpreter(), *inherited())",
        (_SERVER + "test_a_copy_that_python_knows_nothing_of",),
    ),
    Mutant(
        "and it does not end the owner's",
        "bootstrap/servers.py",
        "        if self.identity[0] != posix.getpid():",
        "        if self.identity[0] == 0:",
        (_SERVER + "test_a_copy_that_python_knows_nothing_of",),
    ),
]

_REPLACED = _SERVER + "test_it_is_replaced_when_its_owner_becomes_another"


def _identity(element: str, old: str, new: str, change: str) -> Mutant:
    return Mutant(
        f"a server is compared with its owner: {element}",
        "bootstrap/inherited.py",
        old,
        new,
        (f"{_REPLACED}[{change}]",),
    )


_OWNER = [
    _identity("the user namespace", '    "user",\n', "", "NEWUSER"),
    _identity("the mount namespace", '    "mnt",\n', "", "NEWNS"),
    _identity("the pid namespace of children", '    "pid_for_children",\n', "", "NEWPID"),
    _identity("the network namespace", '    "net",\n', "", "NEWNET"),
    _identity("the ipc namespace", '    "ipc",\n', "", "NEWIPC"),
    _identity("the uts namespace", '    "uts",\n', "", "NEWUTS"),
    _identity(
        "the cgroup namespace",
        '    "cgroup",\n    "time_for_children",\n',
        '    "time_for_children",\n',
        "NEWCGROUP",
    ),
    _identity("the time namespace of children", '    "time_for_children",\n', "", "NEWTIME"),
]

# --- the sealed interpreter (CVE-2019-5736) ---

_PLAIN = _SEAL + "test_an_ordinary_user_needs_no_seal_against_a_file_of_root"
_WRITTEN = _SEAL + "test_what_the_server_executes_cannot_be_written"
_SEALED = [
    Mutant(
        "an interpreter that its group may write is sealed",
        "bootstrap/seal.py",
        "0o022",
        "0o002",
        (_PLAIN,),
    ),
    Mutant(
        "an interpreter that everybody may write is sealed",
        "bootstrap/seal.py",
        "0o022",
        "0o020",
        (_PLAIN,),
    ),
    Mutant(
        "an interpreter of the user's own is sealed",
        "bootstrap/seal.py",
        "found.st_uid == 0 and ",
        "",
        (_PLAIN,),
    ),
    Mutant(
        "the interpreter of a user who may write it after all is sealed",
        "bootstrap/seal.py",
        " and not posix.access(path, posix.W_OK)",
        "",
        (_PLAIN,),
    ),
    Mutant(
        "root's interpreter is sealed, whatever its mode",
        "bootstrap/seal.py",
        "posix.geteuid() != 0 and ",
        "",
        (_SEAL + "test_root_is_sealed_from_a_file_that_it_could_make_writable",),
    ),
    Mutant(
        "the server is executed from the sealed view",
        "bootstrap/servers.py",
        "        sealed = sealed_interpreter(place)\n",
        "        sealed = posix.open(place, posix.O_PATH | posix.O_CLOEXEC)\n",
        (_WRITTEN,),
    ),
    Mutant(
        "a copy in memory cannot be written",
        "bootstrap/seal.py",
        " | fcntl.F_SEAL_WRITE",
        "",
        (_WRITTEN,),
    ),
    Mutant(
        "a copy in memory cannot shrink",
        "bootstrap/seal.py",
        " | fcntl.F_SEAL_SHRINK",
        "",
        (_WRITTEN,),
    ),
    Mutant(
        "a copy in memory cannot grow",
        "bootstrap/seal.py",
        " | fcntl.F_SEAL_GROW",
        "",
        (_WRITTEN,),
    ),
    Mutant(
        "a copy in memory takes no more seals",
        "bootstrap/seal.py",
        "fcntl.F_SEAL_SEAL | ",
        "",
        (_WRITTEN,),
    ),
    Mutant(
        "where there is no overlay, there is a copy in memory",
        "bootstrap/seal.py",
        "        return _copy_in_memory(path)\n",
        "        return posix.open(path, posix.O_PATH | posix.O_CLOEXEC)\n",
        (_WRITTEN,),
    ),
]

# --- namespaces, and who lends sources ---

_SPACES = [
    Mutant(
        "modes are not those of the caller's umask",
        "bootstrap/namespaces.py",
        "        posix.umask(0)",
        "        pass",
        (_INVARIANTS + "test_modes_are_not_those_of_the_callers_umask",),
    ),
    Mutant(
        "the server goes back to the host's network",
        "network/ready.py",
        "            _return(own)\n",
        "            pass\n",
        (_NAMESPACES + "test_a_network_namespace_made_ahead_is_for_one_container",),
    ),
    Mutant(
        "a network namespace made ahead is for one container",
        "network/ready.py",
        "        fd, self._fd = self._fd, -1\n",
        "        fd = posix.dup(self._fd) if self._fd >= 0 else -1\n",
        (_NAMESPACES + "test_a_network_namespace_made_ahead_is_for_one_container",),
    ),
    Mutant(
        "who could not come back to his network does not leave it",
        "network/ready.py",
        "    setns(own, CLONE_NEWNET)  #",
        "    #",
        (_NAMESPACES + "test_who_could_not_come_back_does_not_leave",),
    ),
    Mutant(
        "who cannot come back to his network ends",
        "network/ready.py",
        "        posix._exit(71)",
        "        pass",
        (_NAMESPACES + "test_who_cannot_come_back_ends",),
    ),
    Mutant(
        "a FIFO is not waited for in the place of a namespace",
        "bootstrap/namespaces.py",
        "flags = posix.O_RDONLY | posix.O_NONBLOCK | posix.O_CLOEXEC\n    opened",
        "flags = posix.O_RDONLY | posix.O_CLOEXEC\n    opened",
        (_NAMESPACES + "test_a_fifo_is_no_namespace_to_wait_for",),
    ),
    Mutant(
        "what needs the rights of a joined user namespace is joined after it",
        "bootstrap/namespaces.py",
        "            refused.append((flag, path, fd))",
        "            raise",
        (_NAMESPACES + "test_an_ordinary_user_joins_his_own_namespaces",),
    ),
    Mutant(
        "a namespace is of the kind that it is given for",
        "bootstrap/namespaces.py",
        "        setns(fd, flag)\n",
        "        setns(fd, 0)\n",
        (_NAMESPACES + "test_paths_that_cannot_be_joined",),
    ),
    Mutant(
        "root's groups stay outside of a user namespace that is joined by path",
        "bootstrap/namespaces.py",
        "            _leave_groups(context)\n",
        "",
        (_NAMESPACES + "test_roots_groups_do_not_enter_where_setgroups_is_denied",),
    ),
    Mutant(
        "root's groups stay outside of a container's user namespace",
        "bootstrap/namespaces.py",
        "        _leave_groups(context)\n    setns(",
        "        pass\n    setns(",
        (_NAMESPACES + "test_roots_groups_do_not_enter_where_setgroups_is_denied",),
    ),
    Mutant(
        "setgroups may fail where it is denied, and nowhere else",
        "bootstrap/namespaces.py",
        ' and may_set_groups(context.fds["proc"])',
        " and False",
        (_NAMESPACES + "test_a_user_namespace_without_a_gid_map_is_not_joined",),
    ),
    Mutant(
        "who joins a user namespace becomes its root",
        "bootstrap/namespaces.py",
        "            become_root(context)\n    for",
        "            pass\n    for",
        (_NAMESPACES + "test_in_a_joined_user_namespace_it_is_root",),
    ),
    Mutant(
        "the root directory of a container is of the process that is meant",
        "bootstrap/namespaces.py",
        '    pidfd_send_signal(context.fds["target"], 0)\n',
        "",
        (_NAMESPACES + "test_a_root_directory_is_that_of_the_process_and_of_no_later_one",),
    ),
    Mutant(
        "setgroups is denied before an ordinary user maps his group",
        "bootstrap/namespaces.py",
        '    _write_proc(context, "setgroups", "deny")\n',
        "    pass\n",
        (_NAMESPACES + "test_an_ordinary_user_maps_his_own_id",),
    ),
    Mutant(
        "newuidmap's refusal is a failure",
        "bootstrap/namespaces.py",
        "        failed = posix.waitpid(pid, 0)[1] != 0\n",
        "        failed = posix.waitpid(pid, 0)[1] < 0\n",
        (_NAMESPACES + "test_an_ordinary_user_maps_more_by_newuidmap",),
    ),
    Mutant(
        "a container has a session of its own",
        "bootstrap/namespaces.py",
        "    posix.setsid()\n",
        "    pass\n",
        (_NAMESPACES + "test_a_session_of_its_own",),
    ),
    Mutant(
        "a container ends with its parent where that is asked for",
        "bootstrap/namespaces.py",
        "    set_pdeathsig(signal)\n",
        "    pass\n",
        (_NAMESPACES + "test_it_dies_with_its_parent",),
    ),
    Mutant(
        "a lender stays in the runtime's chroot",
        "bootstrap/lending.py",
        '    posix.chroot(".")\n',
        "",
        (_MOUNTS + "test_a_source_of_a_runtime_in_a_chroot_is_from_there",),
    ),
    Mutant(
        "a lender works in the runtime's root directory",
        "bootstrap/lending.py",
        "    posix.fchdir(root)\n",
        "",
        (_MOUNTS + "test_a_source_of_a_runtime_in_a_chroot_is_from_there",),
    ),
    Mutant(
        "a lender opens in the container's mount namespace, which locks what it inherits",
        "bootstrap/lending.py",
        "    setns(pidfd, CLONE_NEWNS)",
        "    pass",
        (_MOUNTS + "test_what_the_host_has_read_only_stays_so",),
    ),
    Mutant(
        "a lender has ended before the first step inside",
        "bootstrap/lending.py",
        "        posix.waitpid(self._pid, 0)\n",
        "        pass\n",
        (_NAMESPACES + "test_who_lends_sources_has_ended_by_then",),
    ),
    Mutant(
        "a lender ends when there is nobody to lend to",
        "bootstrap/namespaces.py",
        "            lender.dismiss()\n",
        "            pass\n",
        (_NAMESPACES + "test_user_namespaces_that_are_used_up",),
    ),
    Mutant(
        "a lender does not hold the other end itself",
        "bootstrap/lending.py",
        "            ours.close()\n",
        "",
        (_NAMESPACES + "test_user_namespaces_that_are_used_up",),
    ),
]

# --- messages ---

_MESSAGES = [
    Mutant(
        "descriptors that were lost on the way are an error",
        "bootstrap/channel.py",
        "            if lost:\n",
        "            if False:\n",
        (_CHANNEL + "test_descriptors_that_there_is_no_room_for",),
    ),
    Mutant(
        "descriptors of a message that cannot be taken are closed",
        "bootstrap/channel.py",
        "(_LENGTH - len(header)), fds\n        except BaseException:\n            close_all(fds)\n",
        "(_LENGTH - len(header)), fds\n        except BaseException:\n",
        (_CHANNEL + "test_descriptors_that_there_is_no_room_for",),
    ),
    Mutant(
        "received descriptors are close-on-exec",
        "syscalls/sockets.py",
        "_socket.MSG_CMSG_CLOEXEC",
        "0",
        (_CHANNEL + "test_descriptors_come_along",),
    ),
    Mutant(
        "a channel that takes another number stays close-on-exec",
        "bootstrap/channel.py",
        "fcntl.F_DUPFD_CLOEXEC",
        "fcntl.F_DUPFD",
        (_CHANNEL + "test_an_end_that_is_dropped_is_closed",),
    ),
    Mutant(
        "who hangs up is heard also where copies of the channel are",
        "bootstrap/channel.py",
        "            self._socket.shutdown(_socket.SHUT_WR)\n",
        "            pass\n",
        (_CHANNEL + "test_hanging_up_is_the_end_for_the_others_also_with_copies",),
    ),
    Mutant(
        "no SIGPIPE ends who tells a runtime that is gone",
        "bootstrap/channel.py",
        "        sent = self._socket.sendmsg([data], rights, _socket.MSG_NOSIGNAL)\n",
        "        sent = self._socket.sendmsg([data], rights, 0)\n",
        (_CHANNEL + "test_the_end",),
    ),
    Mutant(
        "more descriptors than the kernel passes are refused",
        "bootstrap/channel.py",
        "        if len(fds) > _MOST_DESCRIPTORS:\n",
        "        if False:\n",
        (_CHANNEL + "test_too_many_descriptors",),
    ),
    Mutant(
        "what has been cloned and not told of is found",
        "bootstrap/client.py",
        "                    pidfd = pidfds.open_child(numbers[0])\n",
        "                    continue\n",
        (_SERVER + "test_one_is_killed_as_it_is_cloned",),
    ),
    Mutant(
        "the numbers of a server that has gone are looked at",
        "bootstrap/client.py",
        "forget(self.server)\n        self._end_all()\n",
        "forget(self.server)\n        self.started.close()\n        self.close()\n",
        (_SERVER + "test_one_is_killed_as_it_is_cloned",),
    ),
    Mutant(
        "a clone does not have the page of numbers",
        "bootstrap/clones.py",
        "        madvise(self._start, _PAGE, MADV_DONTFORK)\n",
        "",
        (_SERVER + "test_what_is_cloned_has_no_page_of_numbers",),
    ),
    Mutant(
        "who is traced is not believed about its execve",
        "bootstrap/started.py",
        "        if not last or not becoming.has_executed(self.pidfd):\n",
        "        if not last:\n",
        (_CHANNEL + "test_one_that_says_it_executes_and_does_not",),
    ),
    Mutant(
        "a fifo that somebody keeps open does not hold up a start",
        "bootstrap/becoming.py",
        "EXECUTED if has_executed(pidfd) else",
        '"" if has_executed(pidfd) else',
        (_ATTACKS + "test_who_takes_the_talk_of_what_starts_in_a_pod[created-keep]",),
    ),
    Mutant(
        "what is said just before an execve is heard",
        "bootstrap/becoming.py",
        "return HEARD if fd in {number for number, _ in poll.poll(0)} else end",
        "return end",
        (_CHANNEL + "test_what_is_said_as_it_executes",),
    ),
    Mutant(
        "half a message holds nobody up",
        "bootstrap/talk.py",
        "            if time.monotonic() > end:\n",
        "            if False:\n",
        (_CHANNEL + "test_nobody_is_blocked_by_who_has_the_other_ends",),
    ),
    Mutant(
        "a pipe that others have filled holds nobody up",
        "bootstrap/talk.py",
        "        for fd in (up, down):\n            posix.set_blocking(fd, False)\n",
        "        posix.set_blocking(up, False)\n",
        (_CHANNEL + "test_nobody_is_blocked_by_who_has_the_other_ends",),
    ),
    Mutant(
        "a fifo that others have filled holds nobody up",
        "life/releasing.py",
        "posix.O_WRONLY | posix.O_NONBLOCK",
        "posix.O_WRONLY",
        (_ATTACKS + "test_who_takes_the_talk_of_what_starts_in_a_pod[created-fill]",),
    ),
    Mutant(
        "words come in their order",
        "bootstrap/client.py",
        '        if message[0] != kind or (kind == "cloned" and message[1] != number):\n',
        "        if message[0] != kind:\n",
        (_CHANNEL + "test_words_out_of_their_order_end_it",),
    ),
    Mutant(
        "what is said to be cloned has been",
        "bootstrap/client.py",
        "        if not self._adopt():\n            raise self.started.garbled()\n",
        "        self._adopt()\n",
        (_CHANNEL + "test_words_out_of_their_order_end_it",),
    ),
    Mutant(
        "a host program gets no SIGPIPE",
        "bootstrap/talk.py",
        "_signal.pthread_sigmask(_signal.SIG_BLOCK, (_signal.SIGPIPE,))",
        "_signal.pthread_sigmask(_signal.SIG_BLOCK, ())",
        (_CHANNEL + "test_a_host_program_gets_no_sigpipe",),
    ),
    Mutant(
        "nor is one left for it",
        "bootstrap/talk.py",
        "            if not pending:\n",
        "            if False:\n",
        (_CHANNEL + "test_a_host_program_gets_no_sigpipe",),
    ),
    Mutant(
        "what fails after its signals are those of the command can tell why",
        "bootstrap/execute.py",
        "        _signal.signal(_signal.SIGPIPE, _signal.SIG_IGN)",
        "        pass",
        (_WAITING + "test_why_there_is_no_command_is_told_when_its_creator_has_ended[timed]",),
    ),
    Mutant(
        "a warning is of a step of the plan, and has an end",
        "bootstrap/started.py",
        "if not self._is_step(number) or len(self.warnings) == len(self.plan):",
        "if False:",
        (_CHANNEL + "test_who_warns_of_no_step_or_without_end_is_not_understood",),
    ),
    Mutant(
        "a warning that comes late is heard",
        "bootstrap/started.py",
        '            if message[0] == "warned":\n                self.take_warning(message)\n',
        '            if message[0] == "warned":\n',
        (_CHANNEL + "test_what_is_warned_of_is_told_with_the_place_of_its_step",),
    ),
    Mutant(
        "a process waits where it is the runtime's turn",
        "bootstrap/performer.py",
        "            talk.await_go()\n            continue\n",
        "            continue\n",
        (_CHANNEL + "test_the_performing_side_tells_of_the_runtimes_turns",),
    ),
    Mutant(
        "others end by themselves, for the runtime hangs up",
        "bootstrap/client.py",
        "            talk.give_up()\n",
        "            pass\n",
        (_CHANNEL + "test_others_end_by_themselves_when_the_runtime_hangs_up",),
    ),
    Mutant(
        "a process that ends without a word is noticed",
        "bootstrap/client.py",
        "(talk.fileno(), performing) if fd >= 0",
        "(talk.fileno(),) if fd >= 0",
        (_CHANNEL + "test_a_process_that_goes_while_others_hold_the_talk",),
    ),
]

# --- descriptors, directories and the command ---

_COMMAND = [
    Mutant(
        "all descriptors are closed before the command (CVE-2024-21626)",
        "bootstrap/descriptors.py",
        "    close_range(first, _HIGHEST)\n",
        "",
        (_WAITING + "test_it_waits_without_any_directory_open",),
    ),
    Mutant(
        "descriptors below the channel are closed, too",
        "bootstrap/descriptors.py",
        "            close_range(first, fd - 1)\n",
        "            pass\n",
        (_WAITING + "test_it_waits_without_any_directory_open",),
    ),
    Mutant(
        "a null device is the container's own",
        "bootstrap/descriptors.py",
        "        posix.dup2(null, number, inheritable=True)\n",
        "",
        (_INVARIANTS + "test_a_null_device_is_the_containers_own",),
    ),
    Mutant(
        "descriptors in the way of those passed on are moved, and not lost",
        "bootstrap/descriptors.py",
        "        if fd < len(names):\n",
        "        if fd < 0:\n",
        (_WAITING + "test_descriptors_are_passed_on",),
    ),
    Mutant(
        "the channel is moved out of the way of descriptors passed on",
        "bootstrap/descriptors.py",
        '    context.values["talk"].move_above(len(names))\n',
        "    pass\n",
        (_INVARIANTS + "test_many_descriptors_are_passed_on_in_order",),
    ),
    Mutant(
        "the working directory is inside (CVE-2024-21626)",
        "bootstrap/execute.py",
        '    if not here.startswith("/"):\n',
        '    if here == "/no/such":\n',
        (_INVARIANTS + "test_nor_is_one_that_is_passed_along",),
    ),
    Mutant(
        "a directory that the runtime may not enter is entered by the user",
        "bootstrap/execute.py",
        '    if context.values.pop("directory refused", False):\n        posix.chdir(path)\n',
        "",
        (_EXEC + "test_a_directory_that_the_runtime_may_not_enter",),
    ),
    Mutant(
        "the signals that Python ignores are not ignored by the command",
        "bootstrap/execute.py",
        "        _signal.signal(number, _signal.SIG_DFL)\n",
        "        pass\n",
        (_SERVER + "test_it_takes_no_signal_settings_along",),
    ),
    Mutant(
        "commands are not looked for in the working directory",
        "bootstrap/execute.py",
        '        if not directory.startswith("/"):\n            continue\n',
        "",
        (_EXEC + "test_commands_are_looked_up_in_path",),
    ),
    Mutant(
        "a command that may not be executed is told from one that is missing",
        "bootstrap/execute.py",
        "        denied = denied or (problem == errno.EACCES and exists(path))\n",
        "        pass\n",
        (_EXEC + "test_commands_are_looked_up_in_path",),
    ),
    Mutant(
        "a created container waits for its start",
        "bootstrap/waiting.py",
        '        region.call("read", fd, released, 1)\n',
        "",
        (_WAITING + "test_it_waits_without_any_directory_open",),
    ),
    Mutant(
        "a created container that is timed waits for its start",
        "bootstrap/waiting.py",
        '        posix.read(context.fds["start"], 1)\n',
        "        pass\n",
        (_WAITING + "test_the_release_is_not_lost_when_who_releases_is_killed",),
    ),
    Mutant(
        "a created container gives the interpreter's memory back",
        "bootstrap/waiting.py",
        '            region.call("madvise", start, end - start, MADV_DONTNEED)\n',
        "            pass\n",
        (_WAITING + "test_a_created_container_takes_little_memory",),
    ),
    Mutant(
        "a wait that ends without the command says why",
        "bootstrap/waiting.py",
        '        region.call("writev", fd, message, 3)\n',
        "",
        (_WAITING + "test_a_command_that_cannot_be_executed",),
    ),
    Mutant(
        "memory that the remaining calls need is not given back",
        "bootstrap/waiting.py",
        "        if not private or any(start <= at < end for at in kept):\n",
        "        if not private:\n",
        (_WAITING + "test_the_interpreters_memory_is_found",),
    ),
]

# --- hooks ---

_CLEAN = _HOOKS + "test_no_descriptors_but_three_and_no_signal_is_blocked_or_ignored"
_LATE = _HOOKS + "test_a_hook_that_takes_too_long_is_killed_with_what_it_has_started"
_HOOK = [
    Mutant(
        "a hook that takes too long is killed with what it has started",
        "bootstrap/hooks.py",
        "        if not in_time:\n            _kill_group(pid)\n",
        "        if not in_time:\n            posix.kill(pid, _signal.SIGKILL)\n",
        (_LATE,),
    ),
    Mutant(
        "a hook of the container leads a group of its own",
        "bootstrap/hooks.py",
        "        posix.setsid()\n",
        "",
        (_LATE + "[createContainer]",),
    ),
    Mutant(
        "a hook of the host leads a group of its own",
        "syscalls/spawn.py",
        "_SETPGROUP | _SETSIGDEF",
        "_SETSIGDEF",
        (_LATE + "[prestart]",),
    ),
    Mutant(
        "a hook is killed when its caller is interrupted",
        "bootstrap/hooks.py",
        "    except BaseException:\n        _kill_group(pid)\n",
        "    except BaseException:\n",
        (_HOOKS + "test_a_caller_may_be_interrupted_in_a_hook",),
    ),
    Mutant(
        "a hook of the container ends when the runtime has gone",
        "bootstrap/hooks.py",
        "        poll.register(creator, select.POLLRDHUP)\n",
        "        pass\n",
        (_HOOKS + "test_the_caller_is_killed_in_a_hook_of_create[createContainer]",),
    ),
    Mutant(
        "a hook of the container ends with the first process",
        "bootstrap/hooks.py",
        "        set_pdeathsig(_signal.SIGKILL)\n",
        "",
        (_HOOKS + "test_a_hook_ends_with_the_first_process",),
    ),
    Mutant(
        "a hook of the container has three descriptors",
        "bootstrap/hooks.py",
        "        close_range(4)\n",
        "",
        (_CLEAN,),
    ),
    Mutant(
        "a hook of the host has three descriptors",
        "bootstrap/hooks.py",
        "close=_inheritable()",
        "close=[]",
        (_CLEAN + "[prestart]",),
    ),
    Mutant(
        "no signal is ignored in a hook of the container",
        "bootstrap/hooks.py",
        "            _signal.signal(number, _signal.SIG_DFL)\n",
        "            pass\n",
        (_CLEAN + "[createContainer]",),
    ),
    Mutant(
        "no signal is ignored in a hook of the host",
        "syscalls/spawn.py",
        " | _SETSIGDEF | ",
        " | ",
        (_CLEAN + "[prestart]",),
    ),
    Mutant(
        "no signal is blocked in a hook of the host",
        "syscalls/spawn.py",
        " | _SETSIGMASK)",
        ")",
        (_CLEAN + "[prestart]",),
    ),
    Mutant(
        "a hook of createContainer has the root directory and the usual umask",
        "bootstrap/hooks.py",
        "            posix.umask(_UMASK)",
        "            pass",
        (_HOOKS + "test_all_kinds_in_order_each_in_its_place",),
    ),
    Mutant(
        "a hook that has failed is a failure",
        "bootstrap/hooks.py",
        "    elif ended.si_status:\n",
        "    elif ended.si_status > 255:\n",
        (_HOOKS + "test_output_goes_to_files",),
    ),
    Mutant(
        "a hook of which nobody knows how it ended is a failure",
        "bootstrap/hooks.py",
        "    elif ended is None:\n",
        "    elif ended is None:\n        return\n    elif not in_time:\n",
        (_HOOKS + "test_a_program_that_has_its_children_reaped_by_the_kernel",),
    ),
]

# --- system calls ---

_CALLS = [
    Mutant(
        "handlers of signals wait while something would be lost",
        "syscalls/interrupts.py",
        "    if _allowed:\n        _run(number, frame)\n",
        "    if _thread_id:\n        _run(number, frame)\n",
        (_INTERRUPTS + "test_handlers_run_at_the_end_and_are_put_back",),
    ),
    Mutant(
        "handlers are put back",
        "syscalls/interrupts.py",
        "                    _signal.signal(number, _aside[number])\n",
        "                    pass\n",
        (_INTERRUPTS + "test_handlers_run_at_the_end_and_are_put_back",),
    ),
    Mutant(
        "signals that came meanwhile are handled",
        "syscalls/interrupts.py",
        "    arrived, raised = _arrived[:], _raised[:]\n",
        "    arrived, raised = [], _raised[:]\n",
        (_INTERRUPTS + "test_handlers_run_at_the_end_and_are_put_back",),
    ),
    Mutant(
        "an inner block ends nothing",
        "syscalls/interrupts.py",
        "    if _thread_id or _thread.get_native_id() != posix.getpid():\n",
        "    if _thread.get_native_id() != posix.getpid():\n",
        (_INTERRUPTS + "test_handlers_run_at_the_end_and_are_put_back",),
    ),
    Mutant(
        "handlers that waited run where it is allowed",
        "syscalls/interrupts.py",
        "            while _arrived:\n                _run(*_arrived.pop(0))\n",
        "            pass\n",
        (_INTERRUPTS + "test_handlers_run_while_that_is_allowed",),
    ),
    Mutant(
        "handlers wait again after that",
        "syscalls/interrupts.py",
        "        if not self._before:\n            _allowed = False\n",
        "        pass\n",
        (_INTERRUPTS + "test_handlers_run_while_that_is_allowed",),
    ),
    Mutant(
        "what a handler raises is taken for no failure",
        "syscalls/interrupts.py",
        "class Raised(BaseException):",
        "class Raised(Exception):",
        (_INTERRUPTS + "test_what_a_handler_raises_is_no_failure_of_what_goes_on",),
    ),
    Mutant(
        "the host program gets its own exception",
        "syscalls/interrupts.py",
        "            if isinstance(error, Raised):\n",
        "            if error is self:\n",
        (_INTERRUPTS + "test_what_a_handler_raises_is_no_failure_of_what_goes_on",),
    ),
    Mutant(
        "a handler that raises keeps no other from running",
        "syscalls/interrupts.py",
        "        finally:\n            _deliver(handlers, arrived)\n",
        "        finally:\n            pass\n",
        (_INTERRUPTS + "test_one_that_raises_keeps_no_other_from_running",),
    ),
    Mutant(
        "a handler is not interrupted by another",
        "syscalls/interrupts.py",
        "    _allowed = False\n    try:\n        _aside",
        "    try:\n        _aside",
        (_INTERRUPTS + "test_a_handler_is_not_interrupted_by_another",),
    ),
    Mutant(
        "other threads allow nothing",
        "syscalls/interrupts.py",
        "        self._before = True  #",
        "        self._before = False  #",
        (_INTERRUPTS + "test_in_other_threads_nothing_is_deferred",),
    ),
    Mutant(
        "an interrupted call is made again",
        "syscalls/core.py",
        "        if code == errno.EINTR:\n",
        "        if code == -1:\n",
        (_INTERRUPTED + "test_an_open_that_waits",),
    ),
    Mutant(
        "signals wait during a further attempt",
        "syscalls/core.py",
        "_signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())",
        "_signal.pthread_sigmask(_signal.SIG_BLOCK, ())",
        (_INTERRUPTED + "test_device_programs_are_loaded",),
    ),
    Mutant(
        "signals are delivered after a further attempt",
        "syscalls/core.py",
        "                _signal.pthread_sigmask(_signal.SIG_SETMASK, before)\n",
        "                pass\n",
        (_INTERRUPTED + "test_device_programs_are_loaded",),
    ),
    Mutant(
        "a call is not made again for ever",
        "syscalls/core.py",
        "            if now > deadline:\n                return result\n",
        "            if now > deadline + 20:\n                return result\n",
        (_INTERRUPTED + "test_it_does_not_go_on_for_ever",),
    ),
    Mutant(
        "EAGAIN is for the moment of some calls only",
        "syscalls/core.py",
        "code == errno.EAGAIN and transient",
        "code == errno.EAGAIN",
        (_INTERRUPTED + "test_it_does_not_go_on_for_ever",),
    ),
    Mutant(
        "a path with a NUL is refused",
        "syscalls/core.py",
        '    if b"\\0" in encoded:\n',
        "    if not encoded:\n",
        (_SYSCALLS + "test_a_nul_is_refused",),
    ),
    Mutant(
        "what is no id is refused, and not made one modulo 2**32",
        "syscalls/credentials.py",
        "    if not -1 <= value <= _MASK_32:\n",
        "    if False:\n",
        (_SYSCALLS + "test_what_is_no_id_is_refused",),
    ),
    Mutant(
        "what openat2 opens is close-on-exec",
        "syscalls/files.py",
        "    flags |= posix.O_CLOEXEC\n",
        "",
        (_SYSCALLS + "test_openat2_resolves_inside_its_root",),
    ),
    Mutant(
        "a copy of a mount is close-on-exec",
        "syscalls/mounts.py",
        "    flags |= OPEN_TREE_CLOEXEC\n",
        "",
        (_KERNEL + "test_syscalls.py::test_a_tree_is_copied_and_its_attributes_are_set",),
    ),
    Mutant(
        "what fsopen opens is close-on-exec",
        "syscalls/filesystems.py",
        "cstring(fstype), FSOPEN_CLOEXEC)",
        "cstring(fstype), 0)",
        (
            _KERNEL
            + "test_syscalls.py::test_a_file_system_is_configured_mounted_and_moved_by_descriptors",
        ),
    ),
    Mutant(
        "a mount that is attached nowhere is close-on-exec",
        "syscalls/filesystems.py",
        "_NR_FSMOUNT, fd, FSMOUNT_CLOEXEC, attrs",
        "_NR_FSMOUNT, fd, 0, attrs",
        (
            _KERNEL
            + "test_syscalls.py::test_a_file_system_is_configured_mounted_and_moved_by_descriptors",
        ),
    ),
    Mutant(
        "a clone is a fork to Python",
        "syscalls/namespaces.py",
        "        _after_fork_child()\n",
        "",
        (_SYSCALLS + "test_clone3_runs_the_functions_of_fork",),
    ),
    Mutant(
        "a child that somebody has waited for has no pidfd, which might be another's",
        "syscalls/pidfds.py",
        "        posix.waitid(_P_PIDFD, pidfd, posix.WEXITED | posix.WNOHANG",
        "        (_P_PIDFD, pidfd, posix.WEXITED | posix.WNOHANG",
        (_SYSCALLS + "test_a_pidfd_of_a_child_is_of_one_that_nobody_has_waited_for",),
    ),
    Mutant(
        "children that end without SIGCHLD are waited for",
        "syscalls/pidfds.py",
        "posix.waitid(_P_PIDFD, pidfd, posix.WEXITED | _WALL)",
        "posix.waitid(_P_PIDFD, pidfd, posix.WEXITED)",
        (_SYSCALLS + "test_a_pidfd_of_a_child_is_of_one_that_nobody_has_waited_for",),
    ),
]

# --- modules ---

_MODULES = [
    Mutant(
        "cached code is of the source as it is",
        "loading/finder.py",
        "    if data[:_HEADER] != MAGIC_NUMBER + _BY_TIME + of_source:\n",
        "    if data[:8] != MAGIC_NUMBER + _BY_TIME:\n",
        (_FINDER + "test_a_changed_source_is_seen",),
    ),
    Mutant(
        "cached code is of this interpreter, and valid by time",
        "loading/finder.py",
        "    if data[:_HEADER] != MAGIC_NUMBER + _BY_TIME + of_source:\n",
        "    if data[8:_HEADER] != of_source:\n",
        (_FINDER + "test_what_is_wrong_with_cached_code_is_the_interpreters_affair",),
    ),
    Mutant(
        "optimised code and code cached elsewhere are not libct's to find",
        "loading/finder.py",
        "    if plain and _Finder",
        "    if _Finder",
        (_FINDER + "test_other_packages_and_other_ways_of_caching_are_left_alone",),
    ),
    Mutant(
        "modules of other packages are not libct's to find",
        "loading/finder.py",
        ' or not (package + ".").startswith(_PACKAGE)',
        "",
        (_FINDER + "test_other_packages_and_other_ways_of_caching_are_left_alone",),
    ),
]

MUTANTS = [
    *_DOOR,
    *_OWNER,
    *_SEALED,
    *_SPACES,
    *_MESSAGES,
    *_COMMAND,
    *_HOOK,
    *_CALLS,
    *_MODULES,
]
