"""What a clip is made from: pivot, overlap, dropout, sound."""

import pytest
import torch
from torch import Tensor

from curation.encoding.encoded import EncodedSample
from training.data.conditioning import Batch, ClipConditioner, ConditioningConfig, LatentsConditioner
from training.data.loader import LoadedSample
from training.data.randomness import DrawRandom, seed_of

FRAMES, WINDOW, AUDIO_DIM, TEXT_DIM, TOKENS = 6, 16, 5, 8, 7

PIVOTS = [12, 11, 11, 12, 13, -1, 12, -1, 11, 11, 13, 12]
CLEAN = [1, 3, 3, 3, 1, 1, 3, 1, 3, 3, 3, 3]
TEXTS = [1, 1, -1, 2, 1, 2, 2, 2, 2, 1, -1, 2]
HEARD = [1, 1, 0, 1, 1, 0, 1, 1, 1, 1, 0, 0]
"""Of the first twelve draws of seed 1: first value of the pivot (-1 for the clip's own first frame), clean frames, text
(-1 dropped), whether it sounds."""


def sample(**changes: object) -> EncodedSample:
    generator = torch.Generator().manual_seed(0)
    values: dict[str, object] = {
        "key": "clip",
        "source": "video",
        "pool": "human",
        "prompts": ("long", "short"),
        "fps": 25,
        "latents": torch.randn(3, FRAMES, 4, 4, generator=generator),
        "reference_latents": 10 + torch.arange(4.0).reshape(4, 1, 1, 1).expand(4, 3, 4, 4),
        "text_states": (torch.full((3, TEXT_DIM), 1.0), torch.full((2, TEXT_DIM), 2.0)),
        "audio_features": torch.arange(1.0, 61.0)[:, None].expand(60, AUDIO_DIM),
        "audio_first_step": -10,
    }
    return EncodedSample(**(values | changes))  # type: ignore[arg-type]


def conditioner(**config: float) -> ClipConditioner:
    return ClipConditioner(
        ConditioningConfig(**config),  # type: ignore[arg-type]
        seed=1,
        audio_window=WINDOW,
        audio_dim=AUDIO_DIM,
        text_tokens=TOKENS,
        free_text=torch.full((1, TEXT_DIM), -1.0),
    )


def conditioned(num: int = 400, one: EncodedSample | None = None, **config: float) -> Batch:
    one = one or sample()
    return conditioner(**config)([LoadedSample(sample=one, number=number, weight=1.0) for number in range(num)])


def share(flags: Tensor) -> float:
    return float(flags.float().mean())


def test_the_pivot_is_a_random_reference_in_place_of_the_first_latent() -> None:
    batch = conditioned(first_frame_probability=0)
    pivots = batch.latents[:, 0, 0, 0, 0]
    assert set(pivots.tolist()) == {10.0, 11.0, 12.0, 13.0}
    assert torch.equal(batch.latents[:, :, 1:], sample().latents[None, :, 1:].expand_as(batch.latents[:, :, 1:]))
    assert batch.clean[:, 0].all()


@pytest.mark.parametrize("probability", [0.0, 0.3, 0.5, 1.0])
def test_a_share_of_the_clips_without_overlap_starts_from_its_own_first_frame(probability: float) -> None:
    """At inference the portrait is the first frame of the first clip, and the pivot alone of the others."""
    batch = conditioned(num=1000, first_frame_probability=probability)
    own = (batch.latents[:, :, 0] == sample().latents[:, 0]).flatten(1).all(dim=1)
    overlaps = batch.clean[:, 1]
    assert not own[overlaps].any()
    assert abs(share(own[~overlaps]) - probability) < 0.07
    unvaried = conditioner(first_frame_probability=probability).unvaried(sample()).latents[0]
    expected = sample().latents[:, 0] if probability else sample().reference_latents[0]
    assert torch.equal(unvaried[:, 0], expected)


def test_half_of_the_clips_overlap_by_two_latents() -> None:
    clean = conditioned(num=1000).clean
    overlaps = clean[:, 1]
    assert torch.equal(clean[:, 2], overlaps)
    assert not clean[:, 3:].any()
    assert abs(share(overlaps) - 0.5) < 0.05


def test_something_is_left_to_predict_however_short_the_clip() -> None:
    short = sample(latents=torch.zeros(3, 3, 4, 4))
    batch = conditioned(num=8, one=short, overlap_probability=1.0)
    assert batch.clean.tolist() == [[True, True, False]] * 8


def test_text_and_audio_are_dropped_alone_and_together_as_often_as_asked() -> None:
    batch = conditioned(num=2000, drop_text=0.1, drop_audio=0.2, drop_both=0.3)
    no_text = batch.text[:, 0, 0] == -1
    no_audio = ~batch.audio.flatten(1).any(dim=1)
    assert abs(share(no_text & no_audio) - 0.3) < 0.03
    assert abs(share(no_text & ~no_audio) - 0.1) < 0.03
    assert abs(share(~no_text & no_audio) - 0.2) < 0.03


def test_both_captions_are_used_and_padded_with_zeros() -> None:
    text = conditioned(drop_text=0, drop_both=0).text
    assert set(text[:, 0, 0].tolist()) == {1.0, 2.0}
    long = text[text[:, 0, 0] == 1.0]
    assert long[:, :3].eq(1).all()
    assert long[:, 3:].eq(0).all()


def test_each_latent_hears_its_own_time_and_the_pivot_nothing() -> None:
    audio = conditioned(num=1, drop_audio=0, drop_both=0, drop_text=0).audio[0]
    assert not audio[0].any()
    # Latent k ≥ 1 is centred on pixel frames 4k−3 … 4k: its eight steps are 8k−6 … 8k+1, and 4 more on each side.
    for k in range(1, FRAMES):
        heard = audio[k, :, 0]
        first = 8 * k - 6 - 4
        assert heard.tolist() == [float(step + 10 + 1) for step in range(first, first + WINDOW)]


def test_windows_of_sound_follow_the_frame_rate() -> None:
    audio = conditioner().unvaried(sample(fps=10)).audio[0]
    # Five steps a frame: latent 1 lies at steps 5 … 24, and the window is as wide as ever around its middle.
    assert audio[1, :, 0].tolist() == [float(step + 10 + 1) for step in range(7, 7 + WINDOW)]


def test_clips_without_sound_hear_zeros() -> None:
    batch = conditioned(num=20, one=sample(audio_features=None))
    assert batch.audio.shape == (20, FRAMES, WINDOW, AUDIO_DIM)
    assert not batch.audio.any()


def test_a_draw_is_the_same_in_whatever_batch_it_lies() -> None:
    together = conditioned(num=6)
    alone = [conditioned(num=index + 1) for index in range(6)]
    for index, batch in enumerate(alone):
        assert torch.equal(batch.latents[index], together.latents[index])
        assert torch.equal(batch.text[index], together.text[index])
    noise = DrawRandom(0, [3, 4], "noise").normal(2, 2)
    assert torch.equal(noise[1], DrawRandom(0, [4], "noise").normal(2, 2)[0])
    assert not torch.equal(noise[1], DrawRandom(0, [4], "other").normal(2, 2)[0])


def test_the_unconditional_branch_has_neither_text_nor_sound() -> None:
    free = conditioned(num=2).unconditional()
    assert free.text[:, 0].eq(-1).all()
    assert free.text[:, 1:].eq(0).all()
    assert not free.audio.any()


def test_held_out_samples_have_noise_of_their_own_always_the_same() -> None:
    for conditions in (LatentsConditioner(seed=1), conditioner()):
        first, again, other = (conditions.unvaried(sample(key=key)) for key in ("a", "a", "b"))
        noise = [batch.random("flow-matching").normal(4) for batch in (first, again, other)]
        assert torch.equal(noise[0], noise[1])
        assert not torch.equal(noise[0], noise[2])


@pytest.mark.parametrize(
    ("uniform", "drops"),
    [
        (0.0, (True, True)),
        (0.249, (True, True)),
        (0.25, (True, False)),
        (0.374, (True, False)),
        (0.375, (False, True)),
        (0.874, (False, True)),
        (0.875, (False, False)),
        (0.999, (False, False)),
    ],
)
def test_one_number_decides_what_is_dropped(uniform: float, drops: tuple[bool, bool]) -> None:
    assert ConditioningConfig(drop_both=0.25, drop_text=0.125, drop_audio=0.5).drops(uniform) == drops


def test_a_draw_has_the_conditions_that_it_always_had() -> None:
    """A training that is gone on with must not draw otherwise than the one that was stopped."""
    batch = conditioned(num=12, first_frame_probability=0.5)
    assert batch.latents[:, 0, 0, 0, 0].int().tolist() == PIVOTS
    assert batch.clean.sum(dim=1).tolist() == CLEAN
    assert batch.text[:, 0, 0].int().tolist() == TEXTS
    assert batch.audio.flatten(1).any(dim=1).int().tolist() == HEARD


def test_a_held_out_sample_is_as_it_is() -> None:
    batch = conditioner(overlap_probability=1.0, drop_both=1.0, drop_text=0, drop_audio=0).unvaried(sample())
    assert torch.equal(batch.latents[0], sample().latents)
    assert torch.equal(batch.latents[0, :, 1:], sample().latents[:, 1:])
    assert batch.clean.tolist() == [[True] + [False] * (FRAMES - 1)]
    assert batch.text[0, :3].eq(1).all()
    assert batch.audio[0, 1:].any()
    assert batch.weights.tolist() == [1.0]


def test_batches_carry_the_weights_and_numbers_of_their_samples_and_the_seed() -> None:
    loaded = [LoadedSample(sample=sample(), number=number, weight=number / 2) for number in (3, 0)]
    for conditions in (conditioner(), LatentsConditioner(seed=1)):
        batch, held_out = conditions(loaded), conditions.unvaried(sample())
        assert batch.weights.tolist() == [1.5, 0.0]
        assert batch.numbers == (3, 0)
        assert batch.seed == held_out.seed == 1
        assert held_out.weights.tolist() == [1.0]
        assert held_out.numbers == (seed_of(0, "held-out", "clip"),)


def test_a_batch_has_random_numbers_of_its_seed_its_draws_and_a_purpose() -> None:
    batch = conditioner()([LoadedSample(sample=sample(), number=number, weight=1.0) for number in (3, 0)])
    assert torch.equal(batch.random("flow-matching").normal(4), DrawRandom(1, [3, 0], "flow-matching").normal(4))


def test_a_batch_goes_to_a_device_as_a_whole() -> None:
    batch = conditioned(num=2)
    moved = batch.to("meta")
    for name in ("latents", "clean", "text", "audio", "free_text", "weights"):
        assert getattr(moved, name).device == torch.device("meta"), name
        assert getattr(moved, name).shape == getattr(batch, name).shape, name
    assert (moved.numbers, moved.seed) == (batch.numbers, batch.seed)


def test_what_is_trained_on_latents_alone_has_the_clips_own_first_frame_and_predicts_all() -> None:
    batch = LatentsConditioner(seed=1)([LoadedSample(sample=sample(), number=0, weight=1.0)])
    assert torch.equal(batch.latents[0], sample().latents)
    assert not batch.clean.any()
    assert batch.frame_mask().eq(1).all()
    # There are no conditions, but their shapes are those of any batch.
    assert batch.text.shape == (1, 0, 0)
    assert batch.audio.shape == (1, FRAMES, 0, 0)
    assert batch.free_text.shape == (0, 0)


def test_the_latents_of_a_single_clip_are_not_copied() -> None:
    one = sample()
    batch = LatentsConditioner(seed=1)([LoadedSample(sample=one, number=0, weight=1.0)])
    assert batch.latents.data_ptr() == one.latents.data_ptr()


def test_the_conditions_are_drawn_as_in_the_paper_unless_told_otherwise() -> None:
    config = ConditioningConfig()
    assert (config.overlap_probability, config.overlap_latents) == (0.5, 2)
    assert (config.drop_text, config.drop_audio, config.drop_both) == (0.05, 0.05, 0.1)


@pytest.mark.parametrize(
    "values",
    [
        {"drop_text": -0.01},
        {"drop_audio": -0.01},
        {"drop_both": -0.01},
        {"drop_text": 0.25, "drop_audio": 0.25, "drop_both": 0.625},
        {"overlap_probability": -0.01},
        {"overlap_probability": 1.01},
        {"overlap_latents": -1},
    ],
)
def test_what_is_no_probability_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(
        ValueError, match=r"^dropout shares must be at least 0 and sum to at most 1, probabilities lie "
    ):
        ConditioningConfig(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "values",
    [
        {"drop_text": 0, "drop_audio": 0, "drop_both": 0},
        {"drop_text": 0.25, "drop_audio": 0.25, "drop_both": 0.5},
        {"overlap_probability": 0, "overlap_latents": 0},
        {"overlap_probability": 1, "overlap_latents": 1},
    ],
)
def test_the_ends_of_what_is_allowed_are_allowed(values: dict[str, float]) -> None:
    ConditioningConfig(**values)  # type: ignore[arg-type]
