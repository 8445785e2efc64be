"""Mutants of networks of sandboxes, and of devices that are moved into containers."""

from __future__ import annotations

from . import Mutant

_NET = "tests/kernel/test_sandbox_net.py::"
_LOOPBACK = _NET + "test_a_helper_makes_connections_but_to_loopback"
_DEVICES = "tests/kernel/test_network_devices.py::"
_BACK = _DEVICES + "test_devices_come_back_when_the_start_fails_after_that"
_ENDS = _NET + "test_a_helper_ends_with_its_sandbox"

MUTANTS = [
    Mutant(
        "pasta's gateway is not the host",
        "sandbox/pasta.py",
        '"--config-net", "--no-map-gw"),',
        '"--config-net"),',
        (_LOOPBACK + "[himself-pasta]",),
    ),
    Mutant(
        "pasta forwards no port of the host's loopback",
        "sandbox/pasta.py",
        '"-T", "none", "-U"',
        '"-U"',
        (_LOOPBACK + "[himself-pasta]",),
    ),
    Mutant(
        "slirp4netns leads to no loopback of the host's",
        "sandbox/pasta.py",
        ' "--disable-host-loopback",',
        "",
        (_LOOPBACK + "[himself-slirp4netns]",),
    ),
    Mutant(
        "names are asked of the helper",
        "sandbox/pasta.py",
        'words += ["--dns-forward", _NAMES[self.name]]',
        "pass",
        (_NET + "test_names_are_found_by_a_name_server_on_loopback[pasta]",),
    ),
    Mutant(
        "a sandbox has a list of name servers of its own",
        "sandbox/config.py",
        "].source = path",
        "].source",
        (_NET + "test_names_are_found_by_a_name_server_on_loopback[pasta]",),
    ),
    Mutant(
        "a helper ends with its sandbox",
        "sandbox/pasta.py",
        "            ended = True\n        elif fd == child:",
        "            poll.unregister(3)\n        elif fd == child:",
        (_ENDS + "[exits-pasta]",),
    ),
    Mutant(
        "the end of a helper is waited for",
        "sandbox/config.py",
        "Hooks(poststop=[self._pasta.await_end])",
        "Hooks()",
        (_NET + "test_the_end_of_a_helper_is_waited_for",),
    ),
    Mutant(
        "pasta goes to the background below its keeper",
        "sandbox/pasta.py",
        "ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)",
        "",
        (_ENDS + "[exits-pasta]",),
    ),
    Mutant(
        "root has no pasta",
        "sandbox/pasta.py",
        "if os.geteuid() == 0 and not",
        "if False and not",
        (_NET + "test_root_has_no_pasta",),
    ),
    Mutant(
        "a network that the host has is refused",
        "sandbox/network.py",
        "network.overlaps(other.network):",
        "False:",
        (_NET + "test_what_the_host_cannot_give",),
    ),
    Mutant(
        "sandboxes get networks of their own",
        "sandbox/network.py",
        "if not any(network.overlaps(one) for one in others):",
        "if network:",
        (_NET + "test_a_network_that_is_taken_is_not_chosen",),
    ),
    Mutant(
        "devices come back when a start fails",
        "life/starting.py",
        "failures = give_back_devices(context)",
        "failures: list[str] = []",
        (_BACK + "[command-False-root]",),
    ),
    Mutant(
        "a device that was down comes back down",
        "network/devices.py",
        "    if one.up:\n        here.set_link_up",
        "    if True:\n        here.set_link_up",
        (_BACK + "[command-False-root]",),
    ),
    Mutant(
        "a device comes back with its addresses",
        "network/devices.py",
        "            links.add_address(here, one.name, address)\n        except",
        "            pass\n        except",
        (_BACK + "[command-False-root]",),
    ),
    Mutant(
        "two devices of a container have two names",
        "config/rules_namespaces.py",
        "_net_device_rules(config, inside, findings)",
        "_net_device_rules(config, {}, findings)",
        ("tests/unit/test_config_validate.py::test_rules",),
    ),
]
