"""Comparison of methods on one data set: trials, their results, one table, one page."""

from sngan.tasks.compare.budget import Budget as Budget
from sngan.tasks.compare.comparison import compare as compare
from sngan.tasks.compare.summary import Comparison as Comparison
from sngan.tasks.compare.trials import SETTINGS as SETTINGS
from sngan.tasks.compare.trials import Setting as Setting
from sngan.tasks.compare.trials import Trial as Trial
from sngan.tasks.compare.trials import plan_trials as plan_trials
