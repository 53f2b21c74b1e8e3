"""Parameters: defaults are valid, wrong values end with one line that names what is allowed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest
from pydantic import ValidationError

from medrl.studies import parameter_cells, parameter_types, parameters
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
    ("02_support", {"groups": []}, ["groups = []", "list of [text"]),
    ("02_support", {"groups": ["a.csv", "a.csv"]}, ["groups", "twice"]),
    ("02_support", {"groups": ["draw:chest film"]}, ["groups[0]", '"drawn:NAME"', "your own"]),
    ("02_support", {"groups": ["strips:"]}, ["groups[0] = 'strips:'", '"strips:SET:RULE"']),
    ("02_support", {"model": "run:3_sft"}, ["model = 'run:3_sft'", "run:NOTEBOOK/path"]),
    ("02_support", {"model": "run:03_sft/../../x"}, ["model = ", "run:NOTEBOOK/path"]),
    ("00_data", {"groups": "mine.csv"}, ["'mine.csv' is ref", "groups=[mine.csv]"]),
    ("00_data", {"n_show": 9}, ["n_show = 9 ", "at most 8"]),
    ("00_data", {"root": 3}, ["root = 3 ", "text or null"]),
    ("00_data", {"allow": "bloodmnist"}, ["'bloodmnist' is refused", "allow=[bloodmnist]"]),
    ("01_vision", {"towers": ["resnet18"]}, ["towers[0] = 'resnet18'", "one of pixels"]),
    ("01_vision", {"seeds": [0, -1]}, ["seeds[1] = -1 ", "at least 0"]),
    ("03_sft", {"lora": "yes"}, ["lora = 'yes'", "true or false"]),
    ("03_sft", {"mixed": [1.5]}, ["mixed[0] = 1.5", "at most 1"]),
    ("04_rl", {"arms": ["sft"]}, ["arms[0] = 'sft'", "one of rl, care"]),
    ("05_transfer", {"rl": "run:04_rl/models"}, ["rl = ", "run:NOTEBOOK"]),
    ("07_vqa", {"benchmarks": ["VQARAD"]}, ["no benchmark 'VQARAD'; did you mean 'VQA-RAD'?"]),
    ("07_vqa", {"sources": {"mine": ""}}, ["sources[mine] = ''", "at least 1"]),
]
CONTRADICTIONS = [
    ("04_rl", {"completions": 32}, ["per_step = 64", "completions = 32"]),
    ("04_rl", {"per_step": 20}, ["per_step = 20", "group_size = 8"]),
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


def test_a_group_is_of_a_known_kind_or_a_source_of_your_own():
    groups = ["drawn:chest film", "strips:bloodmnist:backward", "vqa:SLAKE", "mine.csv", "a b/c"]
    assert parameters.check("02_support", {"groups": groups}).model_dump()["groups"] == groups
    own = {"benchmarks": ["mine"], "sources": {"mine": "mine.csv"}}
    assert parameters.check("07_vqa", own).model_dump()["sources"] == {"mine": "mine.csv"}


def test_names_are_those_of_the_loaders():
    from medrl_core.data import groups, vqa
    from medrl_core.train import arms, rewards, rl

    assert set(get_args(parameter_types.Benchmark)) == set(vqa.BENCHMARKS)
    assert set(get_args(parameter_types.Objective)) == set(rl.OBJECTIVES)
    assert set(get_args(parameter_types.Arm)) <= set(arms.ARMS)
    assert set(get_args(parameter_types.Tracker)) == set(rl.TRACKERS)
    assert set(get_args(parameter_types.Paid)) <= set(rewards.REWARDS)
    for kind in groups.KINDS:
        assert parameters.check("00_data", {"groups": [f"{kind}:x"]})
    for notebook in parameters.NOTEBOOKS:
        given = parameters.defaults(notebook)
        for name in [*given.get("groups", []), *given.get("controls_on", [])]:
            assert groups.modality(name), name


@pytest.mark.parametrize(
    ("schema", "name"),
    [
        ({"type": "integer"}, "int"),
        ({"enum": ["a", "b"], "type": "string"}, "str"),
        ({"anyOf": [{"type": "number"}, {"type": "null"}]}, "float or None"),
        ({"type": "array", "items": {"type": "string"}}, "list[str]"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "dict[str, str]"),
    ],
)
def test_a_schema_is_named_as_python_names_it(schema, name):
    assert parameter_cells.type_name(schema) == name


def test_a_cell_is_written_from_the_model_and_a_second_time_it_is_as_it_was(toy):
    path = Path("notebooks/02_support.ipynb")
    assert parameter_cells.write("02_support")
    cells = {one["id"]: one for one in json.loads(path.read_text())["cells"]}
    lines = "".join(cells["parameters"]["source"]).splitlines()
    assert lines == parameter_cells.cell("02_support").splitlines()
    assert 'groups: list[str] = ["drawn:chest film"]  # groups of items' in lines
    assert 'second: "str or None" = None  # a base of another seed; null: one base only' in lines
    assert lines[-1].startswith('out: str = "runs/dev/02_support"')
    assert not parameter_cells.write("02_support")
