"""The labs' checks know right answers, say what is likely wrong with others, and tell no answer."""

from __future__ import annotations

from math import comb

import numpy as np
import pandas as pd
import pytest

from medrl.labs.checks import boundary, compare, probe, support, training
from medrl.labs.checks.compare import NotYet


def hint(check, *arguments) -> str:
    """Return the one line that a check fails with."""
    with pytest.raises(NotYet) as caught:
        check(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_hint_is_shown_without_a_traceback():
    assert NotYet("try again")._render_traceback_() == ["Not yet: try again"]


def test_functions_are_compared_case_by_case():
    cases = [(1,), (2,)]
    compare.function(lambda x: x + 1, lambda x: x + 1, cases)
    assert "too large" in hint(compare.function, lambda x: x + 9, lambda x: x + 1, cases)
    assert "too small" in hint(compare.function, lambda x: 0, lambda x: x + 1, cases)
    assert hint(compare.function, lambda x: None, lambda x: x, cases) == compare.NOTHING
    assert hint(compare.function, ..., lambda x: x, cases) == compare.STILL_BLANK
    assert "without brackets" in hint(compare.function, 3.0, lambda x: x, cases)
    stopped = hint(compare.function, lambda x: 1 / 0, lambda x: x, cases)
    assert "(1) your function stops: ZeroDivisionError" in stopped.replace("(1,)", "(1)")
    missing = hint(compare.function, {1: 2}.get, lambda x: x + 1, cases)
    assert "every path" in missing
    knows = {"you forgot one": lambda x: x}
    assert hint(compare.function, lambda x: x, lambda x: x + 1, cases, knows) == "you forgot one"


@pytest.mark.parametrize(
    ("answer", "right", "said"),
    [
        (..., 1, "still there"),
        (2, 1, "too large"),
        ("a", 1, "a number is asked for"),
        ([1.0], [1.0, 2.0], "of shape (1,), and (2,) is asked for"),
        ([1.0, 3.0], [1.0, 2.0], "wrong in some of its entries"),
        ("stop", "bridge", "another decision"),
        ({"a": "stop"}, {"a": "bridge"}, "wrong or missing for 'a'"),
        ({"a": "stop", "b": "stop"}, {"a": "stop"}, "holds more than that"),
        (["stop"], {"a": "stop"}, "wrong or missing for 'a'"),
        ({"a", "b"}, {"a"}, "too long"),
        ({"a"}, {"a", "b"}, "too short"),
        (float("nan"), 1.0, "nan"),
    ],
)
def test_values_of_all_kinds_are_compared(answer, right, said):
    told = hint(compare.value, answer, right)
    assert said in told
    compare.value(right, right)


def test_names_are_compared_in_any_order():
    compare.names(["b", "a"], ["a", "b"], {})
    compare.names(np.array(["b", "a"]), ["a", "b"], {})
    assert "a list of names" in hint(compare.names, "a", ["a"], {})
    assert hint(compare.names, ["c"], ["a"], {"not c": ["c"]}) == "not c"


def plug_in(n, c, k):
    return 1 - (1 - c / n) ** k


def weight(c, n, p):
    return comb(n, c) * p**c * (1 - p) ** (n - c)


def by_row(values, images, rng):
    return rng.choice(values, len(values)).mean()


def by_image(values, images, rng):
    names = np.unique(images)
    return np.concatenate([values[images == n] for n in rng.choice(names, len(names))]).mean()


def each_once(values, images, rng):
    names = rng.permutation(np.unique(images))
    return np.concatenate([values[images == n] for n in names]).mean()


def one_image(values, images, rng):
    return values[images == rng.choice(images)].mean()


ROWS = pd.DataFrame(
    {"acc": [0.0, 0.0], "ceiling": [1.0, 1.0], "low": [0.6, 0.3], "high": [0.9, 0.9]},
    index=["sure", "maybe"],
)
COSTS = {"bridge": {"weak": 0, "enough": 2}, "sharpen": {"weak": 6, "enough": 0}}


def rule(acc, ceiling, chance, left, worth):
    return "stop" if ceiling - acc < left else "sharpen" if chance >= worth else "bridge"


def careful(acc, ceiling, chance, left, worth):
    said = {rule(acc, ceiling, end, left, worth) for end in chance}
    return said.pop() if len(said) == 1 else "undecided"


def in_time(p, n, growth):
    return 1 - np.exp(-p * max(n - growth, 0))


def growths(first, at):
    return np.median((at - first)[np.isfinite(at)])


def spread_out(rewards, **how):
    return (rewards - rewards.mean()) / (rewards.std(**how) + 1e-4)


def no_small_number(rewards):
    with np.errstate(invalid="ignore"):
        return (rewards - rewards.mean()) / rewards.std()


def nats(given):
    shares = np.unique(given, return_counts=True)[1] / len(given)
    return -(shares * np.log(shares)).sum()


def first_lower(ks, before, after):
    return next((k for k, b, a in zip(ks, before, after, strict=True) if a < b), None)


def crossing(ks, before, after):
    return None if after[0] < before[0] else first_lower(ks, before, after)


def gain(after, before):
    both = after.merge(before, on="item_id")
    return (both.value_x - both.value_y).mean()


GAINS = pd.DataFrame(
    {
        "word": ["a", "b", "a", "b"],
        "difference": ["base minus random"] * 2 + ["base minus pixels"] * 2,
        "value": [0.3, 0.1, -0.1, 0.4],
        "low": [0.2, -0.1, -0.3, 0.2],
        "high": [0.4, 0.3, 0.1, 0.6],
    }
)


SAID = pd.DataFrame(
    {"word": ["kind", "side", "level"], "seen": [0.7, 1.0, 0.9], "said": [0.2, 0.3, 0.9]}
)


def scaled(x, by):
    return (x - by.mean(axis=0)) / (by.std(axis=0) + 1e-8)


def nearest(similarity, labels, k):
    rows = np.argsort(-similarity, axis=1)[:, :k]
    return np.array([np.bincount(labels[row]).argmax() for row in rows])


def angle(x, y, new, k):
    unit = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in (new, x)]
    return nearest(unit[0] @ unit[1].T, y, k)


def paired(a, b, rng, size=None):
    drawn = rng.integers(len(a), size=size or len(a))
    return (a - b)[drawn].mean()


@pytest.mark.parametrize(
    ("check", "answers", "said"),
    [
        (support.guess_floor, (lambda m, k: k / m,), "do not add up"),
        (support.guess_floor, (lambda m, k: (1 - 1 / m) ** k,), "no guess is right"),
        (support.smallest_k, (10,), "still under the level"),
        (support.smallest_k, (12,), "a smaller K does as well"),
        (support.smallest_k, (40,), "too large"),
        (support.pass_at_k, (plug_in,), "that is the plug-in"),
        (support.pass_at_k, (lambda n, c, k: comb(c, k) / comb(n, k),), "one is enough"),
        (support.pass_at_k, (lambda n, c, k: 1 / 0,), "your function stops"),
        (
            support.expected,
            (lambda e, n, p, k: sum(weight(c, n, p) * e(n, c, k) for c in range(n)),),
            "misses the last term",
        ),
        (support.pass_of_p, (lambda p, k: 1 - (1 - p.mean()) ** k,), "over items last"),
        (support.pass_of_p, (lambda p, k: 1 - (1 - p) ** k,), "one number is asked for"),
        (support.pass_of_p, (lambda p, k: p.mean() * k,), "do not add up"),
        (support.upper_bound, (lambda n: 3 / n,), "close for a large n"),
        (support.upper_bound, (lambda n: 0,), "does not make the chance zero"),
        (support.upper_bound, (lambda n: 0.05**n,), "your result is"),
        (support.one_draw, (by_row,), "you draw completions, not whole images"),
        (support.one_draw, (each_once,), "with replacement"),
        (support.one_draw, (one_image,), "the spread of your draws is off"),
        (support.one_draw, (lambda v, i, r: None,), "returns nothing"),
        (boundary.expected_hits, (lambda p, n, s: p * n,), "only a share"),
        (boundary.expected_hits, (lambda p, n, s: 1 - (1 - p) ** (n * s),), "at least one"),
        (boundary.chance, (lambda p, n, g: 1 - np.exp(-p * n),), "needs time to grow"),
        (boundary.chance, (lambda p, n, g: 1 - np.exp(-p * (n - g)),), "not negative"),
        (boundary.chance, (lambda p, n, g: np.exp(-p * max(n - g, 0)),), "that none comes"),
        (boundary.median_growth, (lambda f, t: np.median(t[np.isfinite(t)]),), "subtract it"),
        (boundary.median_growth, (lambda f, t: np.median(t - f),), "your result is"),
        (
            boundary.rule,
            (lambda a, c, p, m, w: "sharpen" if p >= w else rule(a, c, p, m, w),),
            "you look at the chance first",
        ),
        (boundary.rule, (lambda a, c, p, m, w: rule(a, 1, p, m, w),), "not between Acc@1 and 1"),
        (boundary.rule, (lambda a, c, p, m, w: "bridge",), "another decision"),
        (
            boundary.careful,
            (lambda a, c, p, m, w: rule(a, c, sum(p) / 2, m, w),),
            "by the middle of the interval",
        ),
        (boundary.careful, (lambda a, c, p, m, w: rule(a, c, p[0], m, w),), "upper end"),
        (boundary.careful, (lambda a, c, p, m, w: rule(a, c, p[1], m, w),), "lower end"),
        (boundary.careful, (lambda a, c, p, m, w: careful(0, 1, p, m, w),), "does not matter"),
        (
            boundary.actions,
            ({"sure": "sharpen", "maybe": "sharpen"}, ROWS, 0.1, 0.5),
            "that is the rule of exercise 4",
        ),
        (
            boundary.agreement,
            (lambda a, t: sum((a[n] == "sharpen") == t[n] for n in a) / len(a),),
            "leave them out",
        ),
        (boundary.best_action, (lambda p, c: "bridge" if p >= 0.5 else "sharpen",), "likelier"),
        (boundary.best_action, (lambda p, c: max(c, key=lambda a: c[a]["weak"]),), "another"),
        (boundary.break_even, (0.5, COSTS), "not at one half"),
        (boundary.break_even, (0.75, COSTS), "which state does p_weak go with"),
        (boundary.break_even, (1 / 3, COSTS), "that is the odds"),
        (training.advantages, (lambda r: spread_out(r, ddof=1),), "ddof=1"),
        (training.advantages, (lambda r: r - r.mean(),), "as well"),
        (training.advantages, (no_small_number,), "must give zeros"),
        (training.signal, (lambda p, g: 1 - (1 - p) ** g,), "all right is silent too"),
        (training.signal, (lambda p, g: p**g + (1 - p) ** g,), "one step is missing"),
        (training.silent_share, (lambda n, c: (c == 0).mean(),), "all right are silent"),
        (training.silent_share, (lambda n, c: sum((c == 0) | (c == n)),), "not a count"),
        (training.gain, (lambda a, b: (a.value - b.value).mean(),), "join them by item_id"),
        (training.gain, (lambda a, b: a.value.mean() - b.value.mean(),), "that both tables have"),
        (training.entropy, (nats,), "in nats"),
        (training.entropy, (lambda given: -nats(given) / np.log(2),), "minus the sum"),
        (training.crossing, (first_lower,), "look at the first K"),
        (training.crossing, (lambda *a: None,), "returns nothing"),
        (
            probe.blind_accuracy,
            (lambda train, test: np.bincount(test).max() / len(test),),
            "in the test labels: that is a leak",
        ),
        (probe.blind_accuracy, (lambda train, test: 1 / 3,), "with the arguments"),
        (probe.standardise, (lambda a, b: (scaled(a, a), scaled(b, b)),), "their own mean"),
        (
            probe.standardise,
            (lambda a, b: np.split(scaled(np.vstack([a, b]), np.vstack([a, b])), [len(a)]),),
            "leak in",
        ),
        (probe.standardise, (lambda a, b: scaled(a, a),), "return both arrays"),
        (probe.standardise, (lambda a, b: None,), "returns nothing"),
        (probe.knn, (lambda x, y, new, k: nearest(new @ x.T, y, k),), "by its length"),
        (
            probe.knn,
            (lambda x, y, new, k: nearest(-((new[:, None] - x) ** 2).sum(-1), y, k),),
            "plain distance",
        ),
        (probe.knn, (lambda x, y, new, k: angle(x, y, new, 1),), "let all k vote"),
        (
            probe.paired_draw,
            (lambda a, b, rng: rng.choice(a, len(a)).mean() - rng.choice(b, len(b)).mean(),),
            "drawn apart",
        ),
        (probe.paired_draw, (lambda a, b, rng: (a - b).mean(),), "with replacement"),
        (probe.paired_draw, (lambda a, b, rng: paired(b, a, rng),), "the middle of your draws"),
        (probe.paired_draw, (lambda a, b, rng: paired(a, b, rng, 120),), "spread of your draws"),
        (probe.learned, (["a", "b"], GAINS), "the value alone"),
        (probe.learned, (["b"], GAINS), "that is against pixels"),
        (probe.not_said, (["side", "kind"], SAID), "is another matter"),
        (probe.not_said, (["level"], SAID), "are seen and said"),
        (probe.not_said, ([], SAID), "too short"),
    ],
)
def test_the_hint_fits_the_mistake(check, answers, said):
    assert said in hint(check, *answers)


def test_right_answers_pass(capsys):
    support.one_draw(by_image)
    support.pass_of_p(lambda p, k: (1 - (1 - p) ** k).mean())
    support.upper_bound(lambda n: 1 - 0.05 ** (1 / n))
    support.smallest_k(11)
    boundary.rule(rule)
    boundary.careful(careful)
    boundary.expected_hits(lambda p, n, share: n * share * p)
    boundary.chance(in_time)
    boundary.median_growth(growths)
    boundary.actions({"sure": "sharpen", "maybe": "undecided"}, ROWS, 0.1, 0.5)
    boundary.break_even(0.25, COSTS)
    training.advantages(spread_out)
    training.signal(lambda p, g: 1 - p**g - (1 - p) ** g)
    training.gain(gain)
    training.entropy(lambda given: nats(given) / np.log(2))
    training.crossing(crossing)
    probe.standardise(lambda a, b: (scaled(a, a), scaled(b, a)))
    probe.knn(angle)
    probe.paired_draw(paired)
    probe.learned(["a"], GAINS)
    probe.not_said(["side"], SAID)
    assert capsys.readouterr().out == "Right.\n" * 21
