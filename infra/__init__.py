"""The ground that every part stands on: configuration, the command line, storage, jobs; profiles and environments."""
