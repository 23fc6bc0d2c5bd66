"""Score files and the challenge's figures."""
