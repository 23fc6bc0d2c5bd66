"""Every setting: its one default, unit and range."""
