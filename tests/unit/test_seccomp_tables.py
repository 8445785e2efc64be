"""Architectures, and their tables of system calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from libct.config.rules_seccomp import ARCHITECTURES as LISTED
from libct.seccomp.architectures import ARCHITECTURES, native

from ..needs import requires
from ..seccomp.make_tables import SOURCES, TABLES, numbers


def test_machines() -> None:
    assert native("x86_64").name == "X86_64"
    assert native("armv7l").name == "ARM"
    assert [native("mips64", order).name for order in "<>"] == ["MIPSEL64", "MIPS64"]


def test_all_architectures_of_a_configuration_have_a_table() -> None:
    assert {f"SCMP_ARCH_{name}" for name in ARCHITECTURES} == LISTED


def test_the_tables_are_those_that_the_script_makes() -> None:
    assert {path.stem for path in TABLES.glob("[a-z]*.py")} == set(SOURCES)
    assert {one.table for one in ARCHITECTURES.values()} == set(SOURCES)


def test_a_header_is_read() -> None:
    header = """
#define __NR_read 0
#define __NR_write (__NR_Linux + 1)
#define __NR_Linux 4000
#define __NR_unused18 (__NR_Linux + 18)
#define __NR_arm_sync_file_range (__NR_SYSCALL_BASE + 341)
#define __NR_sync_file_range2 __NR_arm_sync_file_range
"""
    assert numbers(header, 4000) == {
        "read": 4000,
        "write": 4001,
        "arm_sync_file_range": 4341,
        "sync_file_range2": 4341,
    }


@requires("kernel_headers")
@pytest.mark.parametrize(
    ("table", "header"),
    [("x86_64", "unistd_64.h"), ("x86", "unistd_32.h"), ("x32", "unistd_x32.h")],
)
def test_the_tables_have_what_this_machine_s_headers_have(table: str, header: str) -> None:
    path = Path("/usr/include/x86_64-linux-gnu/asm", header)
    architecture = next(one for one in ARCHITECTURES.values() if one.table == table)
    found = numbers(path.read_text(), SOURCES[table][2])
    assert found.items() <= architecture.numbers().items()
