"""Mutants of the talk with systemd over D-Bus."""

from __future__ import annotations

from . import Mutant

_BUS = "tests/kernel/test_systemd_bus.py::test_"
_UNIT = "tests/unit/test_systemd_bus.py::test_"

MUTANTS = [
    Mutant(
        "the result of a job is judged",
        "cgroups/systemd/units.py",
        '    if result == "done":\n        return\n    _reset',
        "    if result:\n        return\n    _reset",
        (_BUS + "a_job_that_fails_is_an_error",),
    ),
    Mutant(
        "a unit that failed is reset",
        "cgroups/systemd/units.py",
        "        return\n    _reset(bus, name, limit)\n    why =",
        "        return\n    why =",
        (_BUS + "a_job_that_fails_is_an_error",),
    ),
    Mutant(
        "a unit that has failed before is reset and started once more",
        "cgroups/systemd/units.py",
        "                    reset = True\n                    _reset(bus, name, limit)\n",
        "                    reset = True\n",
        (_BUS + "a_unit_that_failed_before_is_reset_first",),
    ),
    Mutant(
        "and no more than once",
        "cgroups/systemd/units.py",
        "                elif reset:\n",
        "                elif False:\n",
        (_BUS + "a_unit_that_is_there_is_an_error_or_fine",),
    ),
    Mutant(
        "where systemd does not take a descriptor it gets the number",
        "cgroups/systemd/units.py",
        "if error.name in _UNKNOWN_PROPERTY and process is not with_pid and with_pid:",
        "if False:",
        (_BUS + "and_by_its_number_where_systemd_is_older",),
    ),
    Mutant(
        "a process is named by its descriptor",
        "cgroups/systemd/units.py",
        "if pidfd >= 0 and bus.can_send_descriptors():",
        "if False:",
        (_BUS + "a_process_is_named_by_its_descriptor",),
    ),
    Mutant(
        "a unit that is not there is stopped",
        "cgroups/systemd/units.py",
        '                raise\n            result = "done"',
        "                raise\n            raise",
        (_BUS + "units_are_stopped",),
    ),
    Mutant(
        "a signal that comes before the reply is kept",
        "cgroups/systemd/bus.py",
        "what)\n                    self._note(message)\n",
        "what)\n",
        (_BUS + "a_unit_is_started",),
    ),
    Mutant(
        "the end of another job is not that of ours",
        "cgroups/systemd/bus.py",
        "        key = (self._owner, job)\n        try:\n            while key not in self._jobs:",
        "        key = (self._owner, job)\n        try:\n            while not self._jobs:",
        (_BUS + "a_unit_is_started",),
    ),
    Mutant(
        "what others than systemd say of a job is not believed",
        "cgroups/systemd/bus.py",
        "        key = (self._owner, job)\n",
        "        key = (self._owner, job)\n"
        "        self._jobs = {(key[0], at): each for (_, at), each in self._jobs.items()}\n",
        (_BUS + "another_s_word_on_a_job_is_not_believed",),
    ),
    Mutant(
        "a signal that is not as systemd's are is no error",
        "cgroups/systemd/bus.py",
        "len(values) == 4 and values[2] == self._watched",
        "values[2] == self._watched",
        (_BUS + "another_s_word_on_a_job_is_not_believed",),
    ),
    Mutant(
        "a private socket's signals about other units are not kept",
        "cgroups/systemd/bus.py",
        "len(values) == 4 and values[2] == self._watched",
        "len(values) == 4",
        (_BUS + "what_is_signalled_of_other_units_is_not_kept",),
    ),
    Mutant(
        "the signals of jobs are asked for",
        "cgroups/systemd/bus.py",
        '        self.call("AddMatch", "s", _rule(unit), what=what, limit=limit, **there)\n',
        "",
        (_BUS + "a_unit_is_started",),
    ),
    Mutant(
        "a request has a time limit",
        "cgroups/systemd/bus.py",
        "        if not left:\n            raise SystemdError(",
        "        if not left and limit.seconds > 1:\n            raise SystemdError(",
        (_BUS + "a_request_has_a_time_limit",),
    ),
    Mutant(
        "a signal of the process interrupts nothing",
        "cgroups/systemd/bus.py",
        "            if error.errno != errno.EINTR:\n                raise\n",
        "            raise\n",
        (_BUS + "signals_interrupt_nothing",),
    ),
    Mutant(
        "a turn that ends half-way closes the connection",
        "cgroups/systemd/connections.py",
        "        if error is not None and not replied:\n",
        "        if False:\n",
        (_BUS + "an_exception_of_a_handler_ends_it",),
    ),
    Mutant(
        "threads take turns",
        "cgroups/systemd/connections.py",
        "        if not lock.acquire(timeout=self._limit.left()):\n",
        "        if not lock.acquire(False) and False:\n",
        (_BUS + "a_thread_waits_for_its_turn_for_a_limited_time",),
    ),
    Mutant(
        "a fork does not use its parent's connection",
        "cgroups/systemd/connections.py",
        "_processes.setdefault(posix.getpid(), _Process())",
        "_processes.setdefault(0, _Process())",
        (_BUS + "a_fork_has_a_connection_of_its_own",),
    ),
    Mutant(
        "a connection that was closed meanwhile is dialled anew",
        "cgroups/systemd/connections.py",
        "(before != key or not bus.alive())",
        "before != key",
        (_BUS + "one_that_was_restarted_meanwhile_is_dialled_anew",),
    ),
    Mutant(
        "a connection to another bus is not used",
        "cgroups/systemd/connections.py",
        "(before != key or not bus.alive())",
        "not bus.alive()",
        (_BUS + "another_address_is_another_connection",),
    ),
    Mutant(
        "a daemon that is too busy is tried again",
        "cgroups/systemd/bus.py",
        "_ATTEMPTS = 7",
        "_ATTEMPTS = 1",
        (_BUS + "a_daemon_that_is_busy_is_tried_again",),
    ),
    Mutant(
        "an address that fails is not the last one",
        "cgroups/systemd/connections.py",
        '            found.append((f"unix:path={_SYSTEM_PRIVATE}", True))\n',
        "            pass\n",
        (
            _BUS + "systemd_is_asked_at_its_private_socket_without_a_daemon",
            _UNIT + "the_addresses_of_the_system",
        ),
    ),
    Mutant(
        "root of a user namespace has the directory of who made it",
        "cgroups/systemd/connections.py",
        "                    return outside + uid - inside\n",
        "                    return uid\n",
        (_BUS + "and_finds_the_user_s_runtime_directory",),
    ),
    Mutant(
        "a number that does not fit its type is not sent",
        "syscalls/sd_bus.py",
        '        elif isinstance(value, bool) == (kind == "b"):\n',
        "        else:\n",
        (_BUS + "what_is_no_value_of_the_type_is_not_sent",),
    ),
    Mutant(
        "nor is a text that C would cut short",
        "syscalls/sd_bus.py",
        '            if b"\\0" not in encoded:\n                return encoded\n',
        "            return encoded\n",
        (_BUS + "what_is_no_value_of_the_type_is_not_sent",),
    ),
    Mutant(
        "messages are released",
        "syscalls/sd_bus.py",
        '    call("sd_bus_message_unref", message)\n',
        "    pass\n",
        (_BUS + "nothing_is_left_of_many_requests",),
    ),
    Mutant(
        "a name cannot end the text of a rule",
        "cgroups/systemd/bus.py",
        "unit.replace(\"'\", \"'\\\\''\")",
        "unit",
        (_UNIT + "a_name_in_a_rule_stays_in_its_quotes",),
    ),
]
