"""The same sampling by vLLM: all K completions of an item in one request. Needs the extra `gpu`.

`medrl evaluate --backend vllm` uses it. Written against vLLM's documented offline interface; no
machine of this project has had a GPU with vLLM, so it was run against a stand-in alone
(`pytest tests/test_vllm.py`), which records what it is asked. Not checked: speed, memory, the
placement of several images, and agreement with `sampling.sample`.

It differs in two ways. vLLM seeds a request and not a completion: the same K and seed give the same
samples, another K gives others, so raising K in a folder draws the new samples from another
stream. And log-probabilities are those that vLLM reports. A row does not say which backend made it:
keep a folder to one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from medrl_core.data.items import Item
from medrl_core.data.network import ask_hub
from medrl_core.data.prompts import messages, prompt_hash
from medrl_core.errors import UserError
from medrl_core.measure.sampling import (
    GREEDY,
    Completion,
    Decoding,
    rollout_rows,
    wanted_items,
)
from medrl_core.models import hub, whole

# Items handed to vLLM at once; it makes its own batches of them. Their rows are kept together.
ITEMS_A_CALL = 256


def load(ref: str, items: Sequence[Item]):
    """Load a model into vLLM, and its processor.

    Arguments:
        ref: a folder or a hub id.
        items: what will be asked; the most images of one of them is allowed in a prompt.

    Returns:
        `(llm, processor)` for `sample`.

    Raises:
        UserError: vLLM is not installed, or it cannot load the model.
    """
    from transformers import AutoProcessor

    try:
        from vllm import LLM
    except ImportError as error:
        raise UserError(
            "vLLM is not installed: pip install 'medrl_core[gpu]' in an environment of its own, "
            "or take --backend transformers"
        ) from error
    most = max((len(item.images) for item in items), default=0)
    limit = {"image": most} if most else {}
    if Path(ref).is_dir():
        whole.check(Path(ref))
    else:
        ref = ask_hub(ref)
    try:
        llm = LLM(model=ref, limit_mm_per_prompt=limit, **hub.NO_CODE)
        return llm, AutoProcessor.from_pretrained(ref, **hub.NO_CODE)
    except Exception as error:  # many kinds; all mean "cannot be loaded"
        raise hub.refusal(ref, error) from error


def sample(
    llm,
    processor,
    items: Sequence[Item],
    *,
    k: int,
    decoding: Decoding | None = None,
    greedy: bool = True,
    seed: int = 0,
    model_name: str = "",
    model_hash: str = "",
    done: Collection[tuple] = (),
) -> Iterator[list[dict]]:
    """Draw K completions of each item by one request with n = K, and the greedy one by another.

    Arguments:
        llm: a `vllm.LLM`; the rest as for `sampling.sample`.

    Returns:
        An iterator over batches of rollout rows.
    """
    from vllm import SamplingParams

    decoding, done = decoding or Decoding(), set(done)
    indices = ([GREEDY] if greedy else []) + list(range(k))
    hashes = [prompt_hash(item) for item in items]
    wanted = wanted_items(items, hashes, decoding, indices, model_hash, done)
    todo = [
        (item, hashed)
        for item, hashed, want in zip(items, hashes, wanted, strict=True)
        if want
    ]
    plain = {"max_tokens": decoding.max_new_tokens, "logprobs": 0, "repetition_penalty": 1.0}
    for first in range(0, len(todo), ITEMS_A_CALL):
        requests, asked = [], []
        for item, hashed in todo[first : first + ITEMS_A_CALL]:
            prompt = {"prompt": processor.apply_chat_template(
                messages(item), tokenize=False, add_generation_prompt=True)}  # fmt: skip
            if item.images:
                prompt["multi_modal_data"] = {"image": list(item.images)}
            if greedy:
                requests.append((prompt, SamplingParams(n=1, temperature=0.0, **plain)))
                asked.append((item, hashed, [GREEDY]))
            if k:
                drawn = SamplingParams(
                    n=k, temperature=decoding.temperature, top_p=decoding.top_p,
                    top_k=decoding.top_k or -1, seed=_seed(seed, item), **plain,
                )  # fmt: skip
                requests.append((prompt, drawn))
                asked.append((item, hashed, list(range(k))))
        prompts, params = zip(*requests, strict=True)
        found = llm.generate(list(prompts), list(params), use_tqdm=False)
        yield rollout_rows(
            [
                Completion(item, hashed, index, one.text, len(one.token_ids),
                           one.finish_reason == "stop", one.cumulative_logprob)
                for (item, hashed, of), output in zip(asked, found, strict=True)
                for index, one in zip(of, output.outputs, strict=True)
            ],
            decoding, seed=seed, model_name=model_name, model_hash=model_hash, done=done,
        )  # fmt: skip


def _seed(seed: int, item: Item) -> int:
    """A request's seed: items differ, and do not depend on the ones beside them."""
    digest = hashlib.sha256(f"{seed}|{item.item_id}".encode()).digest()
    return int.from_bytes(digest[:4], "little")
