"""Terminals: in the foreground between two pseudo terminals, and sent over a console socket."""

from __future__ import annotations

import fcntl
import os
import shlex
import signal
import socket
import struct
import subprocess
import tempfile
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import pytest

from libct.life.container import list_containers
from tests import terminals
from tests.support import (
    busybox_rootfs,
    libct,
    libct_command,
    libct_environment,
    make_bundle,
    requires,
    session_directory,
    state_root,
    unique,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [requires("root", "busybox"), pytest.mark.usefixtures("nothing_left")]


class Session(terminals.Session):
    """libct as the only job of a terminal."""

    def __init__(self, *args: str | os.PathLike[str], **streams: Any) -> None:
        super().__init__(libct_command(*args), libct_environment(), **streams)


@pytest.fixture(scope="module")
def rootfs() -> Path:
    return busybox_rootfs(Path(tempfile.mkdtemp(dir=session_directory())))


def bundle_of(directory: Path, rootfs: Path, *args: str, **process: Any) -> Path:
    return make_bundle(directory, rootfs=rootfs, args=args, process={"terminal": True, **process})


def test_a_shell_in_the_foreground(tmp_path: Path, rootfs: Path) -> None:
    bundle = bundle_of(tmp_path, rootfs, "sh", env=["PATH=/bin", "PS1=prompt> "])
    with Session("run", "-b", bundle, unique()) as session:
        session.read_until("prompt> ")
        # Typed bytes go through unchanged: it is the inner terminal that echoes.
        assert termios.tcgetattr(session.terminal)[3] & (termios.ECHO | termios.ICANON) == 0
        session.type("stty size; tty; test -t 2 && echo all\n")
        assert "30 100\r\n/dev/pts/0\r\nall\r\n" in session.read_until("\nall\r\n")
        # Job control: the interrupt ends sleep, and not the shell, nor libct.
        session.type("sleep 1000\n")
        session.read_until("1000\r\n")
        time.sleep(0.3)
        session.type("\x03")
        session.read_until("prompt> ")
        session.type("echo status $?\n")
        session.read_until("\nstatus 130\r\n")
        session.type("exit 5\n")
        assert session.end() == 5


def test_the_size_follows(tmp_path: Path, rootfs: Path) -> None:
    script = "trap 'stty size' WINCH; trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    bundle = bundle_of(tmp_path, rootfs, "sh", "-c", script)
    with Session("run", "-b", bundle, unique()) as session:
        session.read_until("ready")
        session.resize(40, 120)
        session.read_until("40 120")
        session.process.send_signal(signal.SIGTERM)
        assert session.end() == 3


def test_all_output_arrives_however_fast_the_end(tmp_path: Path, rootfs: Path) -> None:
    bundle = bundle_of(tmp_path, rootfs, "seq", "20000")
    with Session("run", "-b", bundle, unique()) as session:
        text = session.read_until("\r\n20000\r\n")
        assert text.split() == [str(number) for number in range(1, 20001)]
        assert session.end() == 0


def test_the_terminal_is_restored_after_a_failure(tmp_path: Path, rootfs: Path) -> None:
    with Session("run", "-b", bundle_of(tmp_path, rootfs, "no-such"), unique()) as session:
        session.read_until("libct: .*executable file not found")
        assert session.end() == 1


def test_a_job_that_is_stopped_gives_the_terminal_back(tmp_path: Path, rootfs: Path) -> None:
    bundle = bundle_of(tmp_path, rootfs, "sh", "-c", "echo ready; read line; exit 6")
    with Session("run", "-b", bundle, unique()) as session:
        session.read_until("ready")
        session.process.send_signal(signal.SIGTSTP)
        assert wait_until(lambda: _state_of(session.process.pid) == "T")
        assert termios.tcgetattr(session.terminal) == session.before
        session.process.send_signal(signal.SIGCONT)
        assert wait_until(lambda: termios.tcgetattr(session.terminal)[3] & termios.ECHO == 0)
        session.type("line\n")
        assert session.end() == 6


@pytest.fixture
def at_a_shell() -> Iterator[terminals.Session]:
    """The terminal of a shell with jobs."""
    with terminals.Session(["sh", "-m"], {**libct_environment(), "PS1": "host> "}) as session:
        session.read_until("host> ")
        yield session
        session.type("exit\n")
        session.end()  # the terminal is as it was


def _stops(session: terminals.Session) -> None:
    """What is typed stops all in the sandbox, and libct, which gives the terminal back."""
    session.type("\x1a")
    session.read_until("Stopped(?s:.*)host> ")
    (container,) = list_containers(str(state_root()))
    pids = container.processes()
    assert len(pids) > 1
    assert wait_until(lambda: {_state_of(pid) for pid in pids} == {"T"})
    session.type("stty -a\n")
    assert "echo" in session.read_until("host> ").split()


@pytest.mark.parametrize("options", ["", "--memory 100M", "--as-pid-1"])
def test_a_sandbox_is_a_job_of_the_shell(at_a_shell: terminals.Session, options: str) -> None:
    """All in there is stopped: also what is in another session."""
    script = "setsid sh -c 'while :; do echo beat; sleep 0.1; done' & read line; echo =$line"
    command = libct_command("sandbox", *options.split(), "--", "sh", "-c", script)
    at_a_shell.type(f"{shlex.join(command)}\n")
    at_a_shell.read_until("beat\r\nbeat")
    _stops(at_a_shell)
    time.sleep(0.5)
    at_a_shell.type("echo; jobs\n")
    assert "\nbeat" not in at_a_shell.read_until("Stopped(?s:.*)host> ")
    at_a_shell.type("fg\n")
    at_a_shell.read_until("beat\r\nbeat")
    at_a_shell.type("typed\n")
    at_a_shell.read_until("=typed(?s:.*)host> ")


def test_a_sandbox_with_no_terminal_is_a_job_too(at_a_shell: terminals.Session) -> None:
    script = "while :; do echo beat; sleep 0.1; done"
    command = shlex.join(libct_command("sandbox", "--", "sh", "-c", script))
    at_a_shell.type(f"{command} </dev/null\n")
    at_a_shell.read_until("beat\r\nbeat")
    _stops(at_a_shell)
    at_a_shell.type("fg\n")
    at_a_shell.read_until("beat\r\nbeat")
    at_a_shell.type("\x03")
    at_a_shell.read_until("host> ")


def test_a_shell_in_a_sandbox_has_jobs_of_its_own(at_a_shell: terminals.Session) -> None:
    command = shlex.join(libct_command("sandbox", "-e", "PS1=inside> ", "--", "sh", "-m"))
    at_a_shell.type(f"{command}\n")
    at_a_shell.read_until("\r\ninside> ")
    at_a_shell.type("\x1a")  # which a shell ignores
    at_a_shell.type("cat\n")
    at_a_shell.read_until("cat\r\n")
    time.sleep(0.3)
    at_a_shell.type("\x1a")
    at_a_shell.read_until("Stopped(?s:.*)inside> ")
    at_a_shell.type("fg\n")
    at_a_shell.read_until("cat\r\n")
    at_a_shell.type("\x03")
    at_a_shell.read_until("inside> ")
    at_a_shell.resize(20, 50)
    time.sleep(0.3)
    at_a_shell.type("stty size\n")
    at_a_shell.read_until("20 50\r\n(?s:.*)inside> ")
    at_a_shell.type("exit 3\n")
    at_a_shell.read_until("host> ")
    at_a_shell.type("echo $?\n")
    at_a_shell.read_until("3\r\n")


def test_a_stop_that_nobody_could_end_is_none() -> None:
    """As the kernel has it for an orphaned process group."""
    with Session("sandbox", "--", "sh", "-c", "echo ready; read line; exit 4") as session:
        session.read_until("ready\r\n")
        session.type("\x1a")
        time.sleep(0.5)
        assert _state_of(session.process.pid) != "T"
        session.type("line\n")
        assert session.end() == 4


def test_a_command_that_stops_itself_stops_libct(at_a_shell: terminals.Session) -> None:
    script = "(sleep 1; echo later) & kill -STOP 0; wait; echo on; read line; echo =$line"
    at_a_shell.type(shlex.join(libct_command("sandbox", "--", "sh", "-c", script)) + "\n")
    at_a_shell.read_until("Stopped(?s:.*)host> ")
    (container,) = list_containers(str(state_root()))
    assert wait_until(lambda: {_state_of(pid) for pid in container.processes()} == {"T"})
    at_a_shell.type("stty -a\n")
    assert "echo" in at_a_shell.read_until("host> ").split()
    at_a_shell.type("fg\n")
    at_a_shell.read_until("later\r\non\r\n")
    at_a_shell.type("typed\n")
    at_a_shell.read_until("=typed(?s:.*)host> ")


def test_a_command_that_stops_itself_stays_so_where_libct_is_no_job() -> None:
    script = "echo ready $$; kill -STOP $$; echo on"
    with Session("sandbox", "--", "sh", "-c", script) as session:
        session.read_until("ready")
        (container,) = list_containers(str(state_root()))
        assert wait_until(lambda: [_state_of(pid) for pid in container.processes()] == ["T"])
        assert _state_of(session.process.pid) != "T"
        container.signal(signal.SIGCONT)
        session.read_until("on\r\n")
        assert session.end() == 0


@requires("vi")
def test_an_editor_in_a_sandbox(at_a_shell: terminals.Session) -> None:
    """It draws on all of the terminal, follows its size, and reads keys and not lines."""
    script = "vi -u NONE -N /tmp/text; cat /tmp/text; stty -a"
    command = libct_command("sandbox", "-e", "TERM=xterm", "--", "sh", "-c", script)
    at_a_shell.type(f"{shlex.join(command)}\n")
    at_a_shell.read_until(r"\x1b\[30;1H(?s:.*)/tmp/text")
    at_a_shell.type("itext\x1b")
    at_a_shell.read_until("text")
    at_a_shell.resize(20, 50)
    at_a_shell.read_until(r"\x1b\[19;1H")  # the last line of text
    at_a_shell.type(":set lines?\r")
    at_a_shell.read_until("lines=20")
    at_a_shell.type("\x03")  # a key to it
    # What is typed before it has drawn that, it throws away.
    at_a_shell.read_until(r"Type +:qa(?s:.*)\x1b\[\?25h")
    at_a_shell.type(":wq\r")
    text = at_a_shell.read_until("host> ")
    assert "text\r\n" in text
    assert "isig icanon" in text


@requires("less")
def test_a_pager_in_a_sandbox(at_a_shell: terminals.Session, tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    lines.write_text("".join(f"line {number}\n" for number in range(1000)))
    words = ["-e", "TERM=xterm", "--ro", str(lines), "--", "less", str(lines)]
    at_a_shell.type(f"{shlex.join(libct_command('sandbox', *words))}\n")
    at_a_shell.read_until("line 28\r")
    at_a_shell.type("G")
    at_a_shell.read_until("line 999\r(?s:.*)END")
    at_a_shell.type("\x03")  # it beeps, and goes on
    at_a_shell.read_until("\x07(?s:.*)END")
    at_a_shell.type("g")
    at_a_shell.read_until("line 0\r")
    at_a_shell.type("q")
    at_a_shell.read_until("host> ")
    at_a_shell.type("echo $?\n")
    at_a_shell.read_until("\n0\r\n")


def test_a_job_that_starts_in_the_background_waits_for_the_foreground(
    tmp_path: Path, rootfs: Path
) -> None:
    bundle = bundle_of(tmp_path, rootfs, "sh", "-c", "echo rea''dy; read line; exit 7")
    command = shlex.join(libct_command("run", "-b", bundle, unique()))
    with terminals.Session(["sh", "-m"], {**libct_environment(), "PS1": "host> "}) as session:
        session.read_until("host> ")
        session.type(f"{command} &\n")

        def stopped() -> bool:
            session.type("jobs\n")
            return "Stopped" in session.read_until("jobs\r\n(?s:.*)host> ")

        assert wait_until(stopped)
        session.type("fg\n")
        session.read_until("ready")
        assert wait_until(lambda: termios.tcgetattr(session.terminal)[3] & termios.ECHO == 0)
        session.type("line\n")
        session.read_until("host> ")
        session.type("echo status $?\n")
        session.read_until("\nstatus 7\r\n")
        session.type("exit\n")
        assert session.end() == 0


def _state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_without_a_terminal_of_the_caller(tmp_path: Path, rootfs: Path) -> None:
    """The process has one all the same; the end of standard input is an end of file there."""
    bundle = bundle_of(tmp_path, rootfs, "sh", "-c", "tty; stty -echo; echo ready; cat; echo done")
    with subprocess.Popen(
        libct_command("run", "-b", bundle, unique()),
        env={**os.environ, **libct_environment()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        # What comes before the terminal is set not to echo, it echoes, and anywhere.
        said = process.stdout.readline() + process.stdout.readline()
        process.stdin.write(b"one\nunfinished")
        process.stdin.close()
        said += process.stdout.read()
        assert process.wait(20) == 0
    # Only a terminal of the caller's would make another end of line of that.
    assert said.decode() == "/dev/pts/0\nready\none\nunfinisheddone\n"


SHELLS = {
    "shell": "exec sh -i",
    "one after the other": "sh -i; sh -i; cat; sh -i",
    "late": "sleep 0.3; sh -i",
    "lines": "read x; cat; read x; cat",
    "set anew": "stty -icanon; stty icanon; sh -i",
}


@pytest.mark.parametrize("script", SHELLS.values(), ids=SHELLS)
def test_standard_input_stays_at_its_end(tmp_path: Path, rootfs: Path, script: str) -> None:
    """Whenever it is read, and whatever the terminal has been set to in between."""
    bundle = bundle_of(tmp_path, rootfs, "sh", "-c", script)
    for _ in range(4):
        done = libct("run", "-b", bundle, unique(), timeout=20)
        assert done.returncode == 0 or "read" in script, done


def test_no_end_of_file_is_added_to_one_that_is_unread(tmp_path: Path, rootfs: Path) -> None:
    """Without a terminal's lines each would be a character of its own, and so many."""
    read = "dd bs=100 count=1 2>/dev/null | tr '\\000\\004' 'zd'"
    script = f"sleep 1; stty -icanon; {read}"
    bundle = bundle_of(tmp_path, rootfs, "sh", "-c", f"stty -echo; {script}")
    done = libct("run", "-b", bundle, unique())
    assert done.stdout == "z", done


@pytest.mark.parametrize(
    ("typed", "script", "status"),
    [
        ("\x03", "cat", 128 + signal.SIGINT),
        ("\x1c", "cat", 128 + signal.SIGQUIT),
        ("\x03", "trap 'exit 7' INT; cat; exit 6", 7),
        # It is the line that is interrupted, and not the shell.
        ("\x03\x04", "trap '' INT; cat; exit 6", 6),
        ("\x03\x04", "stty -isig; cat; exit 5", 5),
    ],
)
def test_what_is_typed_ends_what_runs_in_a_sandbox(typed: str, script: str, status: int) -> None:
    """As if it were no process 1 of a pid namespace, which the kernel spares."""
    with Session("sandbox", "--", "sh", "-c", f"echo ready; {script}") as session:
        session.read_until("ready\r\n")
        time.sleep(0.3)  # until cat reads
        for character in typed:
            session.type(character)
            time.sleep(0.3)
        if status == 5:
            session.type("\x04")  # the line that \x03 has begun, and its end
        assert session.end() == status


def test_exec_with_a_terminal(tmp_path: Path, rootfs: Path) -> None:
    name = unique()
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["sleep", "1000"])
    libct("run", "-d", "-b", bundle, name, check=True)
    try:
        with Session("exec", "-t", "-e", "PS1=prompt> ", name, "sh") as session:
            session.read_until("prompt> ")
            session.type("stty size; tty; exit 4\n")
            session.read_until("30 100\r\n/dev/pts/[0-9]")
            assert session.end() == 4
    finally:
        libct("delete", "--force", name, check=True)


# --- hung up ---


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("trap 'sleep 1; exit 7' HUP; echo ready; while :; do sleep 0.05; done", 7),
        # It is told once.
        ("trap 'n=$((n+1))' HUP; echo ready; for i in $(seq 20); do sleep 0.1; done; exit $n", 1),
        # What it still prints goes nowhere, and does not block it.
        ("trap '' HUP; echo ready; sleep 1; seq 100000 2>&-; exit 5", 5),
        # Process 1 of a pid namespace does not get a signal that it does not handle; it
        # reads an end of file.
        ("trap - HUP; echo ready; read line || exit 6; exit 8", 6),
    ],
)
@pytest.mark.parametrize("further", [False, True])
def test_the_command_ends_in_its_own_way_when_the_terminal_is_closed(
    tmp_path: Path, rootfs: Path, script: str, status: int, further: bool
) -> None:
    name = unique()
    if further:
        if "trap -" in script:
            status = 128 + signal.SIGHUP  # it is not process 1
        bundle = make_bundle(tmp_path, rootfs=rootfs, args=["sleep", "1000"])
        libct("run", "-d", "-b", bundle, name, check=True)
        words: list[str | Path] = ["exec", "-t", name, "sh", "-c", script]
    else:
        words = ["run", "-b", bundle_of(tmp_path, rootfs, "sh", "-c", script), name]
    try:
        with Session(*words) as session:
            session.read_until("ready\r\n")
            session.hang_up()
            assert session.process.wait(20) == status
    finally:
        libct("delete", "--force", name)


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("exec sleep 1000", 128 + signal.SIGHUP),  # as if it were no process 1
        ("trap 'sleep 1; exit 7' HUP; while :; do sleep 0.05; done", 7),
        ("trap '' HUP; sleep 1; exit 5", 5),
    ],
)
def test_a_sandbox_whose_terminal_is_closed(script: str, status: int) -> None:
    with Session("sandbox", "--", "sh", "-c", f"echo ready; {script}") as session:
        session.read_until("ready\r\n")
        time.sleep(0.3)
        session.hang_up()
        assert session.process.wait(20) == status


def test_a_signal_that_is_no_hang_up_of_the_terminal_is_passed_on(
    tmp_path: Path, rootfs: Path
) -> None:
    script = "trap 'echo told' HUP; echo ready; while :; do read line && exit 4; done"
    with Session("run", "-b", bundle_of(tmp_path, rootfs, "sh", "-c", script), unique()) as session:
        session.read_until("ready")
        session.process.send_signal(signal.SIGHUP)
        session.read_until("told")
        session.type("line\n")  # the terminal is still there
        assert session.end() == 4


def _queued(pipe: BinaryIO) -> int:
    return struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))[0]  # type: ignore[no-any-return]


def test_a_terminal_for_input_alone_is_closed(tmp_path: Path, rootfs: Path) -> None:
    """What has been printed up to then still goes to the pipe that is the output."""
    script = "trap 'exit 7' HUP; seq 50000; while :; do sleep 0.05; done"
    bundle = bundle_of(tmp_path, rootfs, "sh", "-c", script)
    reader, writer = os.pipe()
    with (
        open(reader, "rb", buffering=0) as output,
        Session("run", "-b", bundle, unique(), stdout=writer) as session,
    ):
        os.close(writer)
        assert output.read(1) == b"1"
        assert wait_until(lambda: _queued(output) > 40000)  # the pipe is full, and so is libct
        time.sleep(0.3)
        session.hang_up()
        time.sleep(0.3)
        text = b"1" + output.readall()
        assert session.process.wait(20) == 7
    lines = text.split()
    assert len(text) > 70_000  # also what was in libct, and in the container's terminal
    assert lines[:-1] == [b"%d" % number for number in range(1, len(lines))]


def test_a_terminal_for_output_alone_is_closed(tmp_path: Path, rootfs: Path) -> None:
    script = "trap 'exit 7' HUP; echo ready; while :; do sleep 0.05; done"
    bundle = bundle_of(tmp_path, rootfs, "sh", "-c", script)
    reader, writer = os.pipe()
    try:
        with Session("run", "-b", bundle, unique(), stdin=reader) as session:
            session.read_until("ready")
            session.hang_up()
            assert session.process.wait(20) == 7
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize(
    ("script", "status"),
    [("trap 'exit 7' HUP; while :; do echo y; done", 7), ("exec yes", 1)],
)
def test_nobody_reads_the_output(tmp_path: Path, rootfs: Path, script: str, status: int) -> None:
    """It ends as what writes to a pipe itself does."""
    bundle = bundle_of(tmp_path, rootfs, "sh", "-c", script)
    reader, writer = os.pipe()
    with Session("run", "-b", bundle, unique(), stdout=writer) as session:
        os.close(writer)
        assert os.read(reader, 1) == b"y"
        os.close(reader)
        assert session.process.wait(20) == status
        assert termios.tcgetattr(session.terminal) == session.before


def test_an_interrupt_when_nobody_reads_the_output(tmp_path: Path, rootfs: Path) -> None:
    """The terminal that is left is no longer raw: what is typed there reaches libct."""
    script = "trap '' HUP; trap 'exit 9' INT; echo ready; while :; do sleep 0.05; echo more; done"
    bundle = bundle_of(tmp_path, rootfs, "sh", "-c", script)
    reader, writer = os.pipe()
    with Session("run", "-b", bundle, unique(), stdout=writer) as session:
        os.close(writer)
        assert os.read(reader, 1) == b"r"
        os.close(reader)
        assert wait_until(lambda: termios.tcgetattr(session.terminal) == session.before)
        session.type("\x03")
        assert session.end() == 9


# --- detached ---


@pytest.mark.parametrize(
    ("words", "terminal", "message"),
    [
        (["create"], True, "cannot allocate tty if libct will detach without setting console"),
        (["run", "-d"], True, "cannot allocate tty if libct will detach without setting console"),
        (["run", "--console-socket", "/x"], True, "cannot use console socket if libct will not"),
        (["create", "--console-socket", "/x"], False, "cannot use console socket if libct will"),
        (["create", "--console-socket", "/no/such"], True, "cannot connect to the console socket"),
        (["create", "--pidfd-socket", "/x"], False, "cannot connect to the pidfd socket"),
    ],
)
def test_what_goes_with_what(
    tmp_path: Path, rootfs: Path, words: list[str], terminal: bool, message: str
) -> None:
    bundle = bundle_of(tmp_path, rootfs, "true", terminal=terminal)
    done = libct(*words, "-b", bundle, unique())
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_master_goes_to_the_console_socket(tmp_path: Path, rootfs: Path) -> None:
    name, path = unique(), tmp_path / "console"
    bundle = bundle_of(
        tmp_path, rootfs, "sh", "-c", "stty size; read line; echo got $line",
        consoleSize={"height": 11, "width": 22},
    )  # fmt: skip
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        libct("create", "--console-socket", path, "-b", bundle, name, check=True)
        with listener.accept()[0] as connection:
            payload, descriptors, _, _ = socket.recv_fds(connection, 4096, 1)
    try:
        with open(descriptors[0], "r+b", buffering=0) as master:
            assert payload.startswith(b"/dev/")
            libct("start", name, check=True)
            assert master.read(100) == b"11 22\r\n"
            master.write(b"this\n")
            assert wait_until(lambda: b"got this" in master.read(100))
    finally:
        libct("delete", "--force", name, check=True)
