"""Looks at a model while it trains."""

from __future__ import annotations

import pytest

from medrl_core.data.drawn.items import build_items
from medrl_core.data.drawn.modalities import RULES_WORLD
from medrl_core.models import hub
from medrl_core.score.measure import measure
from medrl_core.train import rl
from medrl_core.train.rl import RL
from medrl_core.train.watch import THINKS, Watch

BASE = f"{__file__.rsplit('/tests/', 1)[0]}/data/drawn-base"


def test_it_looks_at_start_on_the_way_and_at_the_end_and_changes_no_training():
    items = build_items(RULES_WORLD, "knee film", "train", n=8, seed=900)
    test = build_items(RULES_WORLD, "knee film", "test", n=4, seed=900)
    settings = RL(completions=48, per_step=16, group=4, train_vision=False)
    ends = []
    for watched in (True, False):
        net, processor = hub.load(BASE)
        watch = Watch(processor, test, settings, every=32)
        start = measure(net, processor, test, thinks=THINKS)
        callbacks = [watch] if watched else []
        trained = rl.train(net, processor, items, settings, seed=900, callbacks=callbacks)
        ends.append(trained.record.drop(columns=["first_by_fact", "hits_by_fact"]))
        if watched:
            looks = watch.frame()
            assert looks["n"].tolist() == [0, 32, 48]
            assert looks["acc"].iloc[0] == start.acc
            assert looks["p"].iloc[0] == pytest.approx(float(start.p.mean()))
            assert watch.seconds > 0
    assert ends[0].equals(ends[1])
