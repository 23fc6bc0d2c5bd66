"""Watch of one folder: the short form of a monitor."""
