"""What a connection may take: every bound of the fast lane, with its unit in its name."""

from msgspec import Struct


class FrontLimits(Struct, frozen=True, kw_only=True):
    """The bounds of one listener; the defaults are those of the settings."""

    body_bytes_max: int = 1_048_576
    target_bytes_max: int = 8_192
    header_bytes_max: int = 65_536
    header_lines_max: int = 128
    chunk_line_bytes_max: int = 256
    trailer_bytes_max: int = 8_192

    connections_max: int = 10_000
    pipelined_requests_max: int = 64
    receive_bytes_max: int = 16_384
    buffer_bytes_max: int = 65_536
    """Bytes that wait for a reader of ours: a body that nobody takes yet, or requests behind one that runs."""
    unsent_bytes_max: int = 262_144
    """Bytes that wait for the client: with more of them, it is not read either."""

    header_timeout_s: float = 10.0
    idle_timeout_s: float = 75.0
    body_timeout_s: float = 10.0
    """After so long without a whole body, it has to come at `body_bytes_per_s_min` at least."""
    body_bytes_per_s_min: int = 1_024
    write_timeout_s: float = 30.0
    linger_s: float = 2.0
    linger_bytes_max: int = 4_194_304
    disconnect_delay_s: float = 1.0
    sweep_interval_s: float = 1.0
