from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, localcontext

import pytest

from harness.audit.counts import in_print, reach, reachable_share


def prints(k, n, places, rounding):
    """100 k / n as a table would print it, from enough exact digits to be exact at ties (n is small)."""
    with localcontext(prec=60):
        return (Decimal(100 * k) / n).quantize(Decimal(1).scaleb(-places), rounding=rounding)


@pytest.mark.parametrize(("n", "places"), [(1, 2), (7, 2), (16, 2), (160, 2), (32, 3)])
def test_every_count_of_a_small_n_is_found_and_no_other(n, places):
    for k in range(n + 1):
        for printed in {prints(k, n, places, r) for r in (ROUND_HALF_UP, ROUND_HALF_EVEN, ROUND_DOWN)}:
            found = reach(str(printed), n)
            rounded = {
                j
                for j in range(n + 1)
                if printed in (prints(j, n, places, ROUND_HALF_UP), prints(j, n, places, ROUND_HALF_EVEN))
            }
            assert set(found.rounding) == rounded
            assert set(found.truncation) == {
                j for j in range(n + 1) if prints(j, n, places, ROUND_DOWN) == printed
            }


def test_ties_count_up_and_to_even():
    # 1 of 800 is 0.125, 3 of 800 is 0.375: up gives 0.13 and 0.38, to even 0.12 and 0.38.
    assert reach("0.13", 800).rounding == (1,)
    assert reach("0.12", 800).rounding == (1,)
    assert reach("0.38", 800).rounding == (3,)
    assert reach("0.37", 800).rounding == ()
    assert reach("0.37", 800).status == "truncation"


def test_a_tie_is_exact_where_floats_are_not():
    # 23 of 160 is 14.375 and prints as 14.38 both ways; 21 of 160 is 13.125 and prints as 13.13 or 13.12.
    assert [reach(v, 160).rounding for v in ("14.37", "14.38", "13.12", "13.13")] == [(), (23,), (21,), (21,)]


@pytest.mark.parametrize(
    ("printed", "n", "status", "counts"),
    [
        ("76.32", 1740, "rounding", (1328,)),  # 76.3218
        ("38.50", 1740, "truncation", (670,)),  # 38.5057
        ("38.5", 1740, "truncation", (670,)),  # the same cell, its zero lost
        ("55.83", 3481, "unreachable", ()),  # 1943 is 55.8173, 1944 is 55.8460
        ("0.00", 3481, "rounding", (0,)),
        ("0", 3481, "rounding", (0,)),
        ("100.00", 3481, "rounding", (3481,)),
        ("99.99", 3481, "unreachable", ()),
        ("50.00", 20_000, "rounding", (9_999, 10_000, 10_001)),  # 49.995 is up 50.00, 50.005 to even 50.00
        ("50.005", 20_000, "rounding", (10_001,)),  # three decimals, as printed
    ],
)
def test_cells_by_hand(printed, n, status, counts):
    found = reach(printed, n)
    assert found.status == status
    assert found.counts == counts


def test_the_counts_around_and_the_closest():
    assert reach("55.83", 3481).around == (1943, 1944)
    assert reach("55.83", 3481).count == 1943
    assert reach("50.00", 4).around == (2,)
    assert reach("38.50", 1740).count == 670


def test_in_print_keeps_the_decimals_and_adds_up_to_two():
    assert [in_print(text) for text in ("57", "57.9", "57.90", "57.905")] == [
        "57.00",
        "57.90",
        "57.90",
        "57.905",
    ]


@pytest.mark.parametrize("n", [1, 3, 160, 1740])
def test_share_of_reachable_percentages(n):
    printed = {prints(k, n, 2, ROUND_HALF_UP) for k in range(n + 1)}
    assert reachable_share(n) == pytest.approx(len(printed) / 10_001)
    assert reachable_share(20_000) == 1
