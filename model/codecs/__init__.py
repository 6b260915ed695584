"""What turns pixels, sound and words into what the network sees, and latents back into pixels."""
