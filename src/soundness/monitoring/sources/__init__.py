"""Places that sound comes from, chosen by the scheme of an address."""
