"""What all unit tests share."""

from hypothesis import settings

# The same examples in every run: a red test is red for everybody. Searching for new ones is the
# work of scripts of their own.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")
