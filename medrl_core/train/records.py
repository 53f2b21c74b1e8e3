"""What a training writes down at each step: reward, signal, entropy, KL, first right answer, words.

`rl.train` fills a `Records`; `Records.frame` gives one row a step. The numbers that say whether a
gain is real are among them: how many different words stand in each slot of the report (constant
words fake a gain), and the share of the commonest answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from medrl_core.data.items import Item
from medrl_core.score.evaluate import parse_item
from medrl_core.score.parsing import is_correct

# Names in TRL's log and ours.
LOGGED = {"loss": "loss", "kl": "kl", "grad_norm": "grad_norm"}


class Records:
    """Rows of the steps of one training, and on request of its completions.

    Arguments:
        group: completions of a prompt.
        keep_rollouts: keep each completion.
    """

    def __init__(self, group: int, keep_rollouts: bool = False):
        self.group, self.keep_rollouts = group, keep_rollouts
        self.rows: list[dict] = []
        self.rollouts: list[dict] = []
        self.completions = self.tokens = 0
        self.first_right: int | None = None
        self.facts_met: set = set()

    def sampled(self, completion_ids: Sequence[Sequence[int]], logps: Sequence[float]) -> None:
        """Begin a step's row with what was sampled.

        Arguments: tokens and log-probability of each completion.
        """
        tokens = sum(map(len, completion_ids))
        self.tokens += tokens
        # The mean of -log p over sampled tokens is unbiased for the mean entropy of a token.
        self.row = {"step": len(self.rows) + 1, "entropy": -sum(logps) / max(tokens, 1)}
        self.row["sampled_tokens"] = self.tokens
        self.batch = [
            {"n_tokens": len(ids), "logprob": logp}
            for ids, logp in zip(completion_ids, logps, strict=True)
        ]

    def scored(
        self, items: Sequence[Item], texts: Sequence[str], rewards: torch.Tensor,
        names: Sequence[str],
    ) -> None:
        """Add rewards, accuracy and what the answers have in common.

        Arguments: item and text of each completion; `rewards` (n, functions) and their names.
        """
        answers = [parse_item(text, item).answer for item, text in zip(items, texts, strict=True)]
        right = [is_correct(a, item.gold) for a, item in zip(answers, items, strict=True)]
        if self.first_right is None and any(right):
            self.first_right = self.completions + right.index(True) + 1
        self.row["first_by_fact"] = self._met(items, right)
        self.row["hits_by_fact"] = dict(
            Counter(item.label for item, hit in zip(items, right, strict=True) if hit)
        )
        self.completions += len(texts)
        said = [answer for answer in answers if answer is not None]
        commonest = Counter(said).most_common(1)[0][1] if said else 0
        self.row |= {
            "completions": self.completions,
            "reward": rewards.sum(1).mean().item(),
            "accuracy": float(np.mean(right)),
            "right": int(np.sum(right)),
            "first_right": self.first_right,
            "answered": len(said) / len(texts),
            "commonest": commonest / len(texts),
            "distinct_answers": len(set(said)),
            **{
                f"reward_{name}": value
                for name, value in zip(names, rewards.mean(0).tolist(), strict=True)
            },
        }
        if all(item.answer_format == "report" for item in items):
            slots = zip(*(answer.split() for answer in said), strict=False)
            for slot, words in enumerate(slots, start=1):
                self.row[f"distinct_words_{slot}"] = len(set(words))
        for row, item, text, one, reward in zip(
            self.batch, items, texts, right, rewards.sum(1).tolist(), strict=True
        ):
            row |= {"item_id": item.item_id, "text": text, "right": one, "reward": reward}

    def _met(self, items: Sequence[Item], right: Sequence[bool]) -> dict:
        """Number of the first right completion of each fact that is met for the first time."""
        new: dict = {}
        for place, (item, hit) in enumerate(zip(items, right, strict=True), start=1):
            if hit and item.label not in self.facts_met:
                self.facts_met.add(item.label)
                new[item.label] = self.completions + place
        return new

    def advantages(self, advantages: torch.Tensor) -> None:
        """End a step's row with the share of groups whose completions differ in advantage."""
        groups = advantages.view(-1, self.group)
        spread = groups.max(1).values - groups.min(1).values
        self.row["signal"] = (spread > 1e-6).float().mean().item()
        if self.keep_rollouts:
            for index, (row, advantage) in enumerate(
                zip(self.batch, advantages.tolist(), strict=True)
            ):
                place = {"step": self.row["step"], "sample_index": index % self.group}
                self.rollouts.append({**place, **row, "advantage": advantage})
        self.rows.append(self.row)

    def bonus(self, bonus: torch.Tensor, likelihood: torch.Tensor) -> None:
        """Add the consistency bonus and the reference's likelihood of the answers."""
        self.row |= {"care_bonus": bonus.mean().item(), "care_likelihood": likelihood.mean().item()}

    def frame(self, log: Sequence[dict], updates: int = 1) -> pd.DataFrame:
        """One row a step, with loss, KL and gradient norm from the trainer's own log.

        Arguments: `log` the trainer's `log_history`, one row an optimiser step; `updates` of them a
        step.
        """
        frame = pd.DataFrame(self.rows)
        logged = [row for row in log if "loss" in row][updates - 1 :: updates]
        for name, ours in LOGGED.items():
            frame[ours] = [row.get(name, np.nan) for row in logged]
        frame["first_right"] = frame["first_right"].astype("Int64")
        return frame
