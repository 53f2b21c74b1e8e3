"""How often the reader of answers errs on a real model's completions, judged by hand.

    make real-model
    python -m benchmarks.reader_errors draw ../shared/vqa/vqa_rad .venv/real-model
    python -m benchmarks.reader_errors table --out data/reader-errors.json

`draw` asks SmolLM2-135M-Instruct VQA-RAD's test questions without their pictures and writes 1,080
completions into the second folder. 300 of them, 100 a kind, were drawn (random.Random(17)) and
judged by hand without sight of the reader's verdict: tests/score/judged_completions.jsonl. Half
"seen" was judged first, and the reader was then changed by what it got wrong there. Half "held out"
was judged after the reader was frozen (commit 7545f43), and nothing was changed by it: its errors
are the reader's. One judgement of the first half was a slip that the reader showed (its note says
so). `table` reads all of them again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from medrl_core.data.prompts import FORMAT

JUDGED = Path("tests/score/judged_completions.jsonl")
SEED, EACH, ROWS, TOKENS, TEMPERATURE = 17, 120, 40, 100, 0.8
# Three ways to ask: for the answer alone, for reasons first, and as the project's own prompts do.
ASK = {
    ("options", "short"): "Answer with the letter of the right option.",
    ("options", "reasons"): "Think step by step, then say which option is correct.",
    ("options", "tags"): f"Think, then give the option: {FORMAT}",
    ("closed", "short"): "Answer yes or no.",
    ("closed", "reasons"): "Think step by step, then answer yes or no.",
    ("closed", "tags"): f"Think, then answer yes or no: {FORMAT}",
    ("open", "short"): "Answer in a few words.",
    ("open", "reasons"): "Think step by step, then give the answer.",
    ("open", "tags"): f"Think, then give the answer: {FORMAT}",
}

app = typer.Typer(add_completion=False, help=__doc__)


@app.callback()
def both() -> None:
    """Draw completions, or count the reader's errors on the judged ones."""


def questions(rows: list[dict]) -> Iterator[dict]:
    """Draw EACH questions for each kind and way to ask, with options from other questions."""
    rng = np.random.default_rng(SEED)
    closed = [row for row in rows if row["answer_type"] == "CLOSED"]
    opened = [row for row in rows if row["answer_type"] == "OPEN"]
    answers = sorted({row["answer"] for row in opened})
    for (kind, way), ask in ASK.items():
        pool = closed if kind == "closed" else opened
        for number in rng.choice(len(pool), EACH, replace=False).tolist():
            row = pool[number]
            options = None
            if kind == "options":
                others = [answer for answer in answers if answer != row["answer"]]
                drawn = [row["answer"], *rng.choice(others, 3, replace=False).tolist()]
                options = [drawn[place] for place in rng.permutation(4)]
            yield {
                "id": f"{kind}/{way}/{row['id']}",
                "question": row["question"],
                "options": options,
                "labels": ["yes", "no"] if kind == "closed" else [],
                "gold": "ABCD"[options.index(row["answer"])] if options else row["answer"],
                "prompt": "\n".join([row["question"], *_listed(options or []), ask]),
            }


def _listed(options: list[str]) -> list[str]:
    return [f"{letter}) {option}" for letter, option in zip("ABCD", options, strict=False)]


@app.command()
def draw(vqa_rad: Path, model: Path) -> None:
    """Sample one completion of each question and write them, in a seeded order."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from medrl_core.models.real_model import NAME

    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    tokenizer = AutoTokenizer.from_pretrained(model / NAME, padding_side="left")
    net = AutoModelForCausalLM.from_pretrained(model / NAME, dtype=torch.float32).eval()
    asked = list(questions(json.loads((vqa_rad / "test.json").read_text())))
    asked = [asked[place] for place in np.random.default_rng(SEED).permutation(len(asked))]
    with (model / "completions.jsonl").open("w", encoding="utf-8") as file:
        for start in range(0, len(asked), ROWS):
            part = asked[start : start + ROWS]
            turns = [[{"role": "user", "content": one["prompt"]}] for one in part]
            inputs = tokenizer.apply_chat_template(
                turns, add_generation_prompt=True, padding=True, return_tensors="pt",
                return_dict=True,
            )  # fmt: skip
            with torch.inference_mode():
                tokens = net.generate(
                    **inputs, do_sample=True, temperature=TEMPERATURE, top_k=0, top_p=1.0,
                    max_new_tokens=TOKENS,
                )  # fmt: skip
            texts = tokenizer.batch_decode(
                tokens[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True
            )
            for one, text in zip(part, texts, strict=True):
                file.write(json.dumps(one | {"text": text}, ensure_ascii=False) + "\n")
            file.flush()


@app.command()
def table(out: Annotated[Path, typer.Option(help="JSON file of the numbers")]) -> None:
    """Read the judged completions and write the reader's errors."""
    from medrl.book import measurements
    from medrl_core.score.reader_errors import error_table

    judged = [json.loads(line) for line in JUDGED.read_text(encoding="utf-8").splitlines()]
    rows = error_table(judged)
    print(rows.round(3).to_string(index=False))
    measurements.record(out, rows.to_dict("records"))


if __name__ == "__main__":
    app()
