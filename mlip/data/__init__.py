"""From files of DFT frames to batched graphs."""
