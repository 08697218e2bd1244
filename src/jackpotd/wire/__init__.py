"""What leaves and enters the program: public messages, their codecs, and the record format of the journal."""
