"""What the check measures: a file a step, each a function that yields figures as they are measured."""
