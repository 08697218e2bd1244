"""The commands: `serve`, `demo`, `verify`, `accounts`.

They parse, call the service, and turn failures into exit codes.
"""
