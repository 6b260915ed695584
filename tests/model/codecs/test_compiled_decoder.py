from typing import Any

import pytest
import torch
from torch import Tensor

from model.codecs.compiled_decoder import compile_decoder, is_compiled
from model.codecs.patch_dct import PatchDCTCodec
from model.codecs.vae import StreamingDecoder
from tests.worlds.decoders import small_wan


@pytest.fixture(autouse=True)
def forgotten() -> None:
    torch._dynamo.reset()


def test_the_same_pixels_from_three_graphs() -> None:
    graphs: list[torch.fx.GraphModule] = []

    def backend(graph: torch.fx.GraphModule, _inputs: list[Tensor]) -> Any:
        graphs.append(graph)
        return graph.forward

    # A decoder of few blocks, one of which doubles the frames: tracing takes seconds.
    vae = small_wan(num_res_blocks=0, dim_mult=[1, 1], temperal_downsample=[True])
    latents = torch.randn(1, 48, 6, 2, 4, generator=torch.Generator().manual_seed(0))
    expected = StreamingDecoder(vae)(latents)
    assert not is_compiled(vae)
    compile_decoder(vae, backend=backend)
    assert is_compiled(vae)
    # One latent, two, and all later ones: no shape is left open, and none is compiled twice.
    assert [len(graphs) for _ in StreamingDecoder(vae).frames(latents)] == [1, 2, 3, 3, 3, 3]
    assert torch.equal(StreamingDecoder(vae)(latents), expected)
    assert len(graphs) == 3


def test_a_codec_without_layers_stays_as_it_is() -> None:
    codec = PatchDCTCodec()
    compile_decoder(codec)
    assert not is_compiled(codec)
