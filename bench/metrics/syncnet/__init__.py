"""LSE-D, LSE-C and the offset of a video: SyncNet along its published pipeline."""
