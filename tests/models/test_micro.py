from __future__ import annotations

import unicodedata

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import tiny
from medrl_core.data.prompts import messages, target_text
from medrl_core.models import micro

MODEL, PROCESSOR = tiny.build()
TOKENIZER = PROCESSOR.tokenizer


@given(st.text(max_size=40))
def test_any_text_survives_the_tokenizer(text):
    text = unicodedata.normalize("NFC", text)
    for token in micro.SPECIAL_TOKENS:
        text = text.replace(token, "")
    assert TOKENIZER.decode(TOKENIZER(text)["input_ids"]) == text


def test_tags_are_one_token_each_and_survive_a_decode_without_special_tokens():
    text = target_text(tiny.items("mcq", 1)[0])
    ids = TOKENIZER(text + "<|im_end|>")["input_ids"]
    assert TOKENIZER.decode(ids, skip_special_tokens=True) == text
    assert [TOKENIZER.decode([i]) for i in ids].count("<answer>") == 1
    for tag in micro.TAG_TOKENS:
        assert len(TOKENIZER(tag)["input_ids"]) == 1


def test_special_tokens_are_dropped_by_such_a_decode():
    ids = TOKENIZER("".join(micro.SPECIAL_TOKENS))["input_ids"]
    assert len(ids) == len(micro.SPECIAL_TOKENS)
    assert TOKENIZER.decode(ids, skip_special_tokens=True) == ""


def test_equal_corpora_give_equal_tokenizers():
    texts = ["the left lung", "the right lung", "a red cell"] * 3
    assert micro.train_tokenizer(texts, 300).get_vocab() == micro.train_tokenizer(
        iter(texts), 300
    ).get_vocab()


@pytest.mark.parametrize("size", [(28, 28), (32, 32), (64, 64), (224, 224)])
def test_a_square_image_becomes_sixteen_tokens(size):
    item = tiny.plain_item(n_images=1)
    text = PROCESSOR.apply_chat_template(
        messages(item), tokenize=False, add_generation_prompt=True
    )
    batch = PROCESSOR(text=[text], images=[Image.new("RGB", size)], return_tensors="pt")
    n = int((batch["input_ids"] == MODEL.config.image_token_id).sum())
    assert n == batch["image_grid_thw"].prod() // micro.MERGE**2 == 16


def test_the_chat_template():
    item = tiny.plain_item(n_images=2)
    turns = [*messages(item), {"role": "assistant", "content": "yes"}]
    assert PROCESSOR.apply_chat_template(turns, tokenize=False) == (
        "<|im_start|>user\n" + "<|vision_start|><|image_pad|><|vision_end|>" * 2
        + turns[0]["content"][-1]["text"] + "<|im_end|>\n<|im_start|>assistant\nyes<|im_end|>\n"
    )


def test_the_seed_fixes_the_weights_and_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first = micro.build_model(TOKENIZER, width=32, depth=1, seed=1)
    assert torch.equal(torch.rand(1), expected)
    again = micro.build_model(TOKENIZER, width=32, depth=1, seed=1)
    other = micro.build_model(TOKENIZER, width=32, depth=1, seed=2)
    assert tiny.same(tiny.weights(first), tiny.weights(again))
    assert not tiny.same(tiny.weights(first), tiny.weights(other))


def test_the_default_size_and_the_ends_of_an_answer():
    model = micro.build_model(TOKENIZER)
    assert 1.5e6 < sum(p.numel() for p in model.parameters()) < 3e6
    assert TOKENIZER.decode([model.generation_config.eos_token_id]) == "<|im_end|>"
    assert TOKENIZER.decode([model.generation_config.pad_token_id]) == "<|endoftext|>"


def test_the_answer_depends_on_the_image():
    item = tiny.plain_item(n_images=1)
    text = PROCESSOR.apply_chat_template(
        messages(item), tokenize=False, add_generation_prompt=True
    )
    logits = []
    for colour in ("black", "white"):
        batch = PROCESSOR(
            text=[text], images=[Image.new("RGB", (28, 28), colour)], return_tensors="pt"
        )
        with torch.no_grad():
            logits.append(MODEL(**batch).logits[0, -1])
    assert not torch.allclose(logits[0], logits[1], atol=1e-3)
