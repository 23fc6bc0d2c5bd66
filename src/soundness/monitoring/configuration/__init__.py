"""Settings of a monitor, as its configuration file gives them: sensors, texts, maintenance windows, sinks, learning."""
