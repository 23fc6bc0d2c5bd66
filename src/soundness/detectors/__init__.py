"""One object from waveform to decision."""
