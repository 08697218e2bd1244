"""What tests and benches use and nothing that ships imports."""
