"""The scoreboard: claims against the numbers of runs, worked out by hand; the committed claims."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from made_runs import ROOT
from medrl.book import scoreboard
from medrl.book.scoreboard import judge, read_claims
from medrl.studies import parameters
from medrl_core.errors import UserError
from medrl_core.report.results import Results
from medrl_core.score import verdicts

CLAIMS = {claim.id: claim for claim in read_claims(ROOT / "data/claims.yaml")}


def write(folder: Path, notebook: str, **numbers: tuple) -> Path:
    res = Results(folder, notebook=notebook, study="toy")
    for name, (value, low, high) in numbers.items():
        res.number(name, value, low=low, high=high, unit="points")
    res.save()
    return folder


def judged(tmp_path: Path, **numbers: tuple | None) -> dict[str, scoreboard.Judged]:
    """Judge the claims that `numbers` decide: name to value, low, high; None: no run is there."""
    claims = [claim for claim in CLAIMS.values() if claim.decides.number in numbers]
    folders = {name: tmp_path / name for name in parameters.NOTEBOOKS}
    for run in {claim.run for claim in claims}:
        own = {one.decides.number: numbers[one.decides.number] for one in claims if one.run == run}
        if None not in own.values():
            write(folders[run], run, **own)
    return {row.claim.id: row for row in judge(claims, "toy", folders)}


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        # H2: threshold .10, margin .05
        (0.12, 0.20, "reproduced"),
        (0.10, 0.20, "undecided"),  # an end on the threshold decides nothing
        (0.05, 0.15, "undecided"),
        (-0.30, -0.12, "reversed"),
        (-0.30, -0.05, "undecided"),
        (-0.04, 0.04, "no effect"),
        (0.00, 0.09, "undecided"),  # beyond the margin, short of the threshold
        (None, None, "not tested"),
    ],
)
def test_a_verdict_is_by_the_whole_interval(
    tmp_path: Path, low: float | None, high: float | None, verdict: str
) -> None:
    value = None if low is None else (low + high) / 2
    assert judged(tmp_path, h2=(value, low, high))["H2"].verdict == verdict


def test_what_barely_holds_alone_falls_to_holm_among_others(tmp_path: Path) -> None:
    # H1 and H7, threshold 0: .0102 is 2.0 standard errors of .0051 from it, so p is .046.
    barely, strong = (0.0102, 0.0002, 0.0202), (0.1, 0.09, 0.11)
    assert judged(tmp_path / "a", h1=barely)["H1"].verdict == "reproduced"
    rows = judged(tmp_path / "b", h1=barely, h7=strong)
    # The smaller p is doubled and stays under .05; the larger one counts once.
    assert [rows[name].verdict for name in ("H1", "H7")] == ["reproduced", "reproduced"]
    rows = judged(tmp_path / "c", h1=barely, h7=barely)
    # Two of .046: both count twice, .092.
    assert [rows[name].verdict for name in ("H1", "H7")] == ["undecided", "undecided"]


def test_what_was_not_tested_takes_no_part_in_the_correction(tmp_path: Path) -> None:
    rows = judged(tmp_path, h1=(0.0102, 0.0002, 0.0202), h5=(None, None, None), h2=None)
    assert {name: row.verdict for name, row in rows.items()} == {
        "H1": "reproduced", "H5": "not tested", "H2": "not run"
    }  # fmt: skip


def test_the_smallest_effect_that_could_have_been_seen_by_hand(tmp_path: Path) -> None:
    rows = judged(tmp_path, h1=(0.05, 0.0, 0.098), h2=(None, None, None))
    # Half the interval is .049 = 1.96 standard errors of .025; 1.96 + .8416 of these.
    assert rows["H1"].detectable == pytest.approx(0.025 * 2.8016, rel=1e-3)
    assert rows["H2"].detectable != rows["H2"].detectable


def test_the_control_is_beside_the_verdict_and_decides_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "01_vision"
    for control in ((0.5, 0.4, 0.6), (-0.5, -0.6, -0.4)):
        write(folder, "01_vision", h1=(0.3, 0.2, 0.5), h1_coin=control)
        (row,) = judge([CLAIMS["H1"]], "toy", {"01_vision": folder})
        assert row.verdict == "reproduced" and row.control["value"] == control[0]
    write(folder, "01_vision", h1=(0.3, 0.2, 0.5))
    (row,) = judge([CLAIMS["H1"]], "toy", {"01_vision": folder})
    assert (row.verdict, row.control) == ("reproduced", None)


def test_a_run_that_is_not_there_is_not_run(tmp_path: Path) -> None:
    row = judged(tmp_path, h1=None)["H1"]
    assert (row.verdict, row.entry, row.control) == ("not run", None, None)


def test_a_run_without_the_deciding_number_is_an_error(tmp_path: Path) -> None:
    folder = write(tmp_path / "01_vision", "01_vision", h1_coin=(1, 1, 1))
    with pytest.raises(UserError, match=r"has no number 'h1' \(H1\)"):
        judge([CLAIMS["H1"]], "toy", {"01_vision": folder})


def test_distances_put_the_claimed_side_to_the_right(tmp_path: Path) -> None:
    claim = CLAIMS["H2"]
    fall = claim.model_copy(
        update={"decides": claim.decides.model_copy(update={"direction": "below"}), "id": "N9"}
    )
    up = write(tmp_path / "up", "02_support", h2=(0.3, 0.2, 0.5))
    down = write(tmp_path / "down", "02_support", h2=(-0.3, -0.4, -0.2))
    rows = [judge([one], "toy", {"02_support": folder})[0]
            for one, folder in ((claim, up), (fall, down))]  # fmt: skip
    table = scoreboard.distances(rows)
    straight, turned = table[["value", "low", "high"]].to_numpy()
    assert straight == pytest.approx([0.2, 0.1, 0.4])  # minus the threshold .10
    assert turned == pytest.approx([0.2, 0.1, 0.3])
    assert list(table.verdict) == ["reproduced", "reproduced"]
    assert "H2 reproduced (toy)" in scoreboard.picture(rows).alt


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
def test_a_built_run_has_the_numbers_and_figures_of_its_claims(folder: Path) -> None:
    content = json.loads((folder / "results.json").read_text())
    claims = [claim for claim in CLAIMS.values() if claim.run == folder.name]
    for claim, row in zip(
        claims, judge(claims, folder.parent.name, {folder.name: folder}), strict=True
    ):
        entry = content["numbers"][claim.decides.number]
        assert (row.verdict == "not tested") == (entry["value"] is None)
        # Without the situation of the claim there is nothing to draw.
        drawn = entry["value"] is None or not content["figures"]
        assert drawn or claim.figure in content["figures"], claim.id


def test_the_committed_claims_are_the_papers_seven_and_our_two() -> None:
    found = {
        one.id: (one.run, one.decides.number, one.decides.threshold, one.decides.margin)
        for one in CLAIMS.values()
    }
    assert found == {
        "H1": ("01_vision", "h1", 0, 0.02),
        "H2": ("02_support", "h2", 0.10, 0.05),
        "H3": ("04_rl", "h3", 0.5, 0.1),
        "H4": ("03_sft", "h4", 0.05, 0.05),
        "H5": ("06_boundary", "h5", 0, 0.05),
        "H6": ("05_transfer", "h6", 0, 0.1),
        "H7": ("06_boundary", "h7", 0, 0.02),
        "N1": ("04_rl", "n1", 0, 0.02),
        "N2": ("04_rl", "n2", 0.2, 0.05),
    }
    assert {one.decides.direction for one in CLAIMS.values()} == {"above"}


def test_the_level_and_the_power_are_those_of_the_verdicts() -> None:
    claims = (ROOT / "data/claims.yaml").read_text()
    assert f"confidence: {1 - verdicts.LEVEL}\npower: {verdicts.POWER}\n" in claims


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("confidence: 0.9\nclaims: []", "confidence"),
        ("confidence: [", "is not YAML"),
        ("confidence: 0.95\npower: 0.8\nclaims: []", "claims"),
        ("confidence: 0.95\npower: 0.9\nclaims: []", "power"),
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
