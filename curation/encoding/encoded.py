"""Encoded shards: what training reads. Latents, references, text states and audio features of each kept clip.

`RUN/encoded/<stage>/` holds one Parquet file for each curated shard, its commit, and the tars under
`<frames>x<height>x<width>/`, a folder for each bucket of clips that may share a batch. A tar is plain WebDataset:
`<key>.safetensors`, `<key>.json` and, when the clip has sound, `<key>.wav`. The Parquet file has a row for every kept
clip of the curated shard, encoded or not, with the place and the SHA-256 of its files in the tar, so that any sample
can be read by itself and damage is noticed: a tensor with a flipped bit would load all the same. The pages of the
Parquet file have checksums of their own.

Letters: C latent channels, F latent frames, H and W latent sides, N references, L text tokens, D width of text
states, T audio steps (20 ms each), A features of a step, P codebook vectors.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, ClassVar, Final, Self

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from curation.encoding.bucket import Bucket
from infra.config import ConfigError
from infra.storage.commits import CommitDirectory, StagedTar, staged_tar
from infra.storage.files import filesystem, join, list_files, list_folders, read_bytes, remove, write_atomically
from model.codecs.geometry import pixel_frames

ABOUT_FILE: Final = "encoding.json"
UNCONDITIONAL_FILE: Final = "unconditional.safetensors"
NEGATIVE: Final = "negative"
"""Pool of clips made under the negative prompt, beside curation's `human` and `general`."""


def encoded_root(run: str, decisions: str | None = None) -> str:
    """The folder of all stages that were encoded of a run; those of a version of its index are in the version's."""
    return join(run, "decisions", decisions, "encoded") if decisions else join(run, "encoded")


def encoded_path(run: str, stage: str, decisions: str | None = None) -> str:
    """Where the encoded shards of a stage are."""
    return join(encoded_root(run, decisions), stage)


class BadSampleError(ValueError):
    """A sample that cannot be trained on: damaged, or not of the shape its bucket says."""


def held_out_order(sources: Iterable[str]) -> list[str]:
    """Sources without repetitions, in the order in which they are held out: the first are never trained on."""
    return sorted(set(sources), key=lambda source: hashlib.sha256(source.encode()).digest())


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoding:
    """What all samples of a stage have in common."""

    stage: str
    """Name of the stage: `720p` or `1080p`."""
    area: int
    """Pixels of a frame; sides differ from bucket to bucket."""
    fps: int
    """Frames a second."""
    clip_frames: int
    """Pixel frames of a whole clip, 4k + 1."""
    latent_channels: int
    """C."""
    text_dim: int
    """D."""
    text_tokens: int
    """L that text states are zero-padded to for the network."""
    audio_dim: int
    """A."""
    encoders: str
    """Fingerprint of the networks that encoded: stages whose fingerprints differ do not mix."""
    audio_context_steps: int = 0
    """Audio steps on each side of a clip that were encoded with it and with nothing else, as generation does; 0 in
    older directories, whose clips were encoded with all the sound that they had."""
    model: str = field(default="", compare=False)
    """What the networks were loaded from, as it was given; the fingerprint tells networks apart. Empty in older
    directories, which do not record it."""
    settings: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """Further settings of the first run on the directory; shards of later runs may have others."""
    unconditional_sha256: str = field(default="", compare=False)
    """Digest of the file with the empty prompt's text states, in hexadecimal. Empty in older directories, which do not
    record it."""

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read what is kept in `encoding.json`.

        Raises:
            ValueError, TypeError: the data is something else.
        """
        return cls(**json.loads(data))

    def differences(self, now: Encoding) -> list[str]:
        """What keeps samples of two encodings from mixing, each as "name before, now after"."""
        told = [
            f"{name.replace('_', ' ')} {getattr(self, name)}, now {getattr(now, name)}"
            for name in (each.name for each in fields(self) if each.compare and each.name != "encoders")
            if getattr(self, name) != getattr(now, name)
        ]
        if self.encoders != now.encoders:
            was, is_now = (f"{one.model or 'unknown'} (encoders {one.encoders})" for one in (self, now))
            told.insert(0, f"model {was}, now {is_now}")
        return told


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedSample:
    """One clip as training sees it."""

    key: str
    """The curated clip's key."""
    source: str
    """The video that it comes from."""
    pool: str
    """`human`, `general` or `negative`."""
    prompts: tuple[str, ...]
    """Captions, most detailed first; any one describes the clip."""
    fps: int
    """Frames a second."""
    latents: Tensor = field(repr=False)
    """(C, F, H, W), normalised; latent frame 0 holds pixel frame 0, frame k ≥ 1 the pixel frames 4k−3 … 4k."""
    reference_latents: Tensor = field(repr=False)
    """(N, C, H, W), normalised: random single frames of the same shot of the source."""
    text_states: tuple[Tensor, ...] = field(repr=False)
    """(L_i, D) for each prompt, without padding."""
    audio_features: Tensor | None = field(repr=False, default=None)
    """(T, A) at 50 Hz; None without sound."""
    audio_first_step: int = 0
    """Index of the first audio step, 0 being the one at which pixel frame 0 begins: negative when the sound
    starts before the clip."""
    wav: bytes | None = field(repr=False, default=None)
    """The sound of exactly the clip's frames, 16 kHz mono, for validation videos."""

    @property
    def num_frames(self) -> int:
        """Pixel frames, 4k + 1."""
        return pixel_frames(self.latents.shape[1])

    def to_bytes(self) -> bytes:
        """The tensors as a safetensors file in fp16, the rest in its metadata."""
        tensors = {"latents": self.latents, "reference_latents": self.reference_latents}
        tensors |= {f"text_states.{index}": states for index, states in enumerate(self.text_states)}
        if self.audio_features is not None:
            tensors["audio_features"] = self.audio_features
        metadata = {
            "key": self.key,
            "source": self.source,
            "pool": self.pool,
            "prompts": json.dumps(self.prompts),
            "fps": str(self.fps),
            "audio_first_step": str(self.audio_first_step),
        }
        data: bytes = save({name: tensor.half().contiguous() for name, tensor in tensors.items()}, metadata)
        return data

    @classmethod
    def from_bytes(cls, data: bytes) -> EncodedSample:
        """Read what `to_bytes` wrote; tensors stay fp16, `wav` is not part of it.

        Raises:
            BadSampleError: not such a file.
        """
        try:
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
            tensors = load(data)
            prompts = tuple(json.loads(header["prompts"]))
            return cls(
                key=header["key"],
                source=header["source"],
                pool=header["pool"],
                prompts=prompts,
                fps=int(header["fps"]),
                latents=tensors["latents"],
                reference_latents=tensors["reference_latents"],
                text_states=tuple(tensors[f"text_states.{index}"] for index in range(len(prompts))),
                audio_features=tensors.get("audio_features"),
                audio_first_step=int(header["audio_first_step"]),
            )
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            raise BadSampleError(f"not an encoded sample: {type(error).__name__}: {error}") from error


@dataclass(frozen=True, kw_only=True, slots=True)
class Skipped:
    """A kept clip that could not be encoded."""

    key: str
    source: str
    pool: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedClip:
    """A sample on its way into a shard, with the latent vectors that it gives to the codebook."""

    sample: EncodedSample
    height: int
    """Height of the frames that were encoded, in pixels."""
    width: int
    codebook_vectors: npt.NDArray[np.float16] = field(repr=False)
    """(P, C): latent positions drawn at random from the clip, its share of the stratified reservoir."""

    @property
    def bucket(self) -> Bucket:
        """The bucket of the clips that may share a batch with this one; their folder has its name."""
        return Bucket(self.sample.num_frames, self.height, self.width)


class EncodedDirectory(CommitDirectory):
    """`RUN/encoded/<stage>`: encoded shards and what they have in common."""

    left_out: ClassVar = frozenset({"codebook_vectors"})
    planned_with: ClassVar = ("encoded", "bucket", "pool")

    def describe(self, encoding: Encoding, unconditional: Tensor) -> None:
        """Write what all samples share: the encoding, and the empty prompt's text states (L, D).

        Raises:
            ConfigError: the directory was begun with another encoding; the line says what differs.
        """
        if self.is_begun():
            if differences := self.encoding().differences(encoding):
                raise ConfigError(self.refusal(differences))
            return
        states = save({"text_states": unconditional.half()})
        about = replace(encoding, unconditional_sha256=hashlib.sha256(states).hexdigest())
        write_atomically(join(self.path, UNCONDITIONAL_FILE), states)
        write_atomically(join(self.path, ABOUT_FILE), json.dumps(asdict(about), indent=1).encode())

    def is_begun(self) -> bool:
        """Whether something has been encoded here, or was about to be."""
        return bool(list_files(self.path, ABOUT_FILE))

    def refusal(self, differences: Iterable[str]) -> str:
        """The error line for a run whose encoding differs from the directory's."""
        return (
            f"{self.path} was encoded otherwise: {'; '.join(differences)}. Encode into another run directory, or "
            "delete this folder to encode anew"
        )

    def encoding(self) -> Encoding:
        """What all samples have in common.

        Raises:
            ConfigError: nothing has been encoded here, or the file cannot be read.
        """
        try:
            return Encoding.from_json(read_bytes(join(self.path, ABOUT_FILE)))
        except FileNotFoundError:
            raise ConfigError(
                f"{self.path} holds no encoded shards (no {ABOUT_FILE}); run `make encode` first"
            ) from None
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{join(self.path, ABOUT_FILE)} cannot be read: {error}") from error

    def unconditional(self) -> Tensor:
        """Text states (L, D) of the empty prompt.

        Raises:
            ConfigError: the file is missing or damaged.
        """
        path, expected = join(self.path, UNCONDITIONAL_FILE), self.encoding().unconditional_sha256
        advice = "delete the folder and run `make encode` again, or restore the file"
        try:
            data = read_bytes(path)
            if expected and hashlib.sha256(data).hexdigest() != expected:
                raise ConfigError(f"{path} is not what was written: {advice}")
            states: Tensor = load(data)["text_states"]
        except (FileNotFoundError, SafetensorError, KeyError) as error:
            raise ConfigError(f"{path} cannot be read ({type(error).__name__}): {advice}") from error
        return states

    def tars_of(self, name: str) -> set[str]:
        """Tars that hold or held clips of one curated shard, each as a path below the directory."""
        folders = list_folders(self.path)
        return {f"{folder}/{name}.tar" for folder in folders if list_files(join(self.path, folder), f"{name}.tar")}

    def read(self, tar: str, offset: int | None, size: int | None, sha256: bytes | None = None) -> bytes:
        """`size` bytes at `offset` of one of the directory's tars, checked against `sha256` if that is given.

        Raises:
            OSError: the tar is missing, or ends before those bytes.
            BadSampleError: the bytes are not what was written, or offset or size is None or negative.
        """
        if offset is None or size is None or min(offset, size) < 0:
            raise BadSampleError(f"damaged: its row of the index says {size} bytes at {offset} of {tar or None}")
        fs, plain = filesystem(join(self.path, tar))
        data: bytes = fs.cat_file(plain, start=offset, end=offset + size)
        if len(data) != size:
            raise OSError(f"{join(self.path, tar)} is shorter than its index says")
        if sha256 is not None and hashlib.sha256(data).digest() != sha256:
            raise BadSampleError(
                f"damaged: its {size} bytes at {offset} of {join(self.path, tar)} are not what was written"
            )
        return data


class EncodedShardWriter:
    """Writes the clips of one curated shard and commits them."""

    def __init__(self, directory: EncodedDirectory, session: str) -> None:
        self.directory = directory
        self.session = session

    def write(self, name: str, clips: Iterable[EncodedClip | Skipped]) -> list[dict[str, Any]]:
        """Stage the clips and commit; returns the committed rows.

        Raises:
            TakenOverError: another run has started on the directory.
        """
        rows = self.stage(name, clips)
        self.directory.commit(name, rows, self.session)
        return rows

    def stage(self, name: str, clips: Iterable[EncodedClip | Skipped]) -> list[dict[str, Any]]:
        """Consume the clips one by one into a tar for each bucket; returns the rows that are to be committed."""
        rows: list[dict[str, Any]] = []
        tars: dict[str, StagedTar] = {}
        with ExitStack() as stack:
            for clip in clips:
                if isinstance(clip, Skipped):
                    rows.append({**asdict(clip), "encoded": False})
                    continue
                tar = f"{clip.bucket}/{name}.tar"
                if tar not in tars:
                    tars[tar] = stack.enter_context(staged_tar(join(self.directory.path, tar)))
                rows.append(_row(clip, tar, tars[tar]))
        for tar in self.directory.tars_of(name) - tars.keys():
            # Left by an attempt that encoded other clips and died before its commit.
            remove(join(self.directory.path, tar))
        return rows


def _row(clip: EncodedClip, tar: str, staged: StagedTar) -> dict[str, Any]:
    """Add a clip's files to its tar; the index row says where they lie."""
    sample = clip.sample
    about: Mapping[str, Any] = {
        "key": sample.key,
        "source": sample.source,
        "pool": sample.pool,
        "bucket": str(clip.bucket),
        "num_frames": sample.num_frames,
        "height": clip.height,
        "width": clip.width,
        "fps": sample.fps,
        "has_audio": sample.audio_features is not None,
    }
    tensors = sample.to_bytes()
    offset = staged.add(f"{sample.key}.safetensors", tensors)
    document = {**about, "prompts": sample.prompts, "num_references": len(sample.reference_latents)}
    staged.add(f"{sample.key}.json", json.dumps(document, ensure_ascii=False).encode())
    wav_offset = None if sample.wav is None else staged.add(f"{sample.key}.wav", sample.wav)
    return {
        **about,
        "encoded": True,
        "reason": None,
        "tar": tar,
        "offset": offset,
        "size": len(tensors),
        "sha256": hashlib.sha256(tensors).digest(),
        "wav_offset": wav_offset,
        "wav_size": None if sample.wav is None else len(sample.wav),
        "wav_sha256": None if sample.wav is None else hashlib.sha256(sample.wav).digest(),
        "codebook_vectors": clip.codebook_vectors.astype(np.float16).tobytes(),
    }


def codebook_vectors(rows: Mapping[str, Any], channels: int) -> Tensor:
    """(P, C) fp32: the codebook vectors of one index row."""
    vectors = np.frombuffer(rows["codebook_vectors"], np.float16).reshape(-1, channels)
    # Torch warns of the buffer, which is read-only; the conversion to fp32 copies it anyway.
    return torch.from_numpy(vectors.astype(np.float32))
