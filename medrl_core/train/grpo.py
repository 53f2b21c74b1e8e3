"""GRPO, its variants, RLOO, consistency-aware GRPO and a reward of Pass@K on TRL's trainers."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Sequence

import torch
from transformers import set_seed
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from medrl_core.data.items import Item
from medrl_core.data.prompts import to_dataset
from medrl_core.errors import UserError
from medrl_core.train import budget, guards, progress, reference
from medrl_core.train import care as care_functions
from medrl_core.train.care import Care
from medrl_core.train.checkpoints import Checkpoints, run
from medrl_core.train.guards import Guarded
from medrl_core.train.passk import passk_rewards
from medrl_core.train.rewards import accuracy_reward, format_reward
from medrl_core.train.scale import Scale, widen
from medrl_core.train.sft import lora_config

# What each name changes in TRL's configuration, and the paper that proposes it.
OBJECTIVES: dict[str, dict] = {
    # DeepSeekMath, arXiv 2402.03300: per-sequence token mean.
    "grpo": {"loss_type": "grpo"},
    # Dr. GRPO, arXiv 2503.20783: no length and no deviation normalisation.
    "dr_grpo": {"loss_type": "dr_grpo", "scale_rewards": "none"},
    # DAPO, arXiv 2503.14476: token-level loss, higher upper clip.
    "dapo": {"loss_type": "dapo", "epsilon_high": 0.28},
    # GSPO, arXiv 2507.18071: importance ratio of whole sequences.
    "gspo": {"loss_type": "grpo", "importance_sampling_level": "sequence"},
    # RLOO, arXiv 2402.14740: leave-one-out baseline, whole completions, no normalisation.
    "rloo": {"normalize_advantages": False},
    # GRPO-CARE, arXiv 2506.16141.
    "care": {"loss_type": "grpo"},
    # Pass@K instead of accuracy, arXiv 2505.15201; all else as Dr. GRPO, see `passk_rewards`.
    "passk": {"loss_type": "dr_grpo", "scale_rewards": "none"},
}


class PlainGRPOTrainer(Guarded, GRPOTrainer):
    """GRPOTrainer that stops as `Guarded` says."""


class PlainRLOOTrainer(Guarded, RLOOTrainer):
    """RLOOTrainer that stops as `Guarded` says."""


class CareGRPOTrainer(Guarded, GRPOTrainer):
    """GRPOTrainer whose rewards carry the consistency bonus of a moving-average reference.

    Arguments:
        care: numbers of the bonus.
        *args, **kwargs: as GRPOTrainer; the first reward function must be the accuracy reward.
    """

    def __init__(self, *args, care: Care, **kwargs):
        super().__init__(*args, **kwargs)
        self.care = care
        self._rewards: torch.Tensor | None = None
        policy = self.accelerator.unwrap_model(self.model)
        self.reference = reference.make(policy, self.accelerator)
        self.add_callback(reference.MovingAverage(self.reference, self.accelerator))

    def _calculate_rewards(self, *args, **kwargs):
        # Gathered over processes already, group after group.
        self._rewards = super()._calculate_rewards(*args, **kwargs)
        return self._rewards

    def _generate_and_score_completions(self, inputs):
        output = super()._generate_and_score_completions(inputs)
        likelihood = self.accelerator.gather(self._reference_likelihood(output))
        group = self.num_generations if self.model.training else self.num_generations_eval
        bonus = care_functions.consistency_bonus(
            self._rewards[:, 0], likelihood, group, self.care
        )
        weighted = self._rewards * self.reward_weights.to(self._rewards.device)
        advantages = care_functions.group_advantages(weighted.sum(1) + bonus, group)
        local = len(output["advantages"])
        first = self.accelerator.process_index * local
        output["advantages"] = advantages[first : first + local]
        mode = "train" if self.model.training else "eval"
        self._metrics[mode]["care/bonus"].append(bonus.mean().item())
        self._metrics[mode]["care/likelihood"].append(likelihood.mean().item())
        return output

    @torch.no_grad()
    def _reference_likelihood(self, output: dict) -> torch.Tensor:
        """(n,) clamped likelihood of each local completion's answer, given image and reasoning."""
        completion_ids, completion_mask = output["completion_ids"], output["completion_mask"]
        vision = {
            name: output[name]
            for name in ("pixel_values", "image_grid_thw", "num_images", "num_tiles",
                         "pixel_attention_mask", "spatial_shapes", "image_sizes",
                         "image_position_ids", "token_type_ids", "mm_token_type_ids")
            if name in output
        }
        logps, _, _ = self._get_per_token_logps_and_entropies(
            self.reference,
            torch.cat([output["prompt_ids"], completion_ids], 1),
            torch.cat([output["prompt_mask"], completion_mask], 1),
            completion_ids.shape[1],
            batch_size=self.args.per_device_train_batch_size,
            **vision,
        )
        mask = torch.zeros_like(completion_mask, dtype=torch.bool)
        for row, (ids, length) in enumerate(
            zip(completion_ids.tolist(), completion_mask.sum(1).tolist(), strict=True)
        ):
            pieces = self._tokenizer.batch_decode([[token] for token in ids[:length]])
            mask[row, :length] = torch.tensor(care_functions.answer_mask(pieces), dtype=torch.bool)
        return care_functions.answer_likelihood(logps, mask, self.care.clamp)


class PassKGRPOTrainer(Guarded, GRPOTrainer):
    """GRPOTrainer whose accuracy reward is what a completion adds to the Pass@K of its group.

    The logged mean of the accuracy reward is then the groups' Pass@K; their plain accuracy is
    logged beside it.

    Arguments:
        reward_k: the K.
        *args, **kwargs: as GRPOTrainer; the first reward function must be the accuracy reward.
    """

    def __init__(self, *args, reward_k: int, **kwargs):
        super().__init__(*args, **kwargs)
        self.reward_k = reward_k

    def _calculate_rewards(self, *args, **kwargs):
        # Gathered over processes already, group after group.
        rewards = super()._calculate_rewards(*args, **kwargs)
        training = self.model.training
        group = self.num_generations if training else self.num_generations_eval
        accuracy = rewards[:, 0]
        self._metrics["train" if training else "eval"]["passk/accuracy"].append(
            accuracy.mean().item()
        )
        shaped = passk_rewards(accuracy, group, self.reward_k)
        return torch.cat([shaped[:, None], rewards[:, 1:]], 1)


def train(
    model,
    processor,
    items: Sequence[Item],
    *,
    steps: int | None = None,
    tokens: int | None = None,
    objective: str = "care",
    num_generations: int = 8,
    completions_per_step: int = 64,
    learning_rate: float = 1e-4,
    temperature: float = 1.0,
    max_new_tokens: int = 40,
    top_p: float = 1.0,
    updates: int = 1,
    care: Care | None = None,
    reward_k: int = 2,
    lora: bool = False,
    scale: Scale | None = None,
    save_to: str | os.PathLike | None = None,
    seed: int = 0,
    work_dir: str | os.PathLike | None = None,
    label: str = "grpo",
    checkpoints: Checkpoints | None = None,
    patience: int = guards.PATIENCE,
):
    """Train a model on its own sampled answers.

    Arguments:
        model: changed in place.
        processor: its processor.
        items: training items, passed over as often as the steps need.
        steps: batches of completions that are sampled.
        tokens: sampled tokens after which training ends, in place of `steps`; the last batch may
            go beyond.
        objective: a key of `OBJECTIVES`.
        num_generations: completions an item (a group).
        completions_per_step: completions a step; a multiple of `num_generations`.
        learning_rate: constant after a warm-up of 5% of the steps (of the fewest, with `tokens`).
        temperature: of the sampled completions.
        max_new_tokens: longest completion.
        top_p: nucleus of the sampling distribution.
        updates: optimiser steps on each batch; from the second on the completions are those of an
            older policy, and clipping and importance ratios count.
        care: numbers of the consistency bonus, used by the objective `care`.
        reward_k: the K of the objective `passk`.
        lora: train a LoRA adapter instead of all weights; a model that has one keeps it.
        scale: memory and processes.
        save_to: folder that the trained weights are written to, by one of the processes.
        seed: of the order of items and of sampling.
        work_dir: where the trainer may write; nothing is kept there.
        label: what the progress lines call this training.
        checkpoints: where it keeps its state, so that it goes on after a kill; None: nowhere.
        patience: batches in a row without signal after which training stops; 0: never.

    Returns:
        `(model, history)`: the trained model in evaluation mode, and the trainer's log, one row a
        twentieth of the steps; `sampled_tokens` of the last row is what was spent.

    Raises:
        UserError: unknown objective, no items, not one of steps and tokens, sizes that do not fit,
            a loss or reward that is not finite, no signal for too long, or no memory.
    """
    if objective not in OBJECTIVES:
        raise UserError(f"objective {objective!r} is unknown: use one of {', '.join(OBJECTIVES)}")
    if not items:
        raise UserError("RL needs at least one training item: none was given")
    if completions_per_step % num_generations:
        raise UserError(
            f"completions_per_step {completions_per_step} must be a multiple of num_generations "
            f"{num_generations}"
        )
    if objective == "passk" and reward_k >= num_generations:
        raise UserError(
            f"reward_k {reward_k} must be under num_generations {num_generations}: a draw of the "
            "whole group tells its completions apart no more"
        )
    if (steps is None) == (tokens is None):
        raise UserError("RL ends after so many steps or so many tokens: give one of the two")
    if 0 in (steps, tokens):
        return model, []
    fewest = steps
    if tokens is not None:
        fewest, steps = budget.steps(tokens, completions_per_step, max_new_tokens)
    care, scale = care or Care(), scale or Scale()
    width = widen(model, lora)
    set_seed(seed)  # of the first weights of an adapter
    config = RLOOConfig if objective == "rloo" else GRPOConfig
    arguments = {
        "model": model,
        "reward_funcs": [accuracy_reward, format_reward],
        "args": config(
            output_dir=str(work_dir or tempfile.gettempdir()),
            **scale.arguments(completions_per_step, "completions_per_step"),
            **scale.sampling(),
            num_generations=num_generations,
            num_iterations=updates,
            max_steps=steps * updates,
            learning_rate=learning_rate,
            lr_scheduler_type="constant_with_warmup",
            warmup_steps=math.ceil(0.05 * fewest * updates),
            max_grad_norm=5.0,
            beta=0.0,
            temperature=temperature,
            top_p=top_p,
            max_completion_length=max_new_tokens,
            ref_model_mixup_alpha=1 - care.ema_decay,
            ref_model_sync_steps=care.ema_every,
            logging_steps=max(1, fewest // 20) * updates,
            logging_nan_inf_filter=False,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            seed=seed,
            data_seed=seed,
            **OBJECTIVES[objective],
        ),
        "train_dataset": to_dataset(items),
        "processing_class": processor,
        "peft_config": lora_config() if lora and not hasattr(model, "peft_config") else None,
        "label": label,
        "patience": patience,
    }
    if objective == "care":
        trainer = CareGRPOTrainer(**arguments, care=care)
    elif objective == "passk":
        trainer = PassKGRPOTrainer(**arguments, reward_k=reward_k)
    elif objective == "rloo":
        trainer = PlainRLOOTrainer(**arguments)
    else:
        trainer = PlainGRPOTrainer(**arguments)
    count = budget.TokenBudget(tokens, updates)
    count.watch(trainer)
    progress.attach(trainer, label, count)
    needed = {"completions_per_step": completions_per_step, "max_new_tokens": max_new_tokens}
    with guards.memory(label, needed):
        run(trainer, checkpoints)
    progress.restore(trainer.model)
    if save_to:
        trainer.save_model(str(save_to))
    history = [row for row in trainer.state.log_history if "reward" in row]
    model = trainer.model.to(width) if width else trainer.model
    return model.eval(), history
