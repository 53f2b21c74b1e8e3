"""Records of openai/evals: `<run_id>_<model>_<eval>.jsonl`, a line an event.

"sampling" events hold prompts and texts, "match" events verdicts and gold answers; both name their
sample.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medrl_core.errors import UserError
from medrl_core.score.logs import files
from medrl_core.score.logs.files import maybe, need
from medrl_core.score.logs.golds import as_list
from medrl_core.score.logs.log import Answers, Log, Wanted
from medrl_core.score.logs.prompts import answered, asked, question_and_options
from medrl_core.score.logs.sniff import Sniffed
from medrl_core.score.logs.values import number, text_id, verdict

NAME = "openai/evals"


def matches(file: Sniffed) -> bool:
    """Say whether a file is such a record."""
    if file.kind not in ("rows", "object"):
        return False
    spec = file.has("spec") and isinstance(file.first.get("spec", {}), Mapping)
    return spec or file.has("run_id", "event_id", "sample_id", "type", "data")


def read(paths: list[Path], wanted: Wanted) -> list[Log]:
    """Read each file as a log; two files of one run are refused."""
    logs, seen = [], {}
    for path in paths:
        log, run = _log(path)
        if run and run in seen:
            raise UserError(f"{path} is a copy of {seen[run]} (the same run): name one of them")
        seen[run] = path
        logs.append(log)
    return logs


def _log(path: Path) -> tuple[Log, str]:
    spec: Mapping[str, Any] = {}
    events: dict[str, list[Mapping]] = defaultdict(list)
    for at, row in files.json_rows(path):
        if "spec" in row:
            spec = row["spec"]
        elif "final_report" not in row:
            sample = text_id(need(row, "sample_id", f"{path}: row {at}"))
            if sample is not None:
                events[sample].append(row)
    found, kinds = Answers(), set()
    for sample, rows in events.items():
        rows.sort(key=lambda row: number(row.get("event_id")) or 0)
        kinds |= {str(row.get("type")) for row in rows}
        _sample(found, sample, rows, f"{path}: sample {sample}")
    if not len(found):
        raise UserError(
            f"{path} has no events of type sampling or match, only {', '.join(sorted(kinds))}"
        )
    model = as_list(maybe(spec, "completion_fns"))
    notes = []
    if "match" not in kinds:
        notes.append("no event of type match: verdicts and gold answers are not in the log")
    log = found.log(
        NAME, path, dataset=str(maybe(spec, "eval_name") or ""), notes=notes,
        model=", ".join(map(str, model)), scorer="match" if "match" in kinds else "",
    )  # fmt: skip
    return log, str(maybe(spec, "run_id") or "")


def _sample(found: Answers, sample: str, rows: list[Mapping], where: str) -> None:
    """Add one sample: each match judges the last text sampled before it."""
    said: list[str] = []
    prompt: Any = None
    pairs: list[tuple[list[str], Mapping | None]] = []
    for row in rows:
        data = row.get("data") or {}
        if row.get("type") == "sampling":
            if said:
                pairs.append((said, None))
            prompt = prompt if prompt is not None else data.get("prompt")
            said = [answered(one) for one in as_list(data.get("sampled"))] or [""]
        elif row.get("type") == "match":
            told = said or [str(one) for one in as_list(data.get("sampled") or data.get("picked"))]
            # A text that no match follows was a step on the way to the one that is judged.
            pairs = [pair for pair in pairs if pair[1] is not None]
            pairs.append((told or [""], data))
            said = []
    if said:
        pairs.append((said, None))
    failed = next((row for row in rows if row.get("type") == "error"), None)
    if not pairs and failed is None:
        return
    text, images = asked(prompt)
    question, options = question_and_options(text)
    gold = next((data.get("expected") for _, data in pairs if data), None)
    found.item(sample, question, options=options, gold=gold, images=images)
    for texts, data in pairs:
        stored = verdict(data.get("correct")) if data and len(texts) == 1 else None
        for one in texts:
            found.completion(sample, one, stored=stored)
    if not pairs:
        found.completion(sample, None, error=str(maybe(failed, "data.message") or "error"))
