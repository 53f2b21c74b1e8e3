"""Seconds and memory of `medrl score` on logs of other tools with 100,000 completions.

Run: python benchmarks/log_scoring.py [FORMAT ...]. It writes each log to a temporary folder, starts
the command in a process of its own, and prints wall seconds, CPU seconds and peak memory of it.
"""

from __future__ import annotations

import csv
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

ITEMS, SAMPLES = 6_250, 16
OPTIONS = ["Benign lesion", "Malignant lesion", "Normal tissue", "Artefact of the recording"]
WORDS = ["margin", "texture", "contrast", "lesion", "border", "density", "smooth", "irregular"]


def asked() -> Iterator[tuple[str, str, str, list[tuple[str, bool]]]]:
    """(item, question, gold letter, samples with their truth); no two reasonings are alike."""
    rng = random.Random(0)
    for item in range(ITEMS):
        gold, chance = rng.randrange(4), rng.random() ** 2
        samples = []
        for _ in range(SAMPLES):
            right = rng.random() < chance
            letter = "ABCD"[gold if right else (gold + rng.randrange(1, 4)) % 4]
            thought = " ".join(rng.choices(WORDS, k=60))
            samples.append((f"<think>{thought}</think> <answer>{letter}</answer>", right))
        yield f"item-{item}", f"What does picture {item} show?", "ABCD"[gold], samples


def prompt(question: str) -> str:
    """A question with its options, as a prompt shows them."""
    lines = [f"{letter}. {text}" for letter, text in zip("ABCD", OPTIONS, strict=True)]
    return "\n".join([question, *lines, "Answer:"])


def lm_eval(folder: Path) -> Path:
    """lm-eval: one row an item with all its samples."""
    path = folder / "samples_made_up_2026-01-01T00-00-00.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for at, (item, question, gold, samples) in enumerate(asked()):
            row = {
                "doc_id": at, "doc": {"id": item, "question": question, "options": OPTIONS},
                "target": gold, "filter": "none", "metrics": ["exact_match"], "exact_match": 1.0,
                "arguments": {"gen_args_0": {"arg_0": prompt(question),
                                             "arg_1": {"do_sample": True, "temperature": 0.7}}},
                "resps": [[text for text, _ in samples]], "filtered_resps": [samples[0][0]],
            }  # fmt: skip
            file.write(json.dumps(row) + "\n")
    return path


def verl(folder: Path) -> Path:
    """verl: one row a sample."""
    path = folder / "1.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for _, question, gold, samples in asked():
            for text, right in samples:
                row = {"input": prompt(question), "output": text, "gts": gold, "step": 1,
                       "score": float(right)}  # fmt: skip
                file.write(json.dumps(row) + "\n")
    return path


def table(folder: Path) -> Path:
    """A CSV file of a row a sample."""
    path = folder / "answers.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["item_id", "question", "options", "gold", "text", "correct"])
        for item, question, gold, samples in asked():
            for text, right in samples:
                out.writerow([item, question, json.dumps(OPTIONS), gold, text, int(right)])
    return path


def inspect(folder: Path) -> Path:
    """inspect: a zip with a JSON file a sample, each with the events of its run (as deflate)."""
    path = folder / "2026-01-01T00-00-00_made-up.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        about = {"task": "made_up", "model": "made/up", "config": {"epochs": SAMPLES}}
        header = {"version": 2, "status": "success", "eval": about, "results": None,
                  "plan": {"config": {"temperature": 0.7}}}  # fmt: skip
        archive.writestr("header.json", json.dumps(header))
        for item, question, gold, samples in asked():
            for epoch, (text, right) in enumerate(samples, 1):
                said = [{"role": "user", "content": prompt(question)},
                        {"role": "assistant", "content": text}]  # fmt: skip
                sample = {
                    "id": item, "epoch": epoch, "input": question, "choices": OPTIONS,
                    "target": gold, "messages": said,
                    "output": {"completion": text, "choices": [{"stop_reason": "stop"}]},
                    "scores": {"choice": {"value": "C" if right else "I"}},
                    "events": [{"event": "model", "input": said, "output": {"text": text}}] * 4,
                }  # fmt: skip
                archive.writestr(f"samples/{item}_epoch_{epoch}.json", json.dumps(sample))
    return path


MAKERS: dict[str, Callable[[Path], Path]] = {
    "table": table, "lm-eval": lm_eval, "verl": verl, "inspect": inspect,
}  # fmt: skip


def measure(words: list[str]) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak memory in MB of a command."""
    start = time.monotonic()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    wall = time.monotonic() - start
    if status:
        raise SystemExit(f"{' '.join(words)} ended with {status}")
    return wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main(names: list[str]) -> None:
    """Measure the formats named, or all."""
    for name in names or MAKERS:
        with tempfile.TemporaryDirectory() as place:
            log = MAKERS[name](Path(place))
            words = [sys.executable, "-m", "medrl.commands.main", "score", str(log)]
            wall, cpu, memory = measure([*words, "--per-item", f"{place}/items.csv"])
            size = log.stat().st_size / 1e6
            print(
                f"{name}: {ITEMS * SAMPLES:,} completions in {size:.0f} MB: {wall:.1f} s, "
                f"{cpu:.1f} CPU-s, {memory:.0f} MB"
            )


if __name__ == "__main__":
    main(sys.argv[1:])
