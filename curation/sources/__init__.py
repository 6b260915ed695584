"""What is to be curated: directories, patterns and manifests made into one list of sources."""

from curation.sources.listing import list_sources
from curation.sources.schemes import SourcesConfig

__all__ = ["SourcesConfig", "list_sources"]
