"""Everything in one process, for a first look and for small installations: what ./start runs.

``python -m project.embedded``: ``__main__`` prepares the environment before Django reads it,
``run`` serves the site and works beside it. It belongs to this project, not to the app
``bc_consumer``, which other projects may install.
"""
