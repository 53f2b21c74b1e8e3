"""Results of MedVLThinker's kit: `eval_results.jsonl`, or its shards `shards/dp_<rank>.jsonl`.

One row an item with all its samples (`parsed_outputs`). Where merged file and shards lie side by
side only the merged file is read.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from medrl_core.errors import UserError
from medrl_core.score.logs import files
from medrl_core.score.logs.files import maybe, need
from medrl_core.score.logs.log import Answers, Log, Wanted
from medrl_core.score.logs.prompts import asked, question_and_options
from medrl_core.score.logs.sniff import Sniffed, stem
from medrl_core.score.logs.values import number, text_id, verdict

NAME = "MedVLThinker"


def matches(file: Sniffed) -> bool:
    """Say whether a file is such a log."""
    return file.kind in ("rows", "object") and file.has("parsed_outputs", "dataset_index")


def read(paths: list[Path], wanted: Wanted) -> list[Log]:
    """Read each run: its merged file, or else its shards together."""
    runs: dict[Path, list[Path]] = defaultdict(list)
    for path in paths:
        folder = path.resolve().parent
        runs[folder.parent if folder.name == "shards" else folder].append(path)
    return [_log(folder, sorted(parts)) for folder, parts in sorted(runs.items())]


def _log(folder: Path, parts: list[Path]) -> Log:
    merged = [path for path in parts if stem(path) == "eval_results"]
    shards = [path for path in parts if path not in merged]
    notes = []
    if merged and shards:
        notes.append(f"{len(shards)} shards beside {merged[0].name} hold the same rows: not read")
    if not merged and len(shards) > 1:
        notes.append(f"{len(shards)} shards make one run")
    if not merged and len(shards) == 1:
        notes.append("one shard is a part of a run")
    about = _arguments(folder)
    temperature, drawn = number(about.get("temperature")), int(number(about.get("n")) or 0)
    found, said, again = Answers(), {}, 0
    for path in merged or shards:
        for at, row in files.json_rows(path):
            where = f"{path}: row {at}"
            name, index = need(row, "dataset_name", where), need(row, "dataset_index", where)
            item_id = f"{name}/{text_id(index)}"
            outputs = need(row, "parsed_outputs", where, list)
            texts = [need(one, "output_text", where) for one in outputs]
            if item_id in said:
                if said[item_id] != texts:
                    raise UserError(
                        f"{where}: {item_id} is there twice with other answers; the run was "
                        "resumed or two runs are joined: keep the rows of one"
                    )
                again += 1
                continue
            said[item_id] = texts
            prompt, images = asked(need(row, "prompts", where))
            question, options = question_and_options(prompt)
            gold = need(row, "answer_label", where)
            if options is None or gold in (None, ""):
                gold = row.get("answer") or gold
            found.item(
                item_id, question, options=options, gold=gold, images=images, dataset=str(name),
                asked=drawn,
            )  # fmt: skip
            for one in outputs:
                found.completion(
                    item_id, str(one["output_text"]), stored=verdict(one.get("is_correct")),
                    temperature=temperature,
                )  # fmt: skip
    if again:
        notes.append(f"{again} rows are there twice, as a resumed run writes them, and count once")
    return found.log(
        NAME, (merged or shards)[0] if len(merged or shards) == 1 else folder,
        model=str(about.get("model") or ""), notes=notes, scorer="is_correct",
    )  # fmt: skip


def _arguments(folder: Path) -> dict:
    """The run's arguments, written beside its results."""
    beside = folder / "args.json"
    about = files.json_value(beside)[0] if beside.is_file() else {}
    return about if maybe(about, "model") is not None else {}
