"""A fixture for pytest: each test gets a sandbox of its own, with a scratch directory.

python3 -m pytest test_with_fixture.py
"""

import pytest

import libct


@pytest.fixture
def box(tmp_path):
    """A sandbox in which tmp_path is /work, and nothing else of the host can be written."""
    with libct.Sandbox(bind=[(tmp_path, "/work")], cwd="/work", memory="256M", pids=100) as made:
        yield made


def test_a_program_leaves_its_result(box, tmp_path):
    box.run(["sh", "-c", "echo 6 7 > numbers"], check=True)
    assert (tmp_path / "numbers").read_text() == "6 7\n"


def test_the_next_test_sees_nothing_of_it(box):
    assert box.run(["ls"], capture_output=True, text=True).stdout == ""


def test_nothing_else_can_be_written(box):
    done = box.run(["touch", "/etc/new"], capture_output=True, text=True)
    assert done.returncode != 0
    assert "Read-only file system" in done.stderr


def test_commands_of_one_test_share_a_sandbox(box):
    server = box.popen(["sh", "-c", "echo ready; exec sleep 60"], stdout=libct.PIPE, text=True)
    assert server.stdout.readline() == "ready\n"
    assert box.run(["sh", "-c", "ls /proc | grep -c '^[0-9]'"], capture_output=True).returncode == 0
