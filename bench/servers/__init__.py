"""What is measured: our server and its peers, each started, pinned and ended by the bench itself."""
