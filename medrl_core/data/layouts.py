"""Columns as published sets have them, turned to ours; which set it is, the columns tell.

Ours: question; image, images or image_paths; options or columns A, B, C, ...; answer_label; answer;
answer_type; id; split; dataset_name; modality. The names and columns of the published sets are
those of their data-set cards.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from medrl_core.data.rows import split_of

Values = dict[str, Any]
# The set at the hub that has all six benchmarks.
EVAL = "UCSC-VLAA/MedVLThinker-Eval"
# Sets at the hub whose pictures are in an archive beside the rows.
ARCHIVED = ("xmcmic/PMC-VQA", "TsinghuaC3I/MedXpertQA", "BoKelvin/SLAKE")
# Sets at the hub of several configurations, and the split there that has answers.
CONFIGS = {
    "MMMU/MMMU": ("Basic_Medical_Science", "Clinical_Medicine",
                  "Diagnostics_and_Laboratory_Medicine", "Pharmacy", "Public_Health"),
    "TsinghuaC3I/MedXpertQA": ("MM",),
}  # fmt: skip
ANSWERED = {"MMMU/MMMU": "validation"}


def _slake(row: Values) -> Values | None:
    """SLAKE; its Chinese half is left out."""
    return row | {"image": row["img_name"]} if row["q_lang"] == "en" else None


def _mmmu(row: Values) -> Values:
    images = [row[f"image_{i}"] for i in range(1, 8) if row.get(f"image_{i}") is not None]
    # The prompt shows images first and has no such marks. Options may be images themselves; such a
    # mark is all that is left of them.
    question = re.sub(r"<(image \d)>", r"(\1)", row["question"])
    if row["question_type"] == "multiple-choice":
        asked = {"options": row["options"], "answer_label": row["answer"], "answer": None}
    else:
        asked = {"options": None, "answer_label": None}
    return row | {"images": images, "question": question, **asked}


def _medxpert(row: Values) -> Values:
    question = row["question"].split("\nAnswer Choices:")[0]  # the prompt lists them itself
    return row | {"question": question, "answer_label": row["label"]}


def _pmc(row: Values) -> Values:
    texts = [re.sub(r"^\s*[A-D]\s*:\s*", "", str(row[f"Choice {letter}"])) for letter in "ABCD"]
    label = str(row.get("Answer_label") or row["Answer"])
    return {"image": row["Figure_path"], "question": row["Question"], "options": texts,
            "answer_label": label, "split": row.get("split")}  # fmt: skip


def _vqa_rad(row: Values) -> Values:
    """VQA-RAD as its authors publish it: the split is in the type of phrase."""
    split = split_of(str(row["phrase_type"]).replace("_", " ")) or "train"
    return row | {"image": row["image_name"], "id": row["qid"], "split": split}


# Columns that only this set has, and how its row becomes one of ours (None: it is left out).
LAYOUTS: tuple[tuple[frozenset[str], Callable[[Values], Values | None]], ...] = (
    (frozenset({"img_name", "q_lang"}), _slake),
    (frozenset({"question_type", "image_1"}), _mmmu),
    (frozenset({"label", "images", "options", "question"}), _medxpert),
    (frozenset({"Figure_path", "Choice A"}), _pmc),
    (frozenset({"image_name", "phrase_type", "qid"}), _vqa_rad),
)


def ours(row: Values) -> Values | None:
    """Turn a row of a published set to our columns; any other row is given back as it is.

    Returns: None for a row that is not asked.
    Raises: KeyError, TypeError or AttributeError for values that the set does not have.
    """
    if "dataset_name" in row:  # of the official kit, or of EVAL
        return row
    for columns, adapt in LAYOUTS:
        if columns <= row.keys() and not (adapt is _medxpert and row.get("answer_label")):
            return adapt(row)
    return row
