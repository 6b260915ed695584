"""Where metrics' weights come from, and getting them: declared sources, downloads that resume, checks."""
