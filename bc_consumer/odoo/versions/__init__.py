"""What only one version of Odoo, or only old ones, need: to drop a version, delete its file.

``before_17`` is for 14 to 16, ``odoo_14`` for 14 alone. Only modules of ``bc_consumer.odoo`` may
import them, by name. Besides the lines that import them, ``NO_ARGUMENT`` in ``fault_errors`` goes;
``tests/unit/odoo/test_versions.py`` lists what other rooms know. Start with ``SeparateReads``.
"""
