"""Logs of other tools with anything in them: read, or refused in one line; nothing else."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

import made_logs
from medrl.commands import log_report, log_text
from medrl_core.errors import UserError
from medrl_core.score.logs import recognise
from medrl_core.score.logs.grading import grade, per_item_counts

ODD = st.sampled_from([
    None, "", "x", "\ud83d", "ÄÖ\u2028", 0, -1, 10**30, 1e308, float("nan"), True, [], {}, [None],
    ["A", "B"], {"text": "y"}, [[["-1.0", "True"]]], "['A']", "[", "A" * 5000, [["a", ["b"]]],
])  # fmt: skip


def inspect_whole() -> dict[str, Any]:
    return made_logs.inspect_header() | {"samples": made_logs.inspect_samples()}


def batch() -> list[dict[str, Any]]:
    """Output rows, whose gold answers lie in a file beside."""
    return made_logs.batch_rows()[1]


MADE: dict[str, tuple[str, Any]] = {
    "inspect": ("a.json", inspect_whole),
    "lm-eval": ("samples_a_2026-01-01T00-00-00.jsonl", made_logs.lm_eval_rows),
    "likelihoods": ("samples_a_2026-01-01T00-00-00.jsonl", made_logs.lm_eval_likelihoods),
    "lmms-eval": ("20260101_000000_samples_a.jsonl", made_logs.lmms_rows),
    "lighteval": ("details_a.parquet", made_logs.lighteval_rows),
    "MedVLThinker": ("eval_results.jsonl", made_logs.medvlthinker_rows),
    "verl": ("1.jsonl", lambda: made_logs.verl_rows(1)),
    "TRL": ("completions_00001.parquet", lambda: made_logs.trl_frame(1).to_dict("records")),
    "Every Eval Ever": ("u_samples.jsonl", made_logs.eee_rows),
    "OpenAI batch": ("out.jsonl", batch),
    "openai/evals": ("r.jsonl", made_logs.openai_events),
    "simple-evals": ("a_b_20260101_000000_allresults.json", made_logs.simple_evals),
    "table": ("a.jsonl", lambda: made_logs.table_frame().to_dict("records")),
}  # fmt: skip


def places(value: Any, at: tuple = ()) -> list[tuple]:
    """The paths to everything in nested lists and dicts."""
    inner = value.items() if isinstance(value, dict) else (
        enumerate(value) if isinstance(value, list) else ())  # fmt: skip
    return [found for key, one in inner for found in [(*at, key), *places(one, (*at, key))]]


def mutate(content: Any, choose: random.Random, odd: Any) -> Any:
    """Replace or delete one thing in a copy."""
    content = copy.deepcopy(content)
    *way, last = choose.choice(places(content))
    inside = content
    for key in way:
        inside = inside[key]
    if choose.random() < 0.3:
        del inside[last]
    else:
        inside[last] = odd
    return content


def write(path: Path, content: Any) -> Path:
    if path.suffix == ".parquet":
        try:
            pq.write_table(pa.Table.from_pylist(content), path)
        except (pa.ArrowException, ValueError, OverflowError, TypeError, AttributeError):
            reject()  # Parquet cannot hold it
    elif isinstance(content, list) and path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in content))
    else:
        path.write_text(json.dumps(content))
    return path


def read_or_refused(path: Path, reported: bool = False) -> bool:
    """Read and grade, and report if asked to; False where it is refused, in one line."""
    try:
        for log in recognise.read(path):
            graded = grade(log)
            counts = per_item_counts(graded)
            assert (counts.correct <= counts.n).all()
            if reported:
                assert list(log_text.lines(log_report.report(graded)))
        return True
    except UserError as error:
        assert str(error) and "\n" not in str(error)
        return False


@pytest.mark.parametrize("name", MADE)
@settings(max_examples=20, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6), odd=ODD)
def test_one_odd_thing_in_a_log(tmp_path, name, seed, odd):
    file, make = MADE[name]
    made_logs.lines(tmp_path / "gold.jsonl", made_logs.gold_rows())
    content = mutate(make(), random.Random(seed), odd)
    read_or_refused(write(tmp_path / file, content))


@pytest.mark.parametrize("name", MADE)
def test_a_log_cut_off_anywhere_is_refused_or_has_whole_rows(tmp_path, name):
    file, make = MADE[name]
    made_logs.lines(tmp_path / "gold.jsonl", made_logs.gold_rows())
    path = write(tmp_path / file, make())
    assert read_or_refused(path, reported=True)
    whole = path.read_bytes()
    for share in (0.1, 0.5, 0.9, 0.99):
        path.write_bytes(whole[: int(len(whole) * share)])
        assert not read_or_refused(path)


@pytest.mark.parametrize("zstd", [False, True])
def test_damaged_bytes_of_an_eval_file(tmp_path, zstd):
    path = made_logs.inspect_eval(
        tmp_path / "a.eval", made_logs.inspect_header(), made_logs.inspect_samples(), zstd
    )
    whole, choose = path.read_bytes(), random.Random(3)
    for _ in range(60):
        data = bytearray(whole)
        data[choose.randrange(len(data))] ^= 1 << choose.randrange(8)
        path.write_bytes(data)
        read_or_refused(path)
