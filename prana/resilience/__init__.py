"""What decides about failure: pure objects with the clock passed in."""
