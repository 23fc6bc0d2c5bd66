"""Further views of a clip, beside the statistics of its log-mel over time."""
