from __future__ import annotations

import time

import pandas as pd
import pytest

import tiny
from medrl_core.data.items import build_items
from medrl_core.errors import UserError
from medrl_core.sample import sampling
from medrl_core.sample.rollouts import COLUMNS, RolloutStore
from medrl_core.sample.sampling import Decoding
from medrl_core.score import evaluate as module
from medrl_core.score.evaluate import evaluate

ITEMS = tiny.items("open", 6)


@pytest.fixture(scope="module")
def model_and_processor():
    return tiny.build()


def run(model_and_processor, folder, items=ITEMS, k=2, decoding=None, seed=0, model_hash="m"):
    return evaluate(
        *model_and_processor, items, RolloutStore(folder), k=k,
        decoding=decoding or Decoding(max_new_tokens=5), seed=seed, model_name="tiny",
        model_hash=model_hash,
    )


def small_batches(monkeypatch):
    """Two items a batch, so that a run writes several parts."""

    def sample(*args, **kwargs):
        yield from sampling.sample(*args, **kwargs, rows_per_batch=6)

    monkeypatch.setattr(module, "sample", sample)


def test_an_interrupted_run_ends_like_an_undisturbed_one(
    model_and_processor, tmp_path, monkeypatch
):
    whole = run(model_and_processor, tmp_path / "whole")
    assert list(whole.columns) == list(COLUMNS) and len(whole) == 6 * 3
    small_batches(monkeypatch)
    append, calls = RolloutStore.append, []

    def killed(self, rows):
        if len(calls) == 1:
            raise KeyboardInterrupt
        calls.append(len(rows))
        append(self, rows)

    monkeypatch.setattr(RolloutStore, "append", killed)
    with pytest.raises(KeyboardInterrupt):
        run(model_and_processor, tmp_path / "killed")
    monkeypatch.setattr(RolloutStore, "append", append)
    kept = RolloutStore(tmp_path / "killed").keys()
    assert 0 < len(kept) < len(whole)
    resumed = run(model_and_processor, tmp_path / "killed")
    pd.testing.assert_frame_equal(
        resumed.drop(columns="logprob"), whole.drop(columns="logprob"), check_exact=True
    )
    assert resumed["logprob"].to_numpy() == pytest.approx(whole["logprob"].to_numpy(), abs=1e-4)


def test_a_finished_run_samples_nothing(model_and_processor, tmp_path, monkeypatch):
    first = run(model_and_processor, tmp_path)
    monkeypatch.setattr(sampling, "_generate", lambda *args: 1 / 0)
    pd.testing.assert_frame_equal(run(model_and_processor, tmp_path), first)


def test_a_larger_k_adds_samples_and_a_smaller_one_leaves_them_out(model_and_processor, tmp_path):
    two = run(model_and_processor, tmp_path)
    four = run(model_and_processor, tmp_path, k=4)
    assert len(four) == 6 * 5
    pd.testing.assert_frame_equal(
        four[four["sample_index"] < 2].reset_index(drop=True), two, check_exact=True
    )
    pd.testing.assert_frame_equal(run(model_and_processor, tmp_path), two)


def test_only_what_was_asked_for_comes_back(model_and_processor, tmp_path):
    first = run(model_and_processor, tmp_path)
    hot = run(
        model_and_processor, tmp_path, decoding=Decoding(temperature=2.0, max_new_tokens=5)
    )
    run(model_and_processor, tmp_path, model_hash="other")
    # The same images and ids with another wording: other prompts.
    reworded = build_items(tiny.image_set(), "test", n=8, seed=1)
    run(model_and_processor, tmp_path, items=reworded)
    assert set(hot["decoding"]) == {"greedy", "temperature=2,top_p=1,top_k=0"}
    assert len(hot) == len(first)
    pd.testing.assert_frame_equal(run(model_and_processor, tmp_path), first)
    part = run(model_and_processor, tmp_path, items=ITEMS[:2])
    assert set(part["item_id"]) == {item.item_id for item in ITEMS[:2]} and len(part) == 6


def test_stored_samples_of_another_seed_are_not_passed_off(model_and_processor, tmp_path):
    run(model_and_processor, tmp_path)
    with pytest.raises(UserError, match="holds samples of seed 0, asked for is seed 1"):
        run(model_and_processor, tmp_path, seed=1)
    greedy = run(model_and_processor, tmp_path, k=0, seed=1)  # greedy answers have no seed
    assert len(greedy) == 6


@pytest.mark.parametrize("limit", [4, 6])
def test_stored_completions_of_another_limit_are_not_passed_off(
    model_and_processor, tmp_path, limit
):
    run(model_and_processor, tmp_path)
    with pytest.raises(UserError, match=f"another limit than max_new_tokens {limit}"):
        run(model_and_processor, tmp_path, decoding=Decoding(max_new_tokens=limit))


def test_progress_is_told(model_and_processor, tmp_path, monkeypatch, capsys):
    small_batches(monkeypatch)
    clock = iter(range(0, 1000, 6))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    run(model_and_processor, tmp_path)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) >= 3 and "/6 items, K = 2, " in lines[0]
    assert lines[-1].startswith("tiny: 6/6 items") and lines[-1].endswith(" 0 s left")


def test_equal_weights_under_another_name_come_back_under_the_name_asked_for(
    model_and_processor, tmp_path
):
    store = RolloutStore(tmp_path)
    for name in ("base", "rl"):
        frame = evaluate(
            *model_and_processor, ITEMS, store, k=1, decoding=Decoding(max_new_tokens=5),
            model_name=name, model_hash="same",
        )
        assert set(frame["model"]) == {name} and len(frame) == 12
