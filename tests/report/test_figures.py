"""Figures and tables: what is drawn, what is written, and how numbers are rounded."""

from __future__ import annotations

import base64
import re

import numpy as np
import pandas as pd
import pytest

from medrl_core.report import figures, tables
from medrl_core.score.intervals import Estimate

KS = [1, 2, 4]


@pytest.fixture
def passk() -> pd.DataFrame:
    rows = [
        {"k": k, "name": name, "dataset": d, "value": p * k / 4, "low": 0.0, "high": 1.0}
        for d in ("blood", "chest")
        for name, p in (("base", 0.2), ("SFT", 0.8))
        for k in KS
    ]
    return pd.DataFrame(rows)


def grid_rows() -> pd.DataFrame:
    """Two numbers of a grid of 2 by 2 runs, one of which did not finish."""
    return pd.DataFrame(
        {
            "k": ["4", "4", "8", "8"] * 2,
            "t": ["1", "2"] * 4,
            "number": ["acc1"] * 4 + ["excess"] * 4,
            "unit": ["percent"] * 4 + ["number"] * 4,
            "value": [0.1, 0.2, 0.3, None] * 2,
            "low": [0.0, 0.1, 0.2, None] * 2,
            "high": [0.2, 0.3, 0.4, None] * 2,
        }
    )


def texts(fig) -> set[str]:
    """Every text of a figure that a reader sees."""
    return {t.get_text() for t in fig.findobj(figures.mpl.text.Text) if t.get_visible()}


def smallest_font(fig) -> float:
    return min(t.get_fontsize() for t in fig.findobj(figures.mpl.text.Text) if t.get_text())


def every_plot(passk: pd.DataFrame) -> dict:
    one = passk[passk.dataset == "blood"]
    steps = pd.DataFrame({"step": [1, 2], "metric": "reward", "value": [0.0, 1.0]})
    last = passk[passk.k == 4].assign(floor=0.25)
    return {
        "curves": figures.curves(
            passk, panel="dataset", acc=passk[passk.k == 1], floor=one[["k", "value"]]
        ),
        "points": figures.points(last, by="name", floor="floor"),
        "bars": figures.bars(last, group="dataset", by="name"),
        "heat": figures.heat(last, row="name", column="dataset"),
        "training_curves": figures.training_curves(steps),
        "multiples": figures.multiples(grid_rows(), x="k", by="t", panel="number"),
    }


def test_every_figure_is_six_inches_wide_with_text_of_nine_points_or_more(passk):
    for name, fig in every_plot(passk).items():
        assert fig.get_figwidth() == 6.0, name
        assert smallest_font(fig) >= 9.0, name


def test_save_writes_the_same_bytes_twice_and_no_date(passk, tmp_path):
    for name, fig in every_plot(passk).items():
        figures.save(fig, tmp_path / "a", name, passk, alt="What it shows.")
    for name, fig in every_plot(passk).items():
        figures.save(fig, tmp_path / "b", name, passk, alt="What it shows.")
    written = sorted(p.name for p in (tmp_path / "a").iterdir())
    assert len(written) == 6 * 4
    for name in written:
        content = (tmp_path / "a" / name).read_bytes()
        assert content == (tmp_path / "b" / name).read_bytes(), name
    assert "dc:date" not in (tmp_path / "a" / "curves.svg").read_text()


def test_save_keeps_the_numbers_and_the_alt_text(passk, tmp_path):
    path = figures.save(figures.curves(passk, panel="dataset"), tmp_path, "c", passk, alt=" Two. ")
    assert path == tmp_path / "c.svg"
    assert (tmp_path / "c.alt.txt").read_text() == "Two.\n"
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "c.csv"), passk, check_dtype=False)


def test_a_notebook_shows_the_saved_figure_with_its_alt_text(passk, tmp_path):
    fig = figures.curves(passk, panel="dataset")
    figures.save(fig, tmp_path, "c", passk, alt='A "quoted" text.')
    shown = fig._repr_html_()
    assert 'alt="A &quot;quoted&quot; text."' in shown
    encoded = re.search(r'base64,([^"]+)"', shown)[1]
    assert base64.b64decode(encoded) == (tmp_path / "c.svg").read_bytes()


def test_save_without_alt_text_is_refused_and_writes_nothing(passk, tmp_path):
    with pytest.raises(ValueError, match="alt text"):
        figures.save(figures.heat(passk[passk.k == 1], row="name", column="dataset"),
                     tmp_path / "x", "h", passk, alt=" ")  # fmt: skip
    assert not (tmp_path / "x").exists()


def test_curves_draw_bands_floor_and_greedy_accuracy(passk):
    one = passk[passk.dataset == "blood"]
    fig = figures.curves(one, acc=one[one.k == 1], floor=one[one.name == "base"])
    (ax,) = fig.axes
    lines = {line.get_label(): line for line in ax.get_lines()}
    np.testing.assert_allclose(lines["SFT"].get_ydata(), [0.2, 0.4, 0.8])
    assert len(ax.collections) == 2  # one band a series
    assert {"guess floor", "Acc@1 (greedy)", "base", "SFT"} <= texts(fig)
    ticks = [label.get_text() for label in ax.get_xticklabels()]
    assert ticks == ["1", "2", "4"]


def test_points_draw_the_interval_and_the_floor_of_each_row(passk):
    table = passk[(passk.k == 4) & (passk.name == "SFT")].assign(floor=[0.25, 0.5])
    (ax,) = figures.points(table, floor="floor", floor_label="majority").axes
    intervals, floors = ax.collections
    assert [segment[:, 0].tolist() for segment in intervals.get_segments()] == [[0, 1], [0, 1]]
    assert [segment[0, 0] for segment in floors.get_segments()] == [0.25, 0.5]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["blood", "chest"]


def test_heat_is_centred_at_zero_and_bold_only_where_the_interval_leaves_zero_out():
    table = pd.DataFrame(
        {
            "trained": ["a", "a", "b", "b"],
            "tested": ["a", "b", "a", "b"],
            "value": [0.3, 0.1, -0.1, 0.0],
            "low": [0.2, -0.1, -0.2, -0.1],
            "high": [0.4, 0.3, -0.05, 0.1],
        }
    )
    ax = figures.heat(table, row="trained", column="tested").axes[0]
    cells = {text.get_text(): text.get_fontweight() for text in ax.texts}
    assert cells == {"+30": "bold", "+10": "normal", "-10": "bold", "+0": "normal"}
    assert ax.collections[0].get_clim() == (-30, 30)


def test_bars_have_the_length_of_the_count():
    table = pd.DataFrame({"class": ["a", "b"], "value": [3, 7]})
    (ax,) = figures.bars(table, group="class").axes
    assert [bar.get_width() for bar in ax.patches] == [3, 7]


def test_training_curves_have_one_panel_a_metric_and_skip_missing_values():
    table = pd.DataFrame(
        {
            "step": [1, 2, 1, 2],
            "metric": ["reward", "reward", "length (tokens)", "length (tokens)"],
            "value": [0.1, 0.2, np.nan, 30.0],
        }
    )
    fig = figures.training_curves(table)
    assert [ax.get_title(loc="left") for ax in fig.axes] == ["reward", "length (tokens)"]
    assert fig.axes[1].get_lines()[0].get_xdata().tolist() == [2]


def test_more_series_than_can_be_told_apart_are_refused():
    with pytest.raises(ValueError, match="11 series"):
        figures.colours([str(i) for i in range(11)])


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.12345, "percent", "12.3%"),
        (1.0, "percent", "100.0%"),
        (0.05, "points", "+5.0"),
        (-0.051, "points", "-5.1"),
        (1234.5678, "number", "1.23e+03"),
        (0.012345, "number", "0.0123"),
        (12345.0, "count", "12,345"),
        (3.14, "seconds", "3.1 s"),
        (float("nan"), "percent", "n/a"),
        (None, "count", "n/a"),
    ],
)
def test_rounding(value, unit, text):
    assert tables.number(value, unit) == text


def test_an_estimate_shows_its_interval_and_one_without_ends_just_its_value():
    assert tables.fmt(Estimate(0.5, 0.451, 0.549, 10)) == "50.0% [45.1, 54.9]"
    assert tables.fmt(Estimate(0.1, -0.02, 0.22, 10), "points") == "+10.0 [-2.0, +22.0]"
    assert tables.fmt(Estimate(0.5, np.nan, np.nan, 10)) == "50.0%"


def test_markdown_joins_the_interval_and_escapes_pipes():
    table = pd.DataFrame(
        {"data_set": ["a|b"], "value": [0.5], "low": [0.4], "high": [0.6], "n": [1200]}
    )
    assert tables.markdown(table, units={"n": "count"}, headers={"n": "images"}) == (
        "| data set | images | value |\n"
        "| :--- | ---: | ---: |\n"
        "| a&#124;b | 1,200 | 50.0% [40.0, 60.0] |\n"
    )


def test_markdown_refuses_a_table_too_wide_for_a_phone():
    with pytest.raises(ValueError, match="6 columns"):
        tables.markdown(pd.DataFrame([range(6)], columns=list("abcdef")))


def test_pivot_keeps_the_order_of_the_table_and_marks_empty_cells():
    table = pd.DataFrame(
        {
            "a": ["y", "x"],
            "b": ["q", "p"],
            "value": [0.1, 0.2],
            "low": [0.0, 0.1],
            "high": [0.2, 0.3],
        }
    )
    wide = tables.pivot(table, row="a", column="b")
    assert wide.to_dict("list") == {
        "a": ["y", "x"],
        "q": ["10.0% [0.0, 20.0]", "n/a"],
        "p": ["n/a", "20.0% [10.0, 30.0]"],
    }


def test_series_colours_come_from_the_colour_blind_safe_palette():
    wanted = figures.sns.color_palette("colorblind")
    assert list(figures.colours(["base", "SFT"]).values()) == wanted[:2]
    assert all(re.fullmatch(r"#[0-9a-f]{6}", c) for c in wanted.as_hex())


def test_before_and_after_by_hand():
    columns = ["arm", "metric", "value", "low", "high", "change", "change_low", "change_high"]
    nan = float("nan")
    table = pd.DataFrame(
        [
            ("base", "acc@1", 0.5, 0.4, 0.6, nan, nan, nan),
            ("base", "excess_support@k", -1.25, -2.0, 0.5, nan, nan, nan),
            ("RL", "acc@1", 0.75, 0.7, 0.8, 0.25, 0.1, 0.4),
            ("RL", "excess_support@k", 0.5, 0.4, 0.6, 1.75, 1.5, 2.0),
        ],
        columns=columns,
    )
    found = tables.before_and_after(table, index=["arm"])
    assert found.to_dict("list") == {
        "arm": ["base", "RL"],
        "Acc@1": ["50.0% [40.0, 60.0]", "75.0% [70.0, 80.0]; +25.0 [+10.0, +40.0]"],
        "excess support": ["-1.25 [-2, 0.5]", "0.5 [0.4, 0.6]; 1.75 [1.5, 2]"],
    }


def test_multiples_show_each_run_and_cross_out_what_did_not_finish():
    fig = figures.multiples(grid_rows(), x="k", by="t", panel="number")
    assert [ax.get_title("left") for ax in fig.axes] == ["acc1", "excess"]
    for ax in fig.axes:
        first, second, _ = ax.lines
        assert list(first.get_ydata()) == [0.1, 0.3]
        assert second.get_ydata()[0] == 0.2
        assert np.isnan(second.get_ydata()[1])
        crosses = [np.asarray(found.get_offsets()) for found in ax.collections[1::2]]
        assert [len(found) for found in crosses] == [0, 1]
        assert crosses[1][0] == pytest.approx([1.15, 0.0])
    assert {"t = 1", "t = 2", "did not finish"} <= texts(fig)
