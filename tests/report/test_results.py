from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from medrl_core.errors import UserError
from medrl_core.report import figures, results
from medrl_core.report.results import Results
from medrl_core.score.intervals import bootstrap_mean


def new(folder):
    return Results(folder, notebook="02_support", study="toy")


def test_what_is_kept_is_read_again(tmp_path):
    res = new(tmp_path / "run")
    res.number("h2", np.float32(0.5), low=0.25, high=np.float64(0.75), n=np.int64(8), unit="points")
    res.table("t", pd.DataFrame({"k": [1, 2], "value": [0.5, math.nan], "ok": [True, False]}))
    res.data_hash("chest film", "d41d", "drawn")
    res.model_hash("base", "abcd")
    assert res.save() == tmp_path / "run" / "results.json"
    assert results.read(tmp_path / "run") == {
        "schema": 1,
        "notebook": "02_support",
        "study": "toy",
        "numbers": {"h2": {"value": 0.5, "low": 0.25, "high": 0.75, "n": 8, "unit": "points"}},
        "tables": {
            "t": [{"k": 1, "value": 0.5, "ok": True}, {"k": 2, "value": None, "ok": False}]
        },
        "figures": {},
        "data": {"chest film": {"md5": "d41d", "origin": "drawn"}},
        "models": {"base": "abcd"},
    }


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float64("nan"), None])
def test_a_missing_number_is_null(tmp_path, value):
    res = new(tmp_path)
    res.number("x", value, low=value)
    res.save()
    text = (tmp_path / "results.json").read_text()
    assert "NaN" not in text and "Infinity" not in text
    entry = results.read(tmp_path)["numbers"]["x"]
    assert entry["value"] is None and entry["low"] is None


@pytest.mark.parametrize("value", ["0.5", True, np.True_, [0.5], {"value": 0.5}])
def test_a_number_is_a_number(tmp_path, value):
    with pytest.raises(TypeError, match="value of x must be a number"):
        new(tmp_path).number("x", value)


def test_a_table_holds_plain_values(tmp_path):
    with pytest.raises(TypeError, match="plain values only, not Timestamp"):
        new(tmp_path).table("t", pd.DataFrame({"when": [pd.Timestamp(0)]}))


def test_an_estimate_keeps_its_interval(tmp_path):
    estimate = bootstrap_mean(np.array([0.0, 1.0, 1.0, 0.0]), np.arange(4))
    res = new(tmp_path)
    res.estimate("x", estimate)
    res.save()
    entry = results.read(tmp_path)["numbers"]["x"]
    assert entry == {
        "value": 0.5, "low": estimate.low, "high": estimate.high, "n": estimate.n,
        "unit": "percent",
    }


def test_equal_results_give_equal_bytes(tmp_path):
    texts = []
    for names in (("a", "b"), ("b", "a")):
        res = new(tmp_path / names[0])
        for name in names:
            res.number(name, 0.1 + 0.2)
        texts.append(res.save().read_bytes())
    assert texts[0] == texts[1]
    assert not list(tmp_path.rglob("*.partial"))


def test_a_figure_is_saved_with_its_numbers(tmp_path):
    fig = figures.BookFigure()
    fig.subplots().plot([0, 1])
    res = new(tmp_path)
    shown = res.figure(fig, "curve", pd.DataFrame({"x": [0, 1]}), alt=" A rising line. ")
    res.save()
    assert shown is fig
    assert results.read(tmp_path)["figures"] == {"curve": {"alt": "A rising line."}}
    assert {path.name for path in (tmp_path / "figures").iterdir()} >= {
        "curve.svg", "curve.png", "curve.csv"
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no results there; run the notebook first"),
        ("{", "no valid JSON; delete its folder"),
        ("[]", "not of schema 1; delete its folder"),
        (json.dumps({"schema": 2}), "not of schema 1; delete its folder"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(tmp_path, text, message):
    if text is not None:
        (tmp_path / "results.json").write_text(text)
    with pytest.raises(UserError, match=message) as error:
        results.read(tmp_path)
    assert "\n" not in str(error.value) and str(tmp_path) in str(error.value)


def test_saving_says_what_the_first_figure_found(tmp_path, capsys):
    res = new(tmp_path)
    for name in ("first", "second"):
        said = f"the {name} finding, which is a longer sentence than fits a line"
        fig = figures.titled(figures.BookFigure(), said)
        res.figure(fig, name, pd.DataFrame({"x": [0]}), alt="A line.")
    res.save()
    assert capsys.readouterr().err == (
        "02_support: the first finding, which is a longer sentence than fits a line\n"
    )
