"""The reference of the consistency bonus: a moving average of the policy, on any number of GPUs.

It is kept in float32: at the paper's decay a step of the average is half a percent of the distance,
which bfloat16 rounds away (a test shows it).
"""

from __future__ import annotations

import copy
from contextlib import nullcontext

from accelerate import Accelerator
from torch import nn
from trl.distributed import DistributedBackend
from trl.trainer.callbacks import SyncRefModelCallback


def make(policy: nn.Module, accelerator: Accelerator) -> nn.Module:
    """Copy what a policy trains and share the rest, so that LoRA costs a second adapter alone.

    Arguments:
        policy: the model before it is spread over processes.
        accelerator: of the trainer; with ZeRO-3 or FSDP2 the copy is spread like the policy.

    Returns:
        The reference, in evaluation mode; none of its weights is trained.
    """
    frozen = {id(weight): weight for weight in policy.parameters() if not weight.requires_grad}
    reference = copy.deepcopy(policy, frozen).eval().requires_grad_(False)
    if DistributedBackend(accelerator).is_zero3:
        import deepspeed

        config = copy.deepcopy(accelerator.state.deepspeed_plugin.deepspeed_config)
        for name in ("optimizer", "scheduler", "bf16", "fp16"):
            config.pop(name, None)
        reference, *_ = deepspeed.initialize(model=reference, config=config)
    elif accelerator.is_fsdp2:
        from accelerate.utils.fsdp_utils import fsdp2_prepare_model

        reference = fsdp2_prepare_model(accelerator, reference)
    reference.eval()  # DeepSpeed's engine returns nothing here
    return reference


class MovingAverage(SyncRefModelCallback):
    """TRL's callback that moves the reference, for what is trained: the rest is shared.

    Arguments:
        ref_model: from `make`.
        accelerator: of the trainer.
    """

    @staticmethod
    def sync_target_model(model: nn.Module, target_model: nn.Module, alpha: float) -> None:
        """Move the reference by a share of its distance to the policy.

        Arguments:
            model: the policy.
            target_model: the reference.
            alpha: the share, one minus the decay.
        """
        pairs = zip(model.parameters(), target_model.parameters(), strict=True)
        for trained, averaged in pairs:
            if trained.requires_grad:
                with _whole(trained), _whole(averaged, changed=True):
                    averaged.data.mul_(1 - alpha).add_(trained.data, alpha=alpha)


def _whole(weight: nn.Parameter, changed: bool = False):
    """A context in which a weight that ZeRO-3 has split is whole; others are as they are.

    One weight at a time: DeepSpeed gathers together only weights of one type, and the policy's are
    bfloat16.
    """
    if not hasattr(weight, "ds_id"):
        return nullcontext()
    import deepspeed

    return deepspeed.zero.GatheredParameters([weight], modifier_rank=0 if changed else None)
