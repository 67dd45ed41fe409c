"""Methods compared on one data set: a plan of runs, their execution, one table, one page."""

from sngan.comparison.job import compare as compare
from sngan.comparison.planning import SETTINGS as SETTINGS
from sngan.comparison.planning import Planned as Planned
from sngan.comparison.planning import Setting as Setting
from sngan.comparison.planning import plan as plan
from sngan.comparison.summary import Comparison as Comparison
