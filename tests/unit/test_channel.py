"""The conversation of a start: messages, their descriptors, their order, and what ends it."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import resource
import select
import signal
import sys
import threading
import time
import types
from typing import TYPE_CHECKING, Any, cast

import pytest

from libct.bootstrap import becoming, client, cloned, listening, servers, started, talk
from libct.bootstrap.channel import Channel
from libct.bootstrap.context import Context, Trace
from libct.bootstrap.failure import Failure
from libct.bootstrap.listening import readable
from libct.bootstrap.message import Garbled
from libct.bootstrap.performer import carry_on, perform, performers
from libct.errors import CgroupError, Error, StepError, StepProblem
from libct.plan.step import (
    AHEAD,
    INIT,
    OPERATIONS,
    RUNTIME,
    SERVER,
    STAGE,
    Performers,
    Plan,
    Step,
    operation,
)
from libct.syscalls.process import pidfd_open

from ..support import forked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    before = set(os.listdir("/proc/self/fd"))
    pair = Channel.pair()
    yield pair
    for end in pair:
        end.close()
    assert set(os.listdir("/proc/self/fd")) == before


# --- messages ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        ("go",),
        ("perform", ["a"], [("init", [(1, "op", (1, "x", b"y", None, (2,)))])], False),
        ("text", "b\u00fcchse \udcff \U0001f4e6"),
        ("numbers", -1, 1 << 64, 1.5),
        ("long", "x" * 3_000_000),
    ],
)
def test_messages_come_as_they_were_sent(ends: tuple[Channel, Channel], message: Any) -> None:
    sender = threading.Thread(target=ends[0].send, args=[message])
    sender.start()
    assert ends[1].receive() == (message, [])
    sender.join()


def test_messages_keep_their_order_and_limits(ends: tuple[Channel, Channel]) -> None:
    for number in range(50):
        ends[0].send(("number", number))
        ends[0].send(())
    for number in range(50):
        assert ends[1].receive() == (("number", number), [])
        assert ends[1].receive() == ((), [])


def test_members_of_an_enumeration_are_what_they_stand_for(ends: tuple[Channel, Channel]) -> None:
    class Text(str):
        pass

    ends[0].send(("step", [(signal.SIGKILL, Text("x"), (True, signal.SIGTERM, None))]))
    (_, [(number, text, inner)]), _ = ends[1].receive()
    assert (number, text, inner) == (9, "x", (True, 15, None))
    assert [type(value) for value in (number, text, inner[1])] == [int, str, int]
    with pytest.raises(ValueError, match="unmarshallable"):
        ends[0].send((object(),))


def test_descriptors_come_along(ends: tuple[Channel, Channel]) -> None:
    reader, writer = os.pipe()
    ends[0].send(("one", 1), [writer, reader, writer])
    ends[0].send(("two",))
    message, fds = ends[1].receive()
    assert message == ("one", 1)
    assert len(fds) == 3
    assert not any(os.get_inheritable(fd) for fd in fds)
    os.write(fds[2], b"x")
    assert os.read(fds[1], 1) == b"x"
    assert ends[1].receive() == (("two",), [])
    for fd in (reader, writer, *fds):
        os.close(fd)


def test_too_many_descriptors(ends: tuple[Channel, Channel]) -> None:
    with pytest.raises(Error, match="251 descriptors to pass; 250 are possible"):
        ends[0].send(("x",), [0] * 251)
    ends[0].send(("x",), [0] * 250)
    _, fds = ends[1].receive()
    assert len(fds) == 250
    for fd in fds:
        os.close(fd)


def test_descriptors_that_there_is_no_room_for() -> None:
    def body() -> None:
        ours, theirs = Channel.pair()
        ours.send(("x",), [0] * 20)
        used = len(os.listdir("/proc/self/fd")) - 1
        soft = used + 10
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, soft))
        with pytest.raises(OSError, match="RLIMIT_NOFILE is too low") as caught:
            theirs.receive()
        assert caught.value.errno == errno.EMFILE
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, soft))
        assert len(os.listdir("/proc/self/fd")) - 1 == used  # those that came are closed

    forked(body)


def test_the_end(ends: tuple[Channel, Channel]) -> None:
    ends[0].send(("last",))
    ends[0].close()
    assert ends[1].receive() == (("last",), [])
    with pytest.raises(EOFError):
        ends[1].receive()
    former = signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # as it is right before execve
    try:
        for size in (1, 3_000_000):
            with pytest.raises(BrokenPipeError):
                ends[1].send(("x" * size,))
    finally:
        signal.signal(signal.SIGPIPE, former)


def test_an_end_in_the_middle_of_a_message(ends: tuple[Channel, Channel]) -> None:
    before = len(os.listdir("/proc/self/fd"))
    fd = ends[0].fileno()
    for part in (b"\x05\0\0", (5).to_bytes(8, "little") + b"xy"):
        ours, theirs = Channel.pair()
        os.write(ours.fileno(), part)
        ours.close()
        with pytest.raises(EOFError):
            theirs.receive()
        theirs.close()
    assert len(os.listdir("/proc/self/fd")) == before
    assert fd == ends[0].fileno()


def test_hanging_up_is_the_end_for_the_others_also_with_copies(
    ends: tuple[Channel, Channel],
) -> None:
    copy = os.dup(ends[0].fileno())
    ends[0].hang_up()
    with pytest.raises(EOFError):
        ends[1].receive()
    ends[1].send(("still",))
    assert ends[0].receive() == (("still",), [])
    ends[1].close()
    ends[0].hang_up()
    os.close(copy)


def test_an_end_that_is_dropped_is_closed() -> None:
    before = set(os.listdir("/proc/self/fd"))
    pair = Channel.pair()
    pair[0].move_above(50)
    assert pair[0].fileno() >= 50
    assert not os.get_inheritable(pair[0].fileno())
    del pair
    assert set(os.listdir("/proc/self/fd")) == before


# --- performing ------------------------------------------------------------------------------


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Step]]:
    """Operations made up for a test, and a module with their performers."""
    known = dict(OPERATIONS)
    room = types.ModuleType("libct.fakes")
    monkeypatch.setitem(sys.modules, room.__name__, room)

    def calls() -> list[str]:
        return []

    def make(name: str, perform: Callable[..., Any] = lambda context: None) -> Step:
        if not hasattr(room, name):
            setattr(room, name, perform)
            OPERATIONS.pop(name, None)
            calls.__name__ = name
            operation(getattr(Performers("fakes"), name), name)(calls)
        return Step(name)

    yield make
    OPERATIONS.clear()
    OPERATIONS.update(known)


def failing(error: BaseException) -> Callable[..., Any]:
    def perform(context: Context) -> None:
        raise error

    return perform


def hinted(error: OSError, hint: str) -> OSError:
    error.hint = hint  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            OSError(2, "mkdirat(3, 'a'): No such file or directory", "a"),
            (1, 2, "mkdirat(3, 'a')", "No such file or directory", "a", ""),
        ),
        (
            OSError(22, "fsconfig(x): Invalid argument (tmpfs: Bad value)"),
            (1, 22, "fsconfig(x)", "Invalid argument (tmpfs: Bad value)", None, ""),
        ),
        (
            hinted(OSError(13, os.strerror(13), b"/\xff"), "do that"),
            (1, 13, "", "Permission denied", "/\udcff", "do that"),
        ),
        (OSError(5, "of our own making"), (1, 5, "", "of our own making", None, "")),
        (OSError("nothing is known"), (1, None, "", "nothing is known", None, "")),
        (StepProblem("no user", "name one"), (1, None, "", "no user", None, "name one")),
        (CgroupError("it is busy"), (1, None, "", "it is busy", None, "")),
        (KeyError("x"), (1, None, "", "KeyError: 'x'", None, "")),
    ],
)
def test_what_a_failure_knows(
    fake: Callable[..., Step], error: Exception, expected: tuple[Any, ...]
) -> None:
    step = fake("fails", failing(error))
    trace = Trace(True)
    with pytest.raises(Failure) as caught:
        perform(performers([(1, step.performer, ())]), Context(), trace)
    assert caught.value.values() == expected
    assert trace.records[0][3] == str(caught.value)


def test_an_interruption_is_no_failure_of_a_step() -> None:
    with pytest.raises(KeyboardInterrupt):
        perform([(1, failing(KeyboardInterrupt()), ())], Context(), Trace(False))


def test_steps_are_timed_when_that_is_asked_for(fake: Callable[..., Step]) -> None:
    steps = performers([(n, fake(f"step{n}").performer, ()) for n in (4, 5)])
    for on in (False, True):
        trace = Trace(on)
        perform(steps, Context(), trace)
        records = trace.take()
        assert [(n, result) for n, _, _, result in records] == (
            [(4, "ok"), (5, "ok")] if on else []
        )
        assert trace.take() == []


def test_the_performing_side_tells_of_the_runtimes_turns(fake: Callable[..., Step]) -> None:
    ours, theirs = listening.pair()
    done = threading.Event()
    segments = [
        (INIT, performers([(1, fake("one").performer, ())])),
        (RUNTIME, []),
        (INIT, performers([(3, fake("three", lambda context: done.set()).performer, ())])),
    ]
    thread = threading.Thread(target=carry_on, args=(segments, Context(), theirs, Trace(True)))
    thread.start()
    assert readable(ours.fileno(), seconds=5)
    kind, records = ours.hear()
    assert (kind, [number for number, _, _, _ in records]) == ("turn", [1])
    assert not done.wait(0.1)
    ours.go()
    thread.join(5)
    assert done.is_set()
    ours.close()
    with pytest.raises(BrokenPipeError):  # and the process that performs them ends
        carry_on(segments, Context(), theirs, Trace(False))
    theirs.close()


# --- the talk -----------------------------------------------------------------------------


@pytest.fixture
def sides() -> Iterator[tuple[listening.Listener, talk.Speaker]]:
    before = set(os.listdir("/proc/self/fd"))
    pair = listening.pair()
    yield pair
    for side in pair:
        with contextlib.suppress(OSError):
            side.close()
    assert set(os.listdir("/proc/self/fd")) == before


Sides = tuple[listening.Listener, talk.Speaker]


@pytest.mark.longest(10)
def test_nobody_is_blocked_by_who_has_the_other_ends(sides: Sides) -> None:
    """Also where they are open in both directions, as through /proc they can be."""
    ours, theirs = sides
    up, down = theirs.descriptors()
    thief = os.open(f"/proc/self/fd/{up}", os.O_RDONLY | os.O_NONBLOCK)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listening, "_SECONDS", 0.1)
        for data in (b"\0", (100).to_bytes(8, "little"), (100).to_bytes(8, "little") + b"i"):
            os.write(up, data)
            with pytest.raises(Garbled):
                ours.hear()
        theirs.tell(("turn", []))
        os.read(thief, 4096)
        with pytest.raises(Garbled):
            ours.hear()
    filler = os.open(f"/proc/self/fd/{down}", os.O_WRONLY | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(filler, b"x" * 4096)
    with pytest.raises(ConnectionError):
        ours.go()
    ours.give_up()
    os.close(thief)
    os.close(filler)


def test_no_notice_is_taken_of_the_rest_of_a_talk(sides: Sides) -> None:
    ours, theirs = sides
    theirs.tell(("turn", []))
    os.read(ours.fileno(), 3)  # interrupted in the middle of it
    theirs.tell(("turn", []))
    begun = time.monotonic()
    ours.drain(0.1)
    assert 0.1 <= time.monotonic() - begun < 4
    assert not readable(ours.fileno(), seconds=0)
    theirs.close()
    ours.drain(10)
    assert time.monotonic() - begun < 4


def test_the_end_of_the_rest_is_also_that_of_the_process(sides: Sides) -> None:
    """Who has copies may keep them."""
    child = Sleeper()
    os.kill(child.pid, signal.SIGKILL)
    begun = time.monotonic()
    sides[0].drain(10, child.pidfd)
    assert time.monotonic() - begun < 4
    servers.end(child.pidfd)


@pytest.mark.parametrize("handled", [signal.SIG_DFL, signal.SIG_IGN])
@pytest.mark.parametrize("blocked", [False, True])
def test_a_host_program_gets_no_sigpipe(handled: signal.Handlers, *, blocked: bool) -> None:
    def body() -> bool:
        signal.signal(signal.SIGPIPE, handled)
        signal.pthread_sigmask(signal.SIG_SETMASK, [signal.SIGPIPE] if blocked else [])
        ours, theirs = listening.pair()
        theirs.close()
        with pytest.raises(ConnectionError):
            ours.go()
        ours.give_up()
        mask = signal.pthread_sigmask(signal.SIG_SETMASK, [])
        return signal.SIGPIPE in mask

    assert forked(body) == blocked


def test_who_waits_for_a_word_hears_that_there_will_be_none(sides: Sides) -> None:
    ours, theirs = sides
    ours.go()
    theirs.await_go()
    ours.give_up()
    with pytest.raises(EOFError):
        theirs.await_go()
    ours.close()
    with pytest.raises(EOFError):
        theirs.await_go()


def test_descriptors_of_a_talk_that_are_somebody_elses_now_are_not_closed() -> None:
    ours, theirs = listening.pair()
    number = ours.fileno()
    assert ours.is_intact()
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, number)
    assert not ours.is_intact()
    ours.close()
    os.fstat(number)
    for fd in (null, number):
        os.close(fd)
    theirs.close()


def test_descriptors_that_are_moved_stay_close_on_exec(sides: Sides) -> None:
    ours, theirs = sides
    theirs.move_above(50)
    for fd in theirs.descriptors():
        assert fd >= 50
        assert not os.get_inheritable(fd)
    theirs.tell(("turn", []))
    assert ours.hear() == ("turn", [])


def test_half_a_talk_is_closed() -> None:
    """Where there is room for one pipe."""

    def body() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
        fds = []
        with contextlib.suppress(OSError):
            while True:
                fds.append(os.dup(0))
        for fd in fds[-3:]:
            os.close(fd)
        before = os.listdir("/proc/self/fd")
        with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
            listening.pair()
        assert os.listdir("/proc/self/fd") == before

    forked(body)


# --- the runtime's side -------------------------------------------------------------------


class Sleeper:
    """A child that a conversation can be about: it sleeps until it is killed."""

    def __init__(self) -> None:
        self.pid = os.posix_spawn("/bin/sleep", ["sleep", "60"], {})
        self.pidfd = pidfd_open(self.pid)

    def reaped(self) -> bool:
        os.close(self.pidfd)
        try:
            os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            return True
        return False


class Stopped(Sleeper):
    """A child that has executed nothing."""

    def __init__(self) -> None:
        self.pid = os.fork()
        if self.pid == 0:
            while True:
                signal.pause()
        self.pidfd = pidfd_open(self.pid)


class Speaker(talk.Speaker):
    """All who perform: the clone's word, and its number that the kernel writes down."""

    def __init__(self, side: talk.Speaker, run: client._Run) -> None:
        super().__init__(*side.descriptors())
        self._clones, self._made = os.dup(run.clones), 0

    def cloned(self, number: int, clone: Sleeper) -> None:
        self.write_down(clone)
        self.tell(("cloned", number))

    def write_down(self, clone: Sleeper) -> None:
        os.pwrite(self._clones, clone.pid.to_bytes(4, sys.byteorder), 4 * self._made)
        self._made += 1

    def close(self) -> None:
        super().close()
        os.close(self._clones)


def plan_of(fake: Callable[..., Step], *steps: tuple[str, str]) -> Plan:
    plan = Plan()
    for process, name in steps:
        plan.add(process, "phase", [fake(name)])
    return plan


def converse(
    monkeypatch: pytest.MonkeyPatch,
    plan: Plan,
    *scripts: Callable[[Speaker], None],
    patience: float = 0.05,
) -> started.Started:
    """Carry out a plan with a server that speaks as the scripts say, one for each request."""
    left = list(scripts)

    def ask(run: client._Run, index: int) -> None:
        run.asked, run.confirmed = index, True
        run.clones = cloned.make_file()
        run.server = cast("servers.Server", types.SimpleNamespace(pid=os.getpid(), pidfd=-1))
        run.started.talk, side = listening.pair()
        speaker = Speaker(side, run)
        script = left.pop(0)

        def speak() -> None:
            script(speaker)
            speaker.close()

        threading.Thread(target=speak).start()

    monkeypatch.setattr(client._Run, "_ask", ask)
    monkeypatch.setattr(client, "PATIENCE", patience)
    monkeypatch.setattr(started, "PATIENCE", patience)
    return client.carry_out(plan, Context(), trace=True)


@pytest.mark.parametrize("ends_first", [False, True])
def test_a_stage_may_have_ended_before_its_clone_says_a_word(
    fake: Callable[..., Step], monkeypatch: pytest.MonkeyPatch, *, ends_first: bool
) -> None:
    plan = plan_of(
        fake, (SERVER, "clone_one"), (STAGE, "clone_two"), (INIT, "a"), (RUNTIME, "b"), (INIT, "c")
    )
    stage, init = Sleeper(), Sleeper()

    def script(speaker: Speaker) -> None:
        speaker.cloned(1, stage)
        if ends_first:
            speaker.write_down(init)
            os.kill(stage.pid, signal.SIGKILL)
            time.sleep(0.2)
            speaker.tell(("cloned", 2))
        else:
            speaker.cloned(2, init)
            os.kill(stage.pid, signal.SIGKILL)
        speaker.tell(("turn", [(3, 0, 0, "ok")]))
        speaker.await_go()
        speaker.tell(("traced", [(5, 0, 0, "ok")], 0, 0))

    begun = converse(monkeypatch, plan, script)
    assert begun.pid == init.pid
    begun.finish()
    assert sorted(number for number, *_ in begun.traces) == [3, 4, 5]
    assert stage.reaped()
    servers.end(begun.pidfd)
    assert init.reaped()


@pytest.mark.parametrize("word", [("cloned", 1), ("cloned", 7), ("turn", [])])
def test_words_out_of_their_order_end_it(
    fake: Callable[..., Step], monkeypatch: pytest.MonkeyPatch, word: tuple[Any, ...]
) -> None:
    plan = plan_of(fake, (SERVER, "clone_one"), (INIT, "a"), (RUNTIME, "b"))
    init = Sleeper()

    def script(speaker: Speaker) -> None:
        if word != ("cloned", 1):  # that is what is waited for: but nothing has been cloned
            speaker.write_down(init)
        speaker.tell(word)
        with contextlib.suppress(OSError, EOFError):  # all is in order but for that word
            speaker.tell(("turn", []))
            speaker.await_go()

    with pytest.raises(StepError, match="what cannot be understood"):
        converse(monkeypatch, plan, script)
    if word == ("cloned", 1):
        servers.end(init.pidfd)
    else:
        assert init.reaped()


def test_who_says_what_cannot_be_understood_is_ended(
    fake: Callable[..., Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process in the container may have got hold of the other end."""
    plan = plan_of(fake, (SERVER, "clone_one"), (INIT, "a"), (RUNTIME, "b"), (INIT, "c"))
    chance = random.Random(9)
    for number in range(200):
        init = Sleeper()
        late = number % 2 == 1

        def script(speaker: Speaker, init: Sleeper = init, late: bool = late) -> None:
            speaker.cloned(1, init)
            if late:
                speaker.tell(("turn", []))
                speaker.await_go()
            size = chance.choice((3, 8, 40, 4000))
            data = chance.randbytes(size)
            if chance.random() < 0.5:  # of the length that it says
                data = size.to_bytes(8, "little") + data
            with contextlib.suppress(OSError):
                os.write(speaker.descriptors()[0], data)

        with pytest.raises(StepError, match=r"cannot be understood|ended unexpectedly|was killed"):
            converse(monkeypatch, plan, script).finish()
        assert init.reaped()


FAILED = (2, "open(x)", "No such file or directory", "x", "")


@pytest.mark.parametrize(
    "words",
    [
        [("turn", [(5, 0, 0, "ok")])],
        [("turn", [(2, 0, 0, "ok"), (0, 0, 0, "ok")])],
        [("failed", 0, *FAILED, [])],
        [("failed", 5, *FAILED, [])],
        [("failed", 2, *FAILED, [(5, 0, 0, "ok")])],
        [("turn", []), ("traced", [(5, 0, 0, "ok")], 0, 0)],
        [("turn", []), ("traced", [], 0, 0), ("traced", [], 0, 0)],
        [("turn", []), ("failed", 5, *FAILED, [])],
        [("turn", []), ("turn", [])],
    ],
)
def test_what_is_said_of_no_step_or_twice_is_not_understood(
    fake: Callable[..., Step], monkeypatch: pytest.MonkeyPatch, words: list[tuple[Any, ...]]
) -> None:
    plan = plan_of(fake, (SERVER, "clone_one"), (INIT, "a"), (RUNTIME, "b"), (INIT, "c"))
    init = Sleeper()

    def script(speaker: Speaker) -> None:
        speaker.cloned(1, init)
        with contextlib.suppress(OSError, EOFError):  # it hangs up
            for word in words:
                speaker.tell(word)
                if word == words[0] == ("turn", []):
                    speaker.await_go()

    with pytest.raises(StepError, match="cannot be understood"):
        converse(monkeypatch, plan, script).finish()
    assert init.reaped()


def test_an_execve_that_is_no_step_is_not_recorded(
    fake: Callable[..., Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(fake, (SERVER, "clone_one"), (INIT, "a"))
    for number, recorded in ((2, [2]), (0, []), (3, [])):
        init = Sleeper()

        def script(speaker: Speaker, number: int = number, init: Sleeper = init) -> None:
            speaker.cloned(1, init)
            speaker.tell(("traced", [], number, 0))

        begun = converse(monkeypatch, plan, script)
        begun.traces = []
        begun.finish()
        assert [one[0] for one in begun.traces] == recorded
        servers.end(begun.pidfd)
        assert init.reaped()


@pytest.mark.parametrize("ahead", [False, True])
def test_who_has_gone_at_the_word_to_go_on(
    fake: Callable[..., Step], monkeypatch: pytest.MonkeyPatch, *, ahead: bool
) -> None:
    """What let him go is what he died of, or he has said why he failed."""
    speaking: list[threading.Thread] = []
    fake("b", lambda context: speaking[0].join(10))
    turn = AHEAD if ahead else RUNTIME
    plan = plan_of(fake, (SERVER, "clone_one"), (INIT, "a"), (turn, "b"), (INIT, "c"))
    init = Sleeper()

    def script(speaker: Speaker) -> None:
        speaking.append(threading.current_thread())
        speaker.cloned(1, init)
        speaker.tell(("failed", 2, *FAILED, []) if ahead else ("turn", []))
        os.kill(init.pid, signal.SIGKILL)

    if ahead:
        begun = converse(monkeypatch, plan, script)
        with pytest.raises(StepError, match="No such file") as caught:
            begun.finish()
        assert caught.value.number == 2
    else:
        with pytest.raises(StepError, match="its process was killed") as caught:
            converse(monkeypatch, plan, script)
        assert caught.value.number == 3
    assert init.reaped()


def test_what_is_warned_of_is_told_with_the_place_of_its_step(
    fake: Callable[..., Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(fake, (SERVER, "clone_one"), (INIT, "a"), (RUNTIME, "b"), (INIT, "c"))
    plan.steps[1].why = "mounts[4]"
    init = Sleeper()

    def script(speaker: Speaker) -> None:
        speaker.write_down(init)
        speaker.tell(("warned", 2, "by the stage"))
        speaker.tell(("cloned", 1))
        speaker.tell(("warned", 2, "and after"))
        speaker.tell(("turn", []))
        speaker.await_go()
        speaker.tell(("warned", 2, "and late"))
        os.kill(init.pid, signal.SIGKILL)

    begun = converse(monkeypatch, plan, script)
    with pytest.raises(StepError, match="its process was killed"):
        begun.finish()
    texts = ("by the stage", "and after", "and late")
    assert begun.warnings == [f"mounts[4]: {text}" for text in texts]


@pytest.mark.parametrize("number", [0, 5, 2])
def test_who_warns_of_no_step_or_without_end_is_not_understood(
    fake: Callable[..., Step], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    plan = plan_of(fake, (SERVER, "clone_one"), (INIT, "a"), (RUNTIME, "b"), (INIT, "c"))
    init = Sleeper()

    def script(speaker: Speaker) -> None:
        speaker.cloned(1, init)
        with contextlib.suppress(OSError):  # it hangs up
            for _ in range(5 if number == 2 else 1):
                speaker.tell(("warned", number, "text"))

    with pytest.raises(StepError, match="cannot be understood"):
        converse(monkeypatch, plan, script)
    assert init.reaped()


@pytest.mark.parametrize("early", [True, False])
def test_a_clone_that_fails_before_its_cloner_tells(
    fake: Callable[..., Step], monkeypatch: pytest.MonkeyPatch, early: bool
) -> None:
    plan = plan_of(fake, (SERVER, "clone_one"), (INIT, "a"), (RUNTIME, "b"))
    init = Sleeper()

    def script(speaker: Speaker) -> None:
        failed: tuple[Any, ...] = (
            "failed",
            2,
            2,
            "open(x)",
            "No such file or directory",
            "x",
            "",
            [],
        )
        if early:
            speaker.write_down(init)
            speaker.tell(failed)
        else:
            speaker.cloned(1, init)
            speaker.tell(failed)

    with pytest.raises(StepError) as caught:
        converse(monkeypatch, plan, script)
    assert (caught.value.number, caught.value.call, caught.value.errno) == (2, "open(x)", 2)
    assert init.reaped()


def test_a_process_that_goes_without_a_word(
    fake: Callable[..., Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(fake, (SERVER, "clone_one"), (INIT, "a"), (RUNTIME, "b"))
    init = Sleeper()

    def script(speaker: Speaker) -> None:
        speaker.cloned(1, init)
        os.kill(init.pid, signal.SIGKILL)

    with pytest.raises(StepError, match="its process was killed") as caught:
        converse(monkeypatch, plan, script)
    assert caught.value.hint == ""  # nothing limits its memory
    assert init.reaped()


def test_an_interruption_while_one_may_end_by_itself(
    fake: Callable[..., Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its talk has ended: somebody else has ended it, or it is about to be gone."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    plan = plan_of(fake, (SERVER, "clone_one"), (INIT, "a"), (RUNTIME, "b"))
    init = Sleeper()
    before = signal.signal(signal.SIGUSR1, interrupt)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGUSR1))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            converse(monkeypatch, plan, lambda speaker: speaker.cloned(1, init), patience=5)
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, before)
    assert init.reaped()


def test_a_process_that_goes_while_others_hold_the_talk(
    fake: Callable[..., Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may trace it can have copies of its ends, and keep them."""
    plan = plan_of(fake, (SERVER, "clone_one"), (INIT, "a"), (RUNTIME, "b"))
    init, over = Sleeper(), threading.Event()

    def script(speaker: Speaker) -> None:
        speaker.cloned(1, init)
        os.kill(init.pid, signal.SIGKILL)
        over.wait(3)

    begun = time.monotonic()
    with pytest.raises(StepError, match="its process was killed"):
        converse(monkeypatch, plan, script)
    assert time.monotonic() - begun < 2
    over.set()
    assert init.reaped()


def test_others_that_do_not_end_by_themselves_are_killed(
    fake: Callable[..., Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(context: Context) -> None:
        raise KeyboardInterrupt

    fake("b", interrupt)
    plan = plan_of(
        fake, (SERVER, "clone_one"), (STAGE, "clone_two"), (INIT, "a"), (RUNTIME, "b"), (INIT, "c")
    )
    stage, init = Sleeper(), Sleeper()

    def script(speaker: Speaker) -> None:
        speaker.cloned(1, stage)
        speaker.cloned(2, init)
        os.kill(stage.pid, signal.SIGKILL)
        speaker.tell(("turn", []))
        select.select([init.pidfd], [], [])

    with pytest.raises(KeyboardInterrupt):
        converse(monkeypatch, plan, script)
    assert stage.reaped()
    assert init.reaped()


def test_others_end_by_themselves_when_the_runtime_hangs_up(
    fake: Callable[..., Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are killed only if they do not: one may be about to tell of another."""

    def fail(context: Context) -> None:
        raise StepProblem("no")

    fake("b", fail)
    plan = plan_of(fake, (SERVER, "clone_one"), (INIT, "a"), (RUNTIME, "b"), (INIT, "c"))
    init = Sleeper()
    alive = []

    def script(speaker: Speaker) -> None:
        speaker.cloned(1, init)
        speaker.tell(("turn", []))
        with pytest.raises(EOFError):
            speaker.await_go()
        time.sleep(0.2)  # which it may take
        alive.append(not select.select([init.pidfd], [], [], 0)[0])

    begun = time.monotonic()
    with pytest.raises(StepError, match="no"):
        converse(monkeypatch, plan, script, patience=5)
    assert time.monotonic() - begun < 4
    assert alive == [True]
    assert init.reaped()


def test_a_server_that_goes_is_asked_once_more(
    fake: Callable[..., Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = []
    fake("before", lambda context: done.append(1))
    plan = plan_of(fake, (RUNTIME, "before"), (SERVER, "clone_one"), (INIT, "a"))
    init = Sleeper()

    def script(speaker: Speaker) -> None:
        speaker.cloned(2, init)

    begun = converse(monkeypatch, plan, lambda channel: None, script)
    assert begun.pid == init.pid
    assert done == [1]
    servers.end(begun.pidfd)
    assert init.reaped()
    with pytest.raises(Error, match="the bootstrap server ended"):
        converse(monkeypatch, plan, *[lambda channel: None] * 2)


@pytest.mark.longest(20)
def test_one_that_says_it_executes_and_does_not(
    fake: Callable[..., Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else has ended the talk after it."""
    plan = plan_of(fake, (SERVER, "clone_one"), (INIT, "a"))
    forked_only = Stopped()

    def script(speaker: Speaker) -> None:
        speaker.cloned(1, forked_only)
        speaker.tell(("traced", [], 0, 0))

    with pytest.raises(StepError, match="cannot be understood"):
        converse(monkeypatch, plan, script).finish()
    assert forked_only.reaped()


def test_what_is_said_as_it_executes() -> None:
    """It is there before the execve is seen, but may not have been when we looked."""
    reader, writer = os.pipe()
    executed = Sleeper()
    looks = select.poll

    class Late:
        """Sees the first look come to nothing, as if all happened just after it."""

        def __init__(self) -> None:
            self.poll_really, self.looked = looks(), False

        def register(self, *what: int) -> None:
            self.poll_really.register(*what)

        def poll(self, *limit: float) -> list[tuple[int, int]]:
            if not self.looked:
                self.looked = True
                os.write(writer, b"said")
                return []
            return self.poll_really.poll(*limit)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(select, "poll", Late)
        assert becoming.wait(executed.pidfd, reader, select.POLLIN) == becoming.HEARD
    servers.end(executed.pidfd)
    os.close(reader)
    os.close(writer)
