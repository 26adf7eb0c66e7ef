"""Photos: reading untrusted picture files, and turning them into the pixels of a network. Needs no torch.

Modules:
    decode: Decoding of untrusted picture files into upright RGB pictures.
    containers: Picture files reduced to what decoding needs, without metadata.
    foreign: Names for files that are no readable picture.
    pillow_warnings: Pillow's warnings, ignored while photos are decoded.
    prepare: Preparation of decoded photos: the pixels that a network asks for.
    preparation: Description of that preparation, in plain types, as a bundle carries it.
"""
