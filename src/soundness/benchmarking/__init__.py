"""Every system on one data set, and the challenge's package."""
