"""Networks: plain modules that take images of any shape.

A backbone is called as `Backbone(image_shape=(C, H, W), num_classes=N, **its settings)`; its `forward` takes images
(B, C, H, W), float32, and gives logits (B, N), before softmax. A setting that cannot work is a ValueError that starts
with the setting's dotted name. Adding one takes a file here and a YAML in conf/backbone.
"""
