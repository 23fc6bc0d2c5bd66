"""Spectra of a clip beside its log-mel: envelopes of groups of bands, and a long spectrum of fine bins."""
