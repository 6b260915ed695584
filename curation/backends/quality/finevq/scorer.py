"""Quality by FineVQ (paper, Sec. 4.1), which runs in a server of its own: see `infra/served/finevq.py`.

The server gets the clip as `export` would write it, since that is what training sees: all of its frames, because
FineVQ's motion branch wants them, and its crop. Where the span can be copied out of the source, nothing is encoded.
"""

from __future__ import annotations

from curation.backends.quality.finevq.config import FineVqConfig
from curation.backends.quality.scorer import QualityScore, UnscoredError
from curation.clip.schema import Clip
from curation.media import Cut, cut_clips
from infra.jobs.machine_fault import MachineFaultError
from infra.served.endpoint import NotNowError
from infra.served.finevq import NoScoreError
from infra.served.patience import patiently


class FineVqScorer:
    """Asks the server for each clip's score."""

    def __init__(self, config: FineVqConfig) -> None:
        self.config = config

    def score(self, clip: Clip) -> QualityScore:
        """FineVQ's overall score of `clip`.

        FineVQ has learnt opinions from 0 to 100, but nothing holds its last layer below 100: what is above counts as
        100.

        Raises:
            UnscoredError: the span has no frame, or FineVQ cannot read it.
            MachineFaultError: the server was away for too long, or refuses requests like ours.
            MediaError: the source cannot be read.
        """
        (video,) = cut_clips(clip.media.path, [Cut(clip.start_s, clip.end_s, clip.crop)])
        if video is None:
            raise UnscoredError("no_frames", f"{clip.key} has no frame")
        config = self.config
        try:
            score = patiently(
                lambda: config.server.score(video.mp4, config.sampling, tries=1),
                server=f"FineVQ at {config.url}",
                patience_s=config.patience_s,
            )
        except NoScoreError as error:
            raise UnscoredError("no_score", str(error)) from error
        except NotNowError as error:
            raise MachineFaultError(f"FineVQ at {config.url}: {error} {error.told}".strip()) from error
        return QualityScore(score=min(max(score, 0.0), 100.0), parts={})
