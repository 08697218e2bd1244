"""Connect: what front ends call and listen to, REST and WebSockets (contract §7)."""
