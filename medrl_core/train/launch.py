"""Train a stage in several processes, started by accelerate: data parallel, ZeRO-3 or FSDP2.

`medrl run 04_rl -p launch=ddp` asks for it. One process a GPU; without a GPU the processes of `ddp`
talk through gloo.
"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from medrl_core import plain
from medrl_core.data.items import Item
from medrl_core.errors import UserError

CONFIGS = Path(__file__).with_name("accelerate")


def config_file(name: str, lora: bool = False, check: bool = True) -> Path:
    """The configuration of accelerate that a name or a path stands for.

    Arguments:
        name: of a shipped configuration (`ddp`, `zero3`, `fsdp2`), or the path of a YAML file.
        lora: adapters will be trained.
        check: whether what it needs must be installed.

    Raises:
        UserError: there is none or it is no YAML, DeepSpeed is asked for and not installed, or
            adapters are to be split.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else CONFIGS / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(found.stem for found in CONFIGS.glob("*.yaml")))
        raise UserError(f"launch {name!r} is unknown: use {known} or a file of accelerate config")
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.utils import is_deepspeed_available

    plain.parse_yaml(path.read_text(), str(path))
    try:
        config = load_config_from_file(str(path))
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path} is no configuration of accelerate: {error}") from None
    if lora and config.distributed_type in ("DEEPSPEED", "FSDP"):
        raise UserError(f"launch {name!r} splits weights, an adapter needs none of it: use ddp")
    if check and config.distributed_type == "DEEPSPEED" and not is_deepspeed_available():
        raise UserError(f"launch {name!r} needs DeepSpeed: pip install deepspeed, or use fsdp2")
    return path


def processes(path: Path) -> int:
    """How many processes a configuration starts."""
    from accelerate.commands.config.config_args import load_config_from_file

    return cast(Any, load_config_from_file(str(path))).num_processes


def train(
    stage: str, ref: str, items: Sequence[Item], options: dict, folder: Path
) -> list[dict]:
    """Train one stage in the processes of its configuration, and wait for them.

    Arguments:
        stage: `sft` or `rl`.
        ref: folder or hub id of the model to start from.
        items: training items.
        options: other arguments of `sft.train` or `rl.train`; `scale` names the configuration.
        folder: where the trained model is written, or its adapter.

    Returns:
        The trainer's log.

    Raises:
        UserError: what a process refused, or that the processes ended before they were done.
    """
    name = options["scale"].launch
    path = config_file(name, options["lora"])
    total = options["batch_size"] if stage == "sft" else options["settings"].per_step
    options["scale"].arguments(total, "batch_size", processes(path))
    with tempfile.TemporaryDirectory(prefix="job-") as place:
        job = Path(place)
        (job / "job.pkl").write_bytes(
            pickle.dumps((stage, ref, list(items), options, str(folder.resolve())))
        )
        launcher = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(path)]
        code = _follow([*launcher, "-m", "medrl_core.train.launch", place])
        refused = job / "refused.txt"
        if refused.is_file():
            raise UserError(refused.read_text())
        if code:
            raise UserError(
                f"training with launch {name!r} ended early; the lines above say why"
            )
        return json.loads((job / "history.json").read_text())


def _follow(command: list[str]) -> int:
    """Run a command, tell its stderr on ours (a notebook would tell it twice), return its code."""
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr or ():
            print(line, end="", file=sys.stderr, flush=True)
    return process.returncode


def work(job: Path) -> None:
    """Train as one of the processes; the first of them writes what came of it."""
    import torch
    from accelerate import PartialState

    from medrl_core.models import hub
    from medrl_core.train import rl, sft

    on_gpu = torch.cuda.is_available()
    state = PartialState(cpu=not on_gpu)  # gives each process its own GPU
    # Written by `train`, our parent process, in a folder that this user alone can read.
    told = pickle.loads((job / "job.pkl").read_bytes())  # noqa: S301
    stage, ref, items, options, folder = told
    try:
        # In main memory: what is split over the GPUs would not fit one of them.
        dtype = "bfloat16" if on_gpu and options.get("lora") else "float32"
        model, processor = hub.load(ref, device="cpu", dtype=dtype, merge=False)
        if stage == "sft":
            _, history = sft.train(model, processor, items, save_to=folder, **options)
        else:
            found = rl.train(model, processor, items, save_to=folder, **options)
            history = found.record.astype(object).where(found.record.notna(), None)
            history = history.to_dict("records")
    except UserError as error:
        if state.is_main_process:
            (job / "refused.txt").write_text(str(error))
        raise SystemExit(2) from None
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    if state.is_main_process:
        (job / "history.json").write_text(json.dumps(history))


if __name__ == "__main__":
    work(Path(sys.argv[1]))
