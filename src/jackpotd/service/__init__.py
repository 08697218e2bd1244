"""Configuration, wiring, lifecycle and telemetry: the one place that picks implementations and starts them."""
