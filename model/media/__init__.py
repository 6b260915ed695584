"""Portraits and sound read from any file, videos written."""
