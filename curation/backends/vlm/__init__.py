"""A vision-language model behind a vLLM server: captions, defects, and claims checked against the frames."""
