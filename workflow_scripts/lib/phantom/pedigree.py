"""Families of the genetics study: who descends from whom, and the genomes that gene dropping gives them."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from workflow_scripts.lib.phantom.genotypes import gamete

# relation -> people of the study in one family; kinship of the pair falls from 1/4 to 1/16
FAMILIES = {"parent_child": 2, "sibling": 2, "half_sibling": 2, "cousin": 2}
GENERATION = (22, 33)  # years between parent and child
MORGANS = 1.6  # a stretch: a human chromosome's mean, so that kinship varies as over a whole genome


@dataclass
class Pedigree:
    """Genomes, parents before their children.

    Attributes
    ----------
    mother, father : list of int
        Index of the parent's genome; -1 for founders.
    ancestry : list of str
        A or B; children have their parents'.
    """

    mother: list[int] = field(default_factory=list)
    father: list[int] = field(default_factory=list)
    ancestry: list[str] = field(default_factory=list)

    def add(self, ancestry: str, mother: int = -1, father: int = -1) -> int:
        """Add a genome and return its index."""
        self.ancestry.append(ancestry)
        self.mother.append(mother)
        self.father.append(father)
        return len(self.ancestry) - 1

    def founders(self) -> list[int]:
        """List the genomes without parents."""
        return [index for index, mother in enumerate(self.mother) if mother < 0]

    def drop(
        self, found: np.ndarray, places: np.ndarray, random: np.random.Generator, is_x: bool = False
    ) -> np.ndarray:
        """Give every genome two haplotypes: variants x genomes x 2 int8.

        Parameters
        ----------
        found : numpy.ndarray
            The same of the founders. On X a man's only chromosome is the first of his two.
        places : numpy.ndarray
            Base pairs, sorted.
        """
        result = np.empty((len(found), len(self.ancestry), 2), np.int8)
        result[:, self.founders()] = found
        for child, (mother, father) in enumerate(zip(self.mother, self.father, strict=True)):
            if mother >= 0:
                result[:, child, 0] = gamete(result[:, mother], places, random, MORGANS)
                given = result[:, father]
                result[:, child, 1] = given[:, 0] if is_x else gamete(given, places, random, MORGANS)
        return result


def plant_families(people: pd.DataFrame, pairs: dict[str, int], random: np.random.Generator) -> Pedigree:
    """Turn the first people of a table into pairs of relatives; parents and others who are needed are not in it.

    Parameters
    ----------
    people : pandas.DataFrame
        ``participant_id``, ``sex`` (F, M), ``age`` (years), ``ancestry`` (A, B). Gets columns ``genome`` (index in the
        pedigree), ``relation`` and ``relative_of`` (of the second of a pair; else missing); the second of a pair
        takes the first one's ancestry, and ages of parents and children are moved apart.
    pairs : dict
        Relation (a key of :data:`FAMILIES`) -> pairs.
    """
    pedigree, row = Pedigree(), 0
    people[["relation", "relative_of"]] = pd.Series([None, None], dtype=object)
    genomes = np.full(len(people), -1)
    for relation in FAMILIES:
        for _ in range(pairs[relation]):
            first, second, row = row, row + 1, row + 2
            ancestry = people.at[first, "ancestry"]
            people.at[second, "ancestry"] = ancestry
            people.at[second, "relation"] = relation
            people.at[second, "relative_of"] = people.at[first, "participant_id"]
            if relation == "parent_child":
                _part_generations(people, first, second, random)
            mother = people.at[first, "sex"] == "F"
            genomes[[first, second]] = _add_pair(pedigree, relation, ancestry, mother, random)
    for other in range(row, len(people)):
        genomes[other] = pedigree.add(people.at[other, "ancestry"])
    people["genome"] = genomes
    return pedigree


def _part_generations(people: pd.DataFrame, parent: int, child: int, random: np.random.Generator) -> None:
    youngest, oldest = people["age"].min(), people["age"].max()
    years = random.uniform(*GENERATION)
    people.at[child, "age"] = round(random.uniform(youngest, oldest - GENERATION[1]), 1)
    people.at[parent, "age"] = round(people.at[child, "age"] + years, 1)


def _add_pair(
    pedigree: Pedigree, relation: str, ancestry: str, mother: bool, random: np.random.Generator
) -> tuple[int, int]:
    """Add a pair with the ancestors it needs; ``mother``: whether the first of parent and child is a woman."""

    def founder() -> int:
        return pedigree.add(ancestry)

    if relation == "parent_child":
        first, other = founder(), founder()
        return first, pedigree.add(ancestry, *((first, other) if mother else (other, first)))
    if relation == "cousin":
        grandmother, grandfather = founder(), founder()
        sisters = [pedigree.add(ancestry, grandmother, grandfather) for _ in range(2)]
        return tuple(pedigree.add(ancestry, sister, founder()) for sister in sisters)
    one, other = founder(), founder()
    if relation == "sibling":
        return pedigree.add(ancestry, one, other), pedigree.add(ancestry, one, other)
    third = founder()
    second = (one, third) if random.random() < 0.5 else (third, other)  # a mother or a father in common
    return pedigree.add(ancestry, one, other), pedigree.add(ancestry, *second)
