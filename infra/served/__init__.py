"""Models behind OpenAI-compatible APIs, as judges and as makers."""
