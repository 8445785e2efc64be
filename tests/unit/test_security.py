"""Capability sets, the keyring's plan, and users of a made-up root directory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from libct.config import Capabilities
from libct.errors import StepProblem
from libct.plan.capabilities import (
    bounding_steps,
    capability_masks,
    capability_steps,
    no_new_privileges,
)
from libct.plan.keyring import keyring_steps
from libct.plan.users import become_user, resolve_user
from libct.security.users import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KILL, CHOWN = 1 << 5, 1 << 0


def test_sets_are_masks_and_unknown_names_are_listed_once() -> None:
    masks = capability_masks(
        Capabilities(
            bounding=["CAP_KILL", "CAP_NEW"],
            effective=["CAP_CHOWN", "CAP_NEW", "kill"],
            permitted=["CAP_CHECKPOINT_RESTORE"],
        )
    )
    assert (masks.bounding, masks.effective, masks.permitted) == (KILL, CHOWN, 1 << 40)
    assert (masks.inheritable, masks.ambient) == (0, 0)
    assert masks.unknown == ["CAP_NEW", "kill"]


def test_no_capabilities_are_none() -> None:
    masks = capability_masks(None)
    assert not any((masks.bounding, masks.effective, masks.permitted, masks.ambient))
    assert [step.args for step in bounding_steps(None)] == [(0,), (1,)]


def test_the_steps_around_the_change_of_user() -> None:
    every = ["CAP_KILL"]
    given = Capabilities(
        bounding=["CAP_KILL"], effective=every, permitted=every, inheritable=every, ambient=every
    )
    steps = bounding_steps(given) + capability_steps(given)
    assert [(step.op, step.args) for step in steps] == [
        ("drop_bounding", (KILL,)),
        ("keep_capabilities", (1,)),
        ("keep_capabilities", (0,)),
        ("set_capabilities", (KILL, KILL, KILL)),
        ("raise_ambient", (KILL,)),
    ]
    assert all(step.why.startswith("process.capabilities") for step in steps)
    dropped = steps[0].calls
    assert "prctl(PR_CAPBSET_DROP, CAP_CHOWN)" in dropped
    assert "prctl(PR_CAPBSET_DROP, CAP_KILL)" not in dropped
    assert steps[3].calls == [
        (
            "capset({version=_LINUX_CAPABILITY_VERSION_3, pid=0},"
            " {effective=1<<CAP_KILL, permitted=1<<CAP_KILL, inheritable=1<<CAP_KILL})"
        )
    ]
    assert steps[4].calls == [
        "prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)",
        "prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0)",
    ]


def test_no_new_privileges_is_shown() -> None:
    assert no_new_privileges().calls == ["prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)"]


def test_the_first_process_makes_the_keyring_searchable() -> None:
    (step,) = keyring_steps("box", new=True)
    assert step.calls == [
        'keyctl(KEYCTL_JOIN_SESSION_KEYRING, "_ses.box")',
        "keyctl(KEYCTL_DESCRIBE)",
        "keyctl(KEYCTL_SETPERM, KEY_USR_SEARCH)",
    ]
    (step,) = keyring_steps("box", new=True, user_namespace=True)
    assert step.calls[-1] == "keyctl(KEYCTL_SETPERM, KEY_OTH_SEARCH)"


def test_a_later_process_joins_the_keyring_only() -> None:
    (step,) = keyring_steps("box", new=False)
    assert step.calls == ['keyctl(KEYCTL_JOIN_SESSION_KEYRING, "_ses.box")']


PASSWD = """\
root:x:0:0:root:/root:/bin/sh
# a comment
daemon:x:1:1:daemon:/usr/sbin:/bin/sh
broken:x:one:1::/:
short:x:5
negative:x:-1:0::/:
1000:x:0:0:a trap:/trap:/bin/sh
web:x:33:34::/var/www:
nohome:x:40:40:::
again:x:33:99::/again:
"""
GROUP = """\
root:x:0:
web:x:34:
audio:x:63:alice,web
video:x:44:web
wrong:x:zz:web
webby:x:45:webby,notweb
500:x:0:
"""


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(PASSWD)
    (tmp_path / "etc/group").write_text(GROUP)
    fd = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", (0, 0, [], "/root")),
        ("root", (0, 0, [], "/root")),
        ("web", (33, 34, [63, 44], "/var/www")),
        ("web:audio", (33, 63, [], "/var/www")),
        ("web:7", (33, 7, [], "/var/www")),
        ("web:", (33, 34, [63, 44], "/var/www")),
        (":audio", (0, 63, [], "/root")),
        ("33", (33, 34, [], "/var/www")),
        ("33:0", (33, 0, [], "/var/www")),
        ("0033:video", (33, 44, [], "/var/www")),
        ("1000", (1000, 0, [], "/")),  # not the entry of that name
        ("1000:500", (1000, 500, [], "/")),
        ("nohome", (40, 40, [], "/")),
        ("4294967294", (4294967294, 0, [], "/")),
    ],
)
def test_users(root: int, user: str, expected: tuple[int, int, list[int], str]) -> None:
    assert resolve(root, user) == expected


def test_additional_groups_are_numbers_or_names_and_named_once(root: int) -> None:
    assert resolve(root, "web", (7, "44", "audio", 8, 7))[2] == [63, 44, 7, 8]


@pytest.mark.parametrize(
    ("user", "groups", "message"),
    [
        ("nobody", (), "no user 'nobody'"),
        ("Web", (), "no user 'Web'"),
        ("broken", (), "no user 'broken'"),
        ("short", (), "no user 'short'"),
        ("negative", (), "no user 'negative'"),
        ("# a comment", (), "no user"),
        ("-1", (), "no user '-1'"),
        ("+0", (), "no user"),
        (" 0", (), "no user"),
        ("0x0", (), "no user"),
        ("1_0", (), "no user"),
        ("٣", (), "no user"),  # a digit, but no ASCII one
        ("4294967295", (), "not an id"),
        ("4294967296", (), "not an id"),
        ("1" * 5000, (), "not an id"),
        ("0:4294967295", (), "not an id"),
        ("0:games", (), "no group 'games'"),
        ("0:wrong", (), "no group 'wrong'"),
        ("0:0:0", (), "write"),
        ("0", (-1,), "not a group id"),
        ("0", ("games",), "no group 'games'"),
    ],
)
def test_bad_users_are_refused(
    root: int, user: str, groups: tuple[int | str, ...], message: str
) -> None:
    with pytest.raises(StepProblem) as caught:
        resolve(root, user, groups)
    assert message in f"{caught.value.message} ({caught.value.hint})"


def test_without_files_numbers_do(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    try:
        assert resolve(fd, "5:6", (7,)) == (5, 6, [7], "/")
        with pytest.raises(StepProblem, match="no user 'root'"):
            resolve(fd, "root")
    finally:
        os.close(fd)


def test_links_lead_to_the_containers_own_files(root: int, tmp_path: Path) -> None:
    (tmp_path / "etc/passwd").rename(tmp_path / "etc/real")
    (tmp_path / "etc/passwd").symlink_to("/etc/real")
    assert resolve(root, "web")[0] == 33


def test_only_regular_files_of_a_bounded_size_are_read(root: int, tmp_path: Path) -> None:
    (tmp_path / "etc/passwd").unlink()
    os.mkfifo(tmp_path / "etc/passwd")
    with pytest.raises(StepProblem, match="not a regular file"):
        resolve(root, "web")
    (tmp_path / "etc/passwd").unlink()
    (tmp_path / "etc/passwd").write_bytes(b"x" * ((1 << 20) + 1))
    with pytest.raises(StepProblem, match="larger than"):
        resolve(root, "web")


def test_names_need_not_be_text(root: int, tmp_path: Path) -> None:
    (tmp_path / "etc/passwd").write_bytes(b"\xff\xfe:x:5:6:\x80:/h\xff:\n")
    assert resolve(root, "\udcff\udcfe") == (5, 6, [], "/h\udcff")


def test_titles_of_the_steps() -> None:
    assert resolve_user("web", (1,)).title == "look up the user 'web'"
    assert become_user().title == "become the user"
