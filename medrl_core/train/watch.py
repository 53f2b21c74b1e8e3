"""Look at the model while it trains: Acc@1 and p of test items every so many completions.

    watch = Watch(processor, items, settings, every=512)
    rl.train(net, processor, train_items, settings, callbacks=[watch])
    watch.frame()       # one row a look: n, acc, p, pass@256, words, information ...

Run its test: `pytest tests/train/test_watch.py`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import pandas as pd
from transformers import TrainerCallback

from medrl_core.data.items import Item
from medrl_core.sample.sampling import Decoding
from medrl_core.score.measure import measure
from medrl_core.train.rl import RL

THINKS = 4  # reasonings drawn for p at a look


class Watch(TrainerCallback):
    """Measures test items at the start and then every `every` completions.

    Arguments:
        processor: of the model.
        items: test items of one group.
        settings: of the training.
        every: completions between looks.
        k: sampled answers an item where p cannot be exact.
        seed: of samples.
    """

    def __init__(
        self, processor, items: Sequence[Item], settings: RL, every: int, *, k: int = 0,
        seed: int = 0,
    ):  # fmt: skip
        self.processor, self.items, self.settings = processor, list(items), settings
        self.every, self.k, self.seed = every, k, seed
        self.rows: list[dict] = []
        self.seconds = 0.0

    def on_train_begin(self, args, state, control, model=None, **kwargs):
        """Look at the model that training starts from."""
        self._look(0, model)

    def on_step_end(self, args, state, control, model=None, **kwargs):
        """Look where the completions so far pass a multiple of `every`, and at the end."""
        n = state.global_step // self.settings.updates * self.settings.per_step
        if n % self.every < self.settings.per_step or n == self.settings.completions:
            self._look(n, model)

    def _look(self, n: int, model) -> None:
        if self.rows and self.rows[-1]["n"] == n:
            return
        began, training = time.process_time(), model.training
        model.eval()
        found = measure(
            model, self.processor, self.items, seed=self.seed, k=self.k, thinks=THINKS,
            decoding=Decoding(max_new_tokens=self.settings.max_new_tokens),
        )  # fmt: skip
        self.rows.append({"n": n, **found.numbers()})
        model.train(training)
        self.seconds += time.process_time() - began

    def frame(self) -> pd.DataFrame:
        """Return one row a look."""
        return pd.DataFrame(self.rows)
