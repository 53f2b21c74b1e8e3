"""Numbers of support from per-item chances and from what was said."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from medrl_core.errors import UserError
from medrl_core.score.support import (
    commonest_share,
    distinct_words,
    frequency_floor,
    information,
    ledger,
    ledgers,
    majority_right,
    pass_curve,
    power_right,
    sampled_pass_curves,
    slot_information,
)

chances = arrays(float, st.integers(1, 20), elements=st.floats(0, 1))


def test_pass_curve_of_known_chances():
    expected = [(0 + 0.01 + 0.5) / 3, (0 + (1 - 0.99**16) + (1 - 0.5**16)) / 3]
    np.testing.assert_allclose(pass_curve([0, 0.01, 0.5], ks=(1, 16)), expected)


def test_pass_curve_resolves_one_in_a_million():
    np.testing.assert_allclose(pass_curve([1e-6], ks=(1024,)), [1024e-6], rtol=1e-3)


@given(chances)
def test_pass_curve_rises_with_k(p):
    curve = pass_curve(p)
    assert np.all(np.diff(curve) >= -1e-12) and curve[0] >= 0 and curve[-1] <= 1
    assert curve[0] == pytest.approx(p.mean())


def test_sampled_curves_by_hand():
    # One right of four: of the 6 pairs, 3 hold it; plugged in, 1 - (3/4)^2.
    table = sampled_pass_curves([[True, False, False, False]], ks=(1, 2, 4))
    assert table.unbiased.tolist() == pytest.approx([0.25, 0.5, 1.0])
    assert table.plugged.tolist() == pytest.approx([0.25, 1 - 0.75**2, 1 - 0.75**4])


def test_unbiased_estimate_averages_to_the_exact_value_and_the_plugged_one_falls_short():
    rng, p = np.random.default_rng(0), np.repeat(0.02, 20_000)
    right = rng.random((len(p), 64)) < 0.02
    table = sampled_pass_curves(right, ks=(32,))
    exact = pass_curve(p, ks=(32,))[0]
    assert table.unbiased[0] == pytest.approx(exact, abs=0.012)
    assert table.plugged[0] < exact - 0.03


def test_floor_of_an_answerer_that_knows_the_frequencies():
    # "a" three times of four: (3 x 3/4 + 1/4) / 4; in two draws 1 - (1/4)^2 and 1 - (3/4)^2.
    np.testing.assert_allclose(
        frequency_floor(["a", "a", "a", "b"], ks=(1, 2)),
        [(3 * 0.75 + 0.25) / 4, (3 * (1 - 0.25**2) + (1 - 0.75**2)) / 4],
    )
    rows = np.arange(8).reshape(4, 2)
    np.testing.assert_allclose(frequency_floor(rows, ks=(1,)), [0.25])


def test_ledger_by_hand():
    found = ledger([0.0, 0.1, 0.2, 0.0], [0.3, 0.0, 0.2, 0.0], cutoff=0.1)
    assert (found.kept, found.lost, found.new, found.out) == (1, 1, 1, 1)
    assert found.retention == found.discovery == 0.5
    assert np.isnan(ledger([0.0], [0.0], cutoff=0.1).retention)


@given(chances, st.integers(0, 99))
def test_ledger_against_itself_loses_and_gains_nothing(p, seed):
    found = ledger(p, p, cutoff=1 / 16)
    assert found.lost == found.new == 0 and found.kept + found.out == len(p)
    other = np.random.default_rng(seed).permutation(p)
    there, back = ledger(p, other, 1 / 16), ledger(other, p, 1 / 16)
    assert (there.lost, there.new) == (back.new, back.lost)


def test_ledgers_stand_beside_their_null():
    table = ledgers([0.1, 0.002], [0.0, 0.5], again=[0.05, 0.002], ks=(16, 1024))
    assert table.k.tolist() == [16, 1024]
    assert table[["lost", "new"]].to_numpy().tolist() == [[1, 1], [1, 0]]
    assert table[["lost_null", "new_null"]].to_numpy().tolist() == [[1, 0], [0, 0]]


def test_ledger_refuses_other_items():
    with pytest.raises(UserError, match="same items"):
        ledger([0.1, 0.2], [0.1], 0.5)


def test_commonest_share_and_distinct_words():
    said = [[1, 5], [1, 5], [2, 5], [3, 5]]
    assert commonest_share(said) == 0.5
    assert commonest_share(["left", "right", "left", "left"]) == 0.75
    assert distinct_words(said).tolist() == [3, 1]


def test_information_by_hand():
    four = np.arange(4).repeat(5)
    assert information(four, four) == pytest.approx(2)
    assert information(four, np.zeros(20)) == 0
    # Half of the answers are right, half are one constant: H(said) - H(said | gold) in bits.
    gold, said = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 0])
    expected = (-0.75 * np.log2(0.75) - 0.25 * np.log2(0.25)) - 0.5
    assert information(gold, said) == pytest.approx(expected)
    pair = np.stack([four, four % 2], 1)
    assert slot_information(pair, pair).tolist() == pytest.approx([2, 1])


@given(arrays(int, 30, elements=st.integers(0, 3)), arrays(int, 30, elements=st.integers(0, 3)))
def test_information_is_symmetric_and_at_most_either_entropy(gold, said):
    found = information(gold, said)
    assert found == pytest.approx(information(said, gold))
    assert -1e-9 <= found <= information(gold, gold) + 1e-9


def test_majority_splits_a_tie():
    answers = [["a", "a", "b"], ["a", "b", "c"]]
    right = [[False, False, True], [True, False, False]]
    np.testing.assert_allclose(majority_right(answers, right), [0, 1 / 3])


def test_power_by_hand():
    # Distinct completions of chance .2 (right) and .4: .2^4 / (.2^4 + .4^4) = 1 / 17.
    completions = [[7, 7, 9]]
    logs = np.log([[0.2, 0.2, 0.4]])
    np.testing.assert_allclose(power_right(completions, logs, [[True, True, False]]), [1 / 17])
    np.testing.assert_allclose(
        power_right(completions, logs, [[True, True, False]], power=1), [1 / 3]
    )
