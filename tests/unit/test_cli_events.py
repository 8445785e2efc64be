"""libct events: durations, and the form of what is printed."""

from __future__ import annotations

import pytest

from libct.cgroups.statistics import v1, v2
from libct.cgroups.statistics.records import Stats
from libct.cli.events import seconds, shape
from libct.errors import Error
from libct.loading import jsontext

from .test_statistics import V1, V2, Texts

EMPTY = (
    '{"cpu":{"usage":{"kernel":0,"user":0},"throttling":{}},'
    '"cpuset":{"cpu_exclusive":0,"mem_hardwall":0,"mem_exclusive":0,"memory_migrate":0,'
    '"memory_spread_page":0,"memory_spread_slab":0,"memory_pressure":0,"sched_load_balance":0,'
    '"sched_relax_domain_level":0},'
    '"memory":{"usage":{"limit":0,"failcnt":0},"swap":{"limit":0,"failcnt":0},'
    '"kernel":{"limit":0,"failcnt":0},"kernelTCP":{"limit":0,"failcnt":0}},'
    '"pids":{},"blkio":{},"hugetlb":{},"intel_rdt":{},"network_interfaces":null}'
)


def test_nothing_in_runc_s_form() -> None:
    assert jsontext.dumps(shape(Stats())) == EMPTY


def test_v1_in_runc_s_form() -> None:
    found = shape(Stats(v1.statistics(lambda name: Texts(V1[name]))))
    assert found["cpu"]["throttling"] == {
        "periods": 10,
        "throttledPeriods": 3,
        "throttledTime": 5000,
    }
    assert set(found["cpu"]["usage"]) == {
        "total", "percpu", "percpu_kernel", "percpu_user", "kernel", "user"
    }  # fmt: skip
    assert found["memory"]["usage"] == {
        "limit": 9223372036854771712,
        "usage": 745472,
        "max": 2781184,
        "failcnt": 4,
    }
    assert found["memory"]["raw"] == {"cache": 12288, "rss": 57344, "total_cache": 12288}
    assert found["pids"] == {"current": 7}
    assert found["blkio"] == {
        "ioServiceBytesRecursive": [
            {"major": 8, "op": "Read", "value": 4096},
            {"major": 8, "op": "Write"},
        ],
        "ioServicedRecursive": [
            {"major": 8, "minor": 16, "op": "Read", "value": 5},
            {"major": 8, "minor": 16, "op": "Total", "value": 5},
        ],
        "ioQueueRecursive": [{"major": 8, "minor": 16, "op": "Sync", "value": 1}],
        "ioTimeRecursive": [{"major": 8, "minor": 16, "value": 99}],
        "psi": {
            "some": {"avg10": 0.0, "avg60": 0.0, "avg300": 0.0, "total": 3},
            "full": {"avg10": 0.0, "avg60": 0.0, "avg300": 0.0, "total": 0},
        },
    }
    assert found["hugetlb"]["2MB"] == {"usage": 10, "max": 20, "failcnt": 30}
    assert found["hugetlb"]["1GB"] == {"max": 4, "failcnt": 5}


def test_v2_in_runc_s_form() -> None:
    found = shape(Stats(v2.statistics(Texts(V2))))
    assert found["cpu"]["psi"] == {
        "some": {"avg10": 0.12, "avg60": 1.5, "avg300": 0.0, "total": 777},
        "full": {"avg10": 0.0, "avg60": 0.0, "avg300": 3.25, "total": 11},
    }
    assert found["memory"]["psi"]["some"]["total"] == 5
    assert found["memory"]["swap"] == {"limit": 10192, "usage": 5096, "failcnt": 6}
    assert found["memory"]["kernel"] == {"limit": 0, "failcnt": 0}
    assert found["pids"] == {"current": 3, "limit": 100}
    assert "psi" not in found["blkio"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5s", 5),
        ("500ms", 0.5),
        ("1m", 60),
        ("1m30s", 90),
        ("1.5h", 5400),
        (".5s", 0.5),
        ("+2s", 2),
        ("1000us", 0.001),
        ("1000µs", 0.001),
        ("1000000ns", 0.001),
    ],
)
def test_durations(text: str, expected: float) -> None:
    assert seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["5", "s", "5x", "-5s", "1.2.3s", "5 s", "1e3s", "5sm", "\u0665s"])
def test_bad_durations(text: str) -> None:
    with pytest.raises(Error, match="--interval: no duration like 5s"):
        seconds(text)


@pytest.mark.parametrize("text", ["", "0s", "0.0ms", "1000000h"])
def test_durations_out_of_range(text: str) -> None:
    with pytest.raises(Error, match="--interval: must be more than 0"):
        seconds(text)
