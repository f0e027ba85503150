"""Which instances exist, and are we registered: the Eureka side of Prana."""
