"""The list of all results for machines: valid by its schema, complete, and its files are there."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from test_book import clone  # noqa: F401  (a fixture)

from made_runs import asked, write_run
from medrl.book import assembly


@pytest.fixture
def files(clone) -> Path:  # noqa: F811
    write_run(Path("runs/toy/02_support"), "toy", "02_support")
    write_run(Path("data/records/medmnist/06_boundary"), "medmnist", "06_boundary")
    assembly.assemble("toy", Path("stage"))
    return Path("stage/extra/files")


def read(files: Path) -> tuple[dict, dict]:
    names = ("results.json", "results.schema.json")
    return tuple(json.loads((files / name).read_text()) for name in names)


def test_the_list_is_valid_by_the_schema_beside_it(files):
    content, schema = read(files)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(content)
    for broken in ({**content, "version": 1}, {**content, "extra": 1}, {}):
        assert not validator.is_valid(broken)
    content["runs"][0]["numbers"]["h2"]["unit"] = "furlongs"
    assert not validator.is_valid(content)


def test_the_list_holds_all_runs_numbers_and_verdicts(files):
    content, _ = read(files)
    assert [(run["study"], run["notebook"]) for run in content["runs"]] == [
        ("toy", "02_support"),
        ("medmnist", "06_boundary"),
    ]
    first = content["runs"][0]
    assert set(first["numbers"]) == asked()["02_support"]["number"]
    assert first["numbers"]["h2"] == {
        "value": 0.2, "low": 0.15, "high": 0.25, "n": 60, "unit": "points"
    }  # fmt: skip
    assert first["command"] == "medrl run 02_support --study toy"
    verdicts = {
        (claim["id"], one["study"]): one["verdict"]
        for claim in content["claims"]
        for one in claim["verdicts"]
    }
    assert verdicts["H2", "toy"] == "reproduced"
    assert verdicts["H7", "medmnist"] == "reproduced"
    assert verdicts["H1", "toy"] == "not run"


def test_each_file_that_the_list_names_is_there(files):
    content, _ = read(files)
    named = [
        path
        for run in content["runs"]
        for path in [
            *run["tables"].values(),
            *(one["csv"] for one in run["figures"].values()),
        ]
    ]
    assert named
    assert all((files / path).is_file() for path in named)
