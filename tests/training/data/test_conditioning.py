"""What a clip is made from: pivot, overlap, dropout, sound."""

import torch
from torch import Tensor

from curation.encoding.encoded import EncodedSample
from training.data.conditioning import Batch, ClipConditioner, ConditioningConfig, LatentsConditioner
from training.data.loader import LoadedSample
from training.data.randomness import DrawRandom

FRAMES, WINDOW, AUDIO_DIM, TEXT_DIM, TOKENS = 6, 16, 5, 8, 7


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
    batch = conditioned()
    pivots = batch.latents[:, 0, 0, 0, 0]
    assert set(pivots.tolist()) == {10.0, 11.0, 12.0, 13.0}
    assert torch.equal(batch.latents[:, :, 1:], sample().latents[None, :, 1:].expand_as(batch.latents[:, :, 1:]))
    assert batch.clean[:, 0].all()


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
