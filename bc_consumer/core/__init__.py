"""What has no business of ours: messages, settings' parsing, deadlines, redaction, small tools.

Every room may import it; it imports none. Start with ``messages``: whatever is raised, stored or
mailed is one.
"""
