from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from transformers import (
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    LlavaConfig,
    LlavaForConditionalGeneration,
)

import tiny
from medrl_core.data.prompts import messages
from medrl_core.sample import decode
from medrl_core.sample.decode import Groups, complete, items_that_fit
from medrl_core.sample.sampling import Chooser, Decoding

VOCABULARY = 60
IMAGE = 59
STEPS = 8
COPIES = 4
TEXT = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "pad_token_id": 0,
    "bos_token_id": 1, "eos_token_id": 2, "max_position_embeddings": 128,
}
VISION = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "image_size": 8, "patch_size": 4,
}


def prompt(n_image_tokens: int, pixels: tuple[int, ...], items: int = 3, length: int = 12):
    """Prompts of random tokens that begin with an image's place, and random pixels."""
    rng = torch.Generator().manual_seed(1)
    ids = torch.randint(3, IMAGE, (items, length), generator=rng)
    ids[:, 1 : 1 + n_image_tokens] = IMAGE
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "pixel_values": torch.randn(items, *pixels, generator=rng),
    }


def llava():
    config = LlavaConfig(
        vision_config={"model_type": "clip_vision_model", **VISION, "projection_dim": 16},
        text_config={"model_type": "llama", **TEXT},
        image_token_id=IMAGE, image_seq_length=4, vision_feature_layer=-1,
    )
    return LlavaForConditionalGeneration(config), prompt(4, (3, 8, 8))


def idefics3():
    config = Idefics3Config(
        vision_config=VISION, text_config={"model_type": "llama", **TEXT}, image_token_id=IMAGE,
        scale_factor=2, pad_token_id=0,
    )
    return Idefics3ForConditionalGeneration(config), prompt(1, (1, 3, 8, 8))


def gemma3(window: int):
    layers = ["sliding_attention", "full_attention"]
    config = Gemma3Config(
        text_config=TEXT | {"sliding_window": window, "layer_types": layers},
        vision_config={**VISION, "vision_use_head": False}, mm_tokens_per_image=4,
        image_token_id=IMAGE, boi_token_id=57, eoi_token_id=58,
    )
    inputs = prompt(4, (3, 8, 8))
    inputs["token_type_ids"] = (inputs["input_ids"] == IMAGE).long()
    return Gemma3ForConditionalGeneration(config), inputs


def qwen():
    model, processor = tiny.build()
    item = tiny.items("open", 1)[0]
    text = processor.apply_chat_template(messages(item), tokenize=False, add_generation_prompt=True)
    images = [list(other.images) for other in tiny.items("open", 3)]
    return model, dict(processor(text=[text] * 3, images=images, return_tensors="pt"))


# name: how it is made, and whether it reads the shared prompt or copies it
FAMILIES = {
    "qwen2_5_vl": (qwen, True),
    "llava": (llava, True),
    "idefics3": (idefics3, True),
    "gemma3, window holds all": (lambda: gemma3(64), True),
    "gemma3, window too short": (lambda: gemma3(6), False),
}


def build(name: str):
    torch.manual_seed(0)
    model, inputs = FAMILIES[name][0]()
    if name != "qwen2_5_vl":
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(8.0)  # else the next token would hardly depend on the prompt
    return model.eval(), inputs


def draws(n: int, steps: int = STEPS, seed: int = 0):
    """Uniform numbers of n completions, the first of each COPIES greedy."""
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(n, steps, generator=rng), torch.arange(n) % COPIES == 0


@torch.inference_mode()
def run(model, inputs, uniforms, greedy, eos_ids=(), decoding=None, copies=COPIES):
    choose = Chooser(decoding or Decoding(), uniforms, greedy).choose
    most = uniforms.shape[1]
    return complete(
        model, inputs, copies=copies, max_new_tokens=most, choose=choose, eos_ids=eos_ids
    )


def one_item(inputs, i: int, items: int):
    """The inputs of one item of a batch."""
    return {name: x.unflatten(0, (items, -1))[i] for name, x in inputs.items()}


def by_generate(model, inputs, i: int, uniforms, greedy):
    """One completion by transformers' own `generate` on one prompt, nothing shared."""
    alone = one_item(inputs, i // COPIES, len(uniforms) // COPIES)
    choose = Chooser(Decoding(), uniforms[i : i + 1], greedy[i : i + 1]).choose
    tokens, _ = decode.by_generate(model, alone, 1, uniforms.shape[1], choose, ())
    return tokens[0].tolist()


@pytest.mark.parametrize("name", FAMILIES)
def test_completions_equal_those_of_generate(name, monkeypatch):
    model, inputs = build(name)
    answers = []
    plain = decode.shares_prefix
    monkeypatch.setattr(
        decode, "shares_prefix", lambda *args: answers.append(plain(*args)) or answers[-1]
    )
    uniforms, greedy = draws(3 * COPIES)
    config, before = model.config.text_config, model.config.text_config._attn_implementation
    tokens, _ = run(model, inputs, uniforms, greedy)
    assert answers == [FAMILIES[name][1]] and config._attn_implementation == before
    expected = [by_generate(model, inputs, i, uniforms, greedy) for i in range(len(uniforms))]
    assert tokens.tolist() == expected
    assert len({tuple(row) for row in expected}) > len(expected) // 2


@pytest.mark.parametrize("name", FAMILIES)
def test_ended_completions_leave_and_change_nothing(name):
    model, inputs = build(name)
    uniforms, greedy = draws(3 * COPIES)
    whole, _ = run(model, inputs, uniforms, greedy)
    # All completions of item 1 end by the second token, the others at many times.
    eos_ids = {*whole[COPIES : 2 * COPIES, 1].tolist(), *whole[::5, 5].tolist()}
    tokens, logprobs = run(model, inputs, uniforms, greedy, eos_ids)
    ends = []
    for row, found in zip(whole.tolist(), tokens.tolist(), strict=True):
        end = next((i + 1 for i, token in enumerate(row) if token in eos_ids), len(row))
        assert found == row[:end] + [-1] * (len(row) - end)
        ends.append(end)
    assert len(set(ends)) > 2 and max(ends[COPIES : 2 * COPIES]) <= 2
    # A completion with the image's token cannot be read again as a prompt.
    readable = [i for i, row in enumerate(tokens.tolist()) if IMAGE not in row or name[0] == "q"]
    assert len(readable) > 3
    for i in readable[::3]:
        alone = one_item(inputs, i // COPIES, 3)
        ids = torch.cat([alone["input_ids"], tokens[i : i + 1, : ends[i]]], 1)
        alone |= {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        for kinds in {"mm_token_type_ids", "token_type_ids"} & set(alone):
            alone[kinds] = torch.nn.functional.pad(alone[kinds], (0, ends[i]))
        if hasattr(model.model, "rope_deltas"):
            model.model.rope_deltas = None
        with torch.no_grad():
            logits = model(**alone).logits[0, -ends[i] - 1 : -1]
        expected = logits.log_softmax(-1).gather(-1, ids[0, -ends[i] :, None]).sum().item()
        assert logprobs[i].item() == pytest.approx(expected, abs=1e-3)


def test_the_room_for_new_tokens_grows(monkeypatch):
    model, inputs = build("llava")
    uniforms, greedy = draws(3 * COPIES)
    expected, _ = run(model, inputs, uniforms, greedy)
    monkeypatch.setattr(decode, "ROOM", 2)
    assert torch.equal(run(model, inputs, uniforms, greedy)[0], expected)


def rows_of_each_step(model, inputs, *args):
    rows = []
    hook = model.get_input_embeddings().register_forward_pre_hook(
        lambda _, ids: rows.append(tuple(ids[0].shape))
    )
    tokens, _ = run(model, inputs, *args)
    hook.remove()
    return tokens, rows[1:]  # the first are the prompts


def test_each_history_is_one_row_and_none_is_run_in_vain():
    model, inputs = build("llava")
    uniforms, greedy = draws(3 * COPIES)
    tokens, rows = rows_of_each_step(model, inputs, uniforms, greedy, set(range(7, 13)))
    going = [
        {(i // COPIES, *row[: step + 1]) for i, row in enumerate(tokens.tolist())
         if row[step] not in {-1, *range(7, 13)}}
        for step in range(STEPS - 1)
    ]
    assert rows == [(len(histories), 1) for histories in going if histories]
    # Greedy completions of an item never part.
    _, rows = rows_of_each_step(model, inputs, uniforms, torch.ones_like(greedy))
    assert rows == [(3, 1)] * (STEPS - 1)


@torch.inference_mode()
def test_one_history_ends_while_another_splits():
    """The number of rows stays and their parents change: 0a ends as 1a splits."""
    model, inputs = build("llava")
    end = 2
    script = torch.tensor([[5, end, 0, 0], [6, 7, 8, 9], [5, 7, 8, 9], [5, 8, 8, 9]])

    def choose(scores, history, completion, step):
        tokens = script[completion, step]
        return tokens, scores.log_softmax(-1)[history, tokens]

    two = {name: x[:2] for name, x in inputs.items()}
    counts = {"copies": 2, "max_new_tokens": 4}
    tokens, logprobs = complete(model, two, choose=choose, eos_ids={end}, **counts)
    assert tokens.tolist() == [[5, end, -1, -1], *script[1:].tolist()]
    for i, n in enumerate((2, 4, 4, 4)):
        ids = torch.cat([two["input_ids"][i // 2], script[i, :n]])[None]
        pixels = two["pixel_values"][i // 2][None]
        logits = model(input_ids=ids, pixel_values=pixels).logits[0, -n - 1 : -1]
        expected = logits.log_softmax(-1)[range(n), script[i, :n]].sum().item()
        assert logprobs[i].item() == pytest.approx(expected, abs=1e-3)


def test_prompts_without_a_history_are_dropped():
    model, inputs = build("llava")
    with torch.no_grad():
        cache = decode._SharedCache(model(**inputs, use_cache=True).past_key_values)
    keys = cache.layers[0].prefix_keys
    cache.batch_select_indices(torch.tensor([1, 1, 2]))
    assert torch.equal(cache.layers[0].prefix_keys, keys)  # two of three in use: not worth a copy
    assert cache.item.tolist() == [1, 1, 2]
    cache.batch_select_indices(torch.tensor([2]))
    assert torch.equal(cache.layers[0].prefix_keys, keys[2:])
    assert cache.item.tolist() == [0]


def test_two_tokens_follow_the_models_joint_distribution():
    n, kept, heat, (model, inputs) = 4000, 3, 10.0, build("llava")
    alone = one_item(inputs, 1, 3)
    decoding = Decoding(temperature=heat, top_k=kept)
    tokens, _ = run(
        model, alone, torch.rand(n, 2, generator=torch.Generator().manual_seed(3)),
        torch.zeros(n, dtype=torch.bool), decoding=decoding, copies=n,
    )

    @torch.no_grad()
    def step(ids):
        whole = {**alone, "input_ids": ids, "attention_mask": torch.ones_like(ids)}
        values, index = (model(**whole).logits[0, -1].double() / heat).topk(kept)
        return list(zip(index.tolist(), values.softmax(-1).tolist(), strict=True))

    expected = {}
    for first, p in step(alone["input_ids"]):
        ids = torch.cat([alone["input_ids"], torch.tensor([[first]])], 1)
        expected |= {(first, second): n * p * q for second, q in step(ids)}
    found = dict.fromkeys(expected, 0)
    for pair in tokens.tolist():
        found[tuple(pair)] += 1
    assert len(expected) == 9 and min(expected.values()) > 5
    assert chisquare(list(found.values()), list(expected.values())).pvalue > 1e-3


def test_capped_scores_are_not_shared():
    model, inputs = build("gemma3, window holds all")
    cache = model(**inputs, use_cache=True).past_key_values
    assert decode.shares_prefix(model, cache, 64)
    assert not decode.shares_prefix(model, cache, 65)
    for cap in (50.0, None):
        model.config.text_config.attn_logit_softcapping = cap
        assert decode.shares_prefix(model, cache, 64) == (cap is None)
    model.model.sinks = torch.nn.Parameter(torch.zeros(1))
    assert not decode.shares_prefix(model, cache, 64)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=8).filter(any))
def test_groups_pad_and_flatten(counts):
    group = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    rows = torch.arange(len(group) * 2).view(-1, 2)
    groups = Groups(group, len(counts))
    table = groups.padded(rows)
    assert table.shape == (len(counts), max(counts), 2)
    for i, count in enumerate(counts):
        assert torch.equal(table[i, :count], rows[group == i])
    assert torch.equal(groups.flat(table), rows)


def test_items_that_fit_by_hand(monkeypatch):
    model, _ = build("llava")
    monkeypatch.setattr(decode, "ROOM", 2)
    # A token: keys and values x 2 layers x 2 heads x 8 x 4 bytes = 256. A completion of 10 tokens:
    # 2 x (10 + 2) x 256 + 5 x 4 x 60 = 7,344. An item: 3 x 7,344 + 20 x 256 = 27,152.
    for free, expected in ((2 * 27_152 * 5, 5), (2 * 27_152 * 5 - 2, 4), (0, 0)):
        memory = SimpleNamespace(available=free)
        monkeypatch.setattr(decode.psutil, "virtual_memory", lambda memory=memory: memory)
        assert items_that_fit(model, length=20, copies=3, new_tokens=10) == expected
