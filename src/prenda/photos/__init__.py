"""Photos: reading untrusted picture files, and turning them into the pixels of a network. Needs no torch.

Modules:
    find: Photos that the arguments of a command name.
    decode: Decoding of untrusted picture files into upright RGB pictures.
    containers: Picture files reduced to what decoding needs, without metadata.
    messages: Texts about photos, in English and Spanish.
    foreign: Names for files that are no readable picture.
    pillow_warnings: Pillow's warnings, ignored while photos are decoded.
    prepare: Preparation of decoded photos: the pixels that a network asks for.
    thumbnail: Fashion-MNIST's own steps from a photo to a grey thumbnail.
    garment: Separation of a garment from the background of its photo.
    resize: Resizing by the longest edge, and padding to a square.
    near_duplicates: Near-duplicates among photos.
    preparation: Description of that preparation, in plain types, as a bundle carries it.
"""
