"""The twin: tokens, log-probabilities, sampling, its shipped bases, and exact measures of it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from medrl_core.data.drawn.captions import intended_p
from medrl_core.data.drawn.world import TEST, WORDS
from medrl_core.errors import UserError
from medrl_core.models.twin import (
    COMPLETION,
    PROMPT,
    REPORT,
    Twin,
    load,
    sample,
    save,
    vocabulary,
)
from medrl_core.score.support import pass_curve
from medrl_core.score.twin import (
    Questions,
    best_temperature,
    divergence,
    enumerated_p,
    exact_p,
    forced_p,
    greedy,
    measure,
    questions,
    rivals,
    sampled,
    slot_chances,
)

BASES = Path(__file__).parents[2] / "data" / "twin-base"
FILES = [f"{world}-{seed}" for world in ("rules", "books") for seed in (11, 12)]


@pytest.fixture(scope="module")
def base() -> Twin:
    """The first shipped base."""
    return load(BASES / "rules-11.safetensors")


@pytest.fixture(scope="module")
def fresh() -> Twin:
    """A twin with random weights, larger than usual, so that it is sure of nothing and not flat."""
    net = Twin(vocabulary("rules"), seed=1).eval()
    with torch.no_grad():
        net.scores.weight.mul_(4)
    return net


def few(asked: Questions, n: int) -> Questions:
    """The first items."""
    fields = {k: v if isinstance(v, str) else v[:n] for k, v in vars(asked).items()}
    return Questions(**fields)


def test_tokens_do_not_overlap():
    words = vocabulary("rules")
    prompts = words.prompts(np.full(128, 20), TEST)
    assert prompts.shape == (128, PROMPT)
    assert prompts[:, 0].unique().tolist() == [20]
    assert prompts[:, 1:-1].min() >= 21 and prompts[:, 1:-1].max() < words.word
    assert prompts[:, -1].unique().tolist() == [words.ask]
    marks = [words.ask, words.open, words.turn, words.end, words.pad]
    assert sorted(set(marks)) == list(range(words.word + len(WORDS), len(words)))


def test_completions_are_read_as_they_were_written():
    words, asked = vocabulary("rules"), questions(vocabulary("rules"), "tissue slide")
    written = words.completions(asked.think, asked.report)
    assert written.shape == (128, COMPLETION)
    well, think, report = words.read(written)
    assert well.all()
    np.testing.assert_array_equal(think, asked.think)
    np.testing.assert_array_equal(report, asked.report)


def test_a_completion_out_of_format_is_not_well():
    words, asked = vocabulary("rules"), few(questions(vocabulary("rules"), "chest film"), 1)
    good = words.completions(asked.think, asked.report)
    bad = [words.bare(asked.report)]
    for place in (0, 3, 7, 10, 14):
        one = good.clone()
        one[0, place] = words.ask
        bad.append(one)
    assert words.read(good)[0].all() and not words.read(torch.cat(bad))[0].any()


def test_log_probabilities_sum_to_one_over_every_next_token(fresh):
    asked = few(questions(fresh.vocabulary, "chest film"), 1)
    completion = fresh.vocabulary.completions(asked.think, asked.report)
    states, _ = fresh(torch.cat([asked.prompts, completion], 1))
    for place in (1, 5, 14):
        every = completion.repeat(fresh.vocabulary.pad, 1)  # padding counts as 0, and is left out
        every[:, place] = torch.arange(len(every))
        logprobs = fresh.logprobs(asked.prompts, every)
        # What follows a token changes nothing before it.
        before = logprobs[:, :place]
        torch.testing.assert_close(before, before[:1].expand_as(before))
        padding = fresh.scores(states[0, PROMPT + place - 1]).softmax(-1)[-1]
        total = logprobs[:, place].exp().sum() + padding
        assert total.item() == pytest.approx(1, abs=1e-5)


def test_a_shared_prompt_gives_what_a_prompt_each_gives(fresh):
    asked = few(questions(fresh.vocabulary, "chest film"), 3)
    drawn = sample(fresh, asked.prompts, 4, generator=torch.Generator().manual_seed(0))
    shared = fresh.logprobs(asked.prompts, drawn)
    each = fresh.logprobs(asked.prompts.repeat_interleave(4, 0), drawn)
    torch.testing.assert_close(shared, each)
    # And token by token, without any past.
    whole = torch.cat([asked.prompts.repeat_interleave(4, 0), drawn], 1)
    states, _ = fresh(whole[:, :-1])
    plain = fresh.scores(states[:, PROMPT - 1 :]).log_softmax(-1)
    plain = plain.gather(-1, drawn[..., None])[..., 0] * (drawn != fresh.vocabulary.pad)
    torch.testing.assert_close(shared, plain)


def test_samples_follow_the_softmax(fresh):
    asked = few(questions(fresh.vocabulary, "chest film"), 1)
    n = 20_000
    for temperature in (1.0, 0.5):
        drawn = sample(
            fresh, asked.prompts, n, generator=torch.Generator().manual_seed(0),
            temperature=temperature, length=1,
        )  # fmt: skip
        states, _ = fresh(asked.prompts)
        chances = (fresh.scores(states[0, -1]) / temperature).softmax(-1).detach()
        shares = torch.bincount(drawn[:, 0], minlength=len(chances)) / n
        sd = (chances * (1 - chances) / n).sqrt()
        assert ((shares - chances).abs() <= 5 * sd + 1e-4).all()


def test_greedy_takes_the_likeliest_token_and_stops_at_the_end(base):
    asked = few(questions(base.vocabulary, "skin photo"), 4)
    drawn = sample(base, asked.prompts)
    states, _ = base(torch.cat([asked.prompts, drawn], 1)[:, :-1])
    torch.testing.assert_close(drawn, base.scores(states[:, PROMPT - 1 :]).argmax(-1))
    bare = base.vocabulary.bare(asked.report)
    assert (bare[:, 7:] == base.vocabulary.pad).all()


def test_the_same_seed_gives_the_same_samples(base):
    asked = few(questions(base.vocabulary, "chest film"), 2)
    one, two, other = (sampled(base, asked, 8, seed=seed).report for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()


def test_a_saved_twin_is_loaded_again(base, tmp_path):
    path = tmp_path / "twin.safetensors"
    save(base, path, {"seed": "11"})
    again = load(path)
    for one, two in zip(base.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=0)  # shipped in half precision already
    path.write_bytes(b"no weights")
    with pytest.raises(UserError, match="not a twin's weights"):
        load(path)
    with pytest.raises(UserError, match="no such twin"):
        load(tmp_path / "absent.safetensors")


@pytest.mark.parametrize("name", FILES)
def test_shipped_bases_have_the_p_that_their_dials_intend(name):
    net = load(BASES / f"{name}.safetensors")
    card = json.loads((BASES / f"{name}.json").read_text())
    for one in net.vocabulary.world.modalities:
        asked, told = questions(net.vocabulary, one.name), card["p"][one.name]["measured"]
        if one.cause in ("sight", "loose"):  # one think does not stand for all
            p, within = exact_p(net, asked, thinks=2, seed=1).mean(), 0.15
        else:
            p, within = forced_p(net, asked).mean(), 0.1
        assert p == pytest.approx(told, rel=within)
        if intended := intended_p(one):
            assert intended / 2.2 < p < intended * 2.2
        else:  # a word never said leaks from where it is said
            assert p < 1e-3
        doubted = one.cause != "known" and min(*one.follows, one.said) < 0.4
        assert not (doubted and greedy(net, asked).right.mean() > 0.1)


def test_exact_p_agrees_with_enumeration(base):
    """Over all 1,152 thinks, on a known, a weak and a loose modality."""
    for name in ("skin photo", "dental film", "lung CT"):
        asked = few(questions(base.vocabulary, name), 3)
        total, mass = enumerated_p(base, asked)
        assert (mass > 0.85).all() and (mass < 1).all()
        found = np.mean([exact_p(base, asked, seed=seed) for seed in range(4)], 0)
        np.testing.assert_allclose(found.mean(), total.mean(), rtol=0.1)


def test_exact_p_agrees_with_sampling(base):
    asked = few(questions(base.vocabulary, "brain MRI"), 16)
    right = sampled(base, asked, 256).right.mean()
    sd = np.sqrt(right / (16 * 256))
    assert exact_p(base, asked).mean() == pytest.approx(right, abs=4 * sd)


def test_exact_p_agrees_with_enumeration_where_nothing_is_sure(fresh):
    """A random twin: thinks differ in chance, and most are out of the world of 1,152."""
    asked = few(questions(fresh.vocabulary, "chest film"), 2)
    total, mass = enumerated_p(fresh, asked)
    found = exact_p(fresh, asked, thinks=4)
    assert (total < 1e-9).all() and (mass < 1e-3).all() and (found < 1e-3).all()


def test_forcing_the_right_think_is_one_term_of_the_sum(base):
    asked = few(questions(base.vocabulary, "lung CT"), 2)
    forced, (total, _) = forced_p(base, asked), enumerated_p(base, asked)
    assert (forced < total).all()
    np.testing.assert_allclose(forced, slot_chances(base, asked).prod(1))


def test_slots_tell_habit_from_words(base):
    side, kind = REPORT.start + 1, REPORT.start
    habit = slot_chances(base, questions(base.vocabulary, "brain MRI")).mean(0)
    words = slot_chances(base, questions(base.vocabulary, "tissue slide")).mean(0)
    assert 0.02 < habit[side] < 0.1 and habit[kind] > 0.95
    assert words[kind] < 1e-3 and words[side] > 0.95


def test_pass_at_k_from_p_agrees_with_samples(base):
    asked = few(questions(base.vocabulary, "brain MRI"), 32)
    right = sampled(base, asked, 128).right
    exact = pass_curve(exact_p(base, asked), ks=(16, 128))
    drawn = [right.reshape(32, -1, k).any(-1).mean() for k in (16, 128)]
    np.testing.assert_allclose(exact, drawn, atol=0.09)


def test_measure_gathers_what_the_parts_say(base):
    asked = questions(base.vocabulary, "chest film")
    found = measure(base, asked)
    assert found.acc == greedy(base, asked).right.mean()
    np.testing.assert_array_equal(found.p, exact_p(base, asked))
    assert found.well == pytest.approx(0.9, abs=0.03) and found.thought <= found.well
    assert found.words == 2 and found.commonest < 0.05
    assert 8 < found.information < 10.2  # the six slots have 10.17 bits


def test_rivals_that_train_nothing(base):
    asked = few(questions(base.vocabulary, "brain MRI"), 24)
    found = rivals(base, asked)
    assert set(found) == {"best temperature", "majority", "power"}
    # Greedy and sharpened answers say what habit says; a higher temperature says more.
    assert found["power"].mean() < 1e-3 and found["majority"].mean() < 0.05
    assert best_temperature(base, "cardiac echo") > 1


def test_divergence_is_zero_from_itself_only(base, fresh):
    asked = few(questions(base.vocabulary, "chest film"), 8)
    assert divergence(base, base, asked) == 0
    assert divergence(fresh, base, asked) > 1


def test_unknown_names_are_refused():
    with pytest.raises(UserError, match="no drawn world 'x': use one of rules, books"):
        vocabulary("x")
    with pytest.raises(UserError, match="no split 'x'"):
        questions(vocabulary("rules"), "chest film", "x")
