"""One setting changed at a time: what differs between runs, and what their rows say."""

from __future__ import annotations

import pandas as pd
import pytest

from medrl_core.report import settings
from medrl_core.train.twin import Rl


def test_each_recipe_differs_from_the_plain_one_in_one_thing():
    plain = Rl(completions=512, reward_k=4)
    found = settings.recipes(["grpo", "gspo", "passk"], [4, 16], [0.7], 512, 4)
    assert [(what, value) for what, value, _ in found] == [
        ("objective", "GRPO"), ("objective", "Pass@K reward"),  # the twin has no GSPO
        ("group size", "4"), ("group size", "16"), ("temperature", "0.7"),
    ]  # fmt: skip
    for what, _, recipe in found:
        assert recipe.batch == plain.batch
        changed = {name for name, one in vars(recipe).items() if one != getattr(plain, name)}
        allowed = {"objective": {"objective"}, "group size": {"group", "prompts"},
                   "temperature": {"temperature"}}  # fmt: skip
        assert changed <= allowed[what]


@pytest.fixture(scope="module")
def twin() -> pd.DataFrame:
    return settings.twin_settings(
        ["grpo", "passk"], [8], [1.0], completions=64, seeds=[900], levels=["brain MRI"]
    )


def test_the_twin_runs_settings_controls_and_rival(twin):
    objective = twin[twin["what"] == "objective"]
    assert set(objective["value"]) == {
        "GRPO", "Pass@K reward", *settings.CONTROL, settings.UNTRAINED
    }  # fmt: skip
    plain = twin[twin["value"].isin(["GRPO", "8", "1"])]
    assert plain["p"].nunique() == 1  # one training, shown under three names
    assert (twin["gain"] == twin["acc"] - twin["acc0"]).all()


def test_only_settings_with_several_values_are_shown(twin):
    assert settings.there(twin) == ["objective"]
    table = twin.assign(source="twin")
    assert settings.title(table, "objective").startswith("Gain by objective, in points: ")
    assert settings.figure(table, "objective").file_bytes("svg").startswith(b"<?xml")


def test_a_curriculum_is_held_against_the_same_completions_at_once():
    found = settings.curricula(192, [900])
    assert found["value"].tolist() == ["angiogram first", "at once"]
    assert found["group"].unique().tolist() == ["liver ultrasound"]
