"""Files that are whole or not there, on any file system: plain ones, commits of shards, files of lines."""
