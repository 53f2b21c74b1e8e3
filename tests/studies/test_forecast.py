from __future__ import annotations

import pytest

from medrl.studies import forecast, plan
from medrl_core.errors import UserError
from medrl_core.models import hub


def told(notebook, study="smoke", **values):
    chosen = plan.load_study(study)
    checked = plan.resolve(chosen, notebook, values)
    return "\n".join(forecast.lines(chosen, notebook, checked, "would be made"))


def test_the_paper_study_is_estimated_with_its_formulas_and_what_is_missing():
    text = told("04_rl", "paper")
    assert "8,292,166,656 weights x 4 bytes / 4 GPUs" in text
    assert "1,000 steps x 64" in text and "64,000 completions x 2048 at most" in text
    assert "peak of each GPU" in text and "assumed: vLLM on an H100" in text
    assert "missing: model OctoMed/OctoMed-7B: set HF_HUB_OFFLINE=0" in text
    assert "missing: package deepspeed, for launch=zero3: pip install deepspeed" in text


def test_any_other_model_is_estimated_too():
    text = told("04_rl", "paper", init="Qwen/Qwen2.5-VL-3B-Instruct")
    assert "3,754,622,976 weights x 4 bytes / 4 GPUs" in text
    with pytest.raises(UserError, match="model 'some/model' is no folder"):
        told("04_rl", "paper", init="some/model")


def test_a_small_run_names_the_weights_that_are_there():
    n = sum(p.numel() for p in hub.load("data/drawn-base")[0].parameters())
    text = told("04_rl")
    assert f"{n:,} weights x 4 bytes" in text and "1 steps x 64" in text
    assert "GPU-hours  " in text and "not estimated" in text
    assert "missing: nothing" in text


@pytest.mark.parametrize(
    ("notebook", "times"),
    [
        ("01_vision", "2 towers x 1 seeds"),
        ("03_sft", "2 groups x 2 amounts x 1 seeds, fewer steps"),
        ("04_rl", "2 groups and controls x 1 seeds"),
        ("05_transfer", "1 groups x 1 weights of the KL x 1 seeds"),
        ("06_boundary", "2 groups, from the start and after SFT x 1 seeds"),
        ("08_beyond", "2 groups x 2 objectives x 1 seeds"),
    ],
)
def test_all_that_train_are_estimated(notebook, times):
    text = told(notebook)
    assert "Estimate of one training" in text and "peak of this machine" in text
    assert times in text
    assert ("rollout cache" in text) == (notebook != "03_sft")


def test_the_second_copy_of_the_consistency_bonus_is_counted_where_it_is_an_arm():
    plain, care = (
        forecast.trainings("04_rl", plan.resolve(plan.load_study("smoke"), "04_rl", {"arms": arms}))
        for arms in (["rl"], ["rl", "care"])
    )
    assert (plain[0][2].care, care[0][2].care) == (False, True)


def test_what_trains_nothing_says_what_would_run():
    text = told("02_support", second="run:03_sft/models/x")
    assert "02_support, study smoke: would be made" in text and "Estimate" not in text
    assert "needs runs/smoke/03_sft" in text


def test_items_that_are_not_there_are_missing(tmp_path):
    text = told("04_rl", groups=[str(tmp_path / "none.jsonl")])
    assert "missing: file " in text and "none.jsonl" in text
