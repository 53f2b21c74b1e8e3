"""Logs of inspect_ai: `.eval` (a zip of JSON files) and `.json`.

One sample object an item and epoch. `scores` are of that sample; the reductions over epochs are
not read. Needs no inspect_ai.
"""

from __future__ import annotations

import hashlib
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from medrl_core.errors import UserError
from medrl_core.score.logs import files
from medrl_core.score.logs.files import maybe, need
from medrl_core.score.logs.log import Answers, Log, Wanted
from medrl_core.score.logs.prompts import asked, text_and_images
from medrl_core.score.logs.sniff import Sniffed
from medrl_core.score.logs.values import number, text_id, verdict

NAME = "inspect"
_ZSTD = 93  # the zip method that Python's zipfile reads from 3.14 on
_SAMPLE = re.compile(r"samples/.+\.json")
_CUT_OFF = ("max_tokens", "model_length")


def matches(file: Sniffed) -> bool:
    """Say whether a file is such a log."""
    if file.kind == "zip":
        return "header.json" in file.names or "_journal/start.json" in file.names
    return file.kind == "object" and file.has("version", "status", "eval")


def read(paths: list[Path], wanted: Wanted) -> list[Log]:
    """Read each file as a log; two copies of one run are refused."""
    logs, seen = [], {}
    for path in paths:
        header, samples, notes = _zipped(path) if zipfile.is_zipfile(path) else _plain(path)
        run = (need(header, "eval", str(path), dict).get("run_id"), header["eval"].get("eval_id"))
        if any(run) and run in seen:
            raise UserError(f"{path} is a copy of {seen[run]} (the same run): name one of them")
        seen[run] = path
        logs.append(_log(path, header, samples, notes, wanted))
    return logs


def _plain(path: Path) -> tuple[dict, Iterator[dict], list[str]]:
    content, lost = files.json_value(path)
    notes = [f"{lost} quotation marks in the file's texts had lost their backslash"] if lost else []
    samples = content.get("samples") if isinstance(content, dict) else None
    if not isinstance(samples, list):
        raise UserError(f"{path} lacks the field 'samples'; run the eval with log_samples on")
    return content, iter(samples), notes


def _zipped(path: Path) -> tuple[dict, Iterator[dict], list[str]]:
    try:
        archive = zipfile.ZipFile(path)
        names = archive.namelist()
        if "header.json" in names:
            header = files.decoded(_member(archive, "header.json"))
        else:  # the run was killed before it could write its header
            header = files.decoded(_member(archive, "_journal/start.json"))
            header["status"] = "started"
    except (zipfile.BadZipFile, OSError, ValueError, KeyError, zlib.error) as error:
        raise UserError(f"{path} cannot be read ({error}); it is damaged or cut off") from error
    return header, _members(path, archive, names), []


def _members(path: Path, archive: zipfile.ZipFile, names: list[str]) -> Iterator[dict]:
    with archive:
        for name in names:
            if not _SAMPLE.fullmatch(name):
                continue
            try:
                yield files.decoded(_member(archive, name))
            except (zipfile.BadZipFile, OSError, ValueError, zlib.error) as error:
                raise UserError(f"{path}: {name} is damaged, cannot be read ({error})") from error


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Unpack a member; by itself, since Python's zipfile cannot unpack Zstandard before 3.14."""
    info = archive.getinfo(name)
    if info.file_size > files.LARGEST:
        raise OSError(f"it says that it is {info.file_size:,} bytes")
    file: Any = archive.fp
    file.seek(info.header_offset)
    start = file.read(30)
    if len(start) < 30:
        raise OSError("it lies beyond the end of the file")
    name_size, extra_size = struct.unpack("<26x2H", start)
    file.seek(name_size + extra_size, 1)
    packed = file.read(info.compress_size)
    if info.compress_type == _ZSTD:
        data = files.unpack_zstd(packed)
    elif info.compress_type == zipfile.ZIP_DEFLATED:
        data = zlib.decompress(packed, -15, info.file_size)
    elif info.compress_type == zipfile.ZIP_STORED:
        data = packed
    else:
        raise OSError(f"it is packed by the method {info.compress_type}")
    if zlib.crc32(data) != info.CRC:
        raise OSError("its checksum does not match")
    return data


def _log(
    path: Path, header: Mapping, samples: Iterator[dict], notes: list[str], wanted: Wanted
) -> Log:
    about = need(header, "eval", str(path), dict)
    task, epochs = about.get("task", ""), number(maybe(about, "config.epochs")) or 1
    found = Answers()
    scorer, scorers = _scorer(header, wanted.scorer, path)
    temperature = _temperature(header)
    several = values = 0
    for index, sample in enumerate(samples, 1):
        where = f"{path}: sample {index}"
        item_id = text_id(need(sample, "id", where))
        epoch = number(need(sample, "epoch", where))
        if item_id is None or epoch is None:
            raise UserError(f"{where} has no id or no epoch; is it a whole log of inspect?")
        if item_id not in found:
            several += _item(found, sample, where, str(task), int(epochs))
        scores = sample.get("scores") or {}
        if scores and scorer not in scores and wanted.scorer is None:
            scorer, scorers = next(iter(scores)), tuple(scores)
        value = maybe(scores.get(scorer), "value")
        stored = verdict(value)
        values += value is not None and stored is None
        output = sample.get("output") or {}
        failed = sample.get("error")
        error = str(maybe(failed, "message") or "error") if failed else None
        limit = maybe(sample.get("limit"), "type")
        stop = maybe((output.get("choices") or [None])[0], "stop_reason")
        stop = stop or output.get("stop_reason")
        found.completion(
            item_id,
            None if error else _text(output),
            stored=None if error else stored,
            temperature=temperature,
            sample_index=int(epoch) - 1,
            n_tokens=number(maybe(output, "usage.output_tokens")),
            finish_reason="length" if stop in _CUT_OFF or limit == "token" else stop,
            error=error,
        )
    status = header.get("status", "success")
    if status != "success":
        notes.append(f"the run ended as '{status}'; it may lack samples")
    told = [text_id(one) for one in maybe(about, "dataset.sample_ids") or []]
    if absent := sum(not one or one not in found for one in told):
        notes.append(f"{absent} of {len(told)} items of the run have no sample")
    if values:
        notes.append(f"{values} scores of '{scorer}' are neither right nor wrong and do not count")
    if several:
        notes.append(f"{several} items want several letters at once: the log's verdict counts")
    if len(scorers) > 1:
        notes.append(
            f"the log has the scorers {', '.join(scorers)}: {scorer} counts, --scorer names another"
        )
    return found.log(
        NAME, path, dataset=str(task), model=str(about.get("model", "")), notes=notes,
        scorer=scorer or "", scorers=scorers,
    )  # fmt: skip


def _scorer(
    header: Mapping, named: str | None, path: Path
) -> tuple[str | None, tuple[str, ...]]:
    """Choose the scorer: the one named, the log's headline, or its first."""
    scores = maybe(header, "results.scores") or maybe(header, "eval.scorers") or []
    names = tuple(dict.fromkeys(str(one["name"]) for one in scores if maybe(one, "name")))
    if named is not None:
        if names and named not in names:
            raise UserError(f"{path} has no scorer '{named}'; it has {', '.join(names)}")
        return named, names or (named,)
    headline = maybe(header, "results.headline.scorer")
    return (headline if headline in names else names[0] if names else None), names


def _temperature(header: Mapping) -> float | None:
    places = [maybe(header, "plan.config"), maybe(header, "eval.model_generate_config")]
    places += [maybe(step, "params") for step in maybe(header, "plan.steps") or []]
    told = [number(maybe(place, "temperature")) for place in places]
    return next((value for value in told if value is not None), None)


def _item(found: Answers, sample: Mapping, where: str, task: str, epochs: int) -> bool:
    """Add the item of a sample; say whether it wants several letters at once."""
    options = sample.get("choices") or None
    target = need(sample, "target", where)
    question, images = asked(need(sample, "input", where))
    sent, sent_images = asked(sample.get("messages"))
    attached = sample.get("attachments") or {}
    # Versions about 0.3.100 write "(Image)" into the input and keep the picture in the messages.
    if sent_images and not images:
        images, question = sent_images, question.replace("(Image)", "").strip()
    question = _attached(question or sent, attached)
    pictures = [_attached(image, attached) for image in images]
    several = bool(options) and isinstance(target, list) and len(target) > 1
    found.item(
        str(text_id(sample["id"])), question, options=options, gold=target, images=pictures,
        image_id="|".join(hashlib.sha256(p.encode()).hexdigest()[:16] for p in pictures),
        gold_rule="all" if several else "any", dataset=task, asked=epochs,
    )  # fmt: skip
    return several


def _attached(value: str, attached: Mapping[str, Any]) -> str:
    name = value.removeprefix("attachment://")
    return str(attached.get(name, value)) if name != value else value


def _text(output: Mapping) -> str:
    if isinstance(output.get("completion"), str):
        return output["completion"]
    return text_and_images(maybe((output.get("choices") or [None])[0], "message.content"))[0]
