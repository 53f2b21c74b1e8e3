"""Parameters: defaults are valid, wrong values end with one line that names what is allowed."""

from __future__ import annotations

from typing import get_args

import pytest
from pydantic import ValidationError

from medrl.studies import parameters
from medrl_core.errors import UserError


@pytest.mark.parametrize("notebook", parameters.NOTEBOOKS)
def test_each_default_is_allowed_and_described(notebook):
    values = parameters.defaults(notebook)
    assert parameters.check(notebook, values).model_dump() == values
    rows = parameters.table(notebook)
    assert [row["name"] for row in rows] == list(values)
    assert all(row["description"] and row["allowed"] for row in rows)


@pytest.mark.parametrize("notebook", parameters.NOTEBOOKS)
def test_each_notebook_refuses_an_unknown_name(notebook):
    with pytest.raises(UserError, match=f"{notebook}: no parameter 'sede'; did you mean 'seed'"):
        parameters.check(notebook, {"sede": 1})


@pytest.mark.parametrize("notebook", parameters.NOTEBOOKS)
def test_each_notebook_refuses_a_text_for_a_number(notebook):
    with pytest.raises(UserError, match=f"{notebook}: seed = '1' is refused .* whole number"):
        parameters.check(notebook, {"seed": "1"})


REFUSED = [
    ("02_support", {"k": 1}, ["k = 1 ", "at least 2"]),
    ("02_support", {"k": 2.0}, ["k = 2.0 ", "whole number"]),
    ("02_support", {"temperature": True}, ["temperature = True ", "over 0"]),
    ("02_support", {"temperature": float("nan")}, ["temperature = nan ", "finite"]),
    ("02_support", {"top_p": 0}, ["top_p = 0 ", "at most 1"]),
    ("02_support", {"answer_formats": []}, ["answer_formats = []", "open, mcq"]),
    ("02_support", {"answer_formats": ["mcq", "mcq"]}, ["answer_formats", "twice"]),
    ("02_support", {"datasets": ["phantom-blod"]}, ["datasets[0]", "'phantom-blood'"]),
    ("02_support", {"model": "run:3_sft"}, ["model = 'run:3_sft'", "run:NOTEBOOK/path"]),
    ("02_support", {"model": "run:03_sft/../../x"}, ["model = ", "run:NOTEBOOK/path"]),
    ("00_data", {"size": 32}, ["size = 32 ", "28, 64, 128, 224"]),
    ("00_data", {"root": 3}, ["root = 3 ", "text or null"]),
    ("01_vision", {"towers": {"net": "resnet18"}, "fractions": [0.5]}, ["resnet18", "add 1.0"]),
    ("01_vision", {"towers": {"base": 1}}, ["towers[base] = 1 ", "names to"]),
    ("01_vision", {"seeds": [0, -1]}, ["seeds[1] = -1 ", "at least 0"]),
    ("03_sft", {"lora": "yes"}, ["lora = 'yes'", "true or false"]),
    ("05_transfer", {"arms": "run:04_rl/models"}, ["arms = ", "run:NOTEBOOK"]),
    ("07_vqa", {"benchmarks": ["VQARAD"]}, ["benchmarks[0] = 'VQARAD'", "'VQA-RAD'"]),
]
CONTRADICTIONS = [
    ("00_data", {"n_show": 9, "n_train": 8}, ["n_show = 9", "n_train = 8"]),
    ("00_data", {"allow": ["bloodmnist"]}, ["allow = ['bloodmnist']", "datasets"]),
    ("01_vision", {"fractions": [0.01], "n_train": 100}, ["fractions = [0.01]", "n_train = 100"]),
    ("03_sft", {"n_train": [64, 8], "batch_size": 16}, ["batch_size = 16", "n_train = 8"]),
    ("03_sft", {"epochs_curve": [4], "batch_size": 32, "n_curve": 16}, ["n_curve = 16"]),
    ("03_sft", {"mixture": {"phantom-ct": 1.0}}, ["mixture = ['phantom-ct']", "datasets"]),
    ("04_rl", {"budget": 32}, ["batch_size = 64", "budget = 32"]),
    ("04_rl", {"objective": "passk", "num_generations": 2}, ["passk", "num_generations", "3"]),
    ("08_beyond", {"objectives": ["passk"], "reward_k": 8}, ["reward_k = 8", "group, 8"]),
    ("08_beyond", {"sweep_group_sizes": [4, 6]}, ["sweep_group_sizes = [6]", "batch_size = 64"]),
    ("08_beyond", {"num_generations": 7}, ["batch_size = 64", "num_generations = 7"]),
    ("02_support", {"k": 2}, ["support_k = 4", "k = 2"]),
    ("05_transfer", {"train_on": ["phantom-ct"]}, ["train_on = ['phantom-ct']", "datasets"]),
]


@pytest.mark.parametrize(("notebook", "values", "said"), REFUSED + CONTRADICTIONS)
def test_a_refusal_is_one_line_with_notebook_parameter_value_and_what_is_allowed(
    notebook, values, said
):
    with pytest.raises(UserError) as caught:
        parameters.check(notebook, values)
    line = str(caught.value)
    assert "\n" not in line
    for words in [notebook, *said]:
        assert words in line


def test_whole_numbers_are_fine_where_numbers_are_asked():
    assert parameters.check("02_support", {"temperature": 1}).temperature == 1.0


def test_parameters_cannot_be_changed():
    with pytest.raises(ValidationError):
        parameters.check("02_support", {}).k = 3


def test_an_unknown_notebook_is_answered_with_the_list():
    with pytest.raises(UserError, match="'02_suport'; did you mean '02_support'.*08_beyond"):
        parameters.check("02_suport", {})


def test_names_are_those_of_the_loaders():
    from medrl_core.data import medmnist, vqa
    from medrl_core.data.drawn import phantom
    from medrl_core.train import arms, grpo

    phantoms = {f"phantom-{key}" for key in phantom.MODALITIES}
    assert set(get_args(parameters.Dataset)) == phantoms | set(medmnist.datasets())
    assert set(get_args(parameters.Benchmark)) == set(vqa.BENCHMARKS)
    fields = parameters.model_of("08_beyond").model_json_schema()["properties"]
    assert set(fields["objectives"]["items"]["enum"]) == set(grpo.OBJECTIVES)
    fields = parameters.model_of("04_rl").model_json_schema()["properties"]
    assert set(fields["arms"]["items"]["enum"]) == set(arms.ARMS)
    assert set(fields["objective"]["enum"]) == set(grpo.OBJECTIVES)
