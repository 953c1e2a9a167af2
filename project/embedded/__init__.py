"""The whole product in one process, for a first look and for small installations: ./start.

``python -m project.embedded``: ``__main__`` prepares the environment before Django reads it;
``run`` serves the site and runs the worker beside it. It is part of this project, not of the app
``bc_consumer``, which other projects may install.
"""
