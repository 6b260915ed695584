"""The commands, each beside its options."""
