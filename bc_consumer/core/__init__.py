"""What has no business of ours: messages, settings' parsing, deadlines, redaction, small tools.

May be imported by every room; imports none. Start with ``messages``: whatever is raised, stored or
mailed is one.
"""
