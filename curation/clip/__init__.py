"""What a clip is: the record of it, what was seen on its frames, its caption and how it moves."""
