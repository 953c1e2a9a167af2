"""Generic tools without business logic: messages, parsing of settings, deadlines, redaction.

Every room but ``fields`` may import it; it imports none. Start with ``translatable``: whatever is
raised, stored or mailed is a message of this module.
"""
