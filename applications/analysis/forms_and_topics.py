"""Forms and topics of descriptions, and how the layers of a network differ in them.

The form of a description says whether it tells how something looks, what it is, or how two things
relate; its topics say what it is about. Both follow from fixed rules over parsed words and lists of
words. The topics extend those of ``benchmark.splits.categories``, whose lists they use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from benchmark.intervals import interval, wilson
from benchmark.language import NOUNS, Link, Properties, Word
from benchmark.splits.categories import CATEGORIES, category_of
from benchmark.splits.categories import OTHER as OBJECTS
from benchmark.tokenization import normalize

# In order of precedence.
FORMS = ("relation", "category", "attribute")
NO_FORM = "other"
PARTS = "parts"
TOPICS = (*CATEGORIES[:-1], PARTS, OBJECTS)
MEANS = ("nouns", "verbs", "adjectives", "adpositions", "depth")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LOOKS = {"textures", "colors", "shapes"}  # topics whose words describe appearance
# Nouns that do not name a kind of thing.
_GENERIC = _words(
    """
    object objects thing things item items area areas region regions spot place places stuff
    surface surfaces background backgrounds foreground space spaces feature features element
    elements material materials product subject focus point points position distance gap view
    image images picture pictures photo photos photograph photographs pic
    type types kind kinds sort sorts variety group groups set sets lot lots bunch pair pairs
    collection piece pieces bit degree way aspect contrast scale life activity being multiple
    similarity repetition content display range size form forms structure structures
    mix combination series row rows couple random other others
    """
)
# Nouns that take no part in a relation: pictures; amounts before "of"; locations after "in".
_PICTURES = _words("image picture photo photograph pic shade tone hue")
_AMOUNTS = _words(
    """
    type kind sort variety group number set lot bunch pair collection piece bit degree mix
    combination series couple cup glass bottle bowl flock crowd form mean
    """
)
_PLACES = _words("background foreground focus distance view front middle group row")
_EXAMPLES = frozenset({"as", "like", "include", "than"})  # they introduce examples, not relations
# Adjectives that do not describe appearance.
_NO_LOOK = _words(
    """
    other different various multiple several many few such same similar main certain like likely
    more most less random assorted miscellaneous specific single common general separate
    individual particular similiar diffrent certain able next own noticeable non left right
    """
)
_LOCATIONS = _words(
    """
    top tops bottom bottoms edge edges corner corners side sides center centers centre centres
    middle middles end ends tip tips rim rims border borders boundary boundaries front fronts back
    backs part parts section sections portion portions half detail details interior exterior inside
    outside
    """
)
_BODY = _words(
    """
    head heads face faces hand hands hair body bodies leg legs eye eyes ear ears nose noses mouth
    mouths arm arms finger fingers foot feet neck necks shoulder shoulders chin chins forehead
    cheek cheeks lip lips tooth teeth torso torsos chest chests waist knee knees stomach skin limb
    limbs thumb heart brain bone bones elbow wrist belly
    """
)
_ANIMAL_PARTS = _words(
    """
    beak beaks snout snouts muzzle muzzles paw paws whisker whiskers fin fins claw claws
    tail tails antenna antennae
    """
)
_THING_PARTS = _words(
    """
    wheel wheels wing wings handle handles knob knobs lid lids hinge hinges headlight headlights
    windshield spoke spokes tire tires petal petals stem stems trunk trunks horn horns roof roofs
    rooftop rooftops nail nails hood brim strap straps collar collars sleeve blade blades
    """
)
# Words in addition to those of ``benchmark.splits.categories``, over which they take precedence.
_MORE = {
    "text": "alphabet character characters font fonts digit digits signage watermark written "
    "caption captions logos wording graffiti typography",
    "people": "boy boys girl girls baby babies kid kids guy guys lady ladies adult adults crowd "
    "crowds athlete player players musician musicians soldier soldiers student students diver "
    "swimmer friend bride groom barber doctor worker workers infant infants toddler humans "
    "someone somebody aperson",
    "animals": "alligator ant antelope ape armadillo bee beetle bison bug bull bunny butterfly "
    "camel canine cattle cheetah chicken chimpanzee cow crab creature crocodile deer dolphin "
    "donkey dragonfly duck eagle elephant feline ferret flamingo fly fox frog gator gazelle "
    "giraffe goat goose gorilla grasshopper hamster hare hawk hen hippo hog hyena jellyfish "
    "kitten koala ladybug lamb leopard lion lizard llama lobster mammal meerkat mongoose monkey "
    "moth ostrich otter owl ox panda parrot peacock pelican penguin pig pigeon porcupine primate "
    "pup puppy rabbit raccoon reptile rhino rooster salamander scorpion seagull seal shark sheep "
    "slug snail squirrel starfish stingray swan tiger toad toucan turkey turtle vulture walrus "
    "weasel whale wolf worm zebra furry shaggy pet pets",
    "scenes": "beach bush cave city cliff cloud clouds coast coral desert foliage garden greenery "
    "grassy ground harbor hill hills horizon indoor indoors jungle lake land lawn leaf meadow "
    "nature ocean outdoor outdoors park pasture pathway pavement pond rainforest river sand scene "
    "scenery scenic shore skyline snow sunset swamp town valley vegetation waterfall yard",
    "textures": "bumpy checkers checker chequered chainlink crisscross fluffy glossy knit "
    "knitted lattice leather metallic net netting nets plaid polka reflective ribbed ridged ridges "
    "rough shiny smooth speckled striated textural wavy wire wired wooden wool woolen woven "
    "zigzag cloth fabrics",
    "colors": "amber blackish bluish brownish colorful colour coloured colourful colours cyan "
    "fluorescent gold golden greenish grayish greyish hue hues magenta maroon monochrome "
    "multicolored muted neon pale pastel pinkish reddish silver teal turquoise whitish yellowish "
    "shade shades",
    "shapes": "angle angled angles angular arc arcs circled cone cones conical crescent cube "
    "cubed cubes curvature curvy curving cylinder cylinders cylindrical diagonal diagonals "
    "elongated geometric geometrical hexagon hexagonal horizontal linear long loop loops narrow "
    "outline outlined outlines outlining oval ovals parallel perpendicular pointed pointy polygon "
    "rectangles rounded skinny sphere spheres spherical spiral spirals squared straight tall "
    "tapered thick thin triangles triangular tubular vertical wide shaped shaping arched "
    "protruding protrusion protrusions",
    OBJECTS: "box boxes lights",
}
_LOOKUP = {word: topic for topic, words in _MORE.items() for word in words.split()}


@dataclass(frozen=True)
class FormsAndTopics:
    """Forms and topics of a description.

    Attributes:
        forms: All of ``FORMS`` that it has.
        form: The first of ``FORMS`` that it has, or ``NO_FORM``. Relations hold between things with
            categories, and attributes belong to such things, so each form implies the next.
        topics: All of ``TOPICS`` that it is about.
    """

    forms: frozenset[str]
    form: str
    topics: frozenset[str]


def forms_and_topics(parsed: Properties) -> FormsAndTopics:
    """Return the forms and topics of a description.

    - A relation has two nouns that an adposition or a verb between them links. The nouns may be
      general ("edges of objects"), but not a colour, an amount or a picture ("areas in the
      picture", "a group of dogs", "objects of the color red").
    - A category is a noun that names a thing. General nouns ("objects", "areas"), locations on a
      thing ("edges") and nouns of appearance ("stripes") are none.
    - An attribute is an adjective that describes appearance, or a word of any part of speech for a
      colour, a texture or a shape.
    """
    topics_of = [_topics(word, before) for before, word in _with_before(parsed.tokens)]
    topics = {topic for some in topics_of for topic in some}
    if _BODY.intersection(word.text for word in parsed.tokens) and "animals" not in topics:
        topics.add("people")  # body parts, unless they are said to be those of animals
    forms = set()
    if any(map(_relates, parsed.links)):
        forms.add("relation")
    for word, own in zip(parsed.tokens, topics_of, strict=True):
        plain = word.tag == "ADJ" and not own and word.lemma not in _NO_LOOK | _LOCATIONS
        if own & _LOOKS or plain:
            forms.add("attribute")
        elif own and (word.tag in NOUNS or own != {OBJECTS}) and not _general(word):
            forms.add("category")
    label = next((form for form in FORMS if form in forms), NO_FORM)
    return FormsAndTopics(frozenset(forms), label, frozenset(topics))


def layer_table(
    layers: Sequence[str], texts: Sequence[str], properties: Sequence[Properties]
) -> pd.DataFrame:
    """Compare the descriptions of layers.

    Args:
        layers: The layer of each description. There must be one description per neuron, or the
            intervals are too narrow.
        texts: The descriptions.
        properties: The parsed descriptions, from ``benchmark.language.properties``.

    Returns:
        One row per layer, in the order in which they first occur, with its name as index and these
        columns: ``neurons``; ``length``, the mean number of words; ``vocabulary``, the number of
        distinct words; ``type_token``, distinct words over words, which falls with the number of
        neurons, so that only layers of one size compare; ``distinct``, the share of distinct
        descriptions; the shares of ``FORMS`` and of ``TOPICS``; and the means of ``MEANS``. Shares
        are 0 to 1. Mean length has a percentile bootstrap interval over neurons, shares of forms
        and topics have Wilson score intervals (Wilson, 1927), both of 95 %, in columns that end in
        ``_low`` and ``_high``. A value is NaN if it would be divided by 0.
    """
    rows: dict[str, list[int]] = {}
    for row, (layer, _, _) in enumerate(zip(layers, texts, properties, strict=True)):
        rows.setdefault(layer, []).append(row)
    table = {
        layer: _layer([texts[row] for row in own], [properties[row] for row in own])
        for layer, own in rows.items()
    }
    return pd.DataFrame.from_dict(table, orient="index").rename_axis("layer")


def _layer(texts: Sequence[str], parsed: Sequence[Properties]) -> dict[str, float]:
    kinds = [forms_and_topics(description) for description in parsed]
    lengths = np.array([description.words for description in parsed], dtype=np.float64)
    statistics = np.stack([lengths, np.ones(len(parsed))], axis=1)
    mean = interval(lambda sums: sums[..., 0] / sums[..., 1], statistics)
    words = [word.text for description in parsed for word in description.tokens]
    vocabulary = len(set(words))
    row = {
        "neurons": len(parsed),
        "length": mean.value,
        "length_low": mean.low if len(parsed) > 1 else float("nan"),
        "length_high": mean.high if len(parsed) > 1 else float("nan"),
        "vocabulary": vocabulary,
        "type_token": vocabulary / len(words) if words else float("nan"),
        "distinct": len(set(map(normalize, texts))) / len(texts),
    }
    for form in FORMS:
        row |= _share(form, sum(form in description.forms for description in kinds), len(parsed))
    for topic in TOPICS:
        row |= _share(topic, sum(topic in description.topics for description in kinds), len(parsed))
    return row | {
        name: float(np.mean([getattr(description, name) for description in parsed]))
        for name in MEANS
    }


def _share(name: str, count: int, total: int) -> dict[str, float]:
    proportion = wilson(count, total)
    return {name: proportion.value, f"{name}_low": proportion.low, f"{name}_high": proportion.high}


def _with_before(words: Sequence[Word]) -> list[tuple[Word | None, Word]]:
    return list(zip([None, *words], words, strict=False))


def _topics(word: Word, before: Word | None) -> frozenset[str]:
    """Return the topics of a word; a noun without any that is not general has "objects"."""
    if word.text in _LOCATIONS:
        # "on top of" and "in front of" are positions, not parts of a thing.
        placed = before is not None and before.tag == "ADP" and before.text in ("on", "in")
        return frozenset() if placed or word.tag == "ADV" else frozenset({PARTS})
    named = _named(word.text) or _named(word.lemma)
    if not named and word.tag in NOUNS and not _general(word):
        return frozenset({OBJECTS})
    return named


@lru_cache(maxsize=100_000)
def _named(word: str) -> frozenset[str]:
    """Return the topics of a word by the lists."""
    if word in _BODY or word in _THING_PARTS:
        return frozenset({PARTS})
    if word in _ANIMAL_PARTS:
        return frozenset({PARTS, "animals"})
    topic = _LOOKUP.get(word)
    if topic is None and (listed := category_of([word])) not in (OBJECTS, None):
        topic = listed
    return frozenset() if topic is None else frozenset({topic})


def _general(word: Word) -> bool:
    return bool({word.text, word.lemma} & (_GENERIC | _LOCATIONS))


def _relates(link: Link) -> bool:
    sides = {link.left, link.right}
    return not (
        link.by in _EXAMPLES
        or sides & _PICTURES
        or (link.by == "of" and link.left in _AMOUNTS)
        or (link.by == "in" and link.right in _PLACES)
        or any("colors" in _named(side) for side in sides)
    )
