"""Capability sets, the keyring's plan, and users of a made-up root directory."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from libct.config import NEWUSER, Capabilities, Config, Namespace
from libct.errors import StepProblem
from libct.life.host import Host
from libct.life.process import Process
from libct.plan.capabilities import (
    Grantable,
    bounding_steps,
    capability_findings,
    capability_masks,
    capability_steps,
    no_new_privileges,
)
from libct.plan.container import plan_start
from libct.plan.further import plan_exec
from libct.plan.keyring import keyring_steps
from libct.plan.users import become_user, resolve_user
from libct.security.users import resolve as resolve_in
from libct.syscalls.constants import CLONE_NEWUSER

from ..needs import requires

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KILL, CHOWN = 1 << 5, 1 << 0


def test_sets_are_masks_without_unknown_names() -> None:
    masks = capability_masks(
        Capabilities(
            bounding=["CAP_KILL", "CAP_NEW"],
            effective=["CAP_CHOWN", "CAP_NEW", "kill"],
            permitted=["CAP_CHECKPOINT_RESTORE", "CAP_CHOWN"],
        )
    )
    assert (masks.bounding, masks.effective, masks.permitted) == (KILL, CHOWN, 1 << 40 | CHOWN)
    assert (masks.inheritable, masks.ambient) == (0, 0)


def sets_of(*names: str, **others: list[str]) -> Capabilities:
    every = ("bounding", "permitted", "effective", "inheritable", "ambient")
    return Capabilities(**{**{field: [*names] for field in every}, **others})


def granted(capabilities: Capabilities, most: Grantable) -> tuple[int, ...]:
    masks = capability_masks(capabilities, most)
    return masks.bounding, masks.permitted, masks.effective, masks.inheritable, masks.ambient


BOTH = sets_of("CAP_KILL", "CAP_CHOWN")
LEFT_OUT = "cannot be granted, left out:"
UNBOUND = "it is not in process.capabilities.bounding"
LOCKED = "the secure bits of libct's process forbid ambient capabilities"
MISSING = f"CAP_CHOWN {LEFT_OUT} libct itself does not have it"


@pytest.mark.parametrize(
    ("asked", "most", "masks", "warnings"),
    [
        (BOTH, Grantable(), (KILL | CHOWN,) * 5, []),
        # libct lacks it altogether: it is named once.
        (
            BOTH,
            Grantable(permitted=KILL, bounding=KILL),
            (KILL,) * 5,
            [f"process.capabilities.bounding[1]: {MISSING}"],
        ),
        # It may be gained by a program, but not given.
        (
            BOTH,
            Grantable(permitted=KILL),
            (KILL | CHOWN, KILL, KILL, KILL, KILL),
            [f"process.capabilities.permitted[1]: {MISSING}"],
        ),
        (
            sets_of("CAP_KILL", inheritable=["CAP_CHOWN"]),
            Grantable(permitted=KILL),
            (KILL, KILL, KILL, 0, 0),
            [f"process.capabilities.inheritable[0]: {MISSING}"],
        ),
        # What was inheritable already may stay so.
        (
            sets_of("CAP_KILL", inheritable=["CAP_CHOWN"]),
            Grantable(permitted=KILL, inheritable=CHOWN),
            (KILL, KILL, KILL, CHOWN, 0),
            [],
        ),
        (
            sets_of("CAP_KILL", bounding=[]),
            Grantable(),
            (0, KILL, KILL, 0, 0),
            [f"process.capabilities.inheritable[0]: CAP_KILL {LEFT_OUT} {UNBOUND}"],
        ),
        (
            BOTH,
            Grantable(ambient=KILL),
            (*(KILL | CHOWN,) * 4, KILL),
            [f"process.capabilities.ambient[1]: CAP_CHOWN {LEFT_OUT} {LOCKED}"],
        ),
        # What no host grants is left out, and the rules of config/ tell it.
        (
            sets_of("CAP_KILL", permitted=["CAP_CHOWN"]),
            Grantable(),
            (KILL, CHOWN, 0, KILL, 0),
            [],
        ),
    ],
)
def test_what_cannot_be_granted_is_left_out(
    asked: Capabilities, most: Grantable, masks: tuple[int, ...], warnings: list[str]
) -> None:
    assert granted(asked, most) == masks
    for config, process in (
        (Config("/r", capabilities=asked), None),
        (Config("/r"), Process(["true"], capabilities=asked)),
        (Config("/r", capabilities=Capabilities()), Process(["true"], capabilities=asked)),
    ):
        found = capability_findings(config, process, lambda: most)
        assert [str(finding) for finding in found] == warnings
        assert all(finding.level == "warning" for finding in found)


def test_in_a_user_namespace_all_can_be_granted() -> None:
    for space in (Namespace(NEWUSER), Namespace(NEWUSER, "/proc/1/ns/user")):
        config = Config("/r", namespaces=[space], capabilities=BOTH)
        assert capability_findings(config, None, pytest.fail) == []


@pytest.mark.parametrize("joined", [False, True])
def test_a_plan_holds_what_is_granted(joined: bool) -> None:
    """Of a start and of an exec; in a user namespace of the container's it is all."""
    spaces = [Namespace(NEWUSER, "/proc/1/ns/user")] if joined else []
    config = Config(rootfs="/r", namespaces=spaces, capabilities=BOTH)
    host = Host(capabilities=Grantable(permitted=KILL, bounding=KILL))
    flags = {CLONE_NEWUSER: 0} if joined else {}
    first = Process(["true"], init=True)
    for plan in (
        plan_start(config, first, host, None, "one"),
        plan_exec(config, Process(["true"]), host, None, "one", flags, 1),
    ):
        found = {step.op: step.args for step in plan}
        have = KILL | CHOWN if joined else KILL
        assert found["drop_bounding"] == (have,)
        assert found["set_capabilities"] == (have,) * 3
        assert found["raise_ambient"] == (have,)


def test_no_capabilities_are_none() -> None:
    masks = capability_masks(None)
    assert not any((masks.bounding, masks.effective, masks.permitted, masks.ambient))
    assert [step.args for step in bounding_steps(masks)] == [(0,), (1,)]


def test_the_steps_around_the_change_of_user() -> None:
    every = ["CAP_KILL"]
    given = Capabilities(
        bounding=["CAP_KILL"], effective=every, permitted=every, inheritable=every, ambient=every
    )
    masks = capability_masks(given)
    steps = bounding_steps(masks) + capability_steps(masks)
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
huge:x:4294967295:0::/:
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
huge:x:4294967296:web
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


def resolve(
    root: int, user: str, groups: tuple[int | str, ...] = ()
) -> tuple[int, int, list[int], str]:
    proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
    try:
        return resolve_in(root, proc, user, groups)
    finally:
        os.close(proc)


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
        ("huge", (), "no user 'huge'"),
        ("0:huge", (), "no group 'huge'"),
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


@pytest.mark.parametrize(
    "what", ["fifo", pytest.param("device", marks=requires("root")), "directory", "larger"]
)
def test_only_regular_files_of_a_bounded_size_are_read(
    root: int, tmp_path: Path, what: str
) -> None:
    """And whatever else is there refuses no number, for which HOME alone is looked up."""
    if what == "device":
        os.mknod(tmp_path / "zero", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
    for path in (tmp_path / "etc/passwd", tmp_path / "etc/group"):
        text = path.read_bytes()
        path.unlink()
        if what == "fifo":
            os.mkfifo(path)
        elif what == "device":
            path.symlink_to("/zero")
        elif what == "directory":
            path.mkdir()
        else:
            path.write_bytes(text + b"x" * (2 << 20))
    message = "larger than" if what == "larger" else "not a regular file"
    for user in ("web", "0:audio"):
        with pytest.raises(StepProblem, match=message):
            resolve(root, user)
    assert resolve(root, "") == (0, 0, [], "/")
    assert resolve(root, "33:34", (7,)) == (33, 34, [7], "/")
    assert resolve(root, "1000") == (1000, 0, [], "/")


def test_names_need_not_be_text(root: int, tmp_path: Path) -> None:
    (tmp_path / "etc/passwd").write_bytes(b"\xff\xfe:x:5:6:\x80:/h\xff:\n")
    assert resolve(root, "\udcff\udcfe") == (5, 6, [], "/h\udcff")


def test_titles_of_the_steps() -> None:
    assert resolve_user("web", (1,)).title == "look up the user 'web'"
    assert resolve_user("", ()).title == "look up the default user"
    assert become_user().title == "become the user"


@pytest.mark.parametrize(
    ("user", "groups", "reads"),
    [
        ("", (), False),
        ("5", (6, "7"), False),
        ("5:6", (), False),
        ("web:6", (), False),
        ("web", (), True),
        ("5:web", (), True),
        ("5", (6, "web"), True),
    ],
)
def test_the_plan_tells_which_files_are_read(
    user: str, groups: tuple[int | str, ...], *, reads: bool
) -> None:
    files = ["passwd", "group"] if reads else ["passwd"]
    calls = [f'openat2("/etc/{name}", O_PATH, RESOLVE_IN_ROOT)' for name in files]
    assert list(resolve_user(user, groups).calls) == calls
