"""What answers in the place of a service that fails: one kind of answer a module."""
