"""docs/levels: each level's container, its attack and the next level that stops it; each exercise,
as it is given and solved; and the attacks again where the line that stops them is taken out."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ..commands import libct_command, libct_environment, run
from ..leaks import wait_until
from ..levels import LEVELS, change, copy_of_the_levels, file_of, run_level, solution, solve
from ..needs import requires

pytestmark = [requires("root", "user"), pytest.mark.usefixtures("nothing_left")]
ALL = range(1, 11)
BY_A_USER = range(1, 8)
# What an ordinary user is told instead.
ATTACKS_OF_ROOT, EXERCISES_OF_ROOT = (5, 6), (6,)
NOT_TRIED = "(needs real root: not tried)"

# How the attack of a level ends on the next one.
STOPPED = {
    1: "ProcessLookupError: no process here is called 'victim'",
    2: "FileNotFoundError: [Errno 2]",
    3: "FileNotFoundError: [Errno 2]",
    4: "FileNotFoundError: no descriptor leads out",
    5: "PermissionError: [Errno 1]",
    6: "OSError: [Errno 30] Read-only file system: '/proc/sys/kernel/core_pattern'",
    7: "BlockingIOError: [Errno 11]",
    8: "PermissionError: [Errno 1] keyctl(KEYCTL_DESCRIBE",
    9: "the host: the file belongs to user 100000",
}
WORKS = {
    1: "'victim', is dead",
    2: "got: the host's secret",
    3: "got: the host's secret",
    4: "got: the host's secret, by /proc/self/fd/",
    5: " bytes of the host's ",
    6: "got: core_pattern, open for writing: ",
    7: "got: 200 processes",
    8: "got: keyring;0;0;",
    9: "the host: the file belongs to root",
    10: f"got: Linux {os.uname().release}",
}


def section(output: str, title: str) -> str:
    """A part of what a level prints, from its title to an empty line."""
    return output.partition(title)[2].partition("\n\n")[0]


@pytest.mark.parametrize("level", ALL)
def test_a_level_stops_the_attack_before_it_and_not_its_own(level: int) -> None:
    done = run_level(level)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert f"host name     level-{level}\n" in done.stdout
    if level > 1:
        before = section(done.stdout, f"The attack of level {level - 1}:")
        assert STOPPED[level - 1] in before
        assert before.endswith("-> stopped")
    own = section(done.stdout, f"The attack of level {level}:")
    assert WORKS[level] in own
    assert own.endswith("-> it works")
    if level == 10:
        assert "NoNewPrivs:\t1\nSeccomp:\t2" in section(done.stdout, "The same by libct.run()")


@pytest.mark.parametrize("level", BY_A_USER)
def test_an_ordinary_user_sees_what_he_may(level: int) -> None:
    done = run_level(level, ladder=copy_of_the_levels(), user=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for one in (level - 1, level):
        if one:
            found = section(done.stdout, f"The attack of level {one}:")
            assert (NOT_TRIED in found) == (one in ATTACKS_OF_ROOT)
            expected = WORKS[one] if one == level else STOPPED[one]
            assert (expected in found) == (one not in ATTACKS_OF_ROOT)


@pytest.mark.parametrize("level", set(ALL) - set(BY_A_USER))
def test_an_ordinary_user_is_told_what_needs_root(level: int) -> None:
    done = run_level(level, ladder=copy_of_the_levels(), user=True)
    assert done.returncode == 1
    assert done.stderr.startswith(f"Level {level} needs root.")


# A level without what is new in it: (text, what takes its place).  Then it stops nothing.
WITHOUT = {
    2: ("CLONE_NEWUTS | CLONE_NEWPID |", "CLONE_NEWUTS |"),
    3: ("os.chroot(host.rootfs)", "pass"),
    4: ('pivot_root(".", ".")  # new\n    umount2(".", MNT_DETACH)', 'os.chroot(".")'),
    5: ("    close_range(3)", "    pass"),
    6: ("    limit_rights()  #", "    pass  #"),
    7: ("    cover()  #", "    pass  #"),
    8: ("pids_limit=20", "pids_limit=1000"),
    9: ("    seccomp_set_mode_filter(FILTER)", "    pass"),
    10: ('"0 100000 65536"', '"0 0 65536"'),
}


@pytest.mark.parametrize("level", WITHOUT)
def test_without_what_is_new_the_attack_works_still(level: int) -> None:
    ladder = copy_of_the_levels()
    change(ladder, level, *WITHOUT[level])
    done = run_level(level, ladder=ladder)
    before = section(done.stdout, f"The attack of level {level - 1}:")
    assert WORKS[level - 1] in before, done.stdout + done.stderr
    assert before.endswith("-> it WORKS, and should not")
    assert done.returncode == 1


def test_a_shared_root_passes_the_mounts_of_a_container_to_the_host() -> None:
    """What level 2 says of the line that makes it private."""
    ladder = copy_of_the_levels()
    change(ladder, 2, "    mount(None,", "    0 and mount(None,")
    done = run_level(2, ladder=ladder)
    assert done.returncode != 0
    assert "a mount has reached the host: its /proc is that of the container" in done.stderr


@pytest.mark.parametrize("level", ALL)
def test_an_exercise_is_not_solved_by_doing_nothing(level: int) -> None:
    done = run_level(level, "exercise")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, "Not solved yet."), done.stderr


@pytest.mark.parametrize("level", ALL)
def test_an_exercise_can_be_solved(level: int) -> None:
    ladder = copy_of_the_levels()
    solve(ladder, level, solution(level))
    done = run_level(level, "exercise", ladder=ladder)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "Solved."), done.stderr
    # The lesson itself goes on as before.
    assert run_level(level, ladder=ladder).returncode == 0


@pytest.mark.parametrize("level", BY_A_USER)
def test_an_ordinary_user_can_solve_it(level: int) -> None:
    ladder = copy_of_the_levels()
    solve(ladder, level, solution(level))
    done = run_level(level, "exercise", ladder=ladder, user=True)
    if level in EXERCISES_OF_ROOT:
        assert (done.returncode, done.stdout) == (1, f"  {NOT_TRIED}\n")
    else:
        assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "Solved."), done.stderr


# Half of a solution: (text of it, what takes its place, what the student is told).
HALVES = {
    "no tmp": (4, '    mount("tmpfs", "/tmp", "tmpfs")\n', "", "Read-only file system"),
    "no fchmod": (9, '("fchmod", 1), ', "", "fchmod has made a set-user-ID file"),
    "all of chmod": (9, '"SCMP_CMP_MASKED_EQ"', '"SCMP_CMP_GE"', "PermissionError"),
    "no directory": (10, 'bind=[(data, "/data")], ', "", "has left nothing in data"),
    "no memory": (10, 'memory="64M", ', "", "more than 64 MiB of memory"),
    "no pids": (10, "pids=20, ", "", "more than 20 processes"),
}


@pytest.mark.parametrize("half", HALVES)
def test_half_of_a_solution_is_told_what_is_missing(half: str) -> None:
    level, before, after, told = HALVES[half]
    text = solution(level)
    if half == "all of chmod":
        before, after = "0o4000, 0o4000, " + before, "0, 0, " + after
    assert text.count(before) == 1
    ladder = copy_of_the_levels()
    solve(ladder, level, text.replace(before, after))
    done = run_level(level, "exercise", ladder=ladder)
    assert done.returncode == 1
    assert told in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("level", [1, 5, 10])
def test_the_shell(level: int) -> None:
    done = run_level(level, "shell", typed="read name </proc/sys/kernel/hostname; echo $name $$\n")
    assert done.returncode == 0, done.stderr
    name, pid = done.stdout.split()
    assert name == f"level-{level}"
    assert (pid == "1") == (level > 1)


def test_root_of_a_user_namespace_is_no_root() -> None:
    inside = ["unshare", "--user", "--map-root-user", sys.executable, "-B"]
    done = run([*inside, file_of(6)])
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(NOT_TRIED) == 2
    assert run([*inside, file_of(8)]).stderr.startswith("Level 8 needs root.")


NOT_HERE = {
    "no right to make namespaces": ["setpriv", "--bounding-set", "-sys_admin"],
    "parts of /proc are hidden": [
        *("unshare", "--mount", "sh", "-c"),
        'mount --bind /dev/null /proc/version && exec unshare --user --map-root-user "$@"',
        "sh",
    ],
}


@pytest.mark.parametrize("where", NOT_HERE)
def test_where_no_host_can_be_made_that_is_said(where: str) -> None:
    done = run([*NOT_HERE[where], sys.executable, "-B", file_of(1)])
    assert done.returncode != 0
    assert "The lesson cannot make its host." in done.stderr
    assert "Traceback" not in done.stderr


def test_the_machine_keeps_its_name_and_processes() -> None:
    """What the lessons attack is a host of their own."""
    before = os.uname().nodename, os.stat("/proc").st_dev
    own = subprocess.Popen(["sleep", "60"])
    try:
        for level in (1, 2):
            assert run_level(level).returncode == 0
        assert (os.uname().nodename, os.stat("/proc").st_dev) == before
        assert own.poll() is None
    finally:
        own.kill()
        own.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_lesson_that_is_interrupted_leaves_no_process(number: int) -> None:
    command = [sys.executable, str(file_of(8)), "shell"]
    lesson = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert lesson.stdin is not None
    assert lesson.stdout is not None
    lesson.stdin.write(b"echo begun; exec sleep 1234\n")
    lesson.stdin.flush()
    assert lesson.stdout.readline() == b"begun\n"
    (host,) = _children(lesson.pid)
    name = re.findall(r"/tmp/(libct-levels-\w+) ", Path(f"/proc/{host}/mountinfo").read_text())[0]
    lesson.send_signal(number)
    lesson.communicate()
    assert wait_until(lambda: not os.path.exists(f"/proc/{host}"))
    left = [Path("/tmp", name), *Path("/sys/fs/cgroup").glob(f"*/{name}")]
    left += Path("/sys/fs/cgroup").glob(name)
    if number == signal.SIGINT:
        assert [path for path in left if path.exists()] == []
        return
    for path in left:  # who is killed cannot: they are empty
        path.rmdir()


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_the_plan_has_what_the_index_says() -> None:
    page = (LEVELS / "README.md").read_text()
    words = ["sandbox", "--userns", "--pids", "20", "--plan", "--", "true"]
    assert f"python3 -m libct {' '.join(words)}" in page
    plan = run(libct_command(*words), env=libct_environment(), check=True).stdout
    rows = page.partition("| Level | In the plan |\n")[2].partition("\n\n")[0].splitlines()[1:]
    assert len(rows) == 10
    wanted = [text for row in rows for text in row.split("`")[1::2]]
    assert len(wanted) > 10
    assert [text for text in wanted if text not in plan] == []
