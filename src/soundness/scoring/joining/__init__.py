"""Several scorers of a clip joined to one."""
