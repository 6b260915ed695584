"""Decoder distillation (stage evae)."""
