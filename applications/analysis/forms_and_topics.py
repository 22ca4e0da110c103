"""What kinds of descriptions there are, and how the layers of a network differ in them.

A description has a form (does it say how something looks, what it is, or how two things stand to
each other?) and topics (what is it about?). Both are rules over parsed words and lists of words,
so that they can be repeated; the topics go beyond those of ``benchmark.splits.categories``, whose
lists they use.
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

# In the order in which the one label of a description is looked for.
FORMS = ("relation", "category", "attribute")
NO_FORM = "other"
PARTS = "parts"
TOPICS = (*CATEGORIES[:-1], PARTS, OBJECTS)
MEANS = ("nouns", "verbs", "adjectives", "adpositions", "depth")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LOOKS = {"textures", "colors", "shapes"}  # topics whose words say how things look
# Nouns that say nothing about what a thing is.
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
# Nouns that are no partners in a relation: pictures; amounts before "of"; places after "in".
_PICTURES = _words("image picture photo photograph pic shade tone hue")
_AMOUNTS = _words(
    """
    type kind sort variety group number set lot bunch pair collection piece bit degree mix
    combination series couple cup glass bottle bowl flock crowd form mean
    """
)
_PLACES = _words("background foreground focus distance view front middle group row")
_EXAMPLES = frozenset({"as", "like", "include", "than"})  # they name examples, not relations
# Adjectives that do not say how something looks.
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
# Words beside those of ``benchmark.splits.categories``; a word here is not looked for there.
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
    """What kind of description one is.

    Attributes:
        forms: Those of ``FORMS`` that it has.
        form: The first of ``FORMS`` that it has, or ``NO_FORM``. A relation is between things that
            have a category, and a thing with attributes has one, so each says more than the next.
        topics: Those of ``TOPICS`` that it is about.
    """

    forms: frozenset[str]
    form: str
    topics: frozenset[str]


def forms_and_topics(found: Properties) -> FormsAndTopics:
    """Return the kinds of a description.

    - A relation has two nouns and between them an adposition or a verb that links them. The noun
      may be general ("edges of objects"), but no colour, amount or picture ("areas in the
      picture", "a group of dogs", "objects of the color red").
    - A category is a noun that names a thing: not general ("objects", "areas"), no place on a
      thing ("edges"), and none that says how something looks ("stripes").
    - An attribute is an adjective that says how something looks, or a word of any part of speech
      for a colour, a texture or a shape.
    """
    topics_of = [_topics(word, before) for before, word in _with_before(found.tokens)]
    topics = {topic for some in topics_of for topic in some}
    if _BODY.intersection(word.text for word in found.tokens) and "animals" not in topics:
        topics.add("people")  # body parts of which nothing else is said
    forms = set()
    if any(map(_relates, found.links)):
        forms.add("relation")
    for word, own in zip(found.tokens, topics_of, strict=True):
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
        layers: Of each description its layer; one description for each neuron, or the intervals
            are too narrow.
        texts: The descriptions.
        properties: Of them, from ``benchmark.language.properties``.

    Returns:
        One row per layer, in the order in which they are first named, with its name as index and
        the columns ``neurons``; ``length``, mean words; ``vocabulary``, distinct words;
        ``type_token``, distinct words over words, which falls as neurons grow in number, so that
        only layers of one size compare; ``distinct``, the share of distinct descriptions; the
        shares of ``FORMS`` and of ``TOPICS``; and the means of ``MEANS``. Shares are 0 to 1. Mean
        length has a percentile bootstrap interval over neurons, shares of forms and topics Wilson
        score intervals (Wilson, 1927), both of 95 %, in columns ending in ``_low`` and ``_high``.
        Where there is nothing to divide by the value is NaN.
    """
    rows: dict[str, list[int]] = {}
    for row, (layer, _, _) in enumerate(zip(layers, texts, properties, strict=True)):
        rows.setdefault(layer, []).append(row)
    table = {
        layer: _layer([texts[row] for row in own], [properties[row] for row in own])
        for layer, own in rows.items()
    }
    return pd.DataFrame.from_dict(table, orient="index").rename_axis("layer")


def _layer(texts: Sequence[str], found: Sequence[Properties]) -> dict[str, float]:
    kinds = [forms_and_topics(one) for one in found]
    lengths = np.array([one.words for one in found], dtype=np.float64)
    statistics = np.stack([lengths, np.ones(len(found))], axis=1)
    mean = interval(lambda sums: sums[..., 0] / sums[..., 1], statistics)
    words = [word.text for one in found for word in one.tokens]
    vocabulary = len(set(words))
    row = {
        "neurons": len(found),
        "length": mean.value,
        "length_low": mean.low if len(found) > 1 else float("nan"),
        "length_high": mean.high if len(found) > 1 else float("nan"),
        "vocabulary": vocabulary,
        "type_token": vocabulary / len(words) if words else float("nan"),
        "distinct": len(set(map(normalize, texts))) / len(texts),
    }
    for form in FORMS:
        row |= _share(form, sum(form in one.forms for one in kinds), len(found))
    for topic in TOPICS:
        row |= _share(topic, sum(topic in one.topics for one in kinds), len(found))
    return row | {name: float(np.mean([getattr(one, name) for one in found])) for name in MEANS}


def _share(name: str, count: int, total: int) -> dict[str, float]:
    found = wilson(count, total)
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}


def _with_before(words: Sequence[Word]) -> list[tuple[Word | None, Word]]:
    return list(zip([None, *words], words, strict=False))


def _topics(word: Word, before: Word | None) -> frozenset[str]:
    """Return the topics of a word; of a noun that has no other, and is not general, "objects"."""
    if word.text in _LOCATIONS:
        # "on top of", "in front of": where two things are, not a part of one.
        placed = before is not None and before.tag == "ADP" and before.text in ("on", "in")
        return frozenset() if placed or word.tag == "ADV" else frozenset({PARTS})
    named = _named(word.text) or _named(word.lemma)
    if not named and word.tag in NOUNS and not _general(word):
        return frozenset({OBJECTS})
    return named


@lru_cache(maxsize=100_000)
def _named(word: str) -> frozenset[str]:
    """Return the topics that the lists give a word."""
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
