"""What only one version of Odoo, or only old ones, need: to drop a version, delete its file.

``before_17`` is for 14 to 16, ``odoo_14`` for 14 alone. Only modules of ``bc_consumer.odoo`` may
import them, by name. ``tests/unit/odoo/test_versions.py`` lists the code elsewhere that knows of
these versions. Start with ``before_17.SeparateReads``.
"""
