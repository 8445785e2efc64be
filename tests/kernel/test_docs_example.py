"""docs/library.md: its pieces of Python are one program, which is run as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engines import remove_groups
from tests.support import (
    CHECKOUT,
    busybox_rootfs,
    libct,
    libct_environment,
    requires,
    session_directory,
    unique,
)

_PLACEHOLDER = "/your/path/to/rootfs"
_ID, _PARENT = "library-example", 'parent="system"'


@requires("root", "busybox")
@pytest.mark.usefixtures("nothing_left")
def test_the_example_of_the_documentation_runs(tmp_path: Path) -> None:
    text = (CHECKOUT / "docs/library.md").read_text()
    program = "\n".join(re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    assert program.count(_PLACEHOLDER) == 1
    # Root inside is user 1000 outside, who must be able to enter all of the path.
    place = session_directory() / unique()
    place.mkdir()
    rootfs = busybox_rootfs(place)
    script = tmp_path / "example.py"
    # Nothing of another run of the tests, which may run it now.
    name, parent = unique("example"), unique("parent")
    for text, own in ((_ID, name), (_PARENT, f'parent="{parent}"'), (_PLACEHOLDER, str(rootfs))):
        assert text in program
        program = program.replace(text, own)
    script.write_text(program)

    running = subprocess.Popen(
        [sys.executable, script],
        env={**os.environ, **libct_environment()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # The shell waits for its input as long as nothing comes, so what the
    # program does while it runs needs no timing.
    assert running.stdin is not None
    assert running.stdout is not None
    seen = []
    try:
        for line in running.stdout:
            seen.append(line.rstrip())
            if seen[-1] == "exit code 0":
                break
        output, errors = running.communicate("id -un; exit 3\n", timeout=60)
    finally:
        running.kill()
        libct("delete", "--force", name, root="/run/libct")
        remove_groups(parent)  # which outlives the container's group

    assert running.returncode == 0, f"{seen}\n{errors}"
    assert any(line.startswith("root.path - ") for line in seen)
    assert "running True" in seen
    assert seen[-2:] == ["testing", "exit code 0"]
    assert output.splitlines() == [
        "daemon",
        "ended with 3",
        "9",
        f"1 process, at most {256 << 20} bytes",
        "out of memory 0 times",
        "second: 3",
        "first: 137",
        "out 3 exit",
        "stopped after 0.1 s",
        "through cat",
        "kept",
        "120",
    ]
