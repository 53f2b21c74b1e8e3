"""Rollout rows and frames typed by hand, for tests of scores."""

from __future__ import annotations

import pandas as pd

SAMPLED = "temperature=1.0,top_p=1.0,top_k=0"


def rollouts(item, greedy, samples, *, gold="A", image=None, dataset="d", modality="m",
             n_options=2, rules=None, finish=None, **more):
    """Rows of one item: the greedy answer (or "-" for no greedy row), then its samples."""
    answers = ([] if greedy == "-" else [(-1, greedy)]) + list(enumerate(samples))
    rows = []
    for position, (index, answer) in enumerate(answers):
        rows.append(dict(
            item_id=item, image_id=image or item, dataset=dataset, modality=modality,
            answer_format="mcq", n_options=n_options, gold=gold, model_hash="h", prompt_hash="p",
            decoding="greedy" if index < 0 else SAMPLED, sample_index=index, parsed=answer,
            parse_rule=(rules or {}).get(position, "tag"), correct=answer == gold,
            finish_reason=(finish or {}).get(position, "stop"),
        ) | more)
    return rows


def frame_of(*groups):
    return pd.DataFrame([row for group in groups for row in group])
