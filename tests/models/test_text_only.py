"""Language models without eyes: evaluated on the questions alone, marked so, and not trained."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import torch
import transformers
from PIL import Image
from test_cli_measure import refused
from typer.testing import CliRunner

import families
import tiny
from medrl.commands.main import app
from medrl_core.data.prompts import user_text
from medrl_core.errors import UserError
from medrl_core.models import hub
from medrl_core.models.text_only import TextProcessor, seen_by
from medrl_core.train import arms, sft


def llama(folder, template: str | None = None):
    """A folder as transformers saves a LlamaForCausalLM and its tokenizer."""
    torch.manual_seed(0)
    made = families.tokenizer()
    made.chat_template = template
    made.save_pretrained(folder)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**families.text(made)))
    for parameter in model.parameters():
        parameter.data.mul_(8.0)
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def items(tmp_path):
    """Two items that differ in their pictures alone, and one with another question."""
    for name, shade in (("dark", 10), ("light", 240)):
        Image.new("L", (28, 28), shade).save(tmp_path / f"{name}.png")
    shown = [("dark.png", "Which?"), ("light.png", "Which?"), ("dark.png", "Where is it?")]
    lines = [
        {"dataset_name": "toy", "dataset_index": i, "image_paths": [name], "question": asked,
         "options": ["cat", "dog"], "answer_label": "A", "answer": "cat"}
        for i, (name, asked) in enumerate(shown)
    ]  # fmt: skip
    (tmp_path / "items.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return tmp_path / "items.jsonl"


def test_a_language_model_is_asked_the_question_alone_and_marked(items, tmp_path):
    folder = llama(tmp_path / "model")
    words = ["evaluate", "--model", folder, "--items", items, "--out", tmp_path / "out", "-k", 2]
    ran = CliRunner().invoke(app, [str(word) for word in [*words, "--max-new-tokens", 4]])
    assert ran.exit_code == 0, ran.output
    assert "pictures are left out" in ran.stderr and "own decoding" in ran.stderr
    assert "(no pictures)" in ran.stdout and "Pass@2" in ran.stdout
    frame = pd.read_parquet(tmp_path / "out" / "rollouts.parquet")
    assert set(frame.model) == {f"{folder} (no pictures)"} and len(frame) == 3 * 3
    greedy = frame[frame.sample_index == -1].set_index("item_id").text.tolist()
    assert greedy[0] == greedy[1] != greedy[2]
    # The greedy answer is that of transformers to the same text.
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    asked = tiny.plain_item(question="Where is it?")
    text = f"{user_text(asked)}\n"
    ids = tokenizer(text, return_tensors="pt")
    made = model.generate(**ids, max_new_tokens=4, do_sample=False, pad_token_id=0)
    made = made[0, ids.input_ids.shape[1] :]
    assert tokenizer.decode(made, skip_special_tokens=True) == greedy[2]


def test_a_chat_template_is_used_and_gets_plain_text():
    made = families.tokenizer()
    made.chat_template = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"
    turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Which?"}]}
    processor = TextProcessor(made)
    assert processor.apply_chat_template([turn], tokenize=False) == "<user>Which?"
    made.chat_template = None
    assert processor.apply_chat_template([turn], tokenize=False) == "Which?\n"


def test_one_that_sees_keeps_its_pictures():
    items = [tiny.plain_item(n_images=1)]
    assert seen_by(tiny.build()[1], items) == items
    assert seen_by(TextProcessor(families.tokenizer()), items)[0].images == ()


def test_training_one_is_refused_before_its_weights_are_read(tmp_path):
    folder = llama(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match="a model of type llama cannot be trained here: it sees no"):
        arms.make(
            "sft", str(folder), (), seed=0, out=tmp_path / "out", sft=arms.SFT(), labelled=()
        )
    model, processor = hub.load(str(llama(tmp_path / "other")))
    with pytest.raises(UserError, match="it sees no pictures"):
        sft.train(model, processor, tiny.items(n=2), steps=1)


def test_a_model_that_gives_no_answers_is_refused_in_one_line(items, tmp_path):
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    transformers.ViTModel(config).save_pretrained(tmp_path / "vit")
    words = ["--model", tmp_path / "vit", "--items", items, "--out", tmp_path / "out"]
    assert "a model of type vit gives no answers" in refused("evaluate", *words)
