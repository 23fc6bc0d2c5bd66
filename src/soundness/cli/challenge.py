"""The commands of the challenge: systems by name, benchmarks, submissions, data."""

__all__: list[str] = []
