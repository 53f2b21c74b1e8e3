"""Results of openai/simple-evals: `<eval>_<model>_allresults.json`.

It keeps chats and HTML; gold answer and score are only in the HTML of each sample. Samples of an
item lie one data set apart and each has its own order of options: texts are read in that order.
"""

from __future__ import annotations

import html
import re
from pathlib import Path

from medrl_core.errors import UserError
from medrl_core.score.logs import files
from medrl_core.score.logs.files import need
from medrl_core.score.logs.golds import LETTERS, letter_of
from medrl_core.score.logs.log import Answers, Log, Wanted
from medrl_core.score.logs.prompts import answered, asked, question_and_options
from medrl_core.score.logs.sniff import Sniffed, stem
from medrl_core.score.logs.values import verdict
from medrl_core.score.logs.verl import item_key

NAME = "simple-evals"
_FIELD = r"<(\w+)[^>]*>\s*{}:\s*(.*?)\s*</\1>"
_GOLD = re.compile(_FIELD.format("Correct Answer"), re.DOTALL)
_SCORE = re.compile(_FIELD.format("Score"), re.DOTALL)


def matches(file: Sniffed) -> bool:
    """Say whether a file is such a result, or its short form without answers."""
    whole = file.has("htmls") and file.has("score", "metrics")
    return file.kind == "object" and (whole or file.has("score", "chars", "chars:std"))


def read(paths: list[Path], wanted: Wanted) -> list[Log]:
    """Read each file as a log."""
    whole = [path for path in paths if stem(path).endswith("_allresults") or len(paths) == 1]
    return [_log(path) for path in whole or paths]


def _log(path: Path) -> Log:
    content, _ = files.json_value(path)
    if "htmls" not in content:
        raise UserError(
            f"{path} holds averages only; the answers are in the file *_allresults.json beside it"
        )
    convos, pages = (need(content, name, str(path), list) for name in ("convos", "htmls"))
    if len(convos) != len(pages):
        raise UserError(f"{path} has {len(convos)} chats but {len(pages)} pages of results")
    found, own_orders, unlike = Answers(), 0, 0
    shown: dict[str, tuple[str, ...]] = {}
    golds: dict[str, str | None] = {}
    for at, (chat, page) in enumerate(zip(convos, pages, strict=True)):
        where = f"{path}: sample {at}"
        if not isinstance(chat, list) or len(chat) < 2:
            raise UserError(f"{where} is no chat with an answer (convos)")
        prompt, images = asked(chat[:-1])
        question, options = question_and_options(prompt)
        gold = _field(_GOLD, page)
        item_id = item_key(question, sorted(options) if options else gold)
        order = None
        if item_id not in found:
            shown[item_id], golds[item_id] = options or (), gold
            found.item(item_id, question, options=options, gold=gold, images=images)
        elif options and options != shown[item_id]:
            order = tuple(shown[item_id].index(option) for option in options)
            own_orders += 1
        if options and gold:
            unlike += _named(gold, options) != _named(golds[item_id], shown[item_id])
        found.completion(
            item_id, answered(chat[-1:]), stored=verdict(_field(_SCORE, page)), order=order
        )
    notes = []
    if own_orders:
        notes.append(f"{own_orders} samples saw their options in an order of their own")
    if unlike:
        raise UserError(f"{path}: {unlike} samples have another gold answer than their item")
    name = stem(path).removesuffix("_allresults")
    task, _, model = name.partition("_")
    return found.log(
        NAME, path, dataset=task, model=re.sub(r"_\d{8}_\d{6}$", "", model), notes=notes,
        scorer="Score",
    )  # fmt: skip


def _field(pattern: re.Pattern[str], page: str) -> str | None:
    if not isinstance(page, str):
        return None
    found = pattern.search(page.rpartition("Results</h")[2] or page)
    return html.unescape(re.sub(r"<[^>]+>", "", found[2])).strip() if found else None


def _named(gold: str | None, options: tuple[str, ...]) -> str | None:
    letter = letter_of(gold, options, "letter") if gold else None
    return options[LETTERS.index(letter)] if letter else gold
