"""HTTP service and dashboard of a monitor."""
