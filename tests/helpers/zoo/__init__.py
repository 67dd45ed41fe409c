"""Zoo of files and folders as users and strangers have them, each with its right answer."""

from helpers.zoo import arrays, folders, longer_names, pixels, shards, tables, zips
from helpers.zoo.case import Case, cases_of

CASES: list[Case] = [
    case
    for module in (pixels, folders, longer_names, zips, arrays, tables, shards)
    for case in cases_of(module)
]
