"""Measurements are kept whole with their origin, and the book's tables and figure say just them."""

from __future__ import annotations

import pytest

from medrl.book import measurements, scale
from medrl.book.measurements import Measured
from medrl_core.errors import UserError
from medrl_core.train import estimate

HEAD = {
    "made": "2026-11-25",
    "commit": "0123456789abcdef",
    "dirty": False,
    "hardware": {"system": "Linux", "cores": 2, "memory_gb": 25.3, "gpus": []},
}


def test_what_is_recorded_is_read_again(tmp_path):
    measurements.record(tmp_path / "one.json", [{"a": 1}])
    found = measurements.read(tmp_path / "one.json")
    assert found.rows == [{"a": 1}] and found.hardware["cores"] >= 1
    assert [path.name for path in tmp_path.iterdir()] == ["one.json"]


@pytest.mark.parametrize("content", ["", "{", '{"rows": []}', '{"made": 1}'])
def test_a_damaged_file_is_refused_by_name(tmp_path, content):
    (tmp_path / "one.json").write_text(content)
    with pytest.raises(UserError, match=r"one\.json is damaged: take it from git again"):
        measurements.read(tmp_path / "one.json")
    with pytest.raises(UserError, match=r"two\.json is not there"):
        measurements.read(tmp_path / "two.json")


def test_the_origin_says_when_where_and_of_what():
    assert Measured(**HEAD, rows=[]).origin() == (
        "Measured on 2026-11-25 at `0123456789ab` on Linux, 2 cores, 25.3 GB, no GPU."
    )
    changed = Measured(**HEAD | {"dirty": True, "commit": None}, rows=[])
    assert "at no commit with uncommitted changes on" in changed.origin()


SWEEPS = [
    {"points": 10, "cores": 1, "wall_seconds": 30.0, "own_seconds": 10.0},
    {"points": 10, "cores": 1, "wall_seconds": 25.0, "own_seconds": 10.0},
    {"points": 10, "cores": 1, "wall_seconds": 28.0, "own_seconds": 10.0},
    {"points": 10, "cores": 2, "wall_seconds": 15.0, "own_seconds": 10.0},
    {"points": 1, "cores": 1, "wall_seconds": 9.0, "own_seconds": 1.0},
]


def test_overhead_is_wall_time_beyond_the_notebooks_by_hand():
    table = scale.overhead(Measured(**HEAD, rows=SWEEPS)).set_index(["points", "at a time"])
    # (30 - 10) / 10, (25 - 10) / 10, (28 - 10) / 10
    assert tuple(table.loc[(10, 1), ["value", "low", "high"]]) == pytest.approx((1.8, 1.5, 2.0))
    assert table.loc[(10, 2), "value"] == pytest.approx((15 - 10 / 2) / 10)
    assert table.loc[(1, 1), "value"] == pytest.approx(8)


def test_the_figure_and_its_text_say_the_largest_sweep(tmp_path):
    measurements.record(tmp_path / "sweep-overhead.json", SWEEPS)
    scale.write(tmp_path, tmp_path / "files")
    names = sorted(path.name for path in (tmp_path / "files").iterdir())
    assert names == [f"sweep-overhead.{kind}" for kind in ("csv", "png", "svg")]
    box = scale.functions(tmp_path)["sweep_overhead"]()
    assert "At 10 points: 1.80 s with 1 at a time; 1.00 s with 2 at a time." in box


def test_throughput_shows_medians_and_ends():
    row = {"stage": "a | b", "unit": "tokens", "value": 1234.4, "low": 1000.0, "high": 1500.0}
    text = scale.throughput(Measured(**HEAD, rows=[row | {"peak_mb": 2048, "n": 3}]))
    assert "| tokens | 1,234 &#91;1,000, 1,500&#93; | 2,048 MB |" in text
    assert "a &#124; b" in text or r"a \| b" in text


def test_costs_of_7b_on_one_gpu_by_hand():
    lines = scale.costs().splitlines()
    assert len([line for line in lines if line.startswith("| ")]) == 1 + 3 * 3 * 2
    weights = estimate.shape(scale.SIZES["7B"]).weights
    # float32 weights, gradients, two means and the reference, and a working copy of 2 bytes
    stays = weights * (4 + 4 + 8 + 4 + 2) / 1e9
    (row,) = [line for line in lines if line.startswith("| 7B | 1 | all |")]
    memory = float(row.split("|")[4].strip().removesuffix(" GB").replace(",", ""))
    assert stays < memory < stays + 20 and "| no |" in row
    # 64,000 completions of 2,048 tokens at 2,500 a second
    assert f"| {64_000 * 2048 / 2500 / 3600:.1f} h |" in row
