"""What every part builds on: configuration, the command line, storage, jobs; profiles and environments."""
