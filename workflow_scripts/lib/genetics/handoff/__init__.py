"""Files that other programs and web services take, each with a word on where it goes and what to choose there."""
