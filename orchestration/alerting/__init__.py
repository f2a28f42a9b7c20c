"""What happened to incidents, told to people: each change once, whatever crashes.

``configuration``, ``changes`` and ``messages`` are pure. ``incidents`` and ``ledger``
talk to the warehouse, ``channels`` to the world, and ``delivery`` ties them together.
"""
