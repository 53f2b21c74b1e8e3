"""Train: pretraining, SFT, GRPO and its consistency bonus."""
