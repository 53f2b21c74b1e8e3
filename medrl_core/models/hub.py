"""Load any model that answers by folder or hub id, and name its weights by a hash."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from medrl_core.data.network import ask_hub
from medrl_core.errors import UserError
from medrl_core.models import whole
from medrl_core.models.text_only import TextProcessor

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


# Given with every load. Left to itself, transformers asks whether to run a model's own code, and
# takes the answer from stdin.
NO_CODE = {"trust_remote_code": False}


def _is_folder(ref: str) -> bool:
    return Path(ref).is_dir()


def load(ref: str, *, device: str | None = None, dtype: str | None = None, merge: bool = True):
    """Load a model and its processor through the Auto classes, in evaluation mode.

    Arguments:
        ref: a folder or a hub id of an image-text-to-text model or of a causal language model,
            or a folder of a LoRA adapter, which names its base.
        device: torch device; None takes the GPU where there is one.
        dtype: of the weights; None is `bfloat16` on a GPU and `float32` elsewhere.
        merge: add an adapter to the weights of its base; else it stays apart and can be trained.

    Returns:
        `(model, processor)`; the tokenizer pads on the left, as generation needs. A language model
        that sees no pictures has a `text_only.TextProcessor`.

    Raises:
        UserError: no such folder or id, its files cannot be read, or it does not answer.
    """
    import torch
    from transformers import (
        AutoModelForCausalLM,
        AutoModelForImageTextToText,
        AutoProcessor,
        AutoTokenizer,
    )

    device = device or _device()
    dtype = dtype or _dtype(device)
    adapter = Path(ref) / whole.ADAPTER
    if _is_folder(ref):
        whole.check(Path(ref))
    try:
        base = whole.base_of(Path(ref)) if adapter.is_file() else ref
        if not _is_folder(base):
            base = ask_hub(base)
        own = ref if adapter.is_file() else base
        config = _config(base)
        seeing = sees(config)
        processor: Any = (
            AutoProcessor.from_pretrained(own, **NO_CODE)
            if seeing
            else TextProcessor(AutoTokenizer.from_pretrained(own, **NO_CODE))
        )
        kind = AutoModelForImageTextToText if seeing else AutoModelForCausalLM
        loaded: Any = kind.from_pretrained(
            base,
            config=config,
            dtype=getattr(torch, dtype),
            use_safetensors=True,
            output_loading_info=True,
            **NO_CODE,
        )
        model, found = loaded
        _check_weights(found, all_used=_is_folder(base))
        _check_tokenizer(own, processor.tokenizer)
        if adapter.is_file():
            from peft import PeftModel

            model = cast(Any, PeftModel).from_pretrained(model, ref, is_trainable=not merge)
            model = model.merge_and_unload() if merge else model
    except UserError:
        raise
    except Exception as error:  # transformers raises many kinds; all mean "cannot be loaded"
        raise refusal(ref, error) from error
    processor.tokenizer.padding_side = "left"
    return model.to(device).eval(), processor


def load_vision(ref: str, *, device: str | None = None, random: bool = False):
    """Load any model that sees images, and its image processor, in evaluation mode.

    Arguments:
        ref: a folder or a hub id of an image-text-to-text model or of a vision model, for example
            of the kinds DINOv2, SigLIP and CLIP, or of timm where that package is installed.
        device: torch device; None takes the GPU where there is one. The weights are `bfloat16` on
            a GPU and `float32` elsewhere.
        random: random weights in the model's shape, the same each time, instead of its own.

    Returns:
        `(model, image_processor)`.

    Raises:
        UserError: no such folder or id, or its files cannot be read.
    """
    import torch
    from transformers import (
        AutoImageProcessor,
        AutoModel,
        AutoModelForImageTextToText,
        AutoProcessor,
    )
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

    device = device or _device()
    if _is_folder(ref):
        whole.check(Path(ref))
    else:
        ref = ask_hub(ref)
    try:
        config = _config(ref)
        speaks = type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
        if random:
            kind = AutoModelForImageTextToText if speaks else AutoModel
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                model = kind.from_config(config, dtype=getattr(torch, _dtype(device)))
        elif speaks:
            model, processor = load(ref, device=device)
            return model, processor.image_processor
        else:
            kept = {"use_safetensors": True, "dtype": _dtype(device), **NO_CODE}
            model, found = AutoModel.from_pretrained(
                ref, config=config, output_loading_info=True, **kept
            )
            _check_weights(found, all_used=False)
        kind = AutoProcessor if speaks else AutoImageProcessor
        processor = kind.from_pretrained(ref, **NO_CODE)
        return model.to(device).eval(), getattr(processor, "image_processor", processor)
    except UserError:
        raise
    except Exception as error:
        raise refusal(ref, error) from error


def read_config(ref: str) -> PreTrainedConfig:
    """The configuration of a model, for an adapter that of its base; no weights are read.

    Raises: UserError as `load`.
    """
    try:
        adapter = _is_folder(ref) and (Path(ref) / whole.ADAPTER).is_file()
        base = whole.base_of(Path(ref)) if adapter else ref
        return _config(base if _is_folder(base) else ask_hub(base))
    except UserError:
        raise
    except Exception as error:  # as in `load`
        raise refusal(ref, error) from error


def sees(config: Any) -> bool:
    """Whether a model of a configuration sees pictures; False: it reads text alone.

    Raises: UserError: it does not answer.
    """
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING,
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    )

    if type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        return True
    if type(config) in MODEL_FOR_CAUSAL_LM_MAPPING:
        return False
    raise UserError(
        f"a model of type {config.model_type} gives no answers: take an image-text-to-text model "
        "or a causal language model"
    )


def _config(ref: str):
    """The configuration of a model; one that names code to fetch from the hub is refused."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(ref, **NO_CODE)
    if "/" in str(config._attn_implementation):
        raise ValueError(f"its config.json asks for the kernel {config._attn_implementation}")
    return config


def _check_weights(found: dict, all_used: bool) -> None:
    """Refuse a model part of which would be random, or left out; transformers only warns.

    A pooler is drawn at random for models that never had one; no tower reads it. `all_used`: all
    weights have to be used; a model of the hub, or one for vision, may have more, such as a head.
    """
    missing = sorted(name for name in found["missing_keys"] if "pooler" not in name.split("."))
    if missing:
        raise ValueError(f"its files hold no weights {missing[0]} ({len(missing)} are missing)")
    unused = sorted(found["unexpected_keys"])
    if all_used and unused:
        raise ValueError(f"its config.json has no place for {unused[0]} ({len(unused)} are left)")


def _check_tokenizer(ref: str, tokenizer) -> None:
    """Refuse a folder without a tokenizer; transformers would make up an empty one."""
    names = tokenizer.vocab_files_names.values()
    if _is_folder(ref) and not any((Path(ref) / name).is_file() for name in names):
        raise ValueError(f"its folder holds no tokenizer ({' or '.join(names)})")


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _dtype(device: str) -> str:
    return "bfloat16" if device.startswith("cuda") else "float32"


def refusal(ref: str, error: Exception) -> UserError:
    """Say in one line why a model cannot be loaded, and what to do."""
    first_line = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
    offline = os.environ.get("HF_HUB_OFFLINE") == "1"
    hint = "the hub is switched off (HF_HUB_OFFLINE=1)" if offline else "check the name"
    remedy = "get or save the model again" if _is_folder(ref) else f"give a folder, or {hint}"
    if isinstance(error, ImportError):
        remedy = "install that package beside medrl"
    return UserError(f"model {ref!r} cannot be loaded: {first_line[:200]}; {remedy}")


def model_hash(ref: str) -> str:
    """First 16 hex digits of a hash over all that changes a model's answers (`whole.answer_hash`).

    Arguments:
        ref: a folder, an adapter's with its base; a hub id is named by its commit on the hub,
            looked up in the local cache as `load` does.

    Raises:
        UserError: the folder has no safetensors file, or the cache does not have the model.
    """
    if not _is_folder(ref):
        from huggingface_hub import try_to_load_from_cache

        kept = try_to_load_from_cache(ref, "config.json") if "/" in ref else None
        if isinstance(kept, str):
            return Path(kept).parent.name[:16]
        raise UserError(f"model {ref!r} is neither a folder nor in the hub's cache: load it first")
    own = whole.answer_hash(Path(ref))
    if not (Path(ref) / whole.ADAPTER).is_file():
        return own
    base = whole.base_of(Path(ref))
    return hashlib.sha256(f"{own}{model_hash(base)}".encode()).hexdigest()[:16]


def save(model, processor, folder: str | os.PathLike) -> Path:
    """Write model and processor as an ordinary Hugging Face folder, whole or not at all.

    Arguments:
        model: any transformers or PEFT model; an adapter is merged into it, so that the folder
            loads without its base, and also lies in the subfolder `adapter` as it was trained.
        processor: its processor.
        folder: replaced if it exists.

    Returns:
        The folder.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        if hasattr(model, "merge_and_unload"):
            model.save_pretrained(partial / "adapter")
            processor.save_pretrained(partial / "adapter")
        merged = model.merge_and_unload() if hasattr(model, "merge_and_unload") else model
        merged.save_pretrained(partial)
        processor.save_pretrained(partial)
        for path in (partial / "adapter", partial):
            if path.is_dir():
                whole.write_sums(path)
        for path in partial.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        partial.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(partial, folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return folder


def exposure(ref: str) -> dict[str, int]:
    """How many distinct images of each data set a model saw in its training, where that is known.

    Arguments:
        ref: a folder with a card.json (the micro base has one); anything else is unknown.

    Returns:
        Data set to number of images; empty where nothing is known.
    """
    known = (Path(ref) / whole.CARD).is_file()
    return whole.read_card(Path(ref))["exposure"] if known else {}
