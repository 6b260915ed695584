"""What pages of one HTML file share: their look, how they are put together, and how they are served."""
