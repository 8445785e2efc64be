"""Who gets a control group that several want, and whose it is for an ordinary user."""

from __future__ import annotations

from . import Mutant

_CLAIMS = "tests/kernel/test_claims.py::"
_HOLDERS = "tests/kernel/test_holders.py::"
_STEPS = "tests/unit/test_cgroups_steps.py::"
_USERS = _CLAIMS + "test_what_a_user_has_left_and_taken_over_is_not_touched"

MUTANTS = [
    Mutant(
        "an ordinary user's groups are marked, too",
        "cgroups/marks.py",
        "    except PermissionError:\n        posix.setxattr(group, _USER, mark, flags)\n",
        "    except PermissionError:\n        pass\n",
        (_USERS,),
    ),
    Mutant(
        "root's mark takes the place of an ordinary user's",
        "cgroups/marks.py",
        "        _remove(group, _USER)  # of",
        "        pass  # of",
        (_CLAIMS + "test_root_takes_over_what_a_user_has_left",),
    ),
    Mutant(
        "a group that cannot be marked is not used",
        "cgroups/ledger.py",
        "        except OSError:\n            posix.rmdir(path)\n",
        "        except ZeroDivisionError:\n            posix.rmdir(path)\n",
        (_STEPS + "test_a_group_that_cannot_be_marked_is_not_used",),
    ),
    Mutant(
        "groups whose mark has been changed from inside are told of",
        "life/ending.py",
        "for path in ledger.lost()",
        "for path in ()",
        (_CLAIMS + "test_a_mark_that_is_changed_from_inside",),
    ),
    Mutant(
        "what was taken and cannot be removed keeps no container from being deleted",
        "cgroups/ledger.py",
        "                own = [one for one in own if one != path]\n",
        "                raise\n",
        (_USERS,),
    ),
    Mutant(
        "what was taken is not killed in the way that kills what enters later",
        "cgroups/ledger.py",
        "killing.kill(own, spare=spare, reused=reused)",
        "killing.kill(own, spare=spare)",
        (_USERS,),
    ),
    Mutant(
        "a group is locked while a start has it and is not inside",
        "cgroups/marks.py",
        "        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
        "",
        (_CLAIMS + "test_a_start_waits_for_another_one_in_the_same_group",),
    ),
    Mutant(
        "a new group cannot be locked by others before its maker has",
        "cgroups/marks.py",
        "_SHUT, _OPEN = 0o700, 0o755",
        "_SHUT, _OPEN = 0o755, 0o755",
        (_CLAIMS + "test_nobody_else_keeps_a_start_from_its_new_group",),
    ),
    Mutant(
        "v1 groups are entered by a descriptor of what was marked",
        "cgroups/entry.py",
        "posix.O_WRONLY, group=group)",
        "posix.O_WRONLY)",
        (_CLAIMS + "test_a_group_is_entered_that_was_marked",),
    ),
    Mutant(
        "the v2 group is entered by a descriptor of what was marked",
        "cgroups/entry.py",
        "posix.O_PATH | posix.O_DIRECTORY, group=group)",
        "posix.O_PATH | posix.O_DIRECTORY)",
        (_CLAIMS + "test_a_group_is_entered_that_was_marked",),
    ),
    Mutant(
        "a group that has been taken over meanwhile is not entered",
        "cgroups/ledger.py",
        "        if marks.read(self._held[path]) != mark.encode():\n",
        "        if False:\n",
        (_CLAIMS + "test_a_group_is_entered_that_was_marked",),
    ),
    Mutant(
        "an end looks at marks when it has the locks",
        "cgroups/ledger.py",
        "                    break\n        return self.own()\n",
        "                    break\n        return list(self._lines)\n",
        (_CLAIMS + "test_an_end_waits_for_the_start_that_takes_its_group",),
    ),
    Mutant(
        "an end waits for a start that takes its group",
        "cgroups/ledger.py",
        "self._is_own(path) and not killing.running([path]):\n",
        "False:\n",
        (_CLAIMS + "test_an_end_waits_for_the_start_that_takes_its_group",),
    ),
    Mutant(
        "an end does not wait for ever for a lock",
        "cgroups/ledger.py",
        "                if not next(waiting):\n                    break\n",
        "                next(waiting)\n",
        (_CLAIMS + "test_an_end_does_not_wait_for_ever_for_a_lock",),
    ),
    Mutant(
        "a living container is ended whoever holds the lock of its groups",
        "cgroups/ledger.py",
        " and not killing.running([path]):\n",
        ":\n",
        (_CLAIMS + "test_an_end_does_not_wait_for_ever_for_a_lock",),
    ),
    Mutant(
        "what hooks of a failed start have left in a group that was taken is ended",
        "cgroups/ledger.py",
        "        self._kill([path], ())\n",
        "",
        (_CLAIMS + "test_what_hooks_have_left_in_a_group_that_was_taken",),
    ),
    Mutant(
        "the device program of a failed start is taken off a group that was taken",
        "cgroups/ledger.py",
        "            replace_programs(self._held[path], None)\n",
        "            pass\n",
        (_CLAIMS + "test_what_hooks_have_left_in_a_group_that_was_taken",),
    ),
    Mutant(
        "a start below a v1 group that is frozen is refused",
        "cgroups/freezer.py",
        '        read(f"{directory}/freezer.state") in ("FREEZING", "FROZEN")\n        or read',
        "        read",
        (_CLAIMS + "test_a_start_below_a_group_that_is_frozen[not there-v1]",),
    ),
    Mutant(
        "a start below a v2 group that is frozen is refused",
        "cgroups/freezer.py",
        '        or "frozen 1" in read(f"{directory}/cgroup.events").splitlines()\n',
        "",
        (_CLAIMS + "test_a_start_below_a_group_that_is_frozen[not there-v2]",),
    ),
    Mutant(
        "the level that is frozen is named",
        "cgroups/freezer.py",
        'if "1" in (read(f"{path}/freezer.self_freezing"), read(f"{path}/cgroup.freeze")):',
        "if False:",
        (_CLAIMS + "test_a_start_below_a_group_that_is_frozen",),
    ),
    Mutant(
        "who holds the lock of another directory does not hold this one's",
        "life/proc.py",
        "                if (at.st_dev, at.st_ino) != (found.st_dev, found.st_ino):\n"
        "                    continue\n",
        "",
        (_HOLDERS + "test_who_holds_a_lock_is_told",),
    ),
    Mutant(
        "who waits for a lock does not hold it",
        "life/proc.py",
        'if b" FLOCK " in file.readall():',
        "if True:",
        (_HOLDERS + "test_who_holds_a_lock_is_told",),
    ),
    Mutant(
        "the error says who keeps a group from being removed",
        "cgroups/ledger.py",
        "_spared(spared, own) if spared else _unremoved(error)",
        "_unremoved(error)",
        (_HOLDERS + "test_who_holds_the_lock_and_is_in_the_groups_is_told",),
    ),
]
