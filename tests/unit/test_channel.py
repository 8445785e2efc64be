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
import types
from typing import TYPE_CHECKING, Any, cast

import pytest

from libct.bootstrap import becoming, client, clones, servers
from libct.bootstrap.channel import Channel
from libct.bootstrap.context import Context
from libct.bootstrap.failure import Failure
from libct.bootstrap.performer import Trace, carry_on, perform, performers
from libct.errors import CgroupError, Error, StepError, StepProblem
from libct.plan.step import INIT, OPERATIONS, RUNTIME, SERVER, STAGE, Plan, Step, operation
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


def test_no_notice_is_taken_of_the_rest_of_a_conversation(ends: tuple[Channel, Channel]) -> None:
    reader, writer = os.pipe()
    ends[0].send(("cloned", 1, 2), [writer])
    os.read(ends[1].fileno(), 3)  # interrupted in the middle of it, whose descriptor is lost
    ends[0].send(("other",), [reader])
    ends[0].send(("last",), [writer, reader])
    before = os.listdir("/proc/self/fd")
    assert not ends[1].drain(0.01)
    assert os.listdir("/proc/self/fd") == before
    ends[0].close()
    assert ends[1].drain(5)
    os.close(reader)
    os.close(writer)


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
            operation("fakes", name)(calls)
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
    ours, theirs = Channel.pair()
    done = threading.Event()
    segments = [
        (INIT, performers([(1, fake("one").performer, ())])),
        (RUNTIME, []),
        (INIT, performers([(3, fake("three", lambda context: done.set()).performer, ())])),
    ]
    thread = threading.Thread(target=carry_on, args=(segments, Context(), theirs, Trace(True)))
    thread.start()
    (kind, records), _, speaker = ours.hear()
    assert speaker == os.getpid()
    assert (kind, [number for number, _, _, _ in records]) == ("turn", [1])
    assert not done.wait(0.1)
    ours.send(("go",))
    thread.join(5)
    assert done.is_set()
    ours.close()
    with pytest.raises(BrokenPipeError):  # and the process that performs them ends
        carry_on(segments, Context(), theirs, Trace(False))
    theirs.close()


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


class Stage(Sleeper):
    """A child that says, when it is to, that it has cloned another one."""

    def __init__(self, channel: Channel, number: int, clone: Sleeper) -> None:
        cue, self._cue = os.pipe()
        self._done, done = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.read(cue, 1)
            channel.tell(("cloned", number, clone.pid), [clone.pidfd])
            os.write(done, b"1")
            while True:
                signal.pause()
        os.close(cue)
        os.close(done)
        self.pidfd = pidfd_open(self.pid)

    def tell(self) -> None:
        os.write(self._cue, b"1")
        os.read(self._done, 1)
        os.close(self._cue)
        os.close(self._done)


def plan_of(fake: Callable[..., Step], *steps: tuple[str, str]) -> Plan:
    plan = Plan()
    for process, name in steps:
        plan.add(process, "phase", [fake(name)])
    return plan


TELL = Channel.tell


def converse(
    monkeypatch: pytest.MonkeyPatch,
    plan: Plan,
    *scripts: Callable[[Channel], None],
    patience: float = 0.05,
) -> client.Started:
    """Carry out a plan with a server that speaks as the scripts say, one for each request."""
    left = list(scripts)

    def ask(run: client._Run, index: int) -> None:
        run.asked = index
        run.clones = clones.make_file()
        run.server = cast("servers.Server", types.SimpleNamespace(pid=os.getpid(), pidfd=-1))
        run.started.channel, theirs = Channel.pair()
        script = left.pop(0)

        def told(message: tuple[Any, ...], fds: Any = ()) -> None:
            if message[0] == "cloned":  # the kernel has written its number down, then
                slot = plan.steps[message[1] - 1].process == STAGE
                os.pwrite(run.clones, message[2].to_bytes(4, sys.byteorder), 4 * slot)
            TELL(theirs, message, fds)

        monkeypatch.setattr(Channel, "tell", lambda channel, *said: told(*said))

        def speak() -> None:
            script(theirs)
            theirs.close()

        threading.Thread(target=speak).start()

    monkeypatch.setattr(client._Run, "_ask", ask)
    monkeypatch.setattr(client, "_PATIENCE", patience)
    return client.carry_out(plan, Context(), trace=True)


def test_messages_about_two_clones_may_come_in_either_order(
    fake: Callable[..., Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stage may be faster than the server that has just made it."""
    plan = plan_of(
        fake, (SERVER, "clone_one"), (STAGE, "clone_two"), (INIT, "a"), (RUNTIME, "b"), (INIT, "c")
    )
    for order in ((1, 2), (2, 1)):
        init = Sleeper()
        stages: list[Stage] = []

        def script(
            channel: Channel,
            order: tuple[int, ...] = order,
            init: Sleeper = init,
            stages: list[Stage] = stages,
        ) -> None:
            stage = Stage(channel, 2, init)
            stages.append(stage)
            for number in order:
                if number == 1:
                    channel.tell(("cloned", 1, stage.pid), [stage.pidfd])
                else:
                    stage.tell()
            os.kill(stage.pid, signal.SIGKILL)  # it leaves when it has cloned
            channel.tell(("turn", [(3, 0, 0, "ok")]))
            assert channel.receive()[0] == ("go",)
            channel.tell(("traced", [], 0, 0))

        started = converse(monkeypatch, plan, script)
        assert started.pid == init.pid
        started.finish()
        assert stages[0].reaped()
        servers.end(started.pidfd)
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

        def script(channel: Channel, init: Sleeper = init, late: bool = late) -> None:
            channel.tell(("cloned", 1, init.pid), [init.pidfd])
            if late:
                channel.tell(("turn", []))
                channel.receive()
            size = chance.choice((3, 8, 40, 4000))
            data = chance.randbytes(size)
            if chance.random() < 0.5:  # of the length that it says
                data = size.to_bytes(8, "little") + data
            with contextlib.suppress(OSError):
                channel._socket.sendall(data)

        with pytest.raises(StepError, match=r"cannot be understood|ended unexpectedly|was killed"):
            converse(monkeypatch, plan, script).finish()
        assert init.reaped()


def test_what_is_warned_of_is_told_with_the_place_of_its_step(
    fake: Callable[..., Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(fake, (SERVER, "clone_one"), (INIT, "a"), (RUNTIME, "b"), (INIT, "c"))
    plan.steps[1].why = "mounts[4]"
    init = Sleeper()

    def script(channel: Channel) -> None:
        channel.tell(("warned", 2, "before its cloner tells"))
        channel.tell(("cloned", 1, init.pid), [init.pidfd])
        channel.tell(("warned", 2, "and after"))
        channel.tell(("turn", []))
        channel.receive()
        channel.tell(("warned", 2, "and late"))
        os.kill(init.pid, signal.SIGKILL)

    started = converse(monkeypatch, plan, script)
    with pytest.raises(StepError, match="its process was killed"):
        started.finish()
    texts = ("before its cloner tells", "and after", "and late")
    assert started.warnings == [f"mounts[4]: {text}" for text in texts]


@pytest.mark.parametrize("number", [0, 5, 2])
def test_who_warns_of_no_step_or_without_end_is_not_understood(
    fake: Callable[..., Step], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    plan = plan_of(fake, (SERVER, "clone_one"), (INIT, "a"), (RUNTIME, "b"), (INIT, "c"))
    init = Sleeper()

    def script(channel: Channel) -> None:
        channel.tell(("cloned", 1, init.pid), [init.pidfd])
        with contextlib.suppress(OSError):  # it hangs up
            for _ in range(5 if number == 2 else 1):
                channel.tell(("warned", number, "text"))

    with pytest.raises(StepError, match="cannot be understood"):
        converse(monkeypatch, plan, script)
    assert init.reaped()


@pytest.mark.parametrize("early", [True, False])
def test_a_clone_that_fails_before_its_cloner_tells(
    fake: Callable[..., Step], monkeypatch: pytest.MonkeyPatch, early: bool
) -> None:
    plan = plan_of(fake, (SERVER, "clone_one"), (INIT, "a"), (RUNTIME, "b"))
    init = Sleeper()

    def script(channel: Channel) -> None:
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
        cloned = ("cloned", 1, init.pid)
        if early:
            channel.tell(failed)
            channel.tell(cloned, [init.pidfd])
        else:
            channel.tell(cloned, [init.pidfd])
            channel.tell(failed)

    with pytest.raises(StepError) as caught:
        converse(monkeypatch, plan, script)
    assert (caught.value.number, caught.value.call, caught.value.errno) == (2, "open(x)", 2)
    assert init.reaped()


def test_a_process_that_goes_without_a_word(
    fake: Callable[..., Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(fake, (SERVER, "clone_one"), (INIT, "a"), (RUNTIME, "b"))
    init = Sleeper()

    def script(channel: Channel) -> None:
        channel.tell(("cloned", 1, init.pid), [init.pidfd])
        os.kill(init.pid, signal.SIGKILL)

    with pytest.raises(StepError, match="its process was killed") as caught:
        converse(monkeypatch, plan, script)
    assert caught.value.hint == ""  # nothing limits its memory
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
    init = Sleeper()
    stages: list[Stage] = []

    def script(channel: Channel) -> None:
        stage = Stage(channel, 2, init)
        stages.append(stage)
        channel.tell(("cloned", 1, stage.pid), [stage.pidfd])
        stage.tell()
        os.kill(stage.pid, signal.SIGKILL)
        channel.tell(("turn", []))
        os.waitid(os.P_PIDFD, init.pidfd, os.WEXITED | os.WNOWAIT)

    with pytest.raises(KeyboardInterrupt):
        converse(monkeypatch, plan, script)
    assert stages[0].reaped()
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

    def script(channel: Channel) -> None:
        channel.tell(("cloned", 1, init.pid), [init.pidfd])
        channel.tell(("turn", []))
        with pytest.raises(EOFError):
            channel.receive()
        alive.append(not select.select([init.pidfd], [], [], 0)[0])

    with pytest.raises(StepError, match="no"):
        converse(monkeypatch, plan, script, patience=5)
    assert alive == [True]
    assert init.reaped()


def test_a_server_that_goes_is_asked_once_more(
    fake: Callable[..., Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = []
    fake("before", lambda context: done.append(1))
    plan = plan_of(fake, (RUNTIME, "before"), (SERVER, "clone_one"), (INIT, "a"))
    init = Sleeper()

    def script(channel: Channel) -> None:
        channel.tell(("cloned", 2, init.pid), [init.pidfd])

    started = converse(monkeypatch, plan, lambda channel: None, script)
    assert started.pid == init.pid
    assert done == [1]
    servers.end(started.pidfd)
    assert init.reaped()
    with pytest.raises(Error, match="the bootstrap server ended"):
        converse(monkeypatch, plan, *[lambda channel: None] * 2)


def test_one_that_says_it_executes_and_does_not(
    fake: Callable[..., Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else has ended the talk after it."""
    plan = plan_of(fake, (SERVER, "clone_one"), (INIT, "a"))
    other = Sleeper()
    forked_only = Stage(Channel.pair()[0], 2, other)

    def script(channel: Channel) -> None:
        channel.tell(("cloned", 1, forked_only.pid), [forked_only.pidfd])
        channel.tell(("traced", [], 0, 0))

    with pytest.raises(StepError, match="cannot be understood"):
        converse(monkeypatch, plan, script).finish()
    assert forked_only.reaped()
    servers.end(other.pidfd)


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
