"""The reward of Pass@K as a pure function: a completion earns what it does for K drawn together.

Source: Walder and Karkhanis 2025 (arXiv 2505.15201), section 3; Chen et al. 2025 (arXiv 2508.10751)
reach the same rewards.
"""

from __future__ import annotations

import torch

from medrl_core.errors import UserError
from medrl_core.score.passk import pass_at_k


def passk_rewards(accuracy: torch.Tensor, group_size: int, k: int) -> torch.Tensor:
    """Each completion's chance of being in a right draw: k of its group that include it.

    A right completion makes every such draw right; a wrong one is carried by the k - 1 others.
    The mean over a group is the unbiased Pass@K of the group. Less that mean, the policy gradient
    is group_size / k - 1 times the gradient of Pass@K, and so nothing where k is the whole group.
    A division by the group's deviation would undo it all: two values standardised are the same
    two numbers whatever k is.

    Arguments:
        accuracy: (N,) accuracy rewards, 0 or 1, group after group.
        group_size: completions an item; N is a multiple of it.
        k: completions drawn together, from 1 (the accuracy itself) to group_size.

    Returns:
        (N,) rewards between 0 and 1.

    Raises:
        UserError: k lies outside 1..group_size.
    """
    if not 1 <= k <= group_size:
        raise UserError(f"Pass@{k} cannot be read from a group of {group_size}: use 1 to the size")
    right = accuracy.view(-1, group_size) > 0.5
    if k == 1:
        return right.to(accuracy).view(-1)
    # Of a group without a wrong completion the number is not used; it must only be a valid count.
    others = right.sum(1, keepdim=True).clamp(max=group_size - 1).cpu().numpy()
    carried = torch.from_numpy(pass_at_k(group_size - 1, others, k - 1)).to(accuracy)
    return torch.where(right, 1.0, carried).view(-1)
