"""Networks, as plain PyTorch modules that take images of any shape.

A backbone is called as `Backbone(image_shape=(C, H, W), num_classes=N, **settings)`. Its `forward` takes images
(B, C, H, W), float32, and returns logits (B, N), before softmax. For an invalid setting it raises a ValueError whose
text starts with the setting's dotted name. A new backbone needs a module here and a YAML file in conf/backbone.

Modules:
    cnn: Plain convolutional networks.
    dense: Fully connected networks.
    resnet: Small residual networks.
    resnet9: Residual networks for short trainings.
    timm: timm's networks, untrained or with weights of an earlier training.
    torchvision: torchvision's classification networks.
    weights: Files of weights, verified and loaded into a network.
    activations: Activations by name.
    settings: Checks of settings, shared by the backbones.
    first_layer: Weights of a network's first layer, as images.
"""
