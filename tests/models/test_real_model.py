"""The converted SmolLM2: it is there only after `make real-model`."""

from __future__ import annotations

from pathlib import Path

import pytest

from medrl_core.errors import UserError
from medrl_core.models.real_model import NAME, convert

FOLDER = Path(__file__).parents[2] / ".venv/real-model" / NAME


def test_missing_packages_are_named(tmp_path):
    with pytest.raises(UserError, match="make real-model"):
        convert(tmp_path)


@pytest.mark.skipif(not FOLDER.is_dir(), reason="no real model: make real-model fetches it")
def test_it_knows_what_such_a_model_knows():
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(FOLDER)
    net = AutoModelForCausalLM.from_pretrained(FOLDER).eval()
    inputs = tokenizer("The capital of France is", return_tensors="pt")
    with torch.inference_mode():
        word = net(**inputs).logits[0, -1].argmax()
    assert tokenizer.decode(word).strip() == "Paris"
    assert convert(FOLDER.parent) == FOLDER  # there already: left as it is
