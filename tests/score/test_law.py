"""The law of take-off: values by hand, fit to simulated runs, calibration, file."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medrl_core.errors import UserError
from medrl_core.score.law import (
    Law,
    calibration,
    completions_for,
    expected_to_meet,
    fit,
    load_law,
    main,
    predict,
    save_laws,
    take_off,
)

# At p = .04 the growth is 100 x .04^-.5 = 500 completions.
SHARP = Law(0.2, "run", 0.01, a=100, b=0.5, scatter=0.0)
SCATTERED = Law(0.2, "run", 0.01, a=400, b=0.28, scatter=0.4)
LEVELS = np.repeat([0.23, 0.05, 0.01, 2.7e-3, 6e-4, 1.2e-4, 2e-5], 16)


def simulated(seed: int, end: int = 16384, every: int = 256) -> pd.DataFrame:
    """Runs of SCATTERED that are watched every so many completions to an end."""
    rng = np.random.default_rng(seed)
    times = rng.exponential(1 / LEVELS) + SCATTERED.growth(LEVELS) * np.exp(
        SCATTERED.scatter * rng.normal(size=len(LEVELS))
    )
    low = np.floor(times / every) * every
    taken = low + every <= end
    return pd.DataFrame(
        {
            "p": LEVELS, "share": 1.0, "low": np.where(taken, low, end),
            "high": np.where(taken, low + every, np.inf),
        }
    )  # fmt: skip


def test_chance_by_hand():
    assert SHARP.growth(0.04) == pytest.approx(500)
    assert SHARP.chance(0.04, 500) == 0
    assert SHARP.chance(0.04, 600) == pytest.approx(1 - np.exp(-4))
    # A quarter of the completions is about the items that one change fixes.
    assert SHARP.chance(0.04, 600, share=0.25) == pytest.approx(1 - np.exp(-1))


def test_scatter_is_about_the_median():
    p, n = 0.5, 1000.0  # so many hits that take-off is growth alone
    law = Law(0.2, "run", 0.01, a=1000.0, b=0.0, scatter=0.5)
    assert law.chance(p, n) == pytest.approx(0.5, abs=0.02)


@given(st.floats(1e-6, 1), st.floats(0, 1e5), st.floats(0, 1e5))
def test_chance_rises_with_completions(p, one, other):
    low, high = sorted((one, other))
    assert 0 <= SCATTERED.chance(p, low) <= SCATTERED.chance(p, high) <= 1


@pytest.mark.parametrize("p", [0.3, 0.01, 1e-4])
def test_enough_completions_give_the_chance(p):
    for law in (SHARP, SCATTERED):
        assert law.chance(p, completions_for(law, p)) == pytest.approx(0.95, abs=1e-6)


@pytest.mark.parametrize("p", [-0.1, 1.5, float("nan")])
def test_a_chance_that_is_none_is_refused(p):
    with pytest.raises(UserError, match="chance p from 0 to 1"):
        SHARP.chance(p, 100)


def test_without_support_nothing_ever_takes_off():
    assert SCATTERED.chance(0.0, 1e9) == 0
    found = predict(SCATTERED, 0.0, 4096)
    assert (found.chance, found.expected_hits, found.enough) == (0, 0, float("inf"))


def test_take_off_lies_between_two_evaluations():
    n, acc = [0, 256, 512, 768], [0.1, 0.3, 0.35, 0.9]
    assert take_off(n, acc, 0.2) == (256, 512)
    assert take_off(n, acc, 0.9) == (768, np.inf)


@pytest.fixture(scope="module")
def fitted() -> Law:
    """The law, fitted to simulated runs."""
    return fit(simulated(seed=1), mark=0.2, draws=40)


def test_fit_finds_the_parameters_that_made_the_runs(fitted):
    for p in (0.1, 0.01, 0.001):
        assert fitted.growth(p) == pytest.approx(SCATTERED.growth(p), rel=0.3)
    assert fitted.scatter == pytest.approx(0.4, abs=0.2)
    grown = [a * 0.01**-b for a, b, _ in fitted.draws]
    assert min(grown) < SCATTERED.growth(0.01) < max(grown)


def test_fit_is_a_maximum_of_the_likelihood(fitted):
    """Parameters moved by a tenth explain the runs less well."""
    runs = simulated(seed=1)

    def loss(law: Law) -> float:
        by_low = law.chance(runs.p, runs.low)
        by_high = np.where(
            np.isinf(runs.high), 1, law.chance(runs.p, np.minimum(runs.high, 1e6))
        )
        return -np.log(np.maximum(by_high - by_low, 1e-12)).sum()

    best = loss(fitted)
    for change in ({"a": fitted.a * 1.1}, {"a": fitted.a * 0.9}, {"b": fitted.b + 0.03},
                   {"scatter": fitted.scatter * 1.3}):  # fmt: skip
        assert loss(Law(**{**vars(fitted), **change})) > best - 1e-3


def test_calibration_on_runs_that_the_law_was_not_fitted_on(fitted):
    held_out = pd.concat([simulated(seed) for seed in (2, 3, 4)], ignore_index=True)
    table = calibration(
        fitted, held_out, [512, 2048, 4096, 16384], bins=[0, 0.05, 0.35, 0.65, 0.95, 1]
    )
    assert table.rows.sum() == 4 * len(held_out)
    assert (abs(table.predicted - table.observed) < 0.1).all()
    assert ((table.low <= table.observed) & (table.observed <= table.high)).all()


def test_calibration_counts_by_hand():
    # At N 600 the law says 1 - e^-4 = .98 for both runs; one was watched to 400 only.
    runs = pd.DataFrame(
        {"p": [0.04, 0.04], "share": 1.0, "low": [400, 400], "high": [500, np.inf]}
    )
    table = calibration(SHARP, runs, [600], bins=[0, 0.5, 1])
    assert table[["observed", "rows", "runs"]].to_numpy().tolist() == [[1, 1, 1]]


def test_prediction_with_interval(fitted):
    found = predict(fitted, 0.003, 4096)
    assert found.low <= found.chance <= found.high
    assert found.expected_hits == pytest.approx(12.288)
    wide = predict(fitted, 0.003, 4096, p_draws=[0.0003, 0.003, 0.03])
    assert wide.low < found.low and wide.high >= found.high
    assert np.isnan(predict(SHARP, 0.003, 4096).low)


def test_expected_to_meet_by_hand():
    runs = pd.DataFrame({"p": [0.01, 0.001], "share": [1.0, 0.5], "completions": [100, 2000]})
    assert expected_to_meet(runs) == pytest.approx(2 * (1 - np.exp(-1)))


def test_fit_resamples_whole_clusters():
    """Facts of one run stay together: with one cluster all draws are the same."""
    runs = simulated(seed=5).assign(cluster=0)
    law = fit(runs, mark=0.2, draws=3)
    assert len(set(law.draws)) == 1


@pytest.mark.parametrize("spoil", ["column", "none took off"])
def test_fit_refuses_what_cannot_be_fitted(spoil):
    runs = simulated(seed=1)
    runs = runs.drop(columns="low") if spoil == "column" else runs.assign(high=np.inf)
    with pytest.raises(UserError, match="law"):
        fit(runs, mark=0.2)


def test_laws_are_saved_and_found_again(tmp_path):
    path = tmp_path / "law.json"
    law = Law(0.2, "run", 0.01, 400, 0.28, 0.4, draws=((1.0, 2.0, 3.0),), about={"runs": 3})
    save_laws([law, SHARP], path, {"file": "x"})
    assert load_law(path, mark=0.2) == law
    with pytest.raises(UserError, match="no law of fact, mark 0.5, KL 0.01; it has: run, mark 0.2"):
        load_law(path, mark=0.5, unit="fact")
    with pytest.raises(UserError, match="there is no fitted law"):
        load_law(tmp_path / "absent.json", mark=0.2)
    path.write_text('{"laws": [{"mark": 1}]}')
    with pytest.raises(UserError, match="not a file of laws"):
        load_law(path, mark=0.2)


def test_the_command_fits_each_kind_of_recorded_run(tmp_path, monkeypatch):
    runs = simulated(seed=6).assign(
        unit="run", mark=0.2, kl=0.01, seed=100, base=11, completions=16384, commit="c",
        first=lambda t: np.where(np.isinf(t.high), np.nan, 1.0), cluster=lambda t: t.index,
    )  # fmt: skip
    source, out = tmp_path / "law.parquet", tmp_path / "law.json"
    pd.concat([runs, runs.assign(kl=0.0)]).to_parquet(source)
    monkeypatch.setattr("medrl_core.score.law.DRAWS", 2)
    monkeypatch.setattr(sys, "argv", ["law", str(source), "--out", str(out)])
    main()
    law = load_law(out, mark=0.2)
    assert law.about["trainings"] == len(runs) and len(law.draws) == 2
    assert law.about["met"] == np.isfinite(runs.high).sum()
    assert len(json.loads(out.read_text())["source"]["sha256"]) == 64


def test_the_law_needs_no_torch():
    rooms = "medrl_core.score.law, medrl_core.score.support"
    code = f"import sys, {rooms}; print('torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"
