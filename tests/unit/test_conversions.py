"""Limits of cgroup v1 as those of v2."""

from __future__ import annotations

import pytest

from libct.config.conversions import io_weight, pids_value, swap_max, v2_limit, weight_of_shares

SHARES = {
    0: 0,
    1: 1,
    2: 1,
    3: 2,
    10: 4,
    100: 17,
    256: 35,
    512: 59,
    1000: 99,
    1024: 100,
    2048: 174,
    4096: 303,
    10240: 639,
    65536: 3023,
    262144: 10000,
    1000000: 10000,
}


@pytest.mark.parametrize(("shares", "weight"), SHARES.items())
def test_shares_become_a_weight(shares: int, weight: int) -> None:
    assert weight_of_shares(shares) == weight


def test_more_shares_never_weigh_less() -> None:
    weights = [weight_of_shares(shares) for shares in range(2, 262145, 7)]
    assert weights == sorted(weights)
    assert weights[0] >= 1
    assert weights[-1] <= 10000


@pytest.mark.parametrize(
    ("weight", "converted"), [(0, 0), (10, 1), (100, 910), (500, 4950), (1000, 10000)]
)
def test_weights_of_block_io_become_those_of_v2(weight: int, converted: int) -> None:
    assert io_weight(weight) == converted


@pytest.mark.parametrize(
    ("memory", "both", "swap"),
    [
        (0, 0, None),
        (100, 0, None),
        (-1, 0, -1),
        (-1, -1, -1),
        (100, -1, -1),
        (0, -1, -1),
        (-1, 100, 100),
        (64 << 20, 64 << 20, 0),
        (100, 300, 200),
    ],
)
def test_memory_and_swap_become_swap(memory: int, both: int, swap: int | None) -> None:
    assert swap_max(memory, both) == swap


@pytest.mark.parametrize(
    ("memory", "both", "message"), [(0, 100, "needs a limit of memory"), (300, 100, "is less than")]
)
def test_sums_that_no_swap_fits(memory: int, both: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        swap_max(memory, both)


def test_no_processes_at_all_would_be_useless() -> None:
    assert [pids_value(limit) for limit in (-1, 0, 1, 100)] == ["max", "1", "1", "100"]


def test_unlimited_is_a_word_in_v2() -> None:
    assert [v2_limit(limit) for limit in (-1, 4096)] == ["max", "4096"]
