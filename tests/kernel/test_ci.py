"""The recipes of docs/ci.md, in Debian's Docker: their options, and the last of their commands."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING

import pytest

from ..commands import CHECKOUT
from ..docker import Docker
from ..engines import IMAGE
from ..needs import requires
from ..pages import pieces

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

PAGE = "docs/ci.md"
HELLO = "python3 -m libct sandbox -- echo hello"
# Headings of the page, which tests/kernel/test_pages.py looks for here.
DOCKER, GITHUB, GITLAB = "Docker", "GitHub", "GitLab"

pytestmark = [
    requires("root", "busybox", "overlay", "bridge", "docker"),
    pytest.mark.usefixtures("nothing_left"),
]


@pytest.fixture(scope="module")
def docker() -> Iterator[Docker]:
    daemon = Docker()
    try:
        daemon.load_image()
        # Which leaves the group that all containers are below, where libct removes its own.
        daemon("run", "--rm", "--runtime=runc", "--network=none", IMAGE, "true", check=True)
        yield daemon
    finally:
        daemon.close()


def texts(heading: str) -> list[str]:
    return [each.text for each in pieces(PAGE) if each.heading == heading]


def in_docker(
    docker: Docker, options: list[str], command: str, *, runtime: str = "runc"
) -> subprocess.CompletedProcess[str]:
    """A command in a container that has the host's Python, and no network."""
    shared = [f"--volume={path}:{path}:ro" for path in ("/usr", "/lib", "/lib64")]
    place = [f"--volume={CHECKOUT}:/src:ro", "--workdir=/src", "--env=PYTHONDONTWRITEBYTECODE=1"]
    python = command.replace("python3", "/usr/bin/python3", 1)
    more = ["--rm", f"--runtime={runtime}", "--network=none", *shared, *place]
    return docker("run", *more, *options, IMAGE, "sh", "-c", python)


def of_the_command(text: str) -> list[str]:
    """The options about security of a `docker run`."""
    words = shlex.split(text.replace("\\\n", " "))
    assert words[:2] == ["docker", "run"]
    assert " ".join(words[-len(HELLO.split()) :]) == HELLO
    return re.findall(r"--security-opt \S+", text)


OPTIONS = ["seccomp=unconfined", "systempaths=unconfined", "apparmor=unconfined"]
GIVEN = [f"--security-opt={option}" for option in OPTIONS]


def test_the_recipes_have_the_options_that_are_tried() -> None:
    as_words = [f"--security-opt {option}" for option in OPTIONS]
    (command,) = texts(DOCKER)
    assert of_the_command(command) == as_words
    machine, container = texts(GITHUB)
    assert re.findall("options: (.*)", container) == [" ".join(as_words)]
    privileged, config = texts(GITLAB)
    assert json.loads(config.partition("security_opt = ")[2]) == OPTIONS
    for text in (machine, container, privileged):
        assert text.rstrip().endswith(f"- {HELLO}") or text.rstrip().endswith(f"- run: {HELLO}")


@pytest.mark.parametrize("runtime", ["runc", "libct"])
@pytest.mark.parametrize("user", [[], ["--user=1000:1000"]], ids=["root", "user"])
def test_the_recipe(docker: Docker, runtime: str, user: list[str]) -> None:
    done = in_docker(docker, [*GIVEN, *user], HELLO, runtime=runtime)
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")


def test_without_the_option_for_proc(docker: Docker) -> None:
    some = [option for option in GIVEN if "systempaths" not in option]
    done = in_docker(docker, some, HELLO)
    assert done.returncode == 125
    assert "a host whose own /proc is not partly covered; --proc none goes without" in done.stderr
    done = in_docker(docker, some, HELLO.replace("--", "--proc none --"))
    assert (done.returncode, done.stdout) == (0, "hello\n")


def test_without_any_option(docker: Docker) -> None:
    """Docker's profile refuses new namespaces, and libct names what that means."""
    done = in_docker(docker, [], HELLO)
    assert done.returncode == 125
    assert "the surrounding container refuses it" in done.stderr
    done = in_docker(docker, [], "python3 -m libct check")
    assert "the surrounding container refuses it" in done.stdout


def test_limits(docker: Docker) -> None:
    limited = HELLO.replace("--", "--memory 64M --")
    done = in_docker(docker, GIVEN, limited)
    assert done.returncode == 125
    assert "the control groups are mounted read-only here" in done.stderr
    # Debian's runc asks for capabilities that a nested machine may lack.
    done = in_docker(docker, ["--privileged"], limited, runtime="libct")
    assert (done.returncode, done.stdout) == (0, "hello\n")
