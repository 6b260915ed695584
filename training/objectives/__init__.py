"""What a stage minimises: one file each."""
