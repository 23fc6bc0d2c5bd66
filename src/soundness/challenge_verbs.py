"""What one does with soundness for the challenge, as functions: commands of the command line, one for one."""

__all__: list[str] = []
