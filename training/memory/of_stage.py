"""The plan of a stage, from its recipe and the network that it starts from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from training.memory import decoding
from training.memory.activations import FP32, Work
from training.memory.network import count_adapters, count_parameters
from training.memory.plan import PHASES, Cluster, Ledger, Phase, Plan
from training.memory.states import States

if TYPE_CHECKING:
    from curation.encoding.bucket import Bucket
    from model.pretrained.presets import TransformerConfig
    from training.recipes.recipe import Recipe

BF16: Final = 2


def plan_of(recipe: Recipe, network: TransformerConfig, bucket: Bucket, cluster: Cluster) -> Plan:
    """The plan of a stage.

    Args:
        recipe: of the stage; how it is laid out is said by `cluster`.
        network: of the model that the stage starts from.
        bucket: the clips that are trained on.
        cluster: the GPUs.
    """
    if recipe.objective == "decoder":
        return _decoder_plan(recipe, bucket, cluster)
    ledger = Ledger(_phases(recipe))
    student = states_of(recipe, network, cluster)
    work = _work(recipe, network, bucket, cluster)
    _add_lasting(ledger, "", student)
    trained = [student]
    if recipe.objective == "dmd":
        critic = _critic_of(recipe, network, cluster)
        _add_lasting(ledger, "critic's ", critic)
        _add_teacher(ledger, recipe, network, cluster)
        trained.append(critic)
    _add_update(ledger, trained)
    _add_activations(ledger, recipe, work)
    ledger.add("weights kept aside", student.average(), "validation")
    _add_video(ledger, bucket)
    return ledger.plan()


def states_of(recipe: Recipe, network: TransformerConfig, cluster: Cluster) -> States:
    """The network that becomes the stage's result, under training."""
    parameters = count_parameters(network)
    return _states(recipe, cluster, parameters, parameters, averaged=recipe.ema.device == "model")


def _critic_of(recipe: Recipe, network: TransformerConfig, cluster: Cluster) -> States:
    parameters, rank = count_parameters(network), recipe.dmd.critic_lora_rank
    if not rank:
        return _states(recipe, cluster, parameters, parameters, averaged=False)
    adapters = count_adapters(network, rank)
    return _states(recipe, cluster, parameters + adapters, adapters, averaged=False)


def _states(recipe: Recipe, cluster: Cluster, parameters: int, trained: int, *, averaged: bool) -> States:
    parallel = recipe.parallel
    at_once = recipe.micro_batch * (cluster.world // cluster.sequence_parallel)
    return States(
        parameters=parameters,
        trained=trained,
        zero_stage=cluster.zero_stage,
        world=cluster.world,
        accumulation=-(-recipe.batch_size // at_once),
        offload=parallel.offload_optimizer,
        averaged=averaged,
        reduce_bucket=parallel.reduce_bucket,
        live_parameters=parallel.live_parameters,
    )


def _work(recipe: Recipe, network: TransformerConfig, bucket: Bucket, cluster: Cluster) -> Work:
    number = BF16 if recipe.parallel.precision == "bfloat16" else FP32
    asked = recipe.parallel.residual_in_fp32
    in_fp32 = network.residual_in_fp32 if asked is None else asked
    return Work(
        network=network,
        bucket=bucket,
        micro_batch=recipe.micro_batch,
        sequence_parallel=cluster.sequence_parallel,
        number_bytes=number,
        stream_bytes=FP32 if in_fp32 else number,
    )


def _phases(recipe: Recipe) -> list[Phase]:
    absent = set() if recipe.objective == "dmd" else {"scoring"}
    absent |= set() if recipe.validation.every else {"validation", "decoding"}
    absent |= set() if recipe.validation.videos else {"decoding"}
    return [phase for phase in PHASES if phase not in absent]


def _add_lasting(ledger: Ledger, whose: str, states: States) -> None:
    """What a network under training holds all the time."""
    ledger.add(f"{whose}weights", states.weights())
    ledger.add(f"{whose}optimizer states", states.optimizer())
    ledger.add(f"{whose}average", states.average())
    ledger.add("parameters gathered", states.gathered())
    ledger.add("gradients", states.lasting_gradients())
    ledger.add("buckets", states.lasting_buckets())


def _add_update(ledger: Ledger, trained: list[States]) -> None:
    """What an update holds: the networks of a distillation are updated one after the other."""
    ledger.add("gradients", max(each.gradients() for each in trained), "backward", "step")
    ledger.add("buckets", max(each.buckets() for each in trained), "backward")
    ledger.add("flat gradients", max(each.update() for each in trained), "step")


def _add_activations(ledger: Ledger, recipe: Recipe, work: Work) -> None:
    checkpointing = recipe.parallel.gradient_checkpointing
    kept = "activations of all blocks" if checkpointing == "none" else "kept of all blocks"
    ledger.add(kept, work.saved(checkpointing), "scoring", "backward")
    ledger.add("one block computed again", work.computed_again(checkpointing), "backward")
    ledger.add("gradients inside a block", work.backward(), "backward")
    ledger.add("autocast's copies", work.weight_copies(checkpointing), "backward")
    ledger.add("one block's forward", work.forward(), "scoring", "validation")


def _add_teacher(ledger: Ledger, recipe: Recipe, network: TransformerConfig, cluster: Cluster) -> None:
    if recipe.dmd.critic_lora_rank:
        return
    parameters, placement = count_parameters(network), recipe.dmd.teacher
    if placement == "zero3":
        ledger.add("teacher's weights", FP32 * -(-parameters // cluster.world))
        ledger.add("parameters gathered", FP32 * min(parameters, recipe.parallel.live_parameters))
        return
    number = BF16 if recipe.parallel.precision == "bfloat16" else FP32
    phases: tuple[Phase, ...] = ("scoring", "validation") if placement == "offload" else ()
    ledger.add("teacher's weights", number * parameters, *phases)


def _add_video(ledger: Ledger, bucket: Bucket) -> None:
    """Decoding a video by Wan2.2's autoencoder, in bf16, as `training.parts.trained_transformer` has it on a GPU."""
    width = decoding.FULL_WIDTH
    parameters = decoding.ENCODER_PARAMETERS + decoding.decoder_parameters(width)
    ledger.add("autoencoder", BF16 * parameters, "decoding")
    ledger.add("decoding a video", decoding.decode_peak(width, bucket.area, BF16), "decoding")


def _decoder_plan(recipe: Recipe, bucket: Bucket, cluster: Cluster) -> Plan:
    """Of a decoder's distillation: teacher and student decode in fp32."""
    config, crop = recipe.decoder, recipe.decoder.crop
    full, narrow = decoding.FULL_WIDTH, config.decoder_base_dim
    trained = decoding.decoder_parameters(narrow)
    states = _states(recipe, cluster, trained, trained, averaged=recipe.ema.device == "model")
    ledger = Ledger(_phases(recipe))
    _add_lasting(ledger, "", states)
    _add_update(ledger, [states])
    ledger.add("teacher's weights", FP32 * (decoding.ENCODER_PARAMETERS + decoding.decoder_parameters(full)))
    ledger.add("encoder", FP32 * decoding.ENCODER_PARAMETERS)
    pixels = 256 * crop.latent_height * crop.latent_width
    pieces = recipe.micro_batch
    ledger.add("activations", pieces * decoding.saved_by_crop(narrow, pixels, crop.latent_frames), "backward")
    if config.lpips is not False:
        perceptual = decoding.saved_by_perceptual(pixels, 4 * crop.latent_frames)
        ledger.add("activations of LPIPS", pieces * perceptual, "backward")
    ledger.add("teacher's decoding", decoding.decode_peak(full, pixels, FP32), "backward")
    ledger.add("weights kept aside", states.average(), "validation", "decoding")
    for width in (full, narrow):
        ledger.add("decoding a video", decoding.decode_peak(width, bucket.area, FP32), "decoding")
    return ledger.plan()
