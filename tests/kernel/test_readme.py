"""What a new user meets: README.md's commands in a fresh clone, and the first mistakes.

The clone is of what has been committed, without what has only been changed.
"""

from __future__ import annotations

import pwd
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ..pages import piece, pieces
from ..support import (
    CHECKOUT,
    busybox_rootfs,
    give_to_user,
    requires,
    run,
    session_directory,
    unique,
    user_account,
    user_python,
)

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

pytestmark = [requires("root", "user"), pytest.mark.usefixtures("nothing_left")]

WHO = pytest.mark.parametrize("user", [False, True], ids=["root", "user"])


def commands() -> list[str]:
    """The indented lines of README.md, without what is said about them."""
    lines = (CHECKOUT / "README.md").read_text().splitlines()
    return [line.partition("  #")[0].strip() for line in lines if line.startswith("    ")]


@WHO
def test_the_first_program(checkout: Path, user: bool, tmp_path: Path) -> None:
    text = (CHECKOUT / "README.md").read_text()
    program = text.partition("```python\n")[2].partition("```")[0]
    assert "libct.run(" in program
    place = session_directory() / unique()
    place.mkdir()
    if user:
        give_to_user(place)
    python = user_python() if user else sys.executable
    env = {"PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}
    done = run([python, "-c", program], user=user, cwd=place, env=env)
    assert done.stderr == ""
    assert done.stdout.startswith("0  exit ")
    assert (place / "answer").read_text() == "42\n"


def command_with(words: str) -> str:
    """The only command of README.md that has these words."""
    (found,) = [line for line in commands() if words in line]
    return found


@pytest.fixture(scope="module")
def checkout() -> Iterator[Path]:
    """A clone that everybody may read, in a directory with nothing else in it."""
    directory = session_directory() / unique("clone")
    directory.mkdir(mode=0o755)
    place = directory / "libct"
    if (CHECKOUT / ".git").exists():
        run(["git", "clone", "--quiet", CHECKOUT, place], check=True)
    else:
        place.mkdir()
        shutil.copytree(CHECKOUT / "libct", place / "libct")
        shutil.copy(CHECKOUT / "README.md", place)
    for path in (place, *place.rglob("*")):
        path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
    yield place
    shutil.rmtree(directory)


@pytest.fixture
def bundle() -> Iterator[Path]:
    """An empty directory for a bundle."""
    directory = session_directory() / unique("bundle")
    directory.mkdir(mode=0o755)
    give_to_user(directory)
    yield directory
    shutil.rmtree(directory)


def typed(line: str, checkout: Path, *, user: bool = False) -> subprocess.CompletedProcess[str]:
    """What the shell makes of the line, typed in the clone."""
    env = {"PYTHONDONTWRITEBYTECODE": "1"}
    return run(["sh", "-c", line], user=user, cwd=checkout, env=env)


@WHO
def test_the_first_command(checkout: Path, user: bool) -> None:
    first = commands()[0]
    assert first == "python3 -m libct sandbox -- sh -c 'id; echo $$; touch /etc/new'"
    done = typed(first, checkout, user=user)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "Read-only file system" in done.stderr
    identity, number = done.stdout.splitlines()
    account = user_account() if user else pwd.getpwuid(0)
    assert identity.startswith(f"uid={account.pw_uid}({account.pw_name}) gid={account.pw_gid}")
    assert number == "2"
    assert typed("python3 -m libct sandbox -- sh -c 'exit 7'", checkout, user=user).returncode == 7


@WHO
def test_what_is_going_to_happen(checkout: Path, user: bool) -> None:
    done = typed(command_with("sandbox --plan"), checkout, user=user)
    assert done.returncode == 0, done.stderr
    assert "pivot_root" in done.stdout


def shape(line: str) -> str:
    """A line of a plan without its number and what is only there to be in columns."""
    return " ".join(re.sub(r"^ *[0-9]+ ", "", line).split())


def test_the_picture_of_a_plan(checkout: Path, bundle: Path) -> None:
    """Its lines are those of a plan, in that order; numbers are the machine's."""
    made = command_with("libct spec -b BUNDLE").replace("BUNDLE", str(bundle))
    assert typed(made, checkout).returncode == 0
    busybox_rootfs(bundle)
    line = command_with("libct plan -b BUNDLE").replace("BUNDLE", str(bundle))
    printed = [shape(each) for each in typed(line, checkout).stdout.splitlines()]
    picture = piece("README.md", "See it before it happens", "text").splitlines()
    wanted = [shape(each) for each in picture if each != "..."]
    assert len(wanted) > 8
    for each in wanted:
        begin, cut, _ = each.partition("...")
        found = [at for at, each in enumerate(printed) if each.startswith(begin)]
        assert found, each
        assert cut or printed[found[0]] == begin
        del printed[: found[0] + 1]


def test_the_second_program(checkout: Path, bundle: Path) -> None:
    made = command_with("libct spec -b BUNDLE").replace("BUNDLE", str(bundle))
    assert typed(made, checkout).returncode == 0
    busybox_rootfs(bundle)
    program = [each.text for each in pieces("README.md") if each.language == "python"][1]
    name = unique()
    for text, own in (("/path/to/bundle", str(bundle)), ('"one"', f'"{name}"')):
        assert text in program
        program = program.replace(text, own)
    env = {"PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}
    done = run([sys.executable, "-c", program], cwd=bundle, env=env)
    assert done.stderr == ""
    assert re.fullmatch(r"running \[[0-9]+\]\n0\n", done.stdout)


@WHO
def test_a_bundle(checkout: Path, bundle: Path, user: bool) -> None:
    """spec, check and run, as they are written there; an ordinary user adds --rootless."""
    filled = command_with("busybox").replace("BUNDLE", str(bundle))
    assert typed(filled, checkout, user=user).returncode == 0
    made = command_with("libct spec -b BUNDLE").replace("BUNDLE", str(bundle))
    done = typed(made + " --rootless" * user, checkout, user=user)
    assert done.returncode == 0, done.stderr
    config = bundle / "config.json"
    config.write_text(config.read_text().replace('"terminal": true', '"terminal": false'))
    checked = command_with("libct check -b BUNDLE").replace("BUNDLE", str(bundle))
    done = typed(checked, checkout, user=user)
    assert done.returncode == 0, done.stdout + done.stderr
    line = command_with("libct run -b BUNDLE ID").replace("BUNDLE", str(bundle))
    done = typed(line.replace("ID", unique()) + " </dev/null", checkout, user=user)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_way_to_run_the_tests_names_what_there_is() -> None:
    line = command_with("-m pytest")
    assert "'.[test]'" in line
    assert "\ntest = [" in (CHECKOUT / "pyproject.toml").read_text()
    assert (CHECKOUT / ".ci/run").is_file()


# --- the first mistakes ---


def refused(line: str, checkout: Path, **options: Any) -> str:
    """The one line that a failure is told in."""
    done = typed(line, checkout, **options)
    assert done.returncode == (125 if "libct sandbox" in line else 1)
    assert done.stdout == ""
    said, end, more = done.stderr.partition("\n")
    assert (end, more) == ("\n", ""), done.stderr
    assert said.startswith("libct: ")
    return said


@WHO
def test_no_config(checkout: Path, bundle: Path, user: bool) -> None:
    said = refused(f"python3 -m libct run -b {bundle} {unique()}", checkout, user=user)
    assert f"{bundle}/config.json" in said
    assert "libct spec" in said


@WHO
def test_no_rootfs(checkout: Path, bundle: Path, user: bool) -> None:
    made = typed(f"python3 -m libct spec -b {bundle}" + " --rootless" * user, checkout, user=user)
    assert made.returncode == 0, made.stderr
    config = bundle / "config.json"
    config.write_text(config.read_text().replace('"terminal": true', '"terminal": false'))
    said = refused(f"python3 -m libct run -b {bundle} {unique()}", checkout, user=user)
    assert f"{bundle}/rootfs" in said
    assert "root.path" in said


@WHO
def test_an_unknown_command(checkout: Path, user: bool) -> None:
    said = refused("python3 -m libct sandbx -- true", checkout, user=user)
    assert said == "libct: no such command: 'sandbx' (did you mean sandbox?)"
    assert "libct --help" in refused("python3 -m libct nonsense", checkout, user=user)


def test_a_limit_without_delegation(checkout: Path) -> None:
    said = refused("python3 -m libct sandbox --memory 256M -- true", checkout, user=True)
    assert said.startswith("libct: --memory: cannot be limited: ")
    assert said.endswith("(the nearest limit without a control group is the resource limit AS)")


def test_without_privilege(checkout: Path, bundle: Path) -> None:
    """A bundle for root, started by somebody else, gets a user namespace."""
    assert user_account().pw_uid != 0
    assert typed(f"python3 -m libct spec -b {bundle}", checkout).returncode == 0
    busybox_rootfs(bundle)
    config = bundle / "config.json"
    config.write_text(config.read_text().replace('"terminal": true', '"terminal": false'))
    config.write_text(config.read_text().replace('"sh"', '"id"'))
    done = typed(f"python3 -m libct run -b {bundle} {unique()}", checkout, user=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("uid=0(root) gid=0(root)")
