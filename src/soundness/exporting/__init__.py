"""Detectors as ONNX graphs, from a waveform to score, p-value and error map; `ExportedDetector` runs them."""
