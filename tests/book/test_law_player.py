"""The law on the first page: what its script looks up is what law and rule say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medrl.book import law_player
from medrl_core.errors import UserError
from medrl_core.score import rule
from medrl_core.score.law import Law, predict, save_laws

LAW = Law(0.6, "run", 0.01, 1000.0, 0.25, 0.4, ((900.0, 0.25, 0.4), (1100.0, 0.3, 0.3)))


def recorded(folder: Path, name: str = "chest film") -> Path:
    """Three trainings of one modality: learnt by 1,000, by 3,000, and not by 4,096."""
    place = folder / "twin"
    place.mkdir(parents=True)
    shared = {"unit": "run", "mark": 0.6, "kl": 0.01, "base": 11, "modality": name, "p": 0.01}
    ends = [(512.0, 1000.0), (2560.0, 3000.0), (4096.0, np.inf)]
    rows = [{**shared, "low": low, "high": high} for low, high in ends]
    pd.DataFrame(rows).to_parquet(place / "law.parquet")
    pd.DataFrame(rows).to_parquet(place / "runs.parquet")
    return folder


@pytest.fixture
def law(tmp_path) -> Path:
    save_laws([LAW], tmp_path / "law.json", {})
    return tmp_path / "law.json"


def test_each_position_is_what_law_and_rule_say(law, tmp_path):
    found = law_player.data(law, recorded(tmp_path))
    assert found is not None
    i, j, k = 30, 3, 4
    p, n, price = found["p"][i], found["budgets"][j], found["prices"][k]
    said = predict(LAW, p, n)
    for name in ("chance", "low", "high"):
        assert found[name][i][j] == pytest.approx(getattr(said, name), abs=1e-3), name
    chosen = rule.choose([p], LAW, n, acc=0.0, ceiling=1.0, labels=16, label_price=price)
    assert found["texts"][found["words"][i][j][k]] == f"{chosen.action}|{chosen.why}"


def test_dots_count_a_training_until_it_was_no_longer_watched(law, tmp_path):
    found = law_player.data(law, recorded(tmp_path))
    (dot,) = found["dots"]
    assert (dot["name"], dot["p"]) == ("chest film", 0.01)
    at = {n: (dot["learnt"][i], dot["watched"][i]) for i, n in enumerate(found["budgets"])}
    assert at[512] == (0, 3)
    assert at[1024] == (1, 3)
    assert at[4096] == (2, 3)
    assert at[8192] == (2, 2)  # the third was watched to 4,096


def test_without_a_law_the_page_keeps_its_figure_alone(tmp_path):
    assert law_player.data(tmp_path / "none.json", tmp_path) is None
    law_player.write(None, tmp_path / "law")
    assert (tmp_path / "law" / "data.js").read_text() == "window.medrlLaw=null;\n"


def test_no_name_ends_the_script(law, tmp_path):
    found = law_player.data(law, recorded(tmp_path, "</script><script>alert(1)</script>"))
    with pytest.raises(UserError, match="would end the script"):
        law_player.write(found, tmp_path / "law")


def test_what_is_written_is_json(law, tmp_path):
    law_player.write(law_player.data(law, recorded(tmp_path)), tmp_path / "law")
    text = (tmp_path / "law" / "data.js").read_text()
    content = json.loads(text.removeprefix("window.medrlLaw=").removesuffix(";\n"))
    assert len(content["chance"]) == len(content["p"])
