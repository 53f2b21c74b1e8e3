"""Logs of other tools in miniature, made by hand: four invented questions, three samples each.

`COUNTS` is what must come out of each: right samples of three.
"""

from __future__ import annotations

import base64
import io
import json
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from medrl_core.score.logs import recognise
from medrl_core.score.logs.grading import grade, per_item_counts

PIXEL = (
    "data:image/png;base64,"
    + base64.b64encode(
        # One black pixel, written by Pillow.
        bytes.fromhex(
            "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763"
            "6060600000000400012734270a0000000049454e44ae426082"
        )
    ).decode()
)


class Question:
    """One item: id, text, options, gold letter, and its three sampled answers."""

    def __init__(self, item_id: str, text: str, options: list[str], gold: str, *answers: str):
        self.id, self.text, self.options, self.gold = item_id, text, options, gold
        self.answers = answers
        self.samples = [f"I weigh it. <answer>{answer}</answer>" for answer in answers]
        self.truth = [answer in (gold, self.gold_text) for answer in answers]

    @property
    def gold_text(self) -> str:
        return self.options["ABCD".index(self.gold)]

    @property
    def index(self) -> int:
        return "ABCD".index(self.gold)

    @property
    def prompt(self) -> str:
        lines = [f"{letter}. {text}" for letter, text in zip("ABCD", self.options, strict=False)]
        return "\n".join([self.text, *lines, "Answer:"])


QUESTIONS = [
    Question("q1", "Which bone is the longest?", ["Radius", "Femur", "Ulna"], "B", "B", "B", "B"),
    Question("q2", "Which organ makes bile?", ["Liver", "Spleen"], "A", "A", "B", "Liver"),
    Question(
        "q3", "What carries oxygen?", ["Platelets", "Plasma", "Red cells"], "C", "A", "B", "A"
    ),
    Question("q4", "Wo liegt der Meniskus?", ["Knie", "Hüfte", "日本"], "A", "A", "C", "not sure"),
]
COUNTS = {"q1": (3, 3), "q2": (3, 2), "q3": (3, 0), "q4": (3, 1)}
SORTED = sorted(COUNTS.values())


def counts(place: Path, trust: str | None = None, **how: Any) -> dict[str, tuple[int, int]]:
    """(n, correct) of each item of the one log of a place."""
    [log] = recognise.read(place, **how)
    table = per_item_counts(grade(log, trust))
    if "step" in table:
        table = table[table.step == table.step.max()]
    return {row.item_id: (row.n, row.correct) for row in table.itertuples()}


def lines(path: Path, rows: list[dict]) -> Path:
    """Write JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")
    return path


# ---- inspect -------------------------------------------------------------------------------------


def inspect_samples(**more: Any) -> list[dict]:
    """Sample objects, epoch by epoch."""
    return [
        {
            "id": one.id, "epoch": epoch + 1, "input": one.text, "choices": one.options,
            "target": one.gold, "messages": [{"role": "user", "content": one.prompt}],
            "output": {"completion": one.samples[epoch], "choices": [{"stop_reason": "stop"}]},
            "scores": {"choice": {"value": "C" if one.truth[epoch] else "I"}},
            "error": None, "attachments": {}, **more,
        }
        for epoch in range(3) for one in QUESTIONS
    ]  # fmt: skip


def inspect_header(temperature: float | None = 0.7, **more: Any) -> dict:
    """The header of a log; `more` goes into eval."""
    about = {"task": "bones", "model": "made/up", "config": {"epochs": 3}, "run_id": "r", **more}
    return {
        "version": 2, "status": "success", "eval": about,
        "plan": {"config": {"temperature": temperature}},
        "results": {"scores": [{"name": "choice"}]},
    }  # fmt: skip


def inspect_eval(path: Path, header: dict | None, samples: list[dict], zstd: bool = False) -> Path:
    """Write an .eval file, packed by deflate or as inspect 0.3.285 does by Zstandard."""
    members = {} if header is None else {"header.json": header}
    members = {"_journal/start.json": inspect_header()} | members
    members |= {f"samples/{one['id']}_epoch_{one['epoch']}.json": one for one in samples}
    if not zstd:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, json.dumps(content))
        return path
    path.write_bytes(_zip_of_zstd({n: json.dumps(c).encode() for n, c in members.items()}))
    return path


def _zip_of_zstd(members: dict[str, bytes]) -> bytes:
    """A zip by hand, since Python's zipfile cannot write method 93."""
    out, central = io.BytesIO(), io.BytesIO()
    for name, data in members.items():
        packed, called = pa.compress(data, "zstd", asbytes=True), name.encode()
        about = struct.pack("<HHHHHLLLHH", 63, 0, 93, 0, 0x21, zlib.crc32(data), len(packed),
                            len(data), len(called), 0)  # fmt: skip
        offset = out.tell()
        out.write(b"PK\x03\x04" + about + called + packed)
        central.write(b"PK\x01\x02" + struct.pack("<H", 63) + about + struct.pack(
            "<HHHLL", 0, 0, 0, 0, offset) + called)  # fmt: skip
    start = out.tell()
    out.write(central.getvalue())
    size = out.tell() - start
    out.write(
        b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, len(members), len(members), size, start, 0)
    )
    return out.getvalue()


# ---- lm-eval and lmms-eval -----------------------------------------------------------------------


def lm_eval_rows(filters: tuple[str, ...] = ("first",), **more: Any) -> list[dict]:
    """Rows of generated texts, a row an item and filter."""
    return [
        {
            "doc_id": at,
            "doc": {"question": one.text, "options": one.options, "id": one.id},
            "target": one.gold, "resps": [one.samples], "filtered_resps": [one.answers[0]],
            "arguments": {"gen_args_0": {"arg_0": one.prompt, "arg_1": {
                "do_sample": True, "temperature": 0.7}}},
            "filter": name, "metrics": ["exact_match"], "exact_match": float(one.truth[0]), **more,
        }
        for name in filters for at, one in enumerate(QUESTIONS)
    ]  # fmt: skip


def lm_eval_likelihoods(texts: bool = True, target: str = "index") -> list[dict]:
    """Rows of log-likelihoods: q1 and q4 choose their gold answer, the others another option."""
    rows = []
    for at, one in enumerate(QUESTIONS):
        best = one.index if one.id in ("q1", "q4") else (one.index + 1) % len(one.options)
        told = [-0.1 if option == best else -3.0 - option for option in range(len(one.options))]
        pairs = [[str(value), str(value == max(told))] if texts else [value, value == max(told)]
                 for value in told]  # fmt: skip
        gold = {"index": str(one.index), "letter": one.gold, "text": one.gold_text}[target]
        rows.append({
            "doc_id": at, "doc": {"question": one.text, "options": one.options}, "target": gold,
            "arguments": {f"gen_args_{i}": {"arg_0": one.prompt, "arg_1": f" {text}"}
                          for i, text in enumerate(one.options)},
            "resps": [[pair] for pair in pairs], "filtered_resps": pairs, "filter": "none",
            "metrics": ["acc"], "acc": float(best == one.index),
        })  # fmt: skip
    return rows


def lmms_rows(**more: Any) -> list[dict]:
    """Rows of lmms-eval with all samples kept."""
    return [
        {
            "doc_id": at, "target": one.gold, "resps": list(one.samples),
            "filtered_resps": one.samples[0], "token_counts": [None], "doc_hash": "same",
            "acc": float(one.truth[0]), "input": one.prompt, **more,
        }
        for at, one in enumerate(QUESTIONS)
    ]  # fmt: skip


# ---- the others ----------------------------------------------------------------------------------


def lighteval_rows() -> list[dict]:
    """Rows of generated texts, not in the order of the data set."""
    return [
        {
            "doc": {
                "id": str(at), "query": one.prompt, "choices": list("ABC")[: len(one.options)],
                "gold_index": one.index, "num_samples": 3, "specific": None,
            },
            "model_response": {"text": one.samples, "text_post_processed": None, "logprobs": []},
            "metric": {"pass@k:k=2&n=3": 0.5},
        }
        for at, one in reversed(list(enumerate(QUESTIONS)))
    ]  # fmt: skip


def vlm_run(folder: Path, sample: int, judged: bool = True, **columns: Any) -> Path:
    """One run folder of VLMEvalKit: a workbook of predictions and its judged file."""
    folder.mkdir(parents=True)
    rows = [
        {
            "index": at, "question": one.text, **dict.fromkeys("ABC", ""),
            **dict(zip("ABC", one.options, strict=False)), "answer": one.gold,
            "prediction": one.answers[sample], **columns,
        }
        for at, one in enumerate(QUESTIONS)
    ]  # fmt: skip
    frame = pd.DataFrame(rows)
    path = folder / "Made_Up-1B_Bones.xlsx"
    frame.to_excel(path, index=False)
    if judged:
        hits = [int(one.truth[sample]) for one in QUESTIONS]
        result = frame.assign(hit=hits, log="Match")
        result.to_excel(folder / "Made_Up-1B_Bones_openai_result.xlsx", index=False)
    return path


def medvlthinker_rows() -> list[dict]:
    """Rows of MedVLThinker's kit."""
    return [
        {
            "dp_index": at, "prompts": f"Think.\n\nQuestion: {one.prompt}", "dataset_name": "bones",
            "dataset_index": at, "answer_label": one.gold, "answer": one.gold_text,
            "parsed_outputs": [
                {"output_text": text, "pred_letter": answer, "is_correct": right}
                for text, answer, right in zip(one.samples, one.answers, one.truth, strict=True)
            ],
        }
        for at, one in enumerate(QUESTIONS)
    ]  # fmt: skip


def verl_rows(step: int, **more: Any) -> list[dict]:
    """Rows of a dump of verl, samples by turns."""
    return [
        {
            "input": f"system\nBe careful.\nuser\n{one.prompt}\nassistant\n",
            "output": one.samples[sample], "gts": one.gold, "score": float(one.truth[sample]),
            "step": step, **more,
        }
        for sample in range(3) for one in QUESTIONS
    ]  # fmt: skip


def trl_frame(step: int, gold: bool = True, chat: bool = True) -> pd.DataFrame:
    """A table of completions of TRL."""
    rows = []
    for one in QUESTIONS:
        for text, right in zip(one.samples, one.truth, strict=True):
            prompt, said = [{"role": "user", "content": one.prompt}], [
                {"role": "assistant", "content": text}]  # fmt: skip
            row = {
                "step": step, "prompt": prompt if chat else one.prompt,
                "completion": said if chat else text, "format_reward": 0.5,
                "accuracy_reward": float(right), "advantage": 0.0,
            }  # fmt: skip
            rows.append(row | ({"item_id": one.id, "solution": one.gold} if gold else {}))
    return pd.DataFrame(rows)


def eee_rows(result: str = "choice:accuracy", score: str = "item") -> list[dict]:
    """Instance records of Every Eval Ever, one a sample; `score` of the item's mean or a sample."""
    rows = []
    for epoch in range(3):
        for one in QUESTIONS:
            mean = sum(one.truth) / 3
            value = mean if score == "item" else float(one.truth[epoch])
            rows.append({
                "schema_version": "0.3.0", "evaluation_id": "e1", "model_id": "made/up",
                "evaluation_name": "bones", "evaluation_result_id": result, "sample_id": one.id,
                "interaction_type": "single_turn", "answer_attribution": [],
                "input": {"raw": one.text, "reference": [one.gold], "choices": one.options},
                "output": {"raw": [one.samples[epoch]]},
                "evaluation": {"score": value, "is_correct": value > 0}, "error": None,
                "metadata": {"epoch": str(epoch + 1), "stop_reason": "stop"},
            })  # fmt: skip
    return rows


def batch_rows(numbered: bool = False) -> tuple[list[dict], list[dict]]:
    """Input and output rows of the Batch API: one request of three choices, or three requests."""
    asked, answered = [], []
    for one in QUESTIONS:
        parts = [(f"{one.id}-{i}", [text]) for i, text in enumerate(one.samples)]
        for custom, texts in parts if numbered else [(one.id, one.samples)]:
            messages = [{"role": "user", "content": one.prompt}]
            body = {"model": "made", "messages": messages, "n": len(texts), "temperature": 0.8}
            asked.append({"custom_id": custom, "method": "POST", "url": "/v1", "body": body})
            choices = [
                {"index": i, "message": {"role": "assistant", "content": text},
                 "finish_reason": "stop"} for i, text in enumerate(texts)
            ]  # fmt: skip
            said = {"status_code": 200, "body": {"model": "made-1", "choices": choices}}
            answered.append({"custom_id": custom, "response": said, "error": None})
    return asked, answered[::-1]


def gold_rows() -> list[dict]:
    """A table of gold answers, by letter and by text."""
    return [
        {"id": one.id, "options": one.options,
         "answer": one.gold if at % 2 else one.gold_text} for at, one in enumerate(QUESTIONS)
    ]  # fmt: skip


def simple_evals() -> dict:
    """All results of simple-evals, each repeat with its own order of options."""
    pages, chats = [], []
    for repeat in range(3):
        for one in QUESTIONS:
            turn = repeat % len(one.options)
            options = one.options[turn:] + one.options[:turn]
            gold = "ABCD"[options.index(one.gold_text)]
            answer = one.answers[repeat]
            if len(answer) == 1:
                answer = "ABCD"[options.index(one.options["ABCD".index(answer)])]
            asked = Question(one.id, one.text, options, gold).prompt
            said = f"I weigh it.\n\nAnswer: {answer}"
            chats.append(
                [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
            )
            pages.append(
                "<h3>Prompt conversation</h3><pre>Correct Answer: X</pre><h3>Results</h3>"
                f"<p>Correct Answer: {gold}</p><p>Extracted Answer: {answer}</p>"
                f"<p>Score: {float(one.truth[repeat])}</p>"
            )
    return {"score": 0.5, "metrics": {}, "htmls": pages, "convos": chats, "metadata": {}}


def openai_events() -> list[dict]:
    """Events of openai/evals: one sample an item."""
    rows: list[dict] = [{"spec": {"completion_fns": ["made"], "eval_name": "bones", "run_id": "r1"}},  # noqa: E501
                        {"final_report": {"accuracy": 0.5}}]  # fmt: skip
    for at, one in enumerate(QUESTIONS):
        chat = [{"role": "user", "content": one.prompt}]
        base = {"run_id": "r1", "sample_id": one.id}
        rows.append({**base, "event_id": 2 * at, "type": "sampling",
                     "data": {"prompt": chat, "sampled": [one.samples[0]]}})  # fmt: skip
        rows.append({**base, "event_id": 2 * at + 1, "type": "match",
                     "data": {"correct": one.truth[0], "expected": one.gold}})  # fmt: skip
    return rows


def table_frame() -> pd.DataFrame:
    """A plain table, a row a sample."""
    return pd.DataFrame([
        {"item_id": one.id, "text": text, "correct": right, "gold": one.gold,
         "options": json.dumps(one.options), "question": one.text}
        for one in QUESTIONS for text, right in zip(one.samples, one.truth, strict=True)
    ])  # fmt: skip
