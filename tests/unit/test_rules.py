"""The table of what is allowed in which status, and the words of refusals."""

from __future__ import annotations

import pytest

from libct.config.status import CREATED, CREATING, PAUSED, RUNNING, STOPPED
from libct.errors import (
    ContainerNotFound,
    ContainerNotPaused,
    ContainerNotRunning,
    ContainerPaused,
    ContainerRunning,
    Error,
)
from libct.life.rules import require

STATUSES = (CREATING, CREATED, RUNNING, PAUSED, STOPPED)
ALLOWED = {
    "start": {STOPPED},
    "exec": {CREATED},
    "enter": {CREATED, RUNNING},
    "enter paused": {CREATED, RUNNING, PAUSED},
    "signal": {CREATED, RUNNING, PAUSED},
    "pause": {CREATED, RUNNING},
    "resume": {PAUSED},
    "watch": {CREATED, RUNNING, PAUSED},
    "set": {CREATED, RUNNING, PAUSED},
    "destroy": {STOPPED},
}


@pytest.mark.parametrize("operation", ALLOWED)
@pytest.mark.parametrize("status", STATUSES)
def test_what_is_allowed_when(operation: str, status: str) -> None:
    if status in ALLOWED[operation]:
        require(operation, status, "box")
    else:
        with pytest.raises(Error, match=r"^cannot .* container 'box'"):
            require(operation, status, "box")


@pytest.mark.parametrize(
    ("operation", "status", "kind", "text"),
    [
        ("signal", STOPPED, ContainerNotRunning, "container not running"),
        ("pause", STOPPED, ContainerNotRunning, "container not running"),
        ("start", RUNNING, ContainerRunning, "container already has an init process"),
        ("exec", RUNNING, ContainerRunning, "cannot start an already running container: "),
        (
            "destroy",
            RUNNING,
            ContainerRunning,
            r"not stopped: running \(stop it first, or use force\)",
        ),
        (
            "enter",
            PAUSED,
            ContainerPaused,
            (
                r"^cannot exec in a paused container \(use --ignore-paused to override\): container"
                " 'box' is paused: resume it first$"
            ),
        ),
        (
            "enter",
            STOPPED,
            ContainerNotRunning,
            (
                "^cannot exec in a stopped container: container not running: container 'box' has"
                " stopped$"
            ),
        ),
        (
            "enter paused",
            STOPPED,
            ContainerNotRunning,
            "^cannot exec in a stopped container: container not running: ",
        ),
        ("destroy", PAUSED, ContainerPaused, "not stopped: paused"),
        ("resume", RUNNING, ContainerNotPaused, "container not paused"),
        ("resume", STOPPED, ContainerNotPaused, "container not paused"),
        (
            "signal",
            CREATING,
            ContainerNotFound,
            "container does not exist yet: it is being created",
        ),
    ],
)
def test_the_words_that_engines_look_for(
    operation: str, status: str, kind: type[Error], text: str
) -> None:
    with pytest.raises(kind, match=text) as caught:
        require(operation, status, "box")
    assert type(caught.value) is kind
