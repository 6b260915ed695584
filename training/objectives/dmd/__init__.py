"""Step and guidance distillation (stage distill)."""
