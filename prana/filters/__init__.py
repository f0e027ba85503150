"""The stages a request walks through, one file each; `prana.pipeline` puts them in order."""
