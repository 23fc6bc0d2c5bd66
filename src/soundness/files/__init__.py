"""Files that are written whole or not at all, locked and sealed; what is in them is taken only as it is expected."""
