"""The command line of lm-eval, with the model type `strata`: importing the package has registered it."""
from lm_eval.__main__ import cli_evaluate

cli_evaluate()
