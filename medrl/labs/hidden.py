"""Hidden cases of the labs' tasks, drawn anew from a seed each time a class is graded.

A function is compared with the solution of the lab's source on arguments that no student has seen.
A value is computed once more by the student's own cell, with other values in what it follows from:
a number that was typed stays the same and fails. Draws of a bootstrap are compared by their spread.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from medrl.labs import editions
from medrl.labs.checks import compare
from medrl.labs.submission import Lab, Task

ROUNDS = 3  # of other values for a task whose answer is a value
DRAWS = 500
NUMERIC = {"collections", "math", "numpy", "pandas"}
Rng = np.random.Generator


def functions(rng: Rng) -> dict[str, list[tuple]]:
    """Return arguments for the function of each task, by `module.check`."""
    n = [int(one) for one in rng.integers(6, 40, 4)]
    p = [float(one) for one in rng.uniform(0.02, 0.7, 4)]
    small = [int(one) for one in rng.integers(2, 6, 4)]
    groups = [rng.integers(0, 3, 7).astype(float), rng.random(5), np.full(small[0], p[0])]
    of = rng.integers(4, 9, 8)
    counts = np.concatenate([rng.integers(0, of[:5]), [0, of[6], of[7]]])
    runs = rng.integers(0, 500, 7).astype(float)
    ends = runs + rng.integers(1, 3000, 7)
    ends[[1, 4]] = np.inf
    train, test = rng.normal(3, 2, (15, 4)), rng.normal(5, 3, (9, 4))
    rooms = [(float(a), float(c)) for a, c in rng.uniform(0, 1, (30, 2))]
    pairs = [tuple(sorted(map(float, one))) for one in rng.uniform(0, 1, (30, 2))]
    left, worth = (float(one) for one in rng.uniform([0.05, 0.3], [0.3, 0.7]))
    return {
        "support.guess_floor": [(m, k) for m in small for k in n],
        "support.pass_at_k": [(40 + a, c, k) for a in n for c in (0, *small, 39 + a) for k in n],
        "support.expected": [(_some_estimator(p[0]), a, one, 3) for a in small for one in p],
        "support.pass_of_p": [(rng.random(9) ** 3, k) for k in (1, *n)],
        "support.upper_bound": [(int(one),) for one in rng.integers(2, 5000, 6)],
        "probe.blind_accuracy": [_labels(rng) for _ in range(5)],
        "probe.standardise": [(train, test), (test, train)],
        "probe.knn": [_neighbours(rng, k) for k in (1, 5)],
        "training.advantages": [(one,) for one in groups],
        "training.signal": [(one, g) for one in (0.0, 1.0, *p) for g in (2, *n)],
        "training.silent_share": [(of, counts), (of[::-1], counts[::-1])],
        "training.gain": [_tables(rng) for _ in range(3)],
        "training.entropy": [(list(rng.choice(list("abcde"), one).tolist()),) for one in n],
        "training.crossing": [_curves(rng) for _ in range(30)],
        "boundary.expected_hits": [(a, b * 100, c) for a in p for b in n for c in p],
        "boundary.chance": [(a / 100, b, c) for a in p for b in n for c in (0, 5, 20, 60)],
        "boundary.median_growth": [(runs, ends), (runs[2:], ends[2:])],
        "boundary.rule": [(a, c, one[0], left, worth) for (a, c), one in _zip(rooms, pairs)],
        "boundary.careful": [(a, c, one, left, worth) for (a, c), one in _zip(rooms, pairs)],
        "boundary.agreement": [_predictions(rng) for _ in range(8)],
        "boundary.best_action": [(q, _costs(rng)) for q in p],
    }


def values(rng: Rng) -> dict[str, dict[str, Any]]:
    """Return other values of what each task's value follows from, by `module.check`."""
    options = float(rng.choice([2.3, 2.9, 3.4, 4.7, 5.2, 5.9]) / 4)
    words = ["kind", "side", "site", "size", "level", "border"]
    low = rng.uniform(-0.4, 0.4, (2, 6))
    low[0, rng.permutation(6)[:2]] = 0.1, -0.1
    gains = pd.DataFrame(
        {
            "word": words * 2,
            "difference": ["base minus random"] * 6 + ["base minus pixels"] * 6,
            "value": low.ravel() + 0.2,
            "low": low.ravel(),
            "high": low.ravel() + 0.4,
        }
    )
    seen, said = rng.uniform(0.8, 1, 6), rng.uniform(0, 1, 6)
    first = rng.permutation(6)
    seen[first[:3]], said[first[:3]] = (0.95, 0.95, 0.7), (0.2, 0.8, 0.3)
    names = ["skin photo", "blood smear", "thyroid scan", "cardiac echo", "liver ultrasound"]
    middle, wide = rng.uniform(0.1, 0.8, 5), rng.uniform(0, 0.2, 5)
    table = pd.DataFrame(
        {
            "acc": rng.uniform(0, 0.5, 5),
            "ceiling": rng.uniform(0.3, 1, 5),
            "p": middle / 100,
            "hits": middle * 40,
            "low": middle - np.minimum(wide, middle),
            "high": middle + wide,
        },
        index=names,
    )
    return {
        "support.smallest_k": {"guess_floor": lambda m, k: 1 - (1 - 1 / (m * options)) ** k},
        "probe.learned": {"gains": gains},
        "probe.not_said": {"table": pd.DataFrame({"word": words, "seen": seen, "said": said})},
        "boundary.actions": {"table": table, "left": 0.15, "worth": 0.4},
        "boundary.break_even": {"costs": _costs(rng)},
    }


def draws(rng: Rng) -> dict[str, tuple]:
    """Return data for each task that draws, by `module.check`; the generator comes last."""
    sizes = rng.permutation([3, 4, 5, 8, 9, 12])
    images = np.repeat(np.arange(6), sizes)
    own = np.repeat(rng.permutation([0.0, 0.2, 0.3, 0.7, 0.8, 1.0]), sizes)
    b = (rng.random(50) < 0.5).astype(float)
    a = np.where(rng.random(50) < 0.15, 1 - b, b)
    a[:2] = 1 - b[:2]
    return {"support.one_draw": (own, images), "probe.paired_draw": (a, b)}


def covered(lab: Lab, task: Task) -> bool:
    """Return whether a task has hidden cases."""
    key, rng = f"{lab.module}.{task.check}", np.random.default_rng(0)
    return any(key in one for one in (functions(rng), values(rng), draws(rng)))


def reference(lab: Lab) -> dict[str, Any]:
    """Return the names that a lab's solutions define, from its source, with what they need.

    Only imports of numbers, definitions of functions and solutions run: no model is loaded.
    """
    names: dict[str, Any] = {}
    solutions = set(lab.solutions().values())
    for cell in lab.cells:
        if cell.cell_type != "code":
            continue
        body = [one for one in ast.parse(cell.source).body if _harmless(one)]
        if cell.source in solutions or not {"blank", "solution"} & set(editions.tags(cell)):
            code = compile(ast.Module(body, []), f"{lab.name} {cell.get('id')}", "exec")
            exec(code, names)  # noqa: S102 - the lab's own source
    return names


def check_function(key: str, answer: Callable, right: Callable, seed: int) -> None:
    """Compare a student's function with the solution.

    Raises: NotYet with the case that failed.
    """
    data = draws(np.random.default_rng(seed)).get(key)
    if data is not None:
        _spread(answer, right, data, seed)
    else:
        cases = functions(np.random.default_rng(seed))[key]
        compare.function(_joined(answer), _joined(right), cases)


def check_value(task: Task, check: Callable, answer: Any, given: dict[str, Any]) -> None:
    """Check the value that a student's cell computed from other values.

    Raises: NotYet with a hint.
    """
    if task.given:
        check(answer, *[given[name] for name in task.given])
    else:  # the one value that follows from a function of the lab
        floor = given["guess_floor"]
        compare.value(answer, next(k for k in range(1, 100) if floor(4, k) >= 19 / 20))


def _spread(answer: Callable, right: Callable, data: tuple, seed: int) -> None:
    """Compare the middle and the spread of draws."""
    drawn = []
    for one in (answer, right):
        rng = np.random.default_rng(seed)
        drawn.append(np.array([one(*data, rng) for _ in range(DRAWS)], dtype=float))
    got, due = drawn
    apart = abs(got.mean() - due.mean()) / (due.std() * np.sqrt(2 / DRAWS))
    if not apart < 5:
        raise compare.NotYet("on other data the middle of your draws is off")
    # Two spreads of so many draws differ by a tenth once in a hundred at most.
    if not 0.8 < got.std() / due.std() < 1.25:
        raise compare.NotYet("on other data the spread of your draws is off")


def _joined(function: Callable) -> Callable:
    """Return a function that gives one array where the other gives several."""

    def joined(*arguments: Any) -> Any:
        found = function(*arguments)
        return np.concatenate(found) if isinstance(found, tuple) else found

    return joined


def _harmless(one: ast.stmt) -> bool:
    if isinstance(one, ast.ImportFrom):
        return (one.module or "").partition(".")[0] in NUMERIC
    if isinstance(one, ast.Import):
        return all(alias.name.partition(".")[0] in NUMERIC for alias in one.names)
    return isinstance(one, ast.FunctionDef)


def _zip(a: list, b: list) -> list[tuple]:
    return list(zip(a, b, strict=True))


def _some_estimator(scale: float) -> Callable:
    return lambda n, c, k: scale * c / n + (c / n) ** k


def _labels(rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """Return labels of which one is the commonest in training, and another one in the test."""
    first, other = rng.permutation(4)[:2]
    train = np.concatenate([rng.integers(0, 4, 9), np.full(9, first)])
    test = np.concatenate([rng.integers(0, 4, 7), np.full(6, other)])
    return rng.permutation(train), rng.permutation(test)


def _neighbours(rng: Rng, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Return vectors for kNN without a tie in a vote, which may be broken in any way."""
    train = rng.normal(size=(60, 3)) * rng.uniform(0.1, 9, (60, 1))
    y = rng.integers(0, 3, 60)
    test = rng.normal(size=(60, 3))
    near = test @ (train / np.linalg.norm(train, axis=1, keepdims=True)).T
    votes = [np.sort(np.bincount(y[row], minlength=3))[-2:] for row in np.argsort(-near)[:, :k]]
    clear = [low < high for low, high in votes]
    return train, y, test[clear], k


def _tables(rng: Rng) -> tuple[pd.DataFrame, pd.DataFrame]:
    names = np.array([f"item {one}" for one in range(8)])
    made = []
    for size in (6, 7):
        chosen = rng.permutation(names)[:size]
        made.append(pd.DataFrame({"item_id": chosen.tolist(), "value": rng.random(size)}))
    return made[0], made[1]


def _curves(rng: Rng) -> tuple[list[int], list[float], list[float]]:
    before, after = (np.sort(rng.integers(0, 8, 5)) / 8 for _ in range(2))
    return [1, 2, 4, 8, 16], before.tolist(), after.tolist()


def _predictions(rng: Rng) -> tuple[dict[str, str], dict[str, bool]]:
    names = [f"group {one}" for one in range(7)]
    said = rng.choice(["stop", "sharpen", "bridge", "undecided"], 7).tolist()
    said[0] = "sharpen"
    done = [bool(one) for one in rng.random(7) < 0.5]
    return dict(_zip(names, said)), dict(_zip(names, done))


def _costs(rng: Rng) -> dict[str, dict[str, float]]:
    needless, wasted = rng.permutation(np.arange(1, 12))[:2].tolist()
    return {"bridge": {"weak": 0, "enough": needless}, "sharpen": {"weak": wasted, "enough": 0}}
