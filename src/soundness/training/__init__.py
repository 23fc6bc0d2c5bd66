"""From a data set to a folder of detectors."""
