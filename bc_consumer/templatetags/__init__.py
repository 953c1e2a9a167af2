"""What templates format by: ``{% load bc %}``."""
