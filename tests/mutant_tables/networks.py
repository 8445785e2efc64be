"""Mutants of networks of sandboxes, and of devices that are moved into containers."""

from __future__ import annotations

from . import Mutant

_NET = "tests/kernel/test_sandbox_net.py::"
_LOOPBACK = _NET + "test_a_helper_makes_connections_but_to_loopback"
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
        (_ENDS + "[exits-pasta]",),
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
]
