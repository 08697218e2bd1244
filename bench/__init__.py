"""Benches, one file for each question: `python -m bench` lists them, `python -m bench NAME` runs one."""
