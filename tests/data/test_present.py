"""Which real sets are there."""

from __future__ import annotations

from medrl_core.data.present import present


def test_only_files_that_are_there_count(tmp_path, monkeypatch):
    monkeypatch.delenv("VQA_ROOT", raising=False)
    (tmp_path / "bloodmnist.npz").touch()
    (tmp_path / "vqa_rad").mkdir()
    (tmp_path / "vqa_rad" / "test.json").touch()
    (tmp_path / "slake.jsonl").touch()
    found = present(str(tmp_path), str(tmp_path))
    assert set(found.name[found.there]) == {"BloodMNIST", "SLAKE", "VQA-RAD"}
    assert found.kind.value_counts().to_dict() == {"MedMNIST": 12, "VQA": 6}
    none = present(str(tmp_path / "empty"))
    assert not none.there.any()
