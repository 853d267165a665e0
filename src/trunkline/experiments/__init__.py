"""What the demo and the experiments run: networks, digits, random variants, bursts of requests.

Nothing is imported here, so that a factory such as `trunkline.experiments.networks:resnet50` costs
only its own module.
"""
