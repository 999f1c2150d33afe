"""Bending a shape of the space onto a scan, and correcting it where the scan has points."""
