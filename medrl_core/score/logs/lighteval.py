"""Details of lighteval: `details_<task>|<shots>_<time>.parquet`, one row an item.

Versions from 0.10 on have the columns doc, model_response and metric; older ones are flat (example,
predictions, gold, ...). pass@k of a row is an estimate from its samples and no verdict on one: the
texts are read again. Rows are not in the order of the data set.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medrl_core.errors import UserError
from medrl_core.score.logs import files
from medrl_core.score.logs.files import maybe, need
from medrl_core.score.logs.golds import LETTERS, as_list
from medrl_core.score.logs.lm_eval import fuller
from medrl_core.score.logs.log import Answers, Log, Wanted
from medrl_core.score.logs.prompts import question_and_options
from medrl_core.score.logs.sniff import Sniffed, stem
from medrl_core.score.logs.values import number, text_id, verdict

NAME = "lighteval"
_TIME = re.compile(r"_(\d{4}-\d\d-\d\dT\d\d[-:]\d\d[-:]\d\d(?:\.\d+)?)$")


def matches(file: Sniffed) -> bool:
    """Say whether a file is such a log."""
    if file.kind != "parquet":
        return False
    return file.has("doc", "model_response") or file.has("example", "predictions", "choices")


def read(paths: list[Path], wanted: Wanted) -> list[Log]:
    """Read each task file as a log."""
    return [_log(path, wanted) for path in paths]


def _log(path: Path, wanted: Wanted) -> Log:
    rows = files.parquet(path).to_pylist()
    task = _TIME.sub("", stem(path).removeprefix("details_"))
    results = _results(path)
    about = maybe(results, "config_general") or {}
    temperature = number(maybe(about, "model_config.generation_parameters.temperature"))
    if temperature is None:
        temperature = number(maybe(about, "generation_parameters.temperature"))
    found, notes, names = Answers(), [], {}
    for index, row in enumerate(rows):
        where = f"{path}: row {index}"
        doc, said, metric = _parts(row, where)
        names |= metric
        item_id = text_id(doc.get("id")) or str(index)
        if item_id in found:
            raise UserError(f"{where}: id {item_id} is there twice; the log is joined from copies")
        scorer = wanted.scorer or next(iter(metric), None)
        texts = as_list(said.get("text"))
        stored = verdict(metric.get(scorer)) if scorer and len(texts) < 2 else None
        question, options, gold, gold_is = _asked(doc, where, bool(texts))
        drawn = int(number(doc.get("num_samples")) or 1)
        found.item(
            item_id, question, options=options, gold=gold, gold_is=gold_is, dataset=task,
            asked=drawn,
        )  # fmt: skip
        likelihoods = as_list(said.get("logprobs"))
        if texts:
            for text in texts:
                found.completion(item_id, str(text), stored=stored, temperature=temperature)
        elif len(likelihoods) > 1 and len(likelihoods) == len(doc["choices"]):
            best = max(range(len(likelihoods)), key=lambda at: likelihoods[at])
            found.completion(item_id, None, answer=LETTERS[best], stored=stored, greedy=True)
        else:
            raise UserError(f"{where} has neither texts nor a log-likelihood for each choice")
    if rows and not texts:
        notes.append("log-likelihoods of options: one choice an item, no samples, no Pass@K")
    elif len(found) > len(rows):
        notes.append(f"'{next(iter(names), 'pass@k')}' is of an item's samples together")
    return found.log(
        NAME, path, dataset=task, model=str(about.get("model_name") or ""), notes=notes,
        scorer=wanted.scorer or next(iter(names), ""), scorers=tuple(names),
    )  # fmt: skip


def _results(path: Path) -> Mapping:
    """The results file of the same time: <out>/results/<model>/results_<time>.json."""
    time = _TIME.search(stem(path))
    if not time:
        return {}
    for above in path.resolve().parents:
        if above.name == "details":
            found = sorted((above.parent / "results").rglob(f"results_{time[1]}.json"))
            return files.json_value(found[0])[0] if found else {}
    return {}


def _parts(row: Mapping, where: str) -> tuple[dict, dict, dict]:
    """doc, model_response and metric of a row of any version."""
    if "doc" in row:
        doc, said = (need(row, name, where, dict) for name in ("doc", "model_response"))
        return dict(doc), dict(said), _known(row.get("metric"))
    choices, golds = _listed(row.get("choices")), _listed(row.get("gold"))
    doc = {
        "query": row.get("full_prompt") or need(row, "example", where),
        "choices": choices or golds,
        "gold_index": _listed(row.get("gold_index")) or list(range(len(golds))),
        "num_samples": len(_listed(row["predictions"])),
    }
    said = _listed(row["predictions"])
    numbers = all(number(one if not isinstance(one, list) else one[0]) is not None for one in said)
    if numbers and choices and len(said) == len(choices):
        told = [number(one[0] if isinstance(one, list) else one) for one in said]
        return doc, {"text": [], "logprobs": told}, _known(row.get("metrics"))
    return doc, {"text": said}, _known(row.get("metrics"))


def _known(metrics: Any) -> dict:
    """The metrics that a row has; the columns of a Parquet struct are there for all rows."""
    metrics = metrics if isinstance(metrics, Mapping) else {}
    return {name: value for name, value in metrics.items() if value is not None}


def _listed(value: Any) -> list:
    """A list, also where an older version wrote it as its text."""
    if isinstance(value, str) and value.startswith("["):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            return [value]
    return as_list(value)


def _asked(
    doc: Mapping, where: str, texts: bool
) -> tuple[str, tuple[str, ...] | None, Any, str]:
    choices = [str(choice).strip() for choice in as_list(need(doc, "choices", where))]
    gold = [int(one) for one in as_list(need(doc, "gold_index", where))]
    question, shown = question_and_options(str(need(doc, "query", where)))
    # A free answer: its choices are all the spellings that count.
    if texts and (len(choices) < 2 or len(set(gold)) == len(choices)):
        return question, shown, [choices[at] for at in gold if 0 <= at < len(choices)], "either"
    return question, fuller(choices, shown), gold, "index"
