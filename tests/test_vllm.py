"""What vLLM would be asked, recorded by a stand-in for its module; vLLM itself is not here."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pandas as pd
import pytest

import tiny
from medrl_core.measure.rollouts import KEY
from medrl_core.measure.sampling import GREEDY, Decoding
from medrl_core.measure.vllm import sample
from test_cli_measure import items, model, refused, said  # noqa: F401  two are fixtures


@pytest.fixture
def asked(monkeypatch):
    """The calls of a module `vllm` whose answers name the request's place and the sample."""
    calls = []

    class LLM:
        def __init__(self, **options):
            calls.append(options)

        def generate(self, prompts, params, use_tqdm):
            calls.append(list(zip(prompts, params, strict=True)))
            return [
                SimpleNamespace(outputs=[
                    SimpleNamespace(
                        text=f"<answer>{'AB'[i % 2]}</answer>", token_ids=[1, 2, 3],
                        finish_reason="length" if i else "stop", cumulative_logprob=-float(i),
                    )
                    for i in range(one.n)
                ])
                for one in params
            ]  # fmt: skip

    fake = ModuleType("vllm")
    fake.LLM = LLM
    fake.SamplingParams = lambda **options: SimpleNamespace(**options)
    monkeypatch.setitem(sys.modules, "vllm", fake)
    return calls


def test_each_item_is_one_request_for_k_samples_and_one_greedy(asked):
    from vllm import LLM

    _, processor = tiny.build()
    questions = [tiny.plain_item(n_images=n, item_id=str(n)) for n in (0, 2)]
    decoding = Decoding(0.7, 0.9, 5, 12)
    about = {"k": 3, "decoding": decoding, "seed": 4, "model_name": "m", "model_hash": "h"}
    (rows,) = sample(LLM(), processor, questions, **about)
    (prompt, greedy), (_, drawn), (two, _), (_, other) = asked[1]
    assert prompt["prompt"].endswith("assistant\n") and "multi_modal_data" not in prompt
    assert two["multi_modal_data"] == {"image": list(questions[1].images)}
    assert (greedy.n, greedy.temperature, drawn.n) == (1, 0.0, 3)
    sampling = (drawn.temperature, drawn.top_p, drawn.top_k, drawn.max_tokens)
    assert sampling == (0.7, 0.9, 5, 12) and drawn.seed != other.seed
    first = [row for row in rows if row["item_id"] == "0"]
    assert [row["sample_index"] for row in first] == [GREEDY, 0, 1, 2]
    assert [row["parsed"] for row in first] == ["A", "A", "B", "A"]
    assert [row["correct"] for row in first] == [False, False, True, False]
    assert [row["finish_reason"] for row in first] == ["stop", "stop", "length", "length"]
    assert first[2]["logprob"] == -1.0 and first[2]["n_tokens"] == 3
    keys = [tuple(row[name] for name in KEY) for row in rows]
    assert list(sample(LLM(), processor, questions, done=keys, **about)) == []
    (rest,) = sample(LLM(), processor, questions, done=keys[:6], **about)
    assert [tuple(row[name] for name in KEY) for row in rest] == keys[6:]


def test_evaluate_by_vllm(asked, model, items, tmp_path):  # noqa: F811
    words = ["evaluate", "--model", model, "--items", items, "--out", tmp_path / "out", "-k", 2]
    assert "Pass@2" in said(*words, "--backend", "vllm")
    limit = {"limit_mm_per_prompt": {"image": 1}, "trust_remote_code": False}
    assert asked[0] == {"model": str(model)} | limit
    assert len(pd.read_parquet(tmp_path / "out" / "rollouts.parquet")) == 2 * 3


def test_without_vllm_a_line_says_what_to_install(monkeypatch, model, items, tmp_path):  # noqa: F811
    monkeypatch.setitem(sys.modules, "vllm", None)
    words = ["evaluate", "--model", model, "--items", items, "--out", tmp_path / "out"]
    assert "vLLM is not installed: pip install" in refused(*words, "--backend", "vllm")
    assert "use transformers or vllm" in refused(*words, "--backend", "tgi")
    assert "--exact needs" in refused(*words, "--backend", "vllm", "--exact")
    assert not (tmp_path / "out").exists()
