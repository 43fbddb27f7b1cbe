"""What each subcommand reads from its words, does and prints."""
