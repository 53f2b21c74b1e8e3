"""Recipes at one budget: which arm each recipe takes on each data set, and what it reaches.

The arms are trained once (notebook 04); a recipe only chooses among them, so all recipes compare
at the same budget and on the same items. Nothing is chosen on test items.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from medrl_core.errors import UserError
from medrl_core.score.intervals import Estimate

# What a decision costs the budget on. An undecided case takes the arm that does both.
ARM_OF = {"bridge": "sft_rl", "sharpen": "rl", "stop": "base", "undecided": "sft_rl"}
# The arms that recipes choose among; a study may train others beside them.
ARMS = ("base", "rl", "sft", "sft_rl")
RULES = {"boundary rule": "action", "paper's rule": "paper_action"}


def plans(
    decisions: pd.DataFrame, validation: Mapping[str, pd.DataFrame]
) -> dict[str, dict[str, str]]:
    """The arm that each recipe takes on each data set.

    Arguments:
        decisions: rows of `boundary.diagnose` with scope `dataset`: name, action, paper_action.
        validation: arm to its table of `effects.item_values` on validation items; `base` too.

    Returns:
        Recipe to data set to arm. Fixed recipes take one arm everywhere, `boundary rule` and
        `paper's rule` follow the decision, `oracle` takes the arm best on validation (of equals
        `base`, which costs nothing, then the first by name).

    Raises:
        UserError: a decision needs an arm that was not trained, or an arm lacks a data set.
    """
    names = list(decisions.name)
    fixed = sorted(arm for arm in validation if arm != "base")
    result = {f"always {arm}": dict.fromkeys(names, arm) for arm in fixed}
    for recipe, column in RULES.items():
        rows = zip(names, decisions[column], strict=True)
        result[recipe] = {name: ARM_OF[action] for name, action in rows}
    needed = {"base"} | {arm for plan in result.values() for arm in plan.values()}
    if missing := sorted(needed - set(validation)):
        raise UserError(f"the arms {missing} were not trained: add them to arms of 04_rl")
    means = {arm: table.groupby("dataset")["acc@1"].mean() for arm, table in validation.items()}
    for arm, mean in means.items():
        if absent := sorted(set(names) - set(mean.index)):
            raise UserError(f"arm {arm} has no validation items of {absent}: evaluate it there")
    result["oracle"] = {
        name: max(["base", *fixed], key=lambda arm, name=name: means[arm][name]) for name in names
    }
    return result


def best_fixed(validation: Mapping[str, pd.DataFrame]) -> str:
    """The fixed recipe with the best mean Acc@1 over data sets on validation; of equals the first.

    Raises:
        UserError: no arm but `base`, or arms on different data sets, which cannot be compared.
    """
    arms = {arm: table for arm, table in validation.items() if arm != "base"}
    if not arms:
        raise UserError("there is no trained arm to choose from: add one to arms of 04_rl")
    if len({frozenset(table.dataset) for table in arms.values()}) > 1:
        raise UserError("the arms were validated on different data sets: evaluate all on the same")
    mean = {arm: table.groupby("dataset")["acc@1"].mean().mean() for arm, table in arms.items()}
    return f"always {max(sorted(arms), key=mean.get)}"


def outcomes(
    recipes: Mapping[str, Mapping[str, str]], test: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """Acc@1 of each item under each recipe.

    Arguments:
        recipes: as `plans` gives them.
        test: arm to its table of `effects.item_values` on test items.

    Returns:
        Columns recipe, item_id, image_id, dataset, arm, value; every recipe has the same items in
        the same order, so that recipes can be subtracted row by row.

    Raises:
        UserError: the arms taken on a data set were not tested on the same items.
    """
    parts = []
    asked: dict[str, list[str]] = {}
    for recipe, plan in recipes.items():
        for dataset, arm in sorted(plan.items()):
            rows = test[arm][test[arm].dataset == dataset].sort_values("item_id")
            ids = list(rows.item_id)
            if not ids or ids != asked.setdefault(dataset, ids):
                raise UserError(
                    f"arm {arm} was tested on {len(ids)} items of {dataset}, and not on the same "
                    "as the other arms: evaluate all arms on the same items"
                )
            part = rows[["item_id", "image_id", "dataset"]].assign(
                recipe=recipe, arm=arm, value=rows["acc@1"]
            )
            parts.append(part)
    return pd.concat(parts, ignore_index=True)


def minus(reached: pd.DataFrame, recipe: str, other: str) -> pd.DataFrame:
    """Acc@1 of one recipe less that of another, item by item.

    Arguments: `reached` as `outcomes` gives it; two of its recipes.
    Returns: columns item_id, image_id, dataset, value.
    """
    ours, theirs = (reached[reached.recipe == name] for name in (recipe, other))
    table = ours[["item_id", "image_id", "dataset"]].reset_index(drop=True)
    return table.assign(value=ours["value"].to_numpy() - theirs["value"].to_numpy())


def compared(estimate: Estimate, recipe: str, other: str) -> str:
    """Say in one sentence whether a recipe is better than another.

    Arguments: `estimate` of the first's mean Acc@1 less the second's; their names.
    """
    told = (
        f"{100 * estimate.value:+.1f} points of Acc@1 "
        f"[{100 * estimate.low:+.1f}, {100 * estimate.high:+.1f}]"
    )
    if estimate.low == estimate.high == 0:
        return f"The {recipe} is no better than {other}: it takes the same arms everywhere."
    if estimate.low > 0:
        return f"The {recipe} is better than {other}: {told}."
    if estimate.high < 0:
        return f"The {recipe} is worse than {other}: {told}."
    return f"The {recipe} is not shown to be better than {other}: {told}."


def agreement(
    decisions: pd.DataFrame, exposure: Mapping[str, int], column: str = "action"
) -> float:
    """Share of decided data sets on the right side of the true boundary.

    Arguments: `decisions` of `boundary.diagnose`; `exposure` data set to images that the base was
    trained on; `column` of the decision.
    Returns: right is "bridge" where the base never saw the data set, anything else where it did;
    nan without exposure and where nothing is decided.
    """
    sure = decisions[decisions[column] != "undecided"]
    if not exposure or sure.empty:
        return float("nan")
    seen = sure.name.map(lambda name: exposure.get(name, 0) > 0)
    return float((seen == (sure[column] != "bridge")).mean())


def confusion(decisions: pd.DataFrame, exposure: Mapping[str, int]) -> pd.DataFrame:
    """Count decisions against what the base model was trained on.

    Arguments: as `agreement`, with an exposure that is known.
    Returns: a row a rule and truth ("seen", "never seen"): rule, base, and how many data sets it
    decided each way.
    """
    truth = decisions.name.map(lambda name: "seen" if exposure.get(name, 0) else "never seen")
    rows = []
    for rule, column in RULES.items():
        for known in ("seen", "never seen"):
            counts = decisions[column][truth == known].value_counts()
            rows.append(
                {"rule": rule, "base": known}
                | {action: int(counts.get(action, 0)) for action in ARM_OF}
            )
    return pd.DataFrame(rows)
