"""The admin listener's parts by themselves."""
