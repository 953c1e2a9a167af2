"""Why a reconciliation does not begin, or stops before its end, and nothing has failed."""


class AlreadyRunning(Exception):
    """Another run holds the lock; the text says which."""


class Braked(Exception):
    """More orders seem gone than the brake allows; nothing was archived."""


class GaveWay(Exception):
    """This poll ends because a run waits for the lock."""


class Interrupted(Exception):
    """The process was told to stop, or can't go on just now; the run goes on where it was."""


class SliceOver(Exception):
    """This slice's time is up; the run goes on in another."""
