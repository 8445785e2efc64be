"""docs/examples: programs of a page each, run as they stand; as root, and where it says so, as
the ordinary user."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ..bundles import busybox_rootfs
from ..commands import (
    CHECKOUT,
    give_to_user,
    libct_command,
    libct_environment,
    run,
    session_directory,
    user_environment,
    user_identity,
    user_python,
)
from ..names import unique
from ..needs import requires

EXAMPLES = CHECKOUT / "docs/examples"
pytestmark = [requires("root", "overlay", "user"), pytest.mark.usefixtures("nothing_left")]
as_both = pytest.mark.parametrize("user", [False, True], ids=["root", "user"])

PROGRAMS = {
    "accepted": "print(sum(map(int, input().split())))",
    "wrong answer": "print(0)",
    "runtime error (1)": "raise ValueError",
    "time limit exceeded": "while True: pass",
    "output limit exceeded": "while True: print('x' * 1000)",
}


def program(name: str, *args: str | Path, user: bool) -> subprocess.CompletedProcess[str]:
    """Run a program of the examples; the ordinary user has a copy."""
    place = EXAMPLES / name
    if user:
        place = session_directory() / name
        place.write_text((EXAMPLES / name).read_text())
        place.chmod(0o644)
    python = user_python() if user else sys.executable
    return run([python, place, *args], user=user, env=libct_environment(user=user))


@pytest.fixture
def place() -> Path:
    """A directory that both may use, and that is not below one which sandboxes hide."""
    found = session_directory() / unique()
    found.mkdir()
    found.chmod(0o755)
    return found


@as_both
@pytest.mark.parametrize("verdict", PROGRAMS)
def test_the_judge(verdict: str, user: bool, place: Path) -> None:
    (place / "program.py").write_text(PROGRAMS[verdict])
    (place / "input").write_text("1 2 3\n")
    (place / "expected").write_text("6\n")
    files = [place / name for name in ("program.py", "input", "expected")]
    done = program("judge.py", *files, user=user)
    if user and done.returncode != 0:
        # Where the user has no control group, the limit is refused, and says so.
        assert "memory" in done.stderr
        return
    assert json.loads(done.stdout)["verdict"] == verdict, done.stderr


def test_the_judge_of_memory(place: Path) -> None:
    (place / "program.py").write_text("x = bytearray(1 << 30)")
    (place / "input").write_text("")
    done = program("judge.py", place / "program.py", place / "input", place / "input", user=False)
    found = json.loads(done.stdout)
    assert found["verdict"] == "memory limit exceeded"
    assert found["memory"] > 50 << 20


def test_the_fixture(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    given = {**libct_environment(), "PYTEST_ADDOPTS": ""}
    example = tmp_path / "test_with_fixture.py"
    example.write_text((EXAMPLES / "test_with_fixture.py").read_text())
    done = run([*command, example], env=given, cwd=tmp_path)
    assert "4 passed" in done.stdout, done.stdout


@as_both
def test_the_server(user: bool, place: Path) -> None:
    if user:
        give_to_user(place)
    copy = place / "server.py"
    copy.write_text((EXAMPLES / "server.py").read_text())
    copy.chmod(0o644)
    path = str(place / "socket")
    base = user_environment() if user else dict(os.environ)
    serving = subprocess.Popen(
        [user_python() if user else sys.executable, copy, path],
        env={**base, **libct_environment(user=user)},
        stdout=subprocess.PIPE,
        cwd="/",
        **(user_identity() if user else {}),
    )
    try:
        assert serving.stdout is not None
        assert serving.stdout.readline() == b"ready\n"

        def ask(script: str) -> str:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
                client.sendall(script.encode())
                client.shutdown(socket.SHUT_WR)
                with client.makefile() as answer:
                    return answer.read()

        scripts = [f"sleep 0.2; echo {number}" for number in range(50)]
        with ThreadPoolExecutor(50) as threads:
            answers = list(threads.map(ask, scripts))
        assert answers == [f"{number}\n[exit: 0]\n" for number in range(50)]
        assert ask("exit 3") == "[exit: 3]\n"
        assert ask("head -c 100000 /dev/zero").partition("[output: ")[1]
    finally:
        serving.terminate()
        serving.communicate(timeout=30)


@as_both
def test_the_build(user: bool, place: Path) -> None:
    (place / "src").mkdir()
    (place / "out").mkdir()
    (place / "src/word").write_text("word\n")
    if user:
        give_to_user(place / "out")
    script = "cat word > $OUT/result; hostname; date +%Z; touch new 2>/dev/null || echo read-only"
    args: list[str | Path] = [place / "src", place / "out", "--", "sh", "-c", script]
    done = program("build.py", *args, user=user)
    assert done.stdout.splitlines()[1:] == ["build", "UTC", "read-only"], done.stderr
    assert (place / "out/result").read_text() == "word\n"
    done = program("build.py", *args[:3], "sh", "-c", "exit 3", user=user)
    assert (done.returncode, done.stderr) == (1, "sh ended with status 3\n")


def test_the_container(place: Path) -> None:
    rootfs = busybox_rootfs(place)
    try:
        done = program("container.py", rootfs, "sh", "-c", "id -un; hostname; exit 3", user=False)
    finally:
        run(libct_command("delete", "--force", "example", root="/run/libct"))
    assert (done.returncode, done.stdout) == (3, "daemon\ntesting\n"), done.stderr
