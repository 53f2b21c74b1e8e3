"""Whether a model's folder is whole: each file can be read and is as it was saved.

safetensors and JSON have no checksums. So `hub.save` leaves SHA256SUMS, which `sha256sum -c` reads
too, and the micro base's card names its weights.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import lru_cache
from pathlib import Path

from medrl_core.errors import UserError

SUMS, CARD = "SHA256SUMS", "card.json"
# The file that makes a folder one of a LoRA adapter, and its entry that names the base.
ADAPTER, BASE = "adapter_config.json", "base_model_name_or_path"
# What a folder has beside the model: cards, sums, and what trainings leave.
_NO_PART = re.compile(
    r".*\.md|\..*|SHA256SUMS|card\.json|LICENSE.*|train(er|ing)_.*|optimizer\..*|scheduler\..*|"
    r"rng_state.*|all_results\.json"
)
# Entries that say who wrote a JSON file, and where; no answer depends on them.
_WRITER = {"transformers_version", "_name_or_path", "name_or_path", BASE}
_LINE = re.compile(r"(?P<sum>[0-9a-f]{64})  (?P<name>[^/\0]+)")
_AGAIN = "get or save the model again"


@lru_cache(maxsize=64)
def _file_hash(path: str, _mtime_ns: int) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256 of a file, hex; kept as long as the file is not written again."""
    return _file_hash(str(path), path.stat().st_mtime_ns)


def weights_hash(folder: Path) -> str:
    """First 16 hex digits of the SHA-256 over the names and bytes of a folder's weight files.

    Raises: UserError if there are none.
    """
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise UserError(f"model folder {folder} holds no .safetensors file: {_AGAIN}")
    digest = hashlib.sha256()
    for path in weights:
        digest.update(f"{path.name}:{file_hash(path)}".encode())
    return digest.hexdigest()[:16]


def answer_hash(folder: Path) -> str:
    """First 16 hex digits of the SHA-256 over all files that change a model's answers.

    That is its weights, and the settings of model, generation, pictures, tokenizer and chat; an
    adapter's base is not among them.

    Raises: UserError if there are no weights, or a file cannot be read.
    """
    digest = hashlib.sha256(weights_hash(folder).encode())
    for path in sorted([*folder.glob("*"), *folder.glob("additional_chat_templates/*")]):
        weights = path.suffix == ".safetensors"
        if path.is_file() and not weights and not _NO_PART.fullmatch(path.name):
            digest.update(f"{path.relative_to(folder)}:{_setting_hash(path)}".encode())
    return digest.hexdigest()[:16]


def _setting_hash(path: Path) -> str:
    if path.suffix != ".json" or path.name == "tokenizer.json":
        return file_hash(path)
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is no whole JSON ({error}): {_AGAIN}") from error
    if isinstance(content, dict):
        content = {name: value for name, value in content.items() if name not in _WRITER}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def base_of(folder: Path) -> str:
    """The base that a folder of an adapter names; a UserError says where it names none."""
    path = folder / ADAPTER
    try:
        return json.loads(path.read_bytes())[BASE]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} names no {BASE}: {_AGAIN}") from error


def write_sums(folder: Path) -> None:
    """Write SHA256SUMS of all files of a model's folder but itself; cards, *.md, are left out."""
    files = sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and path.suffix != ".md" and path.name != SUMS
    )
    lines = [f"{file_hash(path)}  {path.name}\n" for path in files]
    (folder / SUMS).write_text("".join(lines))


def check(folder: Path) -> None:
    """Check all files of a model's folder before any is loaded.

    Raises: UserError that names the file which is missing, cut off or not as it was saved.
    """
    check_form(folder)
    if (folder / SUMS).is_file():
        _check_sums(folder)
    elif (folder / CARD).is_file():
        told = read_card(folder).get("weights")
        if told and told != weights_hash(folder):
            raise UserError(f"{folder}: its weights are not those that {CARD} names: {_AGAIN}")


def check_form(folder: Path) -> None:
    """Check that each JSON and safetensors file has its form; the weights are not read.

    Raises: UserError that names the file which is cut off or damaged.
    """
    for path in sorted(folder.glob("*.json")):
        try:
            json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"{path} is no whole JSON ({error}): {_AGAIN}") from error
    for path in sorted(folder.glob("*.safetensors")):
        _check_header(path)


def _check_header(path: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np"):
            pass
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is no whole safetensors file ({error}): {_AGAIN}") from error


def _check_sums(folder: Path) -> None:
    sums = folder / SUMS
    lines = sums.read_text(encoding="utf-8", errors="replace").splitlines()
    entries = [found for line in lines if (found := _LINE.fullmatch(line))]
    if len(entries) < len(lines) or not entries:
        raise UserError(f"{sums} is damaged: {_AGAIN}, or remove it to go on without the check")
    for entry in entries:
        path = folder / entry["name"]
        if not path.is_file():
            raise UserError(f"{path} is missing, {SUMS} lists it: {_AGAIN}")
        if file_hash(path) != entry["sum"]:
            raise UserError(
                f"{path} is not as it was saved (see {SUMS}): {_AGAIN}, or remove {SUMS} if you "
                "changed the file"
            )


def read_card(folder: Path) -> dict:
    """The card.json of a model's folder; a UserError names one that is damaged."""
    path = folder / CARD
    try:
        content = json.loads(path.read_bytes())
        if not isinstance(content["exposure"], dict):
            raise ValueError("exposure is no mapping")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{path} is no card of a model ({error!r}): {_AGAIN}") from error
    return content
