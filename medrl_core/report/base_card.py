"""The micro base model with its card: what it saw, what it can do, how to make it again.

`medrl pretrain --out DIR` writes it
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pandas as pd

from medrl_core.data.drawn import phantom
from medrl_core.data.items import ANSWER_FORMATS, build_items
from medrl_core.files import mend, replace
from medrl_core.models import hub
from medrl_core.report import tables
from medrl_core.sample.rollouts import RolloutStore
from medrl_core.sample.sampling import GREEDY, Decoding
from medrl_core.score.evaluate import evaluate
from medrl_core.score.parsing import format_ok
from medrl_core.score.statistics import score
from medrl_core.score.thresholds import SUPPORT_K
from medrl_core.train.base import curriculum, pretrain

# Held out from the training of the base and from every study, whose images have seed 0.
HELD_OUT_SEED = 77
K = 16


def measure(folder: Path, work_dir: Path, n_items: int = 100) -> pd.DataFrame:
    """Measure a base model on held-out items of every modality.

    Arguments:
        folder: the model's folder.
        work_dir: where rollouts are kept.
        n_items: items of each modality and answer format.

    Returns:
        One row a modality and answer format: dataset, answer_format, acc1, pass16, floor1,
        excess4 (excess support at K = 4), format_ok (share of greedy answers).
    """
    model, processor = hub.load(str(folder))
    weights = hub.model_hash(str(folder))
    rows = []
    for answer_format in ANSWER_FORMATS:
        items = []
        for name in phantom.MODALITIES:
            image_set = phantom.make(name, n_train=1, n_val=1, n_test=n_items, seed=HELD_OUT_SEED)
            items += build_items(image_set, "test", answer_format, seed=HELD_OUT_SEED)
        frame = evaluate(
            model, processor, items, RolloutStore(work_dir / answer_format), k=K,
            decoding=Decoding(), model_name="base", model_hash=weights,
        )
        greedy = frame[frame.sample_index == GREEDY]
        tags = greedy.text.map(format_ok).groupby(greedy.dataset).mean()
        found = score(frame)
        found = found[found.scope == "dataset"].set_index(["name", "metric", "k"]).value
        for name in dict.fromkeys(item.dataset for item in items):
            rows.append(
                {
                    "dataset": name,
                    "answer_format": answer_format,
                    "acc1": found[name, "acc@1", 1],
                    "pass16": found[name, "pass@k", K],
                    "floor1": found[name, "guess_floor@k", 1],
                    "excess4": found[name, "excess_support@k", SUPPORT_K],
                    "format_ok": tags[name],
                }
            )
    return pd.DataFrame(rows)


def write(folder: Path, content: dict, measured: pd.DataFrame) -> None:
    """Write card.json and README.md into a model's folder.

    Arguments:
        folder: the model's folder.
        content: exposure (data set to images), seed, lessons, data_sha256, weights, command.
        measured: as `measure` gives it.
    """
    records = measured.round(4).to_dict("records")
    card = json.dumps({**content, "held_out": records}, indent=1, sort_keys=True)
    (folder / "card.json").write_text(card + "\n")
    exposure = pd.DataFrame(
        [{"data set": name, "images": str(n)} for name, n in content["exposure"].items()]
    )
    shares = dict.fromkeys(("acc1", "pass16", "floor1", "format_ok"), "percent")
    parts = [
        "---\nlicense: apache-2.0\npipeline_tag: image-text-to-text\n---\n",
        "# medrl micro base\n",
        "A tiny Qwen2.5-VL (stock classes) trained from random weights on drawn images. It is a "
        "teaching model: it knows nothing of medicine, and none of its numbers is the paper's.\n",
        "## What it has seen\n",
        "General pictures (shapes, colours, textures, counts, positions), option reading as text "
        "alone for all label names, and images of these phantom modalities with captions and "
        "questions. A modality with 0 images was never shown; its multiple-choice questions were "
        "read beside general pictures, where they can only be guessed.\n",
        tables.markdown(exposure),
        "## What it can do\n",
        f"Held-out items (image seed {HELD_OUT_SEED}), temperature 1. Excess support at "
        f"K = {SUPPORT_K}; 0 is the guess floor.\n",
    ]
    for answer_format in ANSWER_FORMATS:
        rows = measured[measured.answer_format == answer_format]
        parts += [
            f"### {answer_format}\n",
            tables.markdown(
                rows.drop(columns="answer_format"),
                units={**shares, "excess4": "number"},
                headers={
                    "dataset": "data set", "acc1": "Acc@1", "pass16": "Pass@16",
                    "floor1": "guessing once", "excess4": "excess support",
                    "format_ok": "tags right",
                },
                max_columns=6,
            ),
        ]
    parts += [
        "## How to make it again\n",
        f"```\n{content['command']}\n```\n",
        f"Seed {content['seed']}, {content['lessons']} lessons, training data SHA-256 "
        f"`{content['data_sha256']}`, weights `{content['weights']}`. Bytes may differ on another "
        "machine; the numbers above then agree within their sampling error.\n",
    ]
    (folder / "README.md").write_text("\n".join(parts))


def make(*, out: str, seed: int = 0) -> None:
    """Train, save and measure the micro base model; the card is part of the folder.

    Arguments:
        out: folder of the checkpoint; replaced when everything has succeeded.
        seed: of the random weights and of the curriculum.
    """
    lessons = curriculum.build(seed=seed)
    model, processor, _ = pretrain.train(lessons, seed=seed)
    target = Path(out)
    target.parent.mkdir(parents=True, exist_ok=True)
    mend(target)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as work:
        made = hub.save(model, processor, Path(work) / "model")
        content = {
            "exposure": {f"phantom-{name}": n for name, n in curriculum.EXPOSURE.items()},
            "seed": seed,
            "lessons": len(lessons.captions) + len(lessons.questions),
            "data_sha256": pretrain.data_hash(lessons),
            "weights": hub.model_hash(str(made)),
            "command": f"medrl pretrain --out {out} --seed {seed}",
        }
        write(made, content, measure(made, Path(work)))
        replace(target, made)
