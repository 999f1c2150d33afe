"""The ``shapespace`` command: it parses, calls the library and prints."""
