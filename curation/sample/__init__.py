"""A bucket of videos that we make, so that the truth is known: nothing is shipped, nothing is downloaded."""

from curation.sample.bucket import bucket_truth, make_bucket
from curation.sample.truth import SampleTruth

__all__ = ["SampleTruth", "bucket_truth", "make_bucket"]
