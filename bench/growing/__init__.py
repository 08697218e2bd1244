"""What the growth bench is made of: large data sets in the real formats, and a process that serves one of them."""
