"""Access to the service: passwords, sessions, and the guard of every request."""
