"""Statistics, events of memory, and a thousand starts."""

from __future__ import annotations

from . import Mutant

_UNIT = "tests/unit/test_events.py::"
_KERNEL = "tests/kernel/test_events.py::"
_STATISTICS = "tests/unit/test_statistics.py::"

MUTANTS = [
    Mutant(
        "whoever waits for events stops when another thread closes them",
        "life/events.py",
        "                os.write(self._bell, (1).to_bytes(8, sys.byteorder))\n",
        "",
        (
            _UNIT + "test_closing_ends_the_wait_of_another_thread",
            _UNIT + "test_closing_ends_the_wait_of_another_task",
        ),
    ),
    Mutant(
        "descriptors that somebody waits for are closed by the last who does",
        "life/events.py",
        "            if self._closed and not self._users:\n",
        "            if False:\n",
        (_UNIT + "test_closing_ends_the_wait_of_another_thread",),
    ),
    Mutant(
        "an event is not taken away by whoever looks whether there is one",
        "life/events_v2.py",
        "        self._asked = _triggered(group, self._trigger)\n"
        "        self._fds.append(self._asked)\n",
        "        self._asked = self._fds[-1]\n",
        (_KERNEL + "test_v2_memory_gets_scarce",),
    ),
    Mutant(
        "an event of another level is none",
        "life/events_v2.py",
        "        self._epoll.poll(0)  # it wakes by edges, which this takes\n",
        "        return len(self._epoll.poll(0))\n",
        (_KERNEL + "test_v2_an_event_of_another_level_is_none",),
    ),
    Mutant(
        "the removal of a group is no event of its pressure",
        "life/events_v2.py",
        "not found & select.POLLERR",
        "bool(found)",
        (_KERNEL + "test_v2_pressure_of_a_container_that_is_removed",),
    ),
    Mutant(
        "pressure is told where memory is not counted",
        "cgroups/statistics/v2.py",
        "return MemoryStats(psi=pressure) if pressure is not None else None",
        "return None",
        (_STATISTICS + "test_v2_without_controllers",),
    ),
    Mutant(
        "threads of groups below count where there is no pids controller",
        "cgroups/statistics/directory.py",
        "for path in files.tree(self._path)",
        "for path in [self._path]",
        ("tests/kernel/test_statistics.py::test_v2_processes_of_groups_below_count",),
    ),
    Mutant(
        "a container that has lost its groups is told from one that never had any",
        "life/holdings.py",
        "        if self.record.cgroup_paths:\n"
        '            return "it has no control group any more',
        '        if False:\n            return "it has no control group any more',
        ("tests/kernel/test_cli_no_group.py::test_its_groups_are_gone",),
    ),
    Mutant(
        "a group that is killed as a whole is one event, also to who looks early",
        "life/events_v2.py",
        "            return more_groups - (now - self._one_told < _TOGETHER)\n",
        "            return more_groups\n",
        (_UNIT + "test_a_group_that_is_killed_as_a_whole_is_one_event",),
    ),
    Mutant(
        "and also to who looks late",
        "life/events_v2.py",
        "        if more <= 0 or now - self._group_told < _TOGETHER:\n",
        "        if more <= 0:\n",
        (_UNIT + "test_a_group_that_is_killed_as_a_whole_is_one_event",),
    ),
    Mutant(
        "a thousand containers leave no descriptor of their processes",
        "life/process.py",
        "        if pidfd >= 0 and pidfds.identity(pidfd) == self._identity:\n"
        "            posix.close(pidfd)\n",
        "",
        ("tests/kernel/test_cycles.py::test_a_thousand_with_v1",),
    ),
]
