from __future__ import annotations

import pytest
import torch
from huggingface_hub import ModelCard
from peft import AutoPeftModel, get_peft_model
from transformers import AutoModelForImageTextToText

import tiny
from medrl_core.models import hub
from medrl_core.report import modelcard
from medrl_core.sample.rollouts import RolloutStore
from medrl_core.sample.sampling import Decoding
from medrl_core.score.evaluate import evaluate
from medrl_core.train import sft

MADE = {
    "notebook": "04_rl", "study": "smoke", "datasets": ["drawn:chest film"],
    "parameters": {"arm": "rl", "learning_rate_rl": 5e-5},
}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    model, processor = tiny.build()
    return hub.save(model, processor, tmp_path_factory.mktemp("base") / "model")


def test_a_card_holds_what_was_done_and_what_came_of_it(base, tmp_path):
    model, processor = hub.load(str(base))
    rollouts = evaluate(
        model, processor, tiny.items("mcq", 4), RolloutStore(tmp_path), k=2, model_name="tiny",
        model_hash="x", decoding=Decoding(max_new_tokens=4),
    )
    modelcard.write(base, base="data/drawn-base", rollouts=rollouts, **MADE)
    card = ModelCard.load(base / "README.md")
    assert card.data.base_model == "data/drawn-base"
    assert card.data.library_name == "transformers"
    assert card.data.tags == ["medrl", "04_rl", "smoke"]
    assert card.data.datasets == ["drawn:chest film"]
    assert "Not for medical use" in card.text
    assert '"learning_rate_rl": 5e-05' in card.text
    assert "acc@1" in card.text and "pass@2" in card.text and "Not measured" not in card.text
    acc, passed = card.data.eval_results
    assert (acc.metric_type, passed.metric_type) == ("accuracy", "pass@2")
    assert acc.metric_value == round(rollouts[rollouts.sample_index == -1].correct.mean(), 4)
    assert acc.dataset_name == rollouts.dataset.iloc[0] and card.data.model_name == "model"
    AutoModelForImageTextToText.from_pretrained(base)


def test_an_adapter_loads_apart_and_merged_and_has_its_own_card(base, tmp_path):
    torch.manual_seed(0)
    model, processor = hub.load(str(base))
    model = get_peft_model(model, sft.lora_config())
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.05)
    ids = processor.tokenizer("What is seen?", return_tensors="pt")
    model.eval()
    with torch.no_grad():
        expected = model(**ids).logits
    folder = hub.save(model, processor, tmp_path / "tuned")
    modelcard.write(folder, base=str(base), rollouts=None, **MADE)
    card = ModelCard.load(folder / "adapter" / "README.md")
    assert card.data.library_name == "peft" and card.data.base_model == str(base)
    assert "lora" in card.data.tags and "Not measured." in card.text
    assert ModelCard.load(folder / "README.md").data.library_name == "transformers"
    apart = AutoPeftModel.from_pretrained(folder / "adapter").eval()
    for found in (
        apart,
        hub.load(str(folder))[0],
        hub.load(str(folder / "adapter"))[0],
        hub.load(str(folder / "adapter"), merge=False)[0],
    ):
        with torch.no_grad():
            assert torch.allclose(found(**ids).logits, expected, atol=1e-4)
    assert len(list((folder / "adapter").glob("adapter_model.safetensors"))) == 1
    assert any("lora_" in name for name, _ in apart.named_parameters())
    assert hub.model_hash(str(folder / "adapter")) != hub.model_hash(str(folder))
