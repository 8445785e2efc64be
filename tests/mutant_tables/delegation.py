"""Control groups that are given away, and those that systemd keeps."""

from __future__ import annotations

from . import Mutant

_DELEGATION = "tests/kernel/test_delegation.py::"

MUTANTS = [
    Mutant(
        "a command line leaves a group only where nobody else is in it",
        "cgroups/aside.py",
        "return set(files.pids(directory)) <= set(ours)",
        "return True",
        (_DELEGATION + "test_nobody_else_is_moved",),
    ),
    Mutant(
        "the library does not move the program that uses it",
        "bootstrap/servers.py",
        "    if not _single:\n        return ()\n    return (posix.getpid(), *(",
        "    return (posix.getpid(), *(",
        (_DELEGATION + "test_a_program_that_uses_the_library_is_not_moved",),
    ),
    Mutant(
        "the server leaves the group, too",
        "bootstrap/servers.py",
        "    return (posix.getpid(), *(server.pid for server in _servers))\n",
        "    return (posix.getpid(),)\n",
        (_DELEGATION + "test_a_command_line_makes_room_in_the_group_that_it_is_alone_in",),
    ),
    Mutant(
        "the group for libct itself goes with the last container",
        "cgroups/aside.py",
        "    ledger.make_above(leaf)\n",
        "    posix.mkdir(leaf)\n",
        (_DELEGATION + "test_what_the_command_line_has_made_for_itself_goes_with_the_container",),
    ),
    Mutant(
        "root leaves its group only where systemd has delegated it",
        "cgroups/aside.py",
        "    if reachable and not may_be_delegated(directory):\n",
        "    if not reachable:\n",
        (_DELEGATION + "test_root_makes_room_where_systemd_says_that_it_may",),
    ),
    Mutant(
        "a group that is mounted read-only stays the host's",
        "oci/load.py",
        'mount.device.startswith("cgroup") and not mount.flags & MS_RDONLY',
        'mount.device.startswith("cgroup")',
        (_DELEGATION + "test_groups_that_are_mounted_read_only_stay_the_hosts",),
    ),
    Mutant(
        "who may not give a group away goes without that",
        "cgroups/steps.py",
        "        except PermissionError:\n            if optional:\n                return\n",
        "        except PermissionError:\n",
        (_DELEGATION + "test_an_ordinary_user_gives_nothing_to_another_id",),
    ),
    Mutant(
        "what is below a delegated unit is safe from a reload",
        "cgroups/delegated.py",
        '        elif is_marked(place) or _is_ours(place):\n            return ""\n',
        "",
        (_DELEGATION + "test_whose_reload_takes_limits_away",),
    ),
]
