"""The latent vectors that encoding left for the codebook: a column of the index of encoded shards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from curation.encoding.encoded import ABOUT_FILE, NEGATIVE, EncodedDirectory, codebook_vectors, encoded_root
from infra.config import ConfigError
from infra.storage.files import join, list_files, list_folders
from training.codebook.clustering import Vectors


class EncodedVectors:
    """The vectors of a run, shard by shard, as often as asked: (N, C) each.

    Clips made under the negative prompt have none, because the codebook is of real latents. Shards that are committed
    after this object was made are not read, so every pass is the same.

    Args:
        run: run directory or URI.
        stages: names of folders in `RUN/encoded`; all of them when empty.
        decisions: a version of the run's index, whose encoded clips are meant.

    Raises:
        ConfigError: no encoded shards, or stages whose encoders or latent channels differ.
    """

    def __init__(self, run: str, stages: Sequence[str] = (), decisions: str | None = None) -> None:
        encoded = encoded_root(run, decisions)
        self.stages = tuple(stages) or _stages(encoded)
        if not self.stages:
            raise ConfigError(f"{encoded} holds no encoded shards; run `make encode` first")
        directories = [EncodedDirectory(join(encoded, stage)) for stage in self.stages]
        first, *others = encodings = [directory.encoding() for directory in directories]
        for encoding in others:
            if encoding.encoders != first.encoders:
                raise ConfigError(
                    f"{encoded}: stages {first.stage} and {encoding.stage} were encoded by different networks "
                    f"({first.encoders} and {encoding.encoders}); choose stages that agree with --stages"
                )
        channels = {encoding.stage: encoding.latent_channels for encoding in encodings}
        if len(set(channels.values())) > 1:
            differing = ", ".join(f"{stage} {number}" for stage, number in channels.items())
            raise ConfigError(f"{encoded}: stages differ in latent channels: {differing}")
        self.channels = first.latent_channels
        self._shards = [(directory, name) for directory in directories for name in directory.names()]
        if not self._shards:
            raise ConfigError(f"{encoded}: no shard has been committed in {', '.join(self.stages)}; run `make encode`")

    def __len__(self) -> int:
        """Number of shards."""
        return len(self._shards)

    def __iter__(self) -> Iterator[Vectors]:
        """The vectors of each shard in turn; a shard may have none.

        Raises:
            ConfigError: a shard's index cannot be read, or its vectors are not of C channels.
        """
        for directory, name in self._shards:
            yield self._vectors_of(directory, name)

    def _vectors_of(self, directory: EncodedDirectory, name: str) -> Vectors:
        where = join(directory.path, f"{name}.parquet")
        try:
            # A shard whose clips were all skipped has no such column.
            rows = directory.rows_of(name, ["pool", "codebook_vectors"]).to_pylist()
            found = [
                codebook_vectors(row, self.channels)
                for row in rows
                if row["pool"] != NEGATIVE and row.get("codebook_vectors") is not None
            ]
        except ConfigError:
            raise
        except (OSError, KeyError) as error:
            raise ConfigError(f"{where} cannot be read: {error}") from error
        except ValueError as error:
            raise ConfigError(f"{where}: its vectors are not of {self.channels} latent channels: {error}") from error
        vectors: Vectors = torch.cat([torch.empty(0, self.channels), *found]).numpy()
        return vectors


def _stages(encoded: str) -> tuple[str, ...]:
    """Names of the stages that have been encoded, sorted."""
    return tuple(name for name in list_folders(encoded) if list_files(join(encoded, name), ABOUT_FILE))
