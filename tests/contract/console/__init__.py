"""The console, through a browser without pictures and through the live streams."""
