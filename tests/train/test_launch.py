from __future__ import annotations

import json
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils import DeepSpeedPlugin, FullyShardedDataParallelPlugin
from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env

import tiny
from medrl_core.errors import UserError
from medrl_core.models import hub
from medrl_core.train import arms, launch
from medrl_core.train.arms import SFT
from medrl_core.train.rl import RL
from medrl_core.train.scale import Scale

NAMES = ("ddp", "fsdp2", "zero3")


def launched(name):
    """The settings of a shipped configuration as `accelerate launch` reads and checks them."""
    words = ["--config_file", str(launch.config_file(name)), "-m", "medrl_core.train.launch", "job"]
    args, *_ = _validate_launch_command(launch_command_parser().parse_args(words))
    return args


@pytest.fixture
def deepspeed(monkeypatch):
    """As if DeepSpeed were installed: what is asked of it here is only its name."""
    monkeypatch.setattr("accelerate.utils.is_deepspeed_available", lambda: True)


def test_all_shipped_configurations_are_named():
    assert sorted(path.stem for path in launch.CONFIGS.iterdir()) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_configuration_is_read_by_accelerate(name, deepspeed):
    config = load_config_from_file(str(launch.config_file(name)))
    assert config.mixed_precision == "bf16"
    args = launched(name)
    assert args.num_processes == config.num_processes >= 2
    assert (args.multi_gpu, args.use_fsdp, args.use_deepspeed) == (
        name == "ddp", name == "fsdp2", name == "zero3"
    )


def test_fsdp2_is_what_the_processes_are_told(monkeypatch):
    environment = prepare_multi_gpu_env(launched("fsdp2"))
    assert environment["ACCELERATE_USE_FSDP"] == "true"
    for name, value in environment.items():
        monkeypatch.setenv(name, str(value))
    plugin = FullyShardedDataParallelPlugin()
    assert plugin.fsdp_version == 2 and plugin.reshard_after_forward is True
    assert plugin.cpu_ram_efficient_loading is False
    assert plugin.state_dict_type.name == "FULL_STATE_DICT"
    assert type(plugin.cpu_offload).__name__ == "OffloadPolicy"  # and not CPUOffloadPolicy
    plugin.set_auto_wrap_policy(tiny.build()[0])  # the layers of the model that are split
    assert plugin.auto_wrap_policy is not None


def test_zero3_is_what_the_processes_are_told(monkeypatch, deepspeed):
    args = launched("zero3")
    args.deepspeed_fields_from_accelerate_config = "zero_stage"
    _, environment = prepare_deepspeed_cmd_env(args)
    for name, value in environment.items():
        monkeypatch.setenv(name, str(value))
    plugin = DeepSpeedPlugin()
    zero = plugin.deepspeed_config["zero_optimization"]
    assert plugin.zero_stage == zero["stage"] == 3
    assert zero["stage3_gather_16bit_weights_on_model_save"] is True
    assert zero["offload_optimizer"]["device"] == zero["offload_param"]["device"] == "none"
    assert plugin.zero3_init_flag is False
    json.dumps(plugin.deepspeed_config)


def test_what_cannot_be_launched_is_refused(tmp_path):
    with pytest.raises(UserError, match="launch 'dpp' is unknown: use ddp, fsdp2, zero3 or a file"):
        launch.config_file("dpp")
    with pytest.raises(UserError, match="launch 'fsdp2' splits weights, .* use ddp"):
        launch.config_file("fsdp2", lora=True)
    with pytest.raises(UserError, match=r"launch 'zero3' needs DeepSpeed: pip install d"):
        launch.config_file("zero3")
    other = tmp_path / "other.yaml"
    other.write_text("distributed_type: MULTI_GPU\nnumber: 3\n")
    with pytest.raises(UserError, match="other.yaml is no configuration of accelerate"):
        launch.config_file(str(other))


@pytest.fixture(scope="module")
def init(tmp_path_factory):
    """A random tiny model in a folder."""
    model, processor = tiny.build()
    return str(hub.save(model, processor, tmp_path_factory.mktemp("init") / "model"))


DDP = Scale(launch="ddp")


def make(init, tmp_path, arm="rl", labels=0, **given):
    items = tiny.items("open", 8)
    options = {"seed": 3, "out": tmp_path / "made", "scale": DDP, **given}
    return arms.make(arm, init, items, labelled=items[:labels], **options)


def test_an_arm_in_two_processes_spends_the_same(init, tmp_path, capfd):
    settings = RL(
        completions=16, per_step=8, group=4, max_new_tokens=6, objective="care", beta=0.0,
        rewards=("accuracy", "format"),
    )
    made = make(init, tmp_path, rl=settings)
    # The last step is told once, though two processes took it.
    assert capfd.readouterr().err.count("RL: step 2/2") == 1
    assert made.record["step"].tolist() == [1, 2]
    assert made.record["reward"].notna().all() and made.record["care_bonus"].notna().all()
    assert not made.net.training and made.processor.tokenizer.padding_side == "left"


def test_an_adapter_in_two_processes_goes_on_from_sft_to_rl(init, tmp_path):
    settings = RL(completions=16, per_step=8, group=4, max_new_tokens=6, beta=0.0)
    made = make(
        init, tmp_path, "sft_rl", labels=8, rl=settings, lora=True,
        sft=SFT(passes=2, batch_size=8, learning_rate=1e-2, lora=True),
        scale=Scale(launch="ddp", rows=2, checkpointing=True),
    )
    assert made.record["step"].tolist() == [1, 2]
    assert made.net.peft_config["default"].base_model_name_or_path == init
    # Saved whole: the adapter of both stages is merged into the weights.
    saved, before = (tiny.weights(hub.load(ref)[0]) for ref in (str(made.folder), init))
    assert saved.keys() == before.keys() and not tiny.same(saved, before)


def test_what_a_process_refuses_is_one_line(init, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="^batch_size 5 must be a multiple of the 2 processes$"):
        make(init, tmp_path, "sft", labels=5, sft=SFT(passes=1))

    def refuse(command):
        (Path(command[-1]) / "refused.txt").write_text("SFT loss is not finite")
        return 2

    monkeypatch.setattr(launch, "_follow", refuse)
    with pytest.raises(UserError, match="^SFT loss is not finite$"):
        make(init, tmp_path, "sft", labels=8, sft=SFT(passes=1))
    monkeypatch.setattr(launch, "_follow", lambda command: 1)
    with pytest.raises(UserError, match="training with launch 'ddp' ended early; the lines above"):
        make(init, tmp_path, "sft", labels=8, sft=SFT(passes=1))
