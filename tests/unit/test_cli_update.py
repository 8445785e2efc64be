"""What `libct update` makes of options and of a file, before anything is changed."""

from __future__ import annotations

import pytest

from libct.cli.commands import COMMANDS, GLOBAL_OPTIONS
from libct.cli.options import Arguments, parse
from libct.cli.update import _boolean, _from_options, _renamed, problems, updated
from libct.config.cgroup import Cgroup, HugepageLimit, Resources
from libct.config.device import DeviceRule
from libct.config.facts import HostFacts
from libct.config.sizes import parse_size
from libct.errors import Finding
from libct.oci.load_resources import read_resources
from libct.oci.reader import Table


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1048576", 1 << 20),
        ("1k", 1024),
        ("64K", 64 << 10),
        ("1.5G", 3 << 29),
        ("0.5g", 1 << 29),
        ("2MB", 2 << 20),
        ("2MiB", 2 << 20),
        ("2 mb", 2 << 20),
        ("7b", 7),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "x", "-5", "1x", "1.5.5M", ".5M", "M", "1BM", "²", "1e3"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="not a size like 256M"):
        parse_size(text)


def test_a_size_of_thousands_of_digits() -> None:
    with pytest.raises(ValueError, match="more bytes than there can be"):
        parse_size("9" * 5000)


def arguments(*words: str) -> Arguments:
    return parse(["update", *words, "one"], GLOBAL_OPTIONS, COMMANDS)


def asked(*words: str) -> tuple[Resources, list[Finding]]:
    parsed = arguments(*words)
    given = [word.partition("=")[0] for word in words if word.startswith("--")]
    findings: list[Finding] = []
    values = _from_options(parsed, given, findings)
    return read_resources(Table(values, "", findings)), findings


def test_every_option_of_a_limit() -> None:
    found, findings = asked(
        "--cpu-period=1000",
        "--cpu-quota=-1",
        "--cpu-burst=5",
        "--cpu-share=512",
        "--cpu-rt-period=7",
        "--cpu-rt-runtime=8",
        "--cpu-idle=1",
        "--cpuset-cpus=0-3,8",
        "--cpuset-mems=0",
        "--memory=100M",
        "--memory-reservation=50M",
        "--memory-swap=-1",
        "--pids-limit=-1",
        "--blkio-weight=100",
        "--memory-swappiness=0",
    )
    assert findings == []
    assert found == Resources(
        cpu_period=1000,
        cpu_quota=-1,
        cpu_burst=5,
        cpu_shares=512,
        cpu_rt_period=7,
        cpu_rt_quota=8,
        cpu_idle=1,
        cpuset_cpus="0-3,8",
        cpuset_mems="0",
        memory=100 << 20,
        memory_reservation=50 << 20,
        memory_swap=-1,
        pids_limit=-1,
        blkio_weight=100,
        memory_swappiness=0,
    )


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--memory", "lots"], "--memory: not a size like 256M: 'lots'"),
        (["--memory", "-2"], "--memory: not a size like 256M: '-2'"),
        (["--cpu-quota", "1.5"], "--cpu-quota: not a whole number: '1.5'"),
        (["--cpu-period", "-5"], "--cpu-period: "),
        (["--cpu-quota", "9" * 30], "--cpu-quota: "),
    ],
)
def test_mistakes_name_the_option(words: list[str], line: str) -> None:
    _, findings = asked(*words)
    names = {"cpu.period": "--cpu-period", "cpu.quota": "--cpu-quota"}
    (found,) = [str(_renamed(finding, names)) for finding in findings]
    assert found.startswith(line)


@pytest.mark.parametrize("words", [["--memory-swap", "-1"], ["--memory-swap=-1"], ["-r", "-"]])
def test_negative_numbers_and_a_dash_are_values(words: list[str]) -> None:
    parsed = arguments(*words)
    assert parsed.operands == ["one"]
    assert parsed.memory_swap == "-1" or parsed.resources == "-"


def test_what_is_not_asked_for_stays() -> None:
    before = Resources(memory=1 << 20, pids_limit=5, devices=[DeviceRule("a", allow=False)])
    after = updated(before, Resources(pids_limit=0, cpu_idle=0))
    wanted = before.copy(pids_limit=0, cpu_idle=0, skip_devices=True)
    assert after == wanted
    assert before.pids_limit == 5


def test_rules_of_devices_take_the_place_of_all() -> None:
    before = Resources(devices=[DeviceRule("c", 1, 3)], skip_devices=True)
    after = updated(before, Resources(devices=[DeviceRule("c", 1, 5)]))
    assert (after.devices, after.skip_devices) == ([DeviceRule("c", 1, 5)], False)


def test_no_limit_of_memory_means_none_of_the_sum_either() -> None:
    before = Resources(memory=1 << 20, memory_swap=2 << 20)
    assert updated(before, Resources(memory=-1)).memory_swap == -1
    assert updated(before, Resources(memory=-1, memory_swap=5)).memory_swap == 5
    assert updated(before, Resources(memory=3 << 20)).memory_swap == 2 << 20


def test_shares_win_over_an_earlier_weight() -> None:
    assert updated(Resources(cpu_weight=300), Resources(cpu_shares=2)).cpu_weight == 0


def test_limits_of_one_version_alone_are_ignored_by_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted = Resources(memory_oom_group=True, memory_swappiness=0, cpu_rt_period=5)
    for v2, places in (
        (False, ["memory_oom_group"]),
        (True, ["linux.resources.memory.swappiness", "linux.resources.cpu.realtimePeriod"]),
    ):
        monkeypatch.setattr(HostFacts, "cgroup_v2", v2)
        found = problems(wanted, Cgroup(resources=Resources(net_cls_classid=1)))
        assert [(finding.place, finding.level) for finding in found] == [
            (place, "warning") for place in places
        ]
        assert all("ignored: cgroup v" in finding.message for finding in found)
    assert str(_renamed(found[0], {"memory.swappiness": "--memory-swappiness"})) == (
        "--memory-swappiness: ignored: cgroup v2 has no such limit"
    )


@pytest.mark.parametrize(
    "wanted", [Resources(memory_oom_group=True), Resources(unified={"memory.oom.group": "1"})]
)
def test_what_systemd_sets_anew_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, wanted: Resources
) -> None:
    monkeypatch.setattr(HostFacts, "cgroup_v2", True)
    (found,) = problems(wanted, Cgroup(systemd=True))
    assert (found.place, found.level) == ("memory_oom_group", "warning")
    assert problems(wanted, Cgroup()) == []
    assert problems(Resources(memory=5), Cgroup(systemd=True)) == []


@pytest.mark.parametrize(
    ("unified", "wanted", "kept"),
    [
        ({"memory.max": "5", "memory.high": "4"}, Resources(memory=9), {"memory.high": "4"}),
        ({"memory.max": "5"}, Resources(memory_reservation=9), {"memory.max": "5"}),
        ({"memory.swap.max": "5"}, Resources(memory_swap=9), {}),
        ({"pids.max": "5"}, Resources(pids_limit=9), {}),
        ({"pids.max": "5"}, Resources(pids_limit=9, unified={"pids.max": "7"}), {"pids.max": "7"}),
        ({"hugetlb.2MB.max": "5"}, Resources(hugetlb_limit=[HugepageLimit("2MB", 9)]), {}),
        (
            {"hugetlb.1GB.max": "5"},
            Resources(hugetlb_limit=[HugepageLimit("2MB", 9)]),
            {"hugetlb.1GB.max": "5"},
        ),
        ({"io.bfq.weight": "5", "io.weight": "5"}, Resources(blkio_weight=9), {}),
        ({"cpuset.cpus": "0"}, Resources(cpuset_cpus="1"), {}),
        ({"cpu.idle": "1"}, Resources(cpu_idle=0), {}),
        ({"cpu.weight": "1"}, Resources(cpu_shares=9), {}),
    ],
)
def test_a_limit_wins_over_what_unified_said_before(
    unified: dict[str, str], wanted: Resources, kept: dict[str, str]
) -> None:
    before = Resources(memory=3, unified=unified)
    assert updated(before, wanted).unified == kept
    assert before.unified == unified


@pytest.mark.parametrize(
    ("text", "wanted", "quota", "period"),
    [
        ("2000 50000", Resources(cpu_period=9), 2000, 9),
        ("2000 50000", Resources(cpu_quota=9), 9, 50000),
        ("2000", Resources(cpu_period=9), 2000, 9),
        ("max 50000", Resources(cpu_quota=-1), -1, 50000),
        ("max", Resources(cpu_period=9), 0, 9),
    ],
)
def test_of_a_quota_and_a_period_one_may_be_asked_for(
    text: str, wanted: Resources, quota: int, period: int
) -> None:
    after = updated(Resources(unified={"cpu.max": text}), wanted)
    assert (after.cpu_quota, after.cpu_period, after.unified) == (quota, period, {})


def test_files_of_the_unified_tree() -> None:
    found, findings = asked("--unified", "memory.high=5", "--unified=io.max=8:0 rbps=1")
    assert found.unified == {"memory.high": "5", "io.max": "8:0 rbps=1"}
    assert findings == []
    _, findings = asked("--unified", "memory.high")
    assert [str(finding) for finding in findings] == [
        "--unified: not like memory.high=1000000: 'memory.high'"
    ]


def test_a_group_of_victims_is_asked_for_by_one_of_two_ways() -> None:
    before = Resources(unified={"memory.oom.group": "1", "memory.high": "5"})
    after = updated(before, Resources(memory_oom_group=False))
    assert (after.memory_oom_group, after.unified) == (False, {"memory.high": "5"})
    findings: list[Finding] = []
    assert [_boolean(text, findings) for text in ("0", "1")] == [False, True]
    assert findings == []
    _boolean("yes", findings)
    assert str(findings[0]) == "--memory-oom-group: not 0 or 1: 'yes'"


def test_values_are_judged_by_the_rules_for_configurations() -> None:
    wanted = Resources(cpuset_cpus="0-", cpu_idle=7)
    places = [finding.place for finding in problems(wanted, Cgroup(resources=wanted))]
    assert places == ["linux.resources.cpu.cpus", "linux.resources.cpu.idle"]
