"""Mutants of checkpoint and restore."""

from __future__ import annotations

from . import Mutant

_UNIT = "tests/unit/test_checkpoint.py::"
_KERNEL = "tests/kernel/test_checkpoint.py::"

MUTANTS = [
    Mutant(
        "a number of CRIU's ends",
        "checkpoint/protobuf.py",
        "_LONGEST = 10",
        "_LONGEST = 1000",
        (_UNIT + "test_what_is_malformed_is_refused",),
    ),
    Mutant(
        "a field of CRIU's ends with its message",
        "checkpoint/protobuf.py",
        "if length > len(data) - at:",
        "if False:",
        (_UNIT + "test_what_is_malformed_is_refused",),
    ),
    Mutant(
        "messages are not in messages without end",
        "checkpoint/protobuf.py",
        "decode(tables, kind, value, depth + 1)",
        "decode(tables, kind, value, depth)",
        (_UNIT + "test_messages_in_messages_end",),
    ),
    Mutant(
        "what is below the root is not the host's",
        "checkpoint/mounts.py",
        "if any(one.device == root.device and _below(one.root, root.root) for root in roots):",
        "if any(one.device == root.device for root in roots):",
        (_UNIT + "test_mounts_that_lead_to_the_host",),
    ),
    Mutant(
        "a failure of what CRIU tells of is told to it",
        "checkpoint/rpc.py",
        '"notify_success": failure is None',
        '"notify_success": True',
        (_KERNEL + "test_hooks_run_and_one_that_fails_ends_the_restore",),
    ),
    Mutant(
        "CRIU finds iptables, whatever our PATH is",
        "checkpoint/rpc.py",
        "str(SOCKET)], _environment())",
        "str(SOCKET)], own_environment())",
        (_KERNEL + "test_a_checkpoint",),
    ),
    Mutant(
        "a CRIU that is too old is refused",
        "checkpoint/installed.py",
        "    if found < OLDEST:",
        "    if False:",
        (_KERNEL + "test_one_that_is_too_old",),
    ),
    Mutant(
        "a pre-dump needs memory that is tracked",
        "life/checkpointing.py",
        'features = ["mem_track"] if options.pre_dump or options.parent else []',
        "features: list[str] = []",
        (_KERNEL + "test_a_pre_dump",),
    ),
    Mutant(
        "only what runs is written to files",
        "life/checkpointing.py",
        '        rules.require("checkpoint", holdings.live_status(), holdings.id)\n',
        "",
        (_KERNEL + "test_a_container_that_does_not_run",),
    ),
    Mutant(
        "files of the caller are told to CRIU",
        "life/checkpointing.py",
        "if stat.S_ISREG(found.st_mode) and mount not in numbers:",
        "if False:",
        (_KERNEL + "test_what_is_the_hosts",),
    ),
    Mutant(
        "a checkpoint does not lose what Landlock forbids",
        "life/checkpointing.py",
        "    if config.landlock is not None:",
        "    if False:",
        (_KERNEL + "test_what_would_be_lost_is_refused",),
    ),
    Mutant(
        "what a killed restore has bound is unmounted, and never emptied",
        "life/ending.py",
        "    remove_classes(directory)\n    unbind_root(directory)\n",
        "    remove_classes(directory)\n",
        (_KERNEL + "test_one_that_was_killed_can_be_deleted",),
    ),
    Mutant(
        "the rootfs is bound only while it is restored",
        "life/restoring.py",
        "                unbind_root(self.held)\n",
        "                pass\n",
        (_KERNEL + "test_a_restore",),
    ),
    Mutant(
        "what takes no time is not told of",
        "checkpoint/progress.py",
        "        if seconds < QUIET:",
        "        if False:",
        (_KERNEL + "test_what_takes_long_tells_how_far_it_is",),
    ),
    Mutant(
        "only a terminal is told how far a checkpoint is",
        "cli/checkpoint.py",
        "            return  # no terminal",
        "            self._columns = 80",
        (_KERNEL + "test_the_command_tells_a_terminal_how_far_it_is",),
    ),
    Mutant(
        "the line about a checkpoint does not stay on the terminal",
        "cli/checkpoint.py",
        "        if self._shown:",
        "        if False:",
        (_KERNEL + "test_the_command_tells_a_terminal_how_far_it_is",),
    ),
    Mutant(
        "only whole lines of CRIU's log are told",
        "checkpoint/log.py",
        'if line.endswith("\\n") and line.strip()]',
        "if line.strip()]",
        (_KERNEL + "test_what_takes_long_tells_how_far_it_is",),
    ),
]
