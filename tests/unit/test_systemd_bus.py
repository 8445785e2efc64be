"""D-Bus signatures, addresses and names of units, and that nobody loads these who needs none."""

from __future__ import annotations

import subprocess
import sys

import pytest

from libct.cgroups.systemd import bus, connections, units
from libct.errors import SystemdError
from libct.syscalls import sd_bus

from ..support import CHECKOUT


@pytest.mark.parametrize(
    ("signature", "types"),
    [
        ("", []),
        ("s", ["s"]),
        ("ssa(sv)a(sa(sv))", ["s", "s", "a(sv)", "a(sa(sv))"]),
        ("aaya{s(ub)}v", ["aay", "a{s(ub)}", "v"]),
        ("(s(ii)as)h", ["(s(ii)as)", "h"]),
    ],
)
def test_the_complete_types_of_a_signature(signature: str, types: list[str]) -> None:
    assert list(sd_bus.complete_types(signature)) == types


@pytest.mark.parametrize("signature", ["a", "(", "(s", "()", "s)", "{sv", "?", "a?", "(a)", "(s}"])
def test_a_malformed_signature(signature: str) -> None:
    with pytest.raises(ValueError, match="malformed D-Bus signature"):
        list(sd_bus.complete_types(signature))


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a.scope", "a_2escope"),
        ("libct-1_2.scope", "libct_2d1_5f2_2escope"),
        ("1.scope", "_31_2escope"),
        ("a\u00fc.slice", "a_c3_bc_2eslice"),
        ("a\\x2db.scope", "a_5cx2db_2escope"),
    ],
)
def test_the_object_that_a_unit_is(name: str, path: str) -> None:
    """As `busctl tree org.freedesktop.systemd1` has them."""
    assert units.unit_path(name) == f"/org/freedesktop/systemd1/unit/{path}"


@pytest.mark.parametrize(
    ("text", "number"),
    [("252.38-1~deb12u1", 252), ("v257", 257), ("249", 249), ("255~rc1", 255), ("unknown", 0)],
)
def test_the_number_of_a_version(text: str, number: int) -> None:
    assert units.version_number(text) == number


def test_the_addresses_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DBUS_SYSTEM_BUS_ADDRESS", raising=False)
    daemon = ("unix:path=/run/dbus/system_bus_socket", False)
    monkeypatch.setattr("posix.geteuid", lambda: 0)
    assert connections.addresses(user=False) == [daemon, ("unix:path=/run/systemd/private", True)]
    monkeypatch.setattr("posix.geteuid", lambda: 1000)
    assert connections.addresses(user=False) == [daemon]
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/bus")
    assert connections.addresses(user=False) == [("unix:path=/bus", False)]


def test_the_addresses_of_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/a user/\u00fc;,")
    escaped = "unix:path=/run/a%20user/%c3%bc%3b%2c"
    private = (f"{escaped}/systemd/private", True)
    assert connections.addresses(user=True) == [(f"{escaped}/bus", False), private]
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:abstract=x,guid=1")
    assert connections.addresses(user=True) == [("unix:abstract=x,guid=1", False), private]


def test_a_name_in_a_rule_stays_in_its_quotes() -> None:
    """D-Bus specification, Match Rules: an apostrophe is written outside of them."""
    assert bus._rule("a'b.scope").endswith("arg2='a'\\''b.scope'")


def test_an_error_has_what_steps_show() -> None:
    error = SystemdError("cannot", "do", name="a.b", result="failed")
    assert (str(error), error.message, error.hint) == ("cannot", "cannot", "do")


def test_nobody_loads_it_who_does_not_ask_for_systemd() -> None:
    code = """
import pkgutil, sys, libct
asked = ("libct.cgroups.systemd.", "libct.syscalls.sd_bus", "libct.__main__")
for found in pkgutil.walk_packages(libct.__path__, "libct."):
    if not found.name.startswith(asked):
        __import__(found.name)
print([name for name in sys.modules if name.startswith(asked[:2])])
import libct.cgroups.systemd.units
print("libsystemd" in open("/proc/self/maps").read())
"""
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert run.stdout == "[]\nFalse\n"
