"""RL on sampled answers: GRPO and its variants on TRL's GRPOTrainer, sampled by our own sampler.

    trained = train(net, processor, items, RL(completions=4096, learning_rate=3e-4, beta=0.01))
    trained.net, trained.record     # the model, and one row a step: reward, entropy, KL, first hit

A step is four hooks: `sample` draws a group of completions for each prompt,
`Trainer._calculate_rewards` scores them, `Trainer._generate_and_score_completions` turns rewards
into advantages, and `Trainer.compute_loss` is TRL's clipped policy loss with its KL term.
`OBJECTIVES` says what each variant changes; `python -m benchmarks.rl_step` measures a step.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from datasets import Dataset
from transformers import TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from medrl_core.data.items import Item
from medrl_core.data.prompts import user_text
from medrl_core.errors import UserError
from medrl_core.models.vision_calls import fewer_calls, tower_of
from medrl_core.sample.batches import batches
from medrl_core.sample.decode import complete
from medrl_core.sample.sampling import Chooser, Decoding, eos_ids
from medrl_core.train import care as care_functions
from medrl_core.train import guards, progress, reference, trainable
from medrl_core.train.care import Care
from medrl_core.train.guards import Guarded
from medrl_core.train.passk import passk_rewards
from medrl_core.train.records import Records
from medrl_core.train.rewards import Reward, named
from medrl_core.train.scale import Scale, widen
from medrl_core.train.sft import SMALL_VOCABULARY, lora_config, one_thread

# What each name changes in TRL's configuration, and the paper that proposes it.
OBJECTIVES: dict[str, dict] = {
    # DeepSeekMath, arXiv 2402.03300: mean over a completion's tokens, then over completions.
    "grpo": {"loss_type": "grpo"},
    # Dr. GRPO, arXiv 2503.20783: no length and no deviation normalisation.
    "dr_grpo": {"loss_type": "dr_grpo", "scale_rewards": "none"},
    # DAPO, arXiv 2503.14476: token-level loss, higher upper clip.
    "dapo": {"loss_type": "dapo", "epsilon_high": 0.28},
    # GSPO, arXiv 2507.18071: importance ratio of whole sequences.
    "gspo": {"loss_type": "grpo", "importance_sampling_level": "sequence"},
    # RLOO, arXiv 2402.14740: leave-one-out baseline, whole completions. On one update a batch it is
    # Dr. GRPO with all advantages larger by group / (group - 1), which Adam undoes but for the KL.
    "rloo": {"loss_type": "dr_grpo", "scale_rewards": "none"},
    # GRPO-CARE, arXiv 2506.16141: a bonus for answers that a slow copy finds likely too.
    "care": {"loss_type": "grpo"},
    # Pass@K instead of accuracy, arXiv 2505.15201; all else as Dr. GRPO.
    "passk": {"loss_type": "dr_grpo", "scale_rewards": "none"},
}


TRACKERS = ("trackio", "wandb", "tensorboard", "mlflow")
MAX_GRAD_NORM = 5.0  # as the official run has it
NO_SIGNAL = 1e-6  # advantages below this are rounding
# What a processor gives beside tokens, by the names that TRL passes on.
VISION = (
    "pixel_values", "image_grid_thw", "num_images", "pixel_attention_mask", "spatial_shapes",
    "num_tiles", "image_sizes", "token_type_ids", "mm_token_type_ids", "image_position_ids",
)  # fmt: skip
# Of these what only says where a picture begins; no model takes it.
COUNTS = {"num_images", "num_tiles"}


@dataclass(frozen=True)
class RL:
    """Settings of a training.

    Arguments:
        completions: completions that are sampled in all; steps are this over `per_step`.
        objective: a key of `OBJECTIVES`.
        rewards: names of `rewards.REWARDS`, or functions; their values are summed. The first is
            what `care` and `passk` act on.
        learning_rate: constant, for Adam (.9, .999).
        beta: weight of the KL term to the model that training began with; 0 leaves it out.
        group: completions of a prompt.
        per_step: completions a step; a multiple of `group`.
        temperature: of the sampled completions.
        max_new_tokens: longest completion.
        updates: optimiser steps on each batch.
        train_vision: False freezes the vision tower.
        care: numbers of the consistency bonus.
        reward_k: K of the objective `passk`.
        patience: steps in a row without signal after which training stops; 0: never.
        keep_rollouts: keep all completions with their rewards and advantages.
        report_to: names of trackers that transformers' Trainer reports to, e.g. `trackio`.
        log_completions: let TRL write the completions of each step as Parquet, into the folder
            `completions` of `work_dir`; `medrl score` reads them.
    """

    completions: int
    objective: str = "grpo"
    rewards: tuple[str | Reward, ...] = ("accuracy",)
    learning_rate: float = 3e-4
    beta: float = 0.01
    group: int = 8
    per_step: int = 64
    temperature: float = 1.0
    max_new_tokens: int = 24
    updates: int = 1
    train_vision: bool = True
    care: Care = field(default_factory=Care)
    reward_k: int = 2
    patience: int = 0
    keep_rollouts: bool = False
    report_to: tuple[str, ...] = ()
    log_completions: bool = False

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            known = ", ".join(OBJECTIVES)
            raise UserError(f"objective {self.objective!r} is unknown: use one of {known}")
        if self.per_step % self.group or self.completions % self.per_step:
            raise UserError(
                f"{self.completions} completions in steps of {self.per_step} and groups of "
                f"{self.group}: each must be a multiple of the next"
            )
        for tracker in self.report_to:
            if tracker not in TRACKERS:
                raise UserError(f"report_to {tracker!r} is unknown: use {', '.join(TRACKERS)}")
            if importlib.util.find_spec(tracker) is None:
                raise UserError(f"report_to {tracker!r}: pip install {tracker}, or leave it out")
        if self.objective == "passk" and self.rewards[0] == "token_f1":
            raise UserError("the objective passk counts right answers: its reward is accuracy")
        if self.objective == "passk" and not 1 <= self.reward_k < self.group:
            raise UserError(
                f"reward_k {self.reward_k} must be 1 to {self.group - 1}: a draw of the whole "
                "group tells its completions apart no more"
            )


@dataclass(frozen=True)
class Trained:
    """What a training gives.

    Arguments:
        net: the model, in evaluation mode; the one that was passed in, changed in place.
        record: one row a step (see `records.Records`).
        rollouts: one row a completion, or None where they were not kept.
    """

    net: torch.nn.Module
    record: pd.DataFrame
    rollouts: pd.DataFrame | None


class Trainer(Guarded, GRPOTrainer):
    """One step of RL: sample, reward, advantage; the loss is TRL's.

    Arguments:
        settings: of the training.
        items: by their identifiers, which are all that the trainer's data set contains.
        records: where each step writes its row.
        *args, **kwargs: as GRPOTrainer.
    """

    def __init__(self, *args, settings: RL, items: dict[str, Item], records: Records, **kwargs):
        with warnings.catch_warnings():
            # That rollout_func may change: TRL is pinned, and a step is tested against `generate`.
            warnings.filterwarnings("ignore", "You are using 'rollout_func'", UserWarning)
            super().__init__(*args, rollout_func=sample, **kwargs)
        self.settings, self.items, self.records = settings, items, records
        self.asked: list[Item] = []
        self.moved = False  # whether any group has had a signal yet
        if self.ref_model is not None:
            fewer_calls(self.ref_model)
        if settings.objective == "care":
            policy = self.accelerator.unwrap_model(self.model)
            self.average = reference.make(policy, self.accelerator)
            self.add_callback(reference.MovingAverage(self.average, self.accelerator))

    def _calculate_rewards(self, inputs, prompts, completions, completion_ids_list):
        """Score completions; `passk` gives each its chance of being in a right draw of K."""
        rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        texts = [completion[-1]["content"] for completion in completions]
        self.records.scored(self.asked, texts, self._own(rewards), self.reward_func_names)
        if self.settings.objective == "passk":
            shaped = passk_rewards(rewards[:, 0], self.settings.group, self.settings.reward_k)
            rewards = torch.cat([shaped[:, None], rewards[:, 1:]], 1)
        self.rewards = rewards
        return rewards

    def _generate_and_score_completions(self, inputs):
        """Turn rewards into advantages: each completion's against those of its own group."""
        self.asked = [self.items[row["item_id"]] for row in inputs]
        output = super()._generate_and_score_completions([as_row(item) for item in self.asked])
        settings = self.settings
        advantages = self.accelerator.gather(output["advantages"])
        if settings.objective == "rloo":
            advantages = advantages * settings.group / (settings.group - 1)
        if settings.objective == "care":
            likelihood = self.accelerator.gather(self._likelihood(output))
            bonus = care_functions.consistency_bonus(
                self.rewards[:, 0], likelihood, settings.group, settings.care
            )
            total = self.rewards.sum(1) + bonus
            advantages = care_functions.group_advantages(total, settings.group)
            self.records.bonus(bonus, likelihood)
        self.moved |= bool(advantages.abs().max() > NO_SIGNAL)
        output["advantages"] = self._own(advantages)
        self.records.advantages(output["advantages"])
        return output

    def compute_loss(self, model, inputs, *args, **kwargs):
        """TRL's loss: clipped ratios times advantages, and `beta` times the KL to the start.

        Until some group has had a signal its gradient is zero but for rounding, which Adam would
        turn into steps of full length: so it is left out, and a run without a right answer ends as
        the model that it began with.
        """
        if not self.moved:
            weights = [weight for weight in model.parameters() if weight.requires_grad]
            return sum(weight.flatten()[0] for weight in weights) * 0.0
        return super().compute_loss(model, inputs, *args, **kwargs)

    def _get_per_token_logps_and_entropies(
        self, model, input_ids, attention_mask, logits_to_keep, batch_size=None,
        compute_entropy=False, compute_aux_loss=False, **vision,
    ):  # fmt: skip
        """TRL's; for a small vocabulary all at once, since its tiles take half of a small step."""
        config = self.accelerator.unwrap_model(model).config  # with processes, a wrapper has none
        if config.get_text_config().vocab_size > SMALL_VOCABULARY:
            return super()._get_per_token_logps_and_entropies(
                model, input_ids, attention_mask, logits_to_keep, batch_size, compute_entropy,
                compute_aux_loss, **vision,
            )  # fmt: skip
        inputs = {name: x for name, x in vision.items() if x is not None and name not in COUNTS}
        logits = model(
            input_ids=input_ids, attention_mask=attention_mask, use_cache=False,
            logits_to_keep=logits_to_keep + 1, **inputs,
        ).logits[:, :-1]  # fmt: skip
        logps = (logits / self.temperature).log_softmax(-1)
        entropies = -(logps.exp() * logps).sum(-1).detach() if compute_entropy else None
        chosen = logps.gather(-1, input_ids[:, -logits_to_keep:, None])[..., 0]
        return chosen, entropies, None

    def _own(self, gathered: torch.Tensor) -> torch.Tensor:
        """The rows of this process out of those of all."""
        first = self.accelerator.process_index * len(self.asked)
        return gathered[first : first + len(self.asked)]

    @torch.no_grad()
    def _likelihood(self, output: dict) -> torch.Tensor:
        """(n,) clamped likelihood of each answer under the moving average, given its reasoning."""
        completion_ids, completion_mask = output["completion_ids"], output["completion_mask"]
        logps, _, _ = self._get_per_token_logps_and_entropies(
            self.average,
            torch.cat([output["prompt_ids"], completion_ids], 1),
            torch.cat([output["prompt_mask"], completion_mask], 1),
            completion_ids.shape[1],
            **{name: output[name] for name in VISION if name in output},
        )
        mask = torch.zeros_like(completion_mask, dtype=torch.bool)
        for row, ids in enumerate(completion_ids.tolist()):
            length = int(completion_mask[row].sum())
            pieces = [self._tokenizer.decode([token]) for token in ids[:length]]
            mask[row, :length] = torch.tensor(care_functions.answer_mask(pieces))
        return care_functions.answer_likelihood(logps, mask, self.settings.care.clamp)


def sample(prompts: list, trainer: Trainer) -> dict:
    """Draw a group of completions for each prompt, every prompt encoded once; TRL's `rollout_func`.

    Arguments:
        prompts: chat messages, each `group` times in a row; what is asked lies in `trainer.asked`.
        trainer: of the training.

    Returns:
        Token lists `prompt_ids` and `completion_ids`, and `logprobs` None: the policy has not
        changed since, so TRL takes the loss's own.
    """
    settings, net = trainer.settings, trainer.accelerator.unwrap_model(trainer.model)
    most = settings.max_new_tokens
    copies = settings.group  # `train` gives each process whole groups
    asked = trainer.asked[::copies]
    rng = np.random.default_rng(
        [trainer.args.seed, trainer.state.global_step, trainer.accelerator.process_index]
    )
    drawn = np.minimum(rng.random((len(prompts), most), np.float32), np.float32(1 - 2**-24))
    prompt_ids: list[list[int]] = [[] for _ in prompts]
    completion_ids: list[list[int]] = [[] for _ in prompts]
    logps = [0.0] * len(prompts)
    ends = eos_ids(net, trainer.processing_class.tokenizer)
    names = ("image_token_id", "image_token_index", "video_token_id", "video_token_index")
    places: set[Any] = {getattr(net.config, name, None) for name in names}
    unseen = torch.tensor(sorted(places - {None}), device=net.device)
    net.eval()
    for batch, inputs in batches(trainer.processing_class, asked, lambda length: len(asked)):
        rows = [i * copies + k for i in batch for k in range(copies)]
        inputs = {name: x.to(net.device) for name, x in inputs.items()}
        chooser = Chooser(
            Decoding(settings.temperature, max_new_tokens=most),
            torch.from_numpy(drawn[rows]).to(net.device),
            torch.zeros(len(rows), dtype=torch.bool, device=net.device),
        )

        def choose(scores, *place, chooser=chooser):
            # A sampled image token would ask for an image that is not there.
            return chooser.choose(scores.index_fill(-1, unseen, -torch.inf), *place)

        with torch.inference_mode():
            tokens, logp = complete(
                net, inputs, copies=copies, max_new_tokens=most, choose=choose, eos_ids=ends
            )
        prompts_of_rows = inputs["input_ids"].repeat_interleave(copies, 0).tolist()
        for row, before, ids, total in zip(
            rows, prompts_of_rows, tokens.tolist(), logp.tolist(), strict=True
        ):
            prompt_ids[row], logps[row] = before, total
            completion_ids[row] = [token for token in ids if token >= 0]
    net.train()
    trainer.records.sampled(completion_ids, logps)
    return {"prompt_ids": prompt_ids, "completion_ids": completion_ids, "logprobs": None}


def as_row(item: Item) -> dict:
    """What TRL's trainer and the reward functions read of an item."""
    return {
        "item_id": item.item_id,
        "prompt": [{"role": "user", "content": user_text(item)}],
        "images": list(item.images),
        "gold": item.gold,
        "options": item.options,
        "label_set": item.label_set,
        "synonyms": item.synonyms,
        "answer_format": item.answer_format,
        "reading": item.reading,
    }


def train(
    net,
    processor,
    items: Sequence[Item],
    settings: RL,
    *,
    seed: int = 0,
    lora: bool = False,
    scale: Scale | None = None,
    label: str = "rl",
    callbacks: Sequence[TrainerCallback] = (),
    save_to: str | os.PathLike | None = None,
    work_dir: str | os.PathLike | None = None,
) -> Trained:
    """Train a model on its own sampled answers.

    Arguments:
        net: an image-text-to-text model, changed in place.
        processor: its processor.
        items: training items, passed over as often as the completions need.
        settings: of the training.
        seed: of the order of items and of sampling.
        lora: train a LoRA adapter instead of all weights; a model that has one keeps it.
        scale: memory and processes.
        label: what progress lines and errors call it.
        callbacks: of transformers' Trainer, for example to look at the model on the way.
        save_to: folder that the trained weights are written to, by one of the processes.
        work_dir: where a batch that stops the training, and logged completions, are written; None:
            the temporary folder.

    Returns:
        The model, one row a step, and the completions if they were to be kept.

    Raises:
        UserError: no items, items of which some have no picture, no signal for `patience` steps, or
            a loss or reward that is not finite.
    """
    by_id = {item.item_id: item for item in items}
    guards.check_pictures(items, label)
    trainable.check(net.config, label)
    prompts = settings.per_step // settings.group
    if len(by_id) < prompts:
        raise UserError(
            f"{label}: a step asks {prompts} different items, and there are {len(by_id)}: give "
            "more items, or fewer completions a step"
        )
    share = settings.per_step // int(os.environ.get("WORLD_SIZE", "1"))
    if share % settings.group:
        raise UserError(
            f"{label}: {share} completions a process are no whole groups of {settings.group}: "
            "change per_step, group or the number of processes"
        )
    records = Records(settings.group, settings.keep_rollouts)
    fewer_calls(net)
    if not settings.train_vision:
        tower_of(net).requires_grad_(False)
    width, source = widen(net, lora), net.config._name_or_path
    has_adapter = hasattr(net, "peft_config")
    with tempfile.TemporaryDirectory(prefix="medrl-rl-") as folder, one_thread():
        if settings.beta and not (lora or has_adapter):
            # TRL loads the model that the KL term refers to from where the policy came from.
            net.save_pretrained(folder)
            net.config._name_or_path = folder
        trainer = Trainer(
            model=net,
            reward_funcs=[named(reward) for reward in settings.rewards],
            args=GRPOConfig(
                output_dir=str(work_dir or tempfile.gettempdir()),
                max_steps=settings.completions // settings.per_step * settings.updates,
                **(scale or Scale()).arguments(settings.per_step, "per_step"),
                num_generations=settings.group,
                num_iterations=settings.updates,
                learning_rate=settings.learning_rate,
                lr_scheduler_type="constant",
                weight_decay=0.0,
                max_grad_norm=MAX_GRAD_NORM,
                beta=settings.beta,
                temperature=settings.temperature,
                max_completion_length=settings.max_new_tokens,
                ref_model_mixup_alpha=1 - settings.care.ema_decay,
                ref_model_sync_steps=settings.care.ema_every,
                logging_steps=1,
                logging_nan_inf_filter=False,
                save_strategy="no",
                report_to=list(settings.report_to) or "none",
                log_completions=settings.log_completions,
                num_completions_to_print=0,
                disable_tqdm=True,
                seed=seed,
                data_seed=seed,
                **OBJECTIVES[settings.objective],
            ),
            train_dataset=Dataset.from_dict({"item_id": list(by_id), "prompt": list(by_id)}),
            processing_class=processor,
            peft_config=lora_config() if lora and not has_adapter else None,
            settings=settings,
            items=by_id,
            records=records,
            label=label,
            patience=settings.patience,
            callbacks=list(callbacks),
        )
        progress.attach(trainer, label)
        limits = {"per_step": settings.per_step, "max_new_tokens": settings.max_new_tokens}
        with guards.memory(label, limits):
            trainer.train()
        if save_to:
            trainer.save_model(str(save_to))
    net = trainer.model
    net.config._name_or_path = source
    progress.restore(net)
    if not (lora or has_adapter):
        net.requires_grad_(True)
    rollouts = pd.DataFrame(records.rollouts) if settings.keep_rollouts else None
    frame = records.frame(trainer.state.log_history, settings.updates)
    return Trained((net.to(width) if width else net).eval(), frame, rollouts)

