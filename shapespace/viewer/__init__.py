"""A page on which a space is turned, moved and tried on a scan: ``shapespace view``."""
