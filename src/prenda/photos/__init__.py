"""Photos: reading untrusted picture files, and turning them into the pixels of a network. Needs no torch.

Modules:
    preparation: Description of that preparation, in plain types, as a bundle carries it.
"""
