"""The audit of pinned packages: what fails it, what is let through, and that silence is no pass."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess

import pytest

from conftest import ROOT

spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci/audit.py")
audit = importlib.util.module_from_spec(spec)
spec.loader.exec_module(audit)

TODAY = "2026-11-25"
SKIPPED = {"name": "a", "skip_reason": "Dependency not found on PyPI and could not be audited: a"}


def hole(fixed: list[str]) -> dict:
    """A package with one hole, as pip-audit 2.10 tells it."""
    known = {"id": "PYSEC-2026-1", "aliases": ["CVE-2026-1"], "fix_versions": fixed}
    return {"name": "B", "version": "1.0", "vulns": [known | {"description": "bad"}]}


def allow(until: str, name: str = "CVE-2026-1") -> dict:
    return {("b", name): {"package": "b", "id": name, "why": "not reached", "until": until}}


CLEAN = {"name": "c", "version": "2", "vulns": []}


@pytest.mark.parametrize(
    ("found", "allowed", "good", "said"),
    [
        ([CLEAN], {}, True, "audited: 1 of 1 packages"),
        ([CLEAN, hole(["1.1"])], {}, False, "FAILED: B 1.0: PYSEC-2026-1 is mended in 1.1"),
        ([hole([])], {}, True, "B 1.0: PYSEC-2026-1: no version mends it yet"),
        ([hole(["1.1"])], allow(TODAY), True, "let through until 2026-11-25: not reached"),
        ([hole(["1.1"])], allow(TODAY, "PYSEC-2026-1"), True, "let through until"),
        ([hole(["1.1"])], allow("2026-11-24"), False, "1.1 (its exception has ended)"),
        ([hole(["1.1"])], allow(TODAY, "CVE-2026-2"), False, "remove the exception"),
        ([CLEAN, SKIPPED], {}, True, "NOT AUDITED: a (Dependency not found"),
        ([CLEAN, SKIPPED], {}, True, "audited: 1 of 2 packages"),
        ([SKIPPED, SKIPPED], allow(TODAY), True, "NOT AUDITED: NOTHING WAS AUDITED (Dependency"),
    ],
)
def test_what_is_judged(found, allowed, good, said):
    lines, verdict = audit.judge(found, allowed, TODAY)
    assert verdict is good
    assert any(said in line for line in lines), lines


@pytest.mark.fault(
    "Untrusted input",
    "audit of the packages whose service knows none of them, breaks off, or is out of reach",
    "the last line says NOTHING WAS AUDITED",
)
@pytest.mark.parametrize("fault", ["knows none", "cuts off", "no tool", "no network"])
def test_silence_is_told(fault, tried, tmp_path, monkeypatch, capsys):
    (tmp_path / "bin").mkdir()
    monkeypatch.setattr(audit, "TOOL", tmp_path)
    if fault != "no tool":
        (tmp_path / "bin/python").touch()
    else:
        monkeypatch.setattr(audit.venv, "create", lambda *_, **__: None)

    def run(command, **_):
        if fault == "no tool":
            raise FileNotFoundError(command[0])
        if fault == "no network" and "pip" in command:
            raise subprocess.CalledProcessError(1, command, stderr="ERROR: no matching version\n")
        if fault == "knows none" and "pip_audit" in command:
            text = json.dumps({"dependencies": [SKIPPED], "fixes": []})
            command[-1].write_text(text)

    monkeypatch.setattr(audit.subprocess, "run", run)
    with tried():
        assert audit.main() == 0
        assert "NOTHING WAS AUDITED" in capsys.readouterr().out.splitlines()[-1]


def test_the_exceptions_are_complete_and_of_pinned_packages(tmp_path):
    pinned = {line.split("==")[0].lower() for line in audit.CONSTRAINTS.read_text().splitlines()}
    for (package, _), one in audit.exceptions().items():
        assert package in pinned and re.fullmatch(r"\d{4}-\d\d-\d\d", one["until"])
    (tmp_path / "audit.toml").write_text('[[exception]]\npackage = "a"\nid = "b"\nwhy = ""\n')
    with pytest.raises(SystemExit, match="needs package, id, why and until"):
        audit.exceptions(tmp_path / "audit.toml")


def test_continuous_integration_audits():
    assert "make audit" in (ROOT / ".ci/run").read_text()
    assert "pip-audit" in audit.PIN
