"""Generic tools: messages, parsing of settings, deadlines, redaction, the state of this process.

Every room but ``fields`` may import it; it imports none. Start with ``translatable``: whatever is
raised, stored or mailed is a message of this module.
"""
