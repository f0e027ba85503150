"""`prana demo`: everything on one machine."""
