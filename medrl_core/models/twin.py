"""The twin: a two-layer transformer that reads symbols where the micro model sees pixels.

It has the same words, rules and modalities as the drawn world, and trains in seconds. What it
leaves out: pixels and perception that has to be learnt (noise on the symbols takes its place),
wording (a prompt is a modality and six symbols), and subwords (a word is one token).

    >>> net = Twin(vocabulary("rules"), seed=0)
    >>> sum(weight.numel() for weight in net.parameters())
    112146

Run its test: `pytest tests/models/test_twin.py`.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from medrl_core.data.drawn.modalities import WORLDS, World
from medrl_core.data.drawn.world import SIZES, THINK_START, WORDS, Ids
from medrl_core.errors import UserError

WIDTH, HEADS, DEPTH = 64, 4, 2
N_SLOTS = len(SIZES)
PROMPT = N_SLOTS + 2  # modality, six symbols, ask
COMPLETION = 2 * N_SLOTS + 3  # open, six words, turn, six words, end
# Where the words lie in a completion.
THINK, REPORT = slice(1, N_SLOTS + 1), slice(N_SLOTS + 2, 2 * N_SLOTS + 2)

# Keys and values of every layer, each (B, heads, T, width / heads).
Past = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Vocabulary:
    """Numbers of the tokens: modalities, symbols of the picture, words, and five marks.

    Argument: `world`, the table whose modalities are named.
    """

    world: World

    @property
    def word(self) -> int:
        """The token of the first word of `world.WORDS`."""
        return len(self.world) + int(SIZES.sum())

    @property
    def ask(self) -> int:
        """End of the prompt; after it come `open`, `turn`, `end` and `pad`."""
        return self.word + len(WORDS)

    @property
    def open(self) -> int:
        """Beginning of the reasoning, as `<think>`."""
        return self.ask + 1

    @property
    def turn(self) -> int:
        """From reasoning to report, as `</think><answer>`."""
        return self.ask + 2

    @property
    def end(self) -> int:
        """End of the completion, as `</answer>`."""
        return self.ask + 3

    @property
    def pad(self) -> int:
        """What fills a row after its end."""
        return self.ask + 4

    def __len__(self) -> int:
        return self.ask + 5

    def prompts(self, which: Ids, seen: Ids) -> Tensor:
        """Write prompts (B, 8) for modalities (B,) that show facts (B, 6)."""
        symbols = torch.as_tensor(len(self.world) + seen + THINK_START)
        ask = torch.full((len(which), 1), self.ask)
        return torch.cat([torch.as_tensor(which)[:, None], symbols, ask], 1)

    def completions(self, think: Ids, report: Ids) -> Tensor:
        """Write completions (B, 15) of word numbers (B, 6) each."""
        words = torch.from_numpy(think), torch.from_numpy(report)
        mark = torch.ones((len(words[0]), 1), dtype=torch.int64)
        return torch.cat(
            [
                mark * self.open, self.word + words[0], mark * self.turn, self.word + words[1],
                mark * self.end,
            ],
            1,
        )  # fmt: skip

    def bare(self, report: Ids) -> Tensor:
        """Write completions (B, 15) that are the report alone, (B, 6) word numbers."""
        written = torch.full((len(report), COMPLETION), self.pad)
        written[:, :N_SLOTS] = self.word + torch.from_numpy(report)
        written[:, N_SLOTS] = self.end
        return written

    def read(self, completions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Read completions (B, 15).

        Returns: (B,) whether the marks are where they belong and all else are words; the words of
        the reasoning and of the report as numbers in `world.WORDS` (B, 6), meaningless if not.
        """
        think, report = completions[:, THINK] - self.word, completions[:, REPORT] - self.word
        words = torch.cat([think, report], 1)
        well = ((words >= 0) & (words < len(WORDS))).all(1)
        for place, mark in ((0, self.open), (N_SLOTS + 1, self.turn), (-1, self.end)):
            well &= completions[:, place] == mark
        return well, think, report


def vocabulary(name: str) -> Vocabulary:
    """Give the tokens of a world.

    Raises: UserError if there is no world of that name.
    """
    if name not in WORLDS:
        raise UserError(f"there is no drawn world {name!r}: use one of {', '.join(WORLDS)}")
    return Vocabulary(WORLDS[name])


class Block(nn.Module):
    """One pre-norm transformer layer: attention, then a two-layer perceptron."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm_attention, self.norm_inner = nn.LayerNorm(width), nn.LayerNorm(width)
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(
        self, x: Tensor, past: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Map states (B, T, width) that follow a past; returns them and the longer past."""
        rows, steps, width = x.shape
        mixed = self.queries_keys_values(self.norm_attention(x))
        mixed = mixed.view(rows, steps, 3, self.heads, width // self.heads)
        queries, keys, values = mixed.permute(2, 0, 3, 1, 4)
        if past is not None:
            keys, values = torch.cat([past[0], keys], 2), torch.cat([past[1], values], 2)
        mask = None
        if steps > 1:
            length = keys.shape[2]
            mask = torch.ones(steps, length, dtype=torch.bool).tril(length - steps)
        found = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        x = x + self.out(found.transpose(1, 2).reshape(rows, steps, width))
        x = x + self.narrow(functional.gelu(self.widen(self.norm_inner(x))))
        return x, (keys, values)


class Twin(nn.Module):
    """A causal transformer over the tokens of one world.

    Arguments: `vocabulary`; `seed` of the first weights; `width`, `heads` and `depth`.
    """

    def __init__(
        self, vocabulary: Vocabulary, *, seed: int = 0, width: int = WIDTH, heads: int = HEADS,
        depth: int = DEPTH,
    ):
        super().__init__()
        self.vocabulary = vocabulary
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.tokens = nn.Embedding(len(vocabulary), width)
            self.places = nn.Embedding(PROMPT + COMPLETION, width)
            self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
            self.norm = nn.LayerNorm(width)
            self.scores = nn.Linear(width, len(vocabulary))
            for table in (self.tokens, self.places):
                nn.init.normal_(table.weight, std=0.1)

    def forward(self, tokens: Tensor, past: Past | None = None) -> tuple[Tensor, Past]:
        """Read tokens (B, T) that follow a past.

        Returns: the last states (B, T, width), normed, which `scores` turns into logits; and the
        past that includes these tokens.
        """
        start = 0 if past is None else past[0][0].shape[2]
        x = self.tokens(tokens) + self.places.weight[start : start + tokens.shape[1]]
        longer = []
        for block, before in zip(self.blocks, past or [None] * len(self.blocks), strict=True):
            x, after = block(x, before)
            longer.append(after)
        return self.norm(x), longer

    def logprobs(self, prompts: Tensor, completions: Tensor, temperature: float = 1.0) -> Tensor:
        """Give the log-probability of every token of completions.

        Each prompt is read once for all of its completions.
        Arguments: `prompts` (B, 8); `completions` (B x C, 15), those of a prompt side by side;
            `temperature` of the softmax.
        Returns: (B x C, 15), 0 at padding.
        """
        states, past = self(prompts)
        copies = len(completions) // len(prompts)
        last, past = _copied(states[:, -1:], past, copies)
        states, _ = self(completions[:, :-1], past)
        logits = self.scores(torch.cat([last, states], 1)) / temperature
        found = logits.log_softmax(-1).gather(-1, completions[..., None])[..., 0]
        return found * (completions != self.vocabulary.pad)


def _copied(states: Tensor, past: Past, copies: int) -> tuple[Tensor, Past]:
    """Repeat each row, for several completions of one prompt."""
    if copies == 1:
        return states, past
    return states.repeat_interleave(copies, 0), [
        (keys.repeat_interleave(copies, 0), values.repeat_interleave(copies, 0))
        for keys, values in past
    ]


@torch.no_grad()
def sample(
    net: Twin,
    prompts: Tensor,
    copies: int = 1,
    *,
    generator: torch.Generator | None = None,
    temperature: float = 1.0,
    length: int = COMPLETION,
) -> Tensor:
    """Sample completions; each prompt is read once.

    Arguments: `prompts` (B, 8); `copies` of each; `generator` of the draws, None for the greedy
        completion; `temperature`; `length` of the part that is wanted.
    Returns: (B x copies, length) tokens, `pad` after the end.
    """
    pad, end = net.vocabulary.pad, net.vocabulary.end
    states, past = net(prompts)
    states, past = _copied(states[:, -1:], past, copies)
    written = torch.full((len(states), length), pad)
    ended = torch.zeros(len(states), dtype=torch.bool)
    for step in range(length):
        logits = net.scores(states[:, 0])
        if generator is None:
            token = logits.argmax(-1)
        else:
            # The Gumbel trick: one draw from the softmax, faster here than torch.multinomial.
            noise = -torch.log(-torch.log(torch.rand(logits.shape, generator=generator)))
            token = (logits / temperature + noise).argmax(-1)
        token = token.masked_fill(ended, pad)
        written[:, step] = token
        ended |= (token == end) | (token == pad)
        if step == length - 1 or ended.all():
            break
        states, past = net(token[:, None], past)
    return written


def save(net: Twin, path: str | os.PathLike, about: dict[str, str] | None = None) -> None:
    """Write a twin as safetensors in half precision: its world, its shape, and `about` it."""
    shape = {
        "width": net.scores.in_features, "heads": net.blocks[0].heads, "depth": len(net.blocks),
    }  # fmt: skip
    metadata = {"world": net.vocabulary.world.name, "shape": json.dumps(shape), **(about or {})}
    save_file({k: v.half() for k, v in net.state_dict().items()}, path, metadata)


def load(path: str | os.PathLike) -> Twin:
    """Load a twin in single precision.

    Raises: UserError if there is no such file, or it is not a twin's.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
        net = Twin(vocabulary(metadata["world"]), **json.loads(metadata["shape"]))
        net.load_state_dict(weights)
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such twin; check the path") from None
    except (SafetensorError, KeyError, ValueError, RuntimeError, OSError) as error:
        raise UserError(f"{path} is not a twin's weights; make it again ({error})") from error
    return net.eval()
