"""Tests of what an outsider can check: the export of real histories, the script, and forgeries that it has to find."""
