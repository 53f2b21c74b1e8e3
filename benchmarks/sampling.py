"""How much faster `sample` is than one completion at a time, and how its time grows.

`python -m benchmarks.sampling [MODEL]` from the repository's root; MODEL defaults to
data/micro-base. Times are of the processor, on one thread; compared runs alternate.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Annotated

import torch
import typer
from transformers import LogitsProcessorList

from medrl_core.data.drawn import phantom
from medrl_core.data.items import Item, build_items
from medrl_core.data.prompts import messages
from medrl_core.models import hub
from medrl_core.sample import sampling
from medrl_core.sample.sampling import Decoding, sample


def encode(processor, item: Item) -> dict[str, torch.Tensor]:
    """One item's prompt and pixels."""
    text = processor.apply_chat_template(messages(item), tokenize=False, add_generation_prompt=True)
    return dict(processor(text=[text], images=list(item.images) or None, return_tensors="pt"))


@torch.inference_mode()
def one_at_a_time(model, processor, items: Sequence[Item], k: int, decoding: Decoding) -> int:
    """One call of `generate` a completion, as the official script does; returns completions.

    The image goes through the vision tower in each call. Prompt and pixels are prepared once an
    item, which favours this side.
    """
    for item in items:
        inputs = encode(processor, item)
        for _ in range(k):
            sequence = model.generate(
                **inputs,
                do_sample=True,
                temperature=decoding.temperature,
                top_p=decoding.top_p,
                top_k=decoding.top_k,
                max_new_tokens=decoding.max_new_tokens,
            )
            new = sequence[0, inputs["input_ids"].shape[1] :]
            processor.tokenizer.decode(new, skip_special_tokens=True)
    return k * len(items)


@torch.inference_mode()
def repeated_cache(model, tokenizer, inputs, copies: int, decoding: Decoding, uniforms, greedy):
    """`sampling._generate` by a cache repeated for each completion and transformers' `generate`.

    Returns:
        Tokens (completions, steps); the same as `sample` draws from the same uniform numbers.
    """
    length = inputs["input_ids"].shape[1]
    backbone = getattr(model, "model", model)
    if hasattr(backbone, "rope_deltas"):
        backbone.rope_deltas = None
    cache = model(**inputs, use_cache=True, logits_to_keep=1).past_key_values
    cache.crop(-1)
    cache.batch_repeat_interleave(copies)
    if getattr(backbone, "rope_deltas", None) is not None:
        backbone.rope_deltas = backbone.rope_deltas.repeat_interleave(copies, dim=0)
    eos_ids = sampling.eos_ids(model, tokenizer)
    chooser = sampling._Chooser(
        decoding, length, torch.as_tensor(uniforms), torch.as_tensor(greedy), torch.tensor(eos_ids)
    )
    sequences = model.generate(
        input_ids=inputs["input_ids"].repeat_interleave(copies, dim=0),
        attention_mask=inputs["attention_mask"].repeat_interleave(copies, dim=0),
        past_key_values=cache,
        do_sample=False,
        max_new_tokens=decoding.max_new_tokens,
        eos_token_id=eos_ids,
        pad_token_id=tokenizer.pad_token_id,
        repetition_penalty=1.0,
        logits_processor=LogitsProcessorList([chooser]),
    )
    tokens = sequences[:, length:].cpu()
    return tokens, [0.0] * len(tokens), set(eos_ids)


def ours(model, processor, items: Sequence[Item], k: int, decoding: Decoding, **options) -> int:
    """`sample`, parsing and rows included; returns completions."""
    batches = sample(model, processor, items, k=k, decoding=decoding, greedy=False, **options)
    return sum(len(rows) for rows in batches)


def rate(run: Callable[..., int], *args, **options) -> float:
    """Completions a second of processor time."""
    start = time.process_time()
    n = run(*args, **options)
    return n / (time.process_time() - start)


def alternate(ways: Sequence[Callable[[], float]], rounds: int) -> list[list[float]]:
    """Rates of several ways, taken in turn: one list a way."""
    found: list[list[float]] = [[] for _ in ways]
    for _ in range(rounds):
        for rates, way in zip(found, ways, strict=True):
            rates.append(way())
    return found


def main(
    model: Annotated[str, typer.Argument(help="Folder of a model.")] = "data/micro-base",
    modality: Annotated[str, typer.Option(help="Phantom whose items are asked.")] = "blood",
    k: Annotated[int, typer.Option("-k")] = 16,
    n: Annotated[int, typer.Option(help="Items.")] = 128,
    max_new_tokens: Annotated[int, typer.Option()] = 40,
    temperature: Annotated[float, typer.Option(help="Higher: fewer equal beginnings.")] = 1.0,
    rounds: Annotated[int, typer.Option(help="Alternating runs.")] = 5,
) -> None:
    """Print completions a second, ratios, and how the time grows with K, items and batch."""
    torch.set_num_threads(1)
    network, processor = hub.load(model)
    images = phantom.make(modality, n_train=8, n_val=8, n_test=max(n, 8))
    decoding = Decoding(temperature, max_new_tokens=max_new_tokens)
    shared = sampling._generate

    def by_repeated_cache() -> float:
        sampling._generate = repeated_cache
        try:
            return rate(ours, network, processor, items, k, decoding)
        finally:
            sampling._generate = shared

    for answer_format in ("open", "mcq"):
        items = build_items(images, "test", answer_format, n=n)
        ours(network, processor, items[:8], 2, decoding)  # warm up
        plain, repeated, fast = alternate(
            [
                lambda items=items: rate(
                    one_at_a_time, network, processor, items[:2], k, decoding
                ),
                by_repeated_cache,
                lambda items=items: rate(ours, network, processor, items, k, decoding),
            ],
            rounds,
        )
        ratios = [a / b for a, b in zip(fast, plain, strict=True)]
        older = [a / b for a, b in zip(repeated, plain, strict=True)]
        print(f"{answer_format}, K = {k}, {n} items, at most {max_new_tokens} tokens, "
              f"temperature {temperature:g}:")
        print(f"  one at a time   {median(plain):8.1f} completions/s")
        print(f"  repeated cache  {median(repeated):8.1f} completions/s, {median(older):.1f} times")
        print(
            f"  sample          {median(fast):8.1f} completions/s, {median(ratios):.1f} times "
            f"({min(ratios):.1f} to {max(ratios):.1f})"
        )

    items = build_items(images, "test", "open", n=n)
    print("\nHow time grows (open, seconds and completions/s):")
    for title, settings in (
        ("K", [(value, n, 1024) for value in (1, 4, 16, 64)]),
        ("items", [(k, value, 1024) for value in (n // 8, n // 4, n // 2, n)]),
        ("rows a batch", [(k, n, value) for value in (k, 64, 256, 1024, 4096)]),
    ):
        for copies, count, rows in settings:
            found = median(
                rate(ours, network, processor, items[:count], copies, decoding,
                     rows_per_batch=rows)
                for _ in range(3)
            )
            seconds = copies * count / found
            print(f"  {title}: K {copies:3d}, items {count:4d}, rows a batch {rows:5d}: "
                  f"{seconds:7.2f} s {found:8.1f}/s")


if __name__ == "__main__":
    typer.run(main)
