"""Verdicts by the whole interval, worked out by hand; and the committed claims."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_runs import ROOT
from medrl.book import scoreboard
from medrl.book.scoreboard import Check, judge, read_claims, verdict
from medrl_core.errors import UserError
from medrl_core.report.results import Results

CLAIMS = read_claims(ROOT / "data/claims.yaml")
H1, H3 = CLAIMS[0], CLAIMS[2]


def entry(low: float | None, high: float | None) -> dict[str, float | None]:
    return {"value": 0.1, "low": low, "high": high, "n": 10, "unit": "points"}


def check(direction: str, threshold: float = 0.1) -> Check:
    return Check(number="h", threshold=threshold, direction=direction, criterion="c")


@pytest.mark.parametrize(
    ("low", "high", "above", "below"),
    [
        (0.11, 0.2, "reproduced", "not reproduced"),
        (0.0, 0.09, "not reproduced", "reproduced"),
        (0.05, 0.15, "undecided", "undecided"),
        (0.1, 0.2, "undecided", "undecided"),  # an end on the threshold decides nothing
        (0.0, 0.1, "undecided", "undecided"),
        (None, None, "undecided", "undecided"),
    ],
)
def test_verdict(low: float | None, high: float | None, above: str, below: str) -> None:
    assert verdict(entry(low, high), check("above")) == above
    assert verdict(entry(low, high), check("below")) == below


finite = st.floats(-1, 1)


@given(finite, finite, finite)
def test_the_mirrored_question_gets_the_mirrored_verdict(a: float, b: float, at: float) -> None:
    low, high = sorted((a, b))
    straight = verdict(entry(low, high), check("above", at))
    turned = verdict(entry(-high, -low), check("below", -at))
    assert straight == turned


def write(folder: Path, notebook: str, **numbers: tuple) -> Path:
    res = Results(folder, notebook=notebook, study="toy")
    for name, (value, low, high) in numbers.items():
        res.number(name, value, low=low, high=high, unit="points")
    res.save()
    return folder


def test_a_run_that_is_not_there_is_not_run(tmp_path: Path) -> None:
    row = judge(H1, H1.decides, "toy", tmp_path / "01_vision")
    assert (row.verdict, row.entry) == ("not run", None)


def test_a_missing_number_is_an_error_where_it_decides_and_not_where_it_does_not(
    tmp_path: Path,
) -> None:
    folder = write(tmp_path / "01_vision", "01_vision", other=(1, 1, 1))
    with pytest.raises(UserError, match=r"has no number 'h1' \(H1\)"):
        judge(H1, H1.decides, "toy", folder)
    assert judge(H1, H1.also[0], "toy", folder).verdict == "not measured"


def test_a_number_without_value_is_not_measured(tmp_path: Path) -> None:
    folder = write(tmp_path / "01_vision", "01_vision", h1=(None, None, None))
    assert judge(H1, H1.decides, "toy", folder).verdict == "not measured"


def test_distances_put_the_claimed_side_to_the_right(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", "04_rl", h3_passk=(-0.3, -0.4, -0.1))
    above = write(tmp_path / "b", "01_vision", h1=(0.3, 0.2, 0.5))
    rows = [judge(H3, H3.also[0], "toy", folder), judge(H1, H1.decides, "toy", above)]
    table = scoreboard.distances(rows)
    turned, less = table[["value", "low", "high"]].to_numpy()
    assert turned == pytest.approx([0.3, 0.1, 0.4])
    assert less == pytest.approx([0.2, 0.1, 0.4])  # minus the threshold 0.10
    assert list(table.verdict) == ["reproduced", "reproduced"]
    assert "H1 reproduced (toy)" in scoreboard.picture(rows).alt
    assert scoreboard.counts(rows) == "2 reproduced"


def test_no_run_gives_no_picture_and_the_command_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/claims.yaml").write_text((ROOT / "data/claims.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="run: medrl study toy"):
        scoreboard.main("toy", tmp_path / "x.svg")
    write(tmp_path / "runs/toy/01_vision", "01_vision", h1=(0.3, 0.2, 0.5))
    scoreboard.main("toy", tmp_path / "x.svg")
    assert (tmp_path / "x.svg").read_text().startswith("<?xml")


def built() -> list[Path]:
    """Run folders with a results.json: the records, and what was run in this clone."""
    return sorted(
        path.parent
        for place in ("data/records", "runs")
        for path in (ROOT / place).glob("*/*/results.json")
    )


@pytest.mark.parametrize("folder", built(), ids=lambda folder: "/".join(folder.parts[-3:]))
def test_every_verdict_follows_from_the_numbers_of_a_built_run(folder: Path) -> None:
    numbers = json.loads((folder / "results.json").read_text())["numbers"]
    for claim in CLAIMS:
        if claim.run != folder.name:
            continue
        for one in [claim.decides, *claim.also]:
            said = judge(claim, one, folder.parent.name, folder).verdict
            entry = numbers.get(one.number)
            if entry is None or entry["value"] is None:
                assert said == "not measured"
                continue
            ends = [end for end in (entry["low"], entry["high"]) if end is not None]
            sides = {(end > one.threshold) - (end < one.threshold) for end in ends}
            claimed = 1 if one.direction == "above" else -1
            expected = {(claimed,): "reproduced", (-claimed,): "not reproduced"}
            assert said == expected.get(tuple(sides), "undecided"), (claim.id, entry)
        figures = json.loads((folder / "results.json").read_text())["figures"]
        assert not figures or claim.figure in figures, claim.id


def test_there_are_built_runs_to_judge() -> None:
    assert {claim.run for claim in CLAIMS} <= {folder.name for folder in built()}


def test_the_committed_claims_are_h1_to_h7() -> None:
    assert [claim.id for claim in CLAIMS] == [f"H{i}" for i in range(1, 8)]
    found = {c.decides.number: (c.run, c.decides.threshold, c.decides.direction) for c in CLAIMS}
    assert found == {
        "h1": ("01_vision", 0.10, "above"),
        "h2": ("02_support", 0.10, "above"),
        "h3": ("04_rl", 0, "above"),
        "h4": ("03_sft", 0.05, "above"),
        "h5": ("04_rl", 0, "above"),
        "h6": ("05_transfer", 0, "above"),
        "h7": ("06_boundary", 0, "above"),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("confidence: 0.9\nclaims: []", "confidence"),
        ("confidence: [", "is not YAML"),
        ("confidence: 0.95\nclaims: []", "claims"),
    ],
)
def test_broken_claims_are_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as error:
        read_claims(path)
    assert "\n" not in str(error.value)


def test_missing_claims_say_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is missing; medrl runs in the top folder"):
        read_claims(tmp_path / "claims.yaml")
