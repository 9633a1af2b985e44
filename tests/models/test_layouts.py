import pytest
from torch import nn

from monoseme.models._layouts import TokenFacts, map_layout, token_facts, token_prefix, tokens_are_last

CONV, NORM, PLAIN = nn.Conv2d(3, 7, 1), nn.LayerNorm(7), nn.Identity()


@pytest.mark.parametrize(
    "shape, size, module, expected",
    [
        ((768, 7, 7), (224, 224), PLAIN, "NCHW"),
        ((7, 7, 768), (224, 224), PLAIN, "NHWC"),
        ((2048, 8, 8), (299, 299), PLAIN, "NCHW"),
        ((1280, 1, 1), (224, 224), PLAIN, "NCHW"),
        ((1, 1, 1280), (224, 224), PLAIN, "NHWC"),
        ((64, 12, 20), (96, 160), PLAIN, "NCHW"),
        ((12, 20, 64), (96, 160), PLAIN, "NHWC"),
        ((8, 7, 7), (224, 224), PLAIN, "NCHW"),  # the better of two fits
        ((7, 7, 8), (224, 224), PLAIN, "NHWC"),
        ((7, 7, 7), (224, 224), CONV, "NCHW"),  # a draw is decided by what the module is
        ((7, 7, 7), (224, 224), NORM, "NHWC"),
        ((7, 7, 7), (224, 224), nn.Linear(3, 7), "NHWC"),
        ((7, 7, 7), (224, 224), PLAIN, "NCHW"),
        ((7, 7, 7), (224, 224), nn.Sequential(NORM, nn.BatchNorm2d(7)), "NCHW"),
        ((32, 1, 40), (64, 128), CONV, "NCHW"),  # a map squeezed in one direction
        ((12, 197, 64), (224, 224), PLAIN, None),  # heads x tokens x channels
        ((12, 197, 64), (224, 224), nn.LayerNorm(64), None),
    ],
)
def test_the_positions_of_a_map_have_the_proportions_of_the_input(shape, size, module, expected):
    assert map_layout(shape, size, module) == expected


@pytest.mark.parametrize(
    "tokens, facts, grids, expected",
    [
        (197, TokenFacts(), [(14, 14)], (1, (14, 14))),
        (197, TokenFacts(1, True), [(14, 14)], (1, (14, 14))),
        (196, TokenFacts(1, True), [(14, 14)], (0, (14, 14))),  # before the class token joins
        (201, TokenFacts(5, True), [(14, 14)], (5, (14, 14))),
        (201, TokenFacts(), [(14, 14)], (5, (14, 14))),
        (49, TokenFacts(), [(56, 56)], (0, (7, 7))),  # a later stage of a hierarchy
        (784, TokenFacts(), [(56, 56), (28, 28)], (0, (28, 28))),
        (50, TokenFacts(), [], (1, (7, 7))),
        (50, TokenFacts(1, True), [], (1, (7, 7))),
        (49, TokenFacts(1, True), [], (0, (7, 7))),
        (17, TokenFacts(5, True, stated=True), [], (5, None)),
        (16, TokenFacts(3, True, stated=True), [], (3, None)),
        (60, TokenFacts(), [], (0, None)),  # no grid of patches: nothing is left out
        (1, TokenFacts(1, True), [(14, 14)], (0, (1, 1))),
        (1, TokenFacts(), [], (0, (1, 1))),
    ],
)
def test_tokens_before_the_patches_are_those_beyond_the_grid(tokens, facts, grids, expected):
    assert token_prefix(tokens, facts, grids, (224, 224)) == expected


def test_grids_of_tokens_follow_the_shape_of_the_input():
    assert token_prefix(33, TokenFacts(), [], (64, 128)) == (1, (4, 8))
    assert token_prefix(33, TokenFacts(1, True), [(4, 8)], (64, 128)) == (1, (4, 8))


def test_channels_before_tokens_are_recognised_by_the_patch_grid():
    assert tokens_are_last((768, 196), TokenFacts(), [(14, 14)])
    assert tokens_are_last((768, 197), TokenFacts(1, True), [(14, 14)])
    assert not tokens_are_last((196, 768), TokenFacts(), [(14, 14)])
    assert not tokens_are_last((196, 196), TokenFacts(), [(14, 14)])
    assert not tokens_are_last((257, 256), TokenFacts(), [(16, 16)])  # as many channels as patches
    assert not tokens_are_last((768, 196), TokenFacts(), [])


class WithTokens(nn.Module):
    def __init__(self, **shapes):
        super().__init__()
        self.inner = nn.Module()
        for name, shape in shapes.items():
            self.inner.register_parameter(
                name, nn.Parameter(nn.init.zeros_(nn.Parameter(nn.Linear(1, 1).weight).new_empty(shape)))
            )


@pytest.mark.parametrize(
    "shapes, expected",
    [
        ({}, TokenFacts()),
        ({"cls_token": (1, 1, 8)}, TokenFacts(1, True)),
        ({"class_embedding": (8,)}, TokenFacts(1, True)),
        ({"cls_token": (1, 1, 8), "distillation_token": (1, 1, 8)}, TokenFacts(2, True)),
        ({"cls_token": (1, 1, 8), "register_tokens": (1, 4, 8)}, TokenFacts(5, True)),
        ({"reg_token": (1, 4, 8)}, TokenFacts(4, False)),
        ({"cls_token": (1, 1, 8), "mask_token": (1, 8)}, TokenFacts(1, True)),
    ],
)
def test_token_parameters_tell_what_stands_before_the_patches(shapes, expected):
    assert token_facts(WithTokens(**shapes), None) == expected


def test_timms_own_count_of_tokens_wins_over_names_and_the_users_over_both():
    module = WithTokens(cls_token=(1, 1, 8))
    module.inner.num_prefix_tokens = 3
    assert token_facts(module, None) == TokenFacts(3, True)
    assert token_facts(module, 2) == TokenFacts(2, True, stated=True)
    assert token_facts(module, 0) == TokenFacts(0, False, stated=True)
